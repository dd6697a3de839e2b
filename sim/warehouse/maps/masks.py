"""Keep-out and speed masks in map_server's form, laid over an imported floor.

Meaning as in Nav2's costmap filters: in a keep-out mask what is occupied is forbidden, and unknown says nothing; a
value v of a speed mask limits the speed to base + multiplier * v, where v = 0, unknown, and a limit of 0 or less (or
of more than 100 %) set none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.floorplan import Area, SlowArea
from sim.warehouse.maps.floor import Floor, rectangles_of
from sim.warehouse.maps.occupancy import OccupancyGrid, read_map, read_values
from sim.warehouse.maps.settings import ImportSettings

SPEED_STEP = 0.05  # m/s: limits are rounded to it, lest a gradient becomes hundreds of areas


def keepout_cells(path: Path, grid: OccupancyGrid, settings: ImportSettings) -> np.ndarray:
    """Which cells of the map's grid the mask forbids [H, W] bool; a mask may have another size, origin and resolution.

    Raises:
        ConfigError: a mask that cannot be read, or that does not lie over the map.
    """
    mask = read_map(path, settings)
    rows, columns = grid.free.shape
    x, y = np.meshgrid((np.arange(columns) + 0.5) * grid.resolution, (np.arange(rows) + 0.5) * grid.resolution)
    row, column, inside = _at(*_in_map(x, y, grid.origin), mask.origin, mask.resolution, mask.free.shape)
    if not inside.any():
        raise ConfigError(f"{path}: the mask does not lie over the map; check `origin` and `resolution` of both.")
    return np.asarray(inside & mask.occupied[row, column])


def keepout_areas(floor: Floor) -> list[Area]:
    """What is forbidden, or cut off by what is, but not solid: as rectangles in frame grid."""
    return [Area(**_rectangle(found, floor.cell)) for found in rectangles_of(floor.forbidden)]


def slow_areas(path: Path, floor: Floor, settings: ImportSettings, full_speed: float) -> list[SlowArea]:
    """Where the mask limits the speed on the floor: as rectangles in frame grid.

    Raises:
        ConfigError: a mask that cannot be read or does not lie over the floor, or more areas than most_boxes.
    """
    values, resolution, origin = read_values(path, settings)
    rows, columns = floor.solid.shape
    x = (np.arange(columns) + 0.5) * floor.cell + floor.corner[0]
    y = (np.arange(rows) + 0.5) * floor.cell + floor.corner[1]
    right, up = np.meshgrid(x, y)
    row, column, inside = _at(*_in_map(right, up, floor.frame), origin, resolution, values.shape)
    if not (inside & ~floor.solid).any():
        raise ConfigError(f"{path}: the mask does not lie over the floor; check `origin` and `resolution` of both.")
    value = np.where(inside, values[row, column], np.nan)
    limit = settings.speed_mask.base + settings.speed_mask.multiplier * value
    if settings.speed_mask.kind == "percent":
        limit = np.where(limit <= 100, limit / 100 * full_speed, np.nan)
    is_set = ~floor.solid & (value > 0) & (limit > 0) & (limit < full_speed)
    level = np.where(is_set, np.maximum(1, np.round(np.nan_to_num(limit) / SPEED_STEP)), 0).astype(int)
    areas = [
        SlowArea(**_rectangle(found, floor.cell), speed=round(float(each * SPEED_STEP), 3))
        for each in np.unique(level[level > 0])
        for found in rectangles_of(level == each)
    ]
    if len(areas) > settings.most_boxes:
        raise ConfigError(
            f"{path}: the mask takes {len(areas)} areas of one speed; wanted at most {settings.most_boxes}. Draw it "
            f"with few levels and straight edges, or raise most_boxes in config/import.yaml."
        )
    return areas


def _in_map(x: np.ndarray, y: np.ndarray, frame: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.cos(frame[2]), np.sin(frame[2])
    return frame[0] + cosine * x - sine * y, frame[1] + sine * x + cosine * y


def _at(
    x: np.ndarray, y: np.ndarray, origin: tuple[float, float, float], resolution: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of a mask's cells under points (m, map), and which points lie inside it; 0 outside."""
    cosine, sine = np.cos(origin[2]), np.sin(origin[2])
    right, up = x - origin[0], y - origin[1]
    column = np.floor((cosine * right + sine * up) / resolution)
    row = np.floor((cosine * up - sine * right) / resolution)
    inside = (row >= 0) & (column >= 0) & (row < shape[0]) & (column < shape[1])
    return np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int), inside


def _rectangle(found: tuple[int, int, int, int], cell: float) -> dict[str, float]:
    column, row, columns, rows = (int(number) for number in found)
    return {
        "x": round((column + columns / 2) * cell, 3),
        "y": round((row + rows / 2) * cell, 3),
        "length": round(columns * cell, 3),
        "width": round(rows * cell, 3),
    }
