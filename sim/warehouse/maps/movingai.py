"""Imports MovingAI grid maps (.map): free cells, obstacles, and nothing about what they are for.

Format and terrain letters: Sturtevant, Benchmarks for Grid-Based Pathfinding, Transactions on Computational
Intelligence and AI in Games 4(2), 2012. Water is an obstacle here: a warehouse robot does not come from water.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.maps.cell_plan import import_cells
from sim.warehouse.maps.cells import CellMap, outer_part, read_rows
from sim.warehouse.maps.files import as_text, read_bytes
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import ImportSettings

LETTERS = ".GSEW@OT"
SOLID = "@OTW"
HEADER = re.compile(r"type[ \t]+(\w+)\s+height[ \t]+(\d{1,9})\s+width[ \t]+(\d{1,9})\s+map[ \t]*\r?\n")


def read_letters(path: Path, settings: ImportSettings) -> np.ndarray:
    """The map's letters [H, W], row 0 the lowest.

    Raises:
        ConfigError: not such a file, or its rows are not what its header says.
    """
    text = as_text(read_bytes(path, settings.largest_file), str(path))
    header = HEADER.match(text)
    if header is None:
        raise ConfigError(
            f"{path}: does not begin like a MovingAI map; wanted the lines 'type octile', 'height N', 'width N', 'map'."
        )
    height, width = int(header[2]), int(header[3])
    letters = read_rows(text[header.end() :], str(path), LETTERS, settings)
    if letters.shape != (height, width):
        raise ConfigError(
            f"{path}: the header says {height} rows of {width} cells, the file has {letters.shape[0]} of "
            f"{letters.shape[1]}. The file is cut short or the header is wrong."
        )
    return letters


def free_cells(letters: np.ndarray) -> np.ndarray:
    """Where a robot may stand [H, W] bool."""
    return ~np.isin(letters, list(SOLID))


def import_movingai(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """Turn a MovingAI map into a floor plan: obstacles inside become racks, their faces slots, outer walls hold docks.

    Raises:
        ConfigError: not such a map, or no free cell in it.
    """
    free = free_cells(read_letters(path, settings))
    cells = CellMap(free, ~free & ~outer_part(free), free, np.zeros_like(free))
    said = ("a MovingAI map knows free cells and obstacles only: which is a slot or a dock is our guess",)
    return import_cells("movingai", path, cells, settings, choices, said)
