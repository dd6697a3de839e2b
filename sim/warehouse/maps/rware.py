"""Imports RWARE layout strings: `x` shelf, `g` goal, `.` highway.

RWARE: Papoudakis, Christianos, Schaefer, Albrecht, Benchmarking Multi-Agent Deep Reinforcement Learning Algorithms in
Cooperative Tasks, NeurIPS Datasets and Benchmarks 2021.
"""

from __future__ import annotations

from pathlib import Path

from sim.warehouse.maps.cell_plan import import_cells
from sim.warehouse.maps.cells import CellMap, read_rows
from sim.warehouse.maps.files import as_text, read_bytes
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import ImportSettings

LETTERS = ".xg"


def import_rware(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """Turn a layout string into a floor plan: shelves become slots, goals outbound docks.

    Raises:
        ConfigError: not such a layout, no free cell, or a goal that robots cannot reach.
    """
    text = as_text(read_bytes(path, settings.largest_file), str(path))
    letters = read_rows(text.strip("\r\n").lower(), str(path), LETTERS, settings)
    shelf, goal = letters == "x", letters == "g"
    cells = CellMap(~shelf, shelf, ~shelf, goal)
    said = (
        "every shelf that a robot can stand before is a slot; shelves stay where they are, robots do not drive below",
        "RWARE has no receiving, inspection, quarantine or parking: they are put outside the grid",
    )
    return import_cells("rware", path, cells, settings, choices, said, is_goal_outbound=True)
