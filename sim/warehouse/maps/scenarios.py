"""MovingAI scenario files (.scen): pairs of cells with the length of the shortest way, to hold the planner against."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.maps.files import as_text, read_bytes
from sim.warehouse.maps.grid_planner import shortest_way, way_length
from sim.warehouse.maps.settings import ImportSettings

TOLERANCE = 1e-4  # cells; files round to 8 decimals, older ones to 4
WHOLE = re.compile(r"\d{1,9}")


class Scenario(NamedTuple):
    """One pair; columns and rows count from the top left, as in the file."""

    line: int
    start: tuple[int, int]  # column, row
    goal: tuple[int, int]  # column, row
    length: float  # cells, octile


class Agreement(NamedTuple):
    """How the planner compares with the listed lengths."""

    scenarios: int
    agreeing: int
    largest_error: float  # cells; inf where one of the two found no way
    faults: tuple[str, ...]  # the first few that disagree, with their line


def read_scenarios(path: Path, shape: tuple[int, int], settings: ImportSettings) -> list[Scenario]:
    """All pairs of a file for a map of `shape` (rows, columns).

    Raises:
        ConfigError: not such a file, another map's size, or a line that cannot be read; with its number.
    """
    lines = as_text(read_bytes(path, settings.largest_file), str(path)).splitlines()
    if not lines or not lines[0].startswith("version"):
        raise ConfigError(f"{path}: does not begin like a scenario file; wanted 'version 1'.")
    found = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            continue
        if len(words) != 9 or not all(WHOLE.fullmatch(word) for word in words[2:8]):
            raise ConfigError(
                f"{path}, line {number}: {line[:60]!r}; wanted bucket, map, width, height, start x, start y, goal x, "
                f"goal y, length."
            )
        width, height, x, y, to_x, to_y = (int(word) for word in words[2:8])
        if (height, width) != shape:
            raise ConfigError(
                f"{path}, line {number}: is for a map of {width} x {height} cells, the map has {shape[1]} x {shape[0]}."
            )
        try:
            length = float(words[8])
        except ValueError:
            length = math.nan
        if not 0 <= length < math.inf:
            raise ConfigError(f"{path}, line {number}: length {words[8]!r}; wanted a number of cells.")
        found.append(Scenario(number, (x, y), (to_x, to_y), length))
    if not found:
        raise ConfigError(f"{path}: lists no scenario.")
    return found


def check_scenarios(path: Path, free: np.ndarray, settings: ImportSettings) -> Agreement:
    """Plan every pair of a file on free cells [H, W] (row 0 the lowest) and compare lengths.

    Raises:
        ConfigError: a bad file, or a pair that begins or ends on an obstacle; with its line.
    """
    from_top = np.ascontiguousarray(free[::-1])
    scenarios = read_scenarios(path, (free.shape[0], free.shape[1]), settings)
    worst, agreeing = 0.0, 0
    faults: list[str] = []
    for each in scenarios:
        try:
            way = shortest_way(from_top, each.start[::-1], each.goal[::-1])
        except ConfigError as error:
            raise ConfigError(f"{path}, line {each.line}: {error}") from None
        planned = way_length(way)
        error_here = abs(planned - each.length)
        worst = max(worst, error_here)
        if error_here <= TOLERANCE:
            agreeing += 1
        elif len(faults) < 5:
            faults.append(f"line {each.line}: planned {planned:.8f}, listed {each.length:.8f}")
    return Agreement(len(scenarios), agreeing, worst, tuple(faults))
