"""Imports League of Robot Runners instances: JSON that names a map, start cells of a team, and a list of tasks.

Format: the competition's Start-Kit (github.com/MAPF-Competition/Start-Kit). The map is a MovingAI map in which `E`
(emitter) and `S` (service point) are free cells; a cell's number is row * width + column, counted from the top left.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Bound

from policy_core.config import ConfigError, parse_settings
from sim.warehouse.maps.cell_plan import import_cells
from sim.warehouse.maps.cells import CellMap, outer_part
from sim.warehouse.maps.files import as_text, parse_json, read_bytes
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.movingai import free_cells, read_letters
from sim.warehouse.maps.settings import ImportSettings


class Instance(BaseModel):
    """The keys we use; others are the competition's own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    mapFile: str
    agentFile: str
    taskFile: str
    teamSize: int = Bound(ge=1, le=10**7)


def import_lorr(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """Turn an instance into a floor plan: blocks with service points are slots, emitters are docks.

    Raises:
        ConfigError: a file that is missing or not in this form, counts that do not match, a start or task on an
            obstacle, or two robots that start in one cell.
    """
    content = parse_json(as_text(read_bytes(path, settings.largest_file), str(path)), str(path))
    instance = parse_settings(Instance, content, source=str(path))
    letters = read_letters(path.parent / instance.mapFile, settings)
    starts = _cells(path.parent / instance.agentFile, letters, settings)
    tasks = _cells(path.parent / instance.taskFile, letters, settings)
    agents = [start[0] for start in starts]
    if len(agents) < instance.teamSize:
        raise ConfigError(f"{path}: teamSize {instance.teamSize}, but {instance.agentFile} has {len(agents)} starts.")
    team = agents[: instance.teamSize]
    if len(set(team)) < len(team):
        raise ConfigError(f"{path.parent / instance.agentFile}: two robots start in one cell.")
    counts = {"robots": len(team), "tasks": len(tasks), "task_cells": sum(len(task) for task in tasks)}
    return _import("lorr", path, letters, settings, choices, counts)


def import_lorr_map(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """The same from the map alone, without a team and tasks."""
    return _import("lorr_map", path, read_letters(path, settings), settings, choices, {})


def _import(
    form: str, path: Path, letters: np.ndarray, settings: ImportSettings, choices: Choices, counts: dict[str, int]
) -> MapImport:
    free, service, emitter = free_cells(letters), letters == "S", letters == "E"
    cells = CellMap(free, ~free & ~outer_part(free), service if service.any() else free, emitter)
    said = (
        "a pallet stands in the block beside a service point (S), which is where the robot stands before it",
        "emitters (E) at one end of the floor receive goods, those at the other end ship them: the form does not tell",
        "team and tasks are counted and checked; the fleet's own orders run on the plan, not this list",
    )
    counts = {**counts, "service_points": int(service.sum()), "emitters": int(emitter.sum())}
    return import_cells(form, path, cells, settings, choices, said, counts=counts)


def _cells(path: Path, letters: np.ndarray, settings: ImportSettings) -> list[list[int]]:
    """Each line's cells: a count comes first, `#` begins a comment.

    Raises:
        ConfigError: with the line number.
    """
    text = as_text(read_bytes(path, settings.largest_file), str(path))
    blocked = (~free_cells(letters))[::-1].ravel()  # the file counts from the top
    found: list[list[int]] = []
    announced: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        if not all(word.isascii() and word.isdigit() and len(word) < 12 for word in words):
            raise ConfigError(f"{path}, line {number}: {line[:40]!r}; wanted whole numbers of cells.")
        values = [int(word) for word in words]
        if announced is None:
            announced = values[0]
            continue
        bad = [value for value in values if value >= len(blocked) or blocked[value]]
        if bad:
            raise ConfigError(f"{path}, line {number}: cell {bad[0]} is an obstacle or outside the map.")
        found.append(values)
    if announced is None or announced != len(found):
        raise ConfigError(f"{path}: announces {announced} lines, has {len(found)}; it is cut short or mended by hand.")
    return found
