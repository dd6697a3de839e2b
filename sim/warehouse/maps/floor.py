"""From occupancy cells to the floor robots can use, and to the boxes that bound it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from policy_core.config import ConfigError
from sim.warehouse.floorplan import Box
from sim.warehouse.maps.occupancy import OccupancyGrid
from sim.warehouse.maps.settings import ImportSettings

HEIGHT: dict[str, float] = {"wall": 2.5, "rack": 2.0, "obstacle": 1.0}  # m; a map does not tell
LONGEST_SIDE = 190.0  # m; a wall is one box where it can be, and boxes end at 200 m
COARSEST = 0.25  # m: cells that ragged maps may be coarsened to
EIGHT = np.ones((3, 3), dtype=bool)


class Floor(NamedTuple):
    """The floor's part of a map on a grid of its own, row 0 the lowest; frame grid has its origin in that corner."""

    solid: np.ndarray  # [H, W] bool: all that is not floor
    cell: float  # m
    corner: tuple[float, float]  # m: cell (0, 0)'s corner in the grid of the whole map
    frame: tuple[float, float, float]  # x, y (m) and yaw (rad) of the whole map's corner in map
    boxes: tuple[Box, ...]  # in frame grid
    forbidden: np.ndarray  # [H, W] bool: not floor because a keep-out mask says so, although nothing stands there


def find_floor(grid: OccupancyGrid, source: str, settings: ImportSettings, keepout: np.ndarray | None = None) -> Floor:
    """The largest connected free area with its surroundings, and boxes for all that bounds it.

    Args:
        grid: the map.
        source: its name, for errors.
        settings: config/import.yaml.
        keepout: cells of the map [H, W] bool that are no floor, but that no box stands for.

    Raises:
        ConfigError: no free cell, no area a robot fits in, or a floor beyond the limit.
    """
    if not grid.free.any():
        known = "no known cell at all" if not grid.occupied.any() else "no free cell"
        raise ConfigError(f"{source}: the map has {known}. Check `negate`, `free_thresh` and the image.")
    rows, columns = _extent_of_largest(grid.free)
    size = (columns.stop - columns.start) * grid.resolution, (rows.stop - rows.start) * grid.resolution
    if size[0] * size[1] > settings.largest_floor or max(size) > LONGEST_SIDE:
        raise ConfigError(
            f"{source}: the floor is {size[0]:.0f} x {size[1]:.0f} m; wanted at most {settings.largest_floor:g} m2 "
            f"and sides of {LONGEST_SIDE:g} m. Check `resolution`, crop the map, or raise largest_floor in "
            f"config/import.yaml."
        )
    corner = (columns.start * grid.resolution, rows.start * grid.resolution)
    cut = grid.free[rows, columns]
    cell = settings.cell
    while True:
        free, step = _resampled(cut, grid.resolution, cell)
        standing, margin = _usable(free, step, settings, source)
        boxes = _boxes(standing, _parts(standing), step, settings)
        solid = standing
        if keepout is not None:
            allowed, _ = _resampled(cut & ~keepout[rows, columns], grid.resolution, cell)
            solid, _ = _usable(allowed, step, settings, f"{source} with its keep-out mask")
        if len(boxes) <= settings.most_boxes:
            break
        cell *= 1.5
        if cell > COARSEST:
            raise ConfigError(
                f"{source}: obstacles so ragged that they take {len(boxes)} boxes. Clean the map, or raise most_boxes "
                f"(now {settings.most_boxes}) in config/import.yaml."
            )
    corner = (corner[0] - margin * step, corner[1] - margin * step)
    return Floor(solid, step, corner, grid.origin, tuple(boxes), solid & ~standing)


def _extent_of_largest(cells: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the largest connected part."""
    label, _ = ndimage.label(cells)
    largest = int(np.bincount(label.ravel())[1:].argmax())
    rows, columns = ndimage.find_objects(label)[largest]
    return rows, columns


def _resampled(free: np.ndarray, resolution: float, cell: float) -> tuple[np.ndarray, float]:
    """The cells at about `cell` (m): pooled (free only if all were) or split; and the cell really taken."""
    if resolution > cell:
        factor = int(np.ceil(resolution / cell - 1e-9))
        return free.repeat(factor, axis=0).repeat(factor, axis=1), resolution / factor
    factor = max(1, int(cell / resolution + 1e-9))
    short = [-side % factor for side in free.shape]
    padded = np.pad(free, [(0, short[0]), (0, short[1])])
    pooled = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor).all(axis=(1, 3))
    return np.asarray(pooled), resolution * factor


def _usable(free: np.ndarray, cell: float, settings: ImportSettings, source: str) -> tuple[np.ndarray, int]:
    """What is not floor, with a margin of solid cells all round; and that margin in cells.

    Opening with a square fills gaps that no robot passes; then the largest connected part is the floor.
    """
    side = max(1, int(settings.narrowest_gap / cell))
    margin = max(2, int(np.ceil(settings.wall_thickness / cell)) + 1)
    padded = np.pad(free, margin)
    opened = ndimage.binary_opening(padded, np.ones((side, side), dtype=bool))
    label, count = ndimage.label(opened)
    if count == 0:
        raise ConfigError(
            f"{source}: no free area is {settings.narrowest_gap} m wide, so no robot fits. Check `resolution`."
        )
    largest = int(np.bincount(label.ravel())[1:].argmax()) + 1
    return label != largest, margin


def _parts(solid: np.ndarray) -> np.ndarray:
    """Solid cells by connected part: the one around everything first."""
    label, _ = ndimage.label(solid, EIGHT)
    outside = label[0, 0]
    order = np.zeros(label.max() + 1, dtype=np.int32)
    others = [part for part in range(1, label.max() + 1) if part != outside]
    order[outside] = 1
    order[others] = np.arange(2, len(others) + 2)
    return np.asarray(order[label])


def _boxes(solid: np.ndarray, part: np.ndarray, cell: float, settings: ImportSettings) -> list[Box]:
    """Outer walls as a skin around the floor; each obstacle as one rectangle where it fills it, else as several."""
    thick = max(1, round(settings.wall_thickness / cell))
    skin = (part == 1) & ndimage.binary_dilation(~solid, np.ones((2 * thick + 1, 2 * thick + 1), dtype=bool))
    boxes = [_box("wall", rectangle, cell) for rectangle in rectangles_of(skin)]
    for index, extent in enumerate(ndimage.find_objects(part)[1:], start=2):
        cells = part[extent] == index
        length = max(cells.shape) * cell
        kind: Literal["rack", "obstacle"] = "rack" if length >= settings.rack_length else "obstacle"
        shift = np.array([extent[1].start, extent[0].start])
        x, y, along, across, yaw = _tightest_rectangle(cells)
        if cells.sum() >= settings.one_box_fill * along * across:
            centre = (np.array([x, y]) + shift) * cell
            boxes.append(
                Box(
                    kind=kind,
                    x=round(float(centre[0]), 3),
                    y=round(float(centre[1]), 3),
                    length=round(along * cell, 3),
                    width=round(across * cell, 3),
                    height=HEIGHT[kind],
                    yaw=round(yaw, 4),
                )
            )
        else:
            boxes += [_box(kind, (*(shift + piece[:2]), *piece[2:]), cell) for piece in np.array(rectangles_of(cells))]
    return boxes


def rectangles_of(cells: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Split cells [H, W] into rectangles (column, row, columns, rows) that do not overlap and cover all of them.

    Runs of one row are joined with equal runs of the next rows; done both ways, the one with fewer pieces is taken.
    """
    level = _joined_runs(cells)
    upright = [(row, column, rows, columns) for column, row, columns, rows in _joined_runs(cells.T)]
    return level if len(level) <= len(upright) else upright


def _joined_runs(cells: np.ndarray) -> list[tuple[int, int, int, int]]:
    done: list[tuple[int, int, int, int]] = []
    open_runs: dict[tuple[int, int], int] = {}  # (first column, end column) -> first row
    for row in range(cells.shape[0] + 1):
        runs: set[tuple[int, int]] = set()
        if row < cells.shape[0]:
            change = np.flatnonzero(np.diff(np.pad(cells[row].astype(np.int8), 1)))
            runs = {(int(first), int(end)) for first, end in change.reshape(-1, 2)}
        for run in [run for run in open_runs if run not in runs]:
            first_row = open_runs.pop(run)
            done.append((run[0], first_row, run[1] - run[0], row - first_row))
        for run in runs:
            open_runs.setdefault(run, row)
    return done


def _box(kind: Literal["wall", "rack", "obstacle"], rectangle: tuple[int, ...], cell: float) -> Box:
    column, row, columns, rows = (int(number) for number in rectangle)
    return Box(
        kind=kind,
        x=round((column + columns / 2) * cell, 3),
        y=round((row + rows / 2) * cell, 3),
        length=round(columns * cell, 3),
        width=round(rows * cell, 3),
        height=HEIGHT[kind],
    )


def _tightest_rectangle(cells: np.ndarray) -> tuple[float, float, float, float, float]:
    """Smallest rectangle around cells, in cells: centre x, y, length, width (length >= width), yaw in [-pi/2, pi/2)."""
    row, column = np.nonzero(cells)
    corner = np.concatenate([np.stack([column + dx, row + dy], axis=1) for dx in (0, 1) for dy in (0, 1)])
    try:
        hull = corner[ConvexHull(corner).vertices].astype(float)
    except QhullError:  # cannot happen for whole cells; the upright rectangle is then exact
        hull = corner.astype(float)
    edge = np.roll(hull, -1, axis=0) - hull
    best = (np.inf, 0.0, np.zeros(2), np.zeros(2))
    for angle in np.unique(np.arctan2(edge[:, 1], edge[:, 0]) % (np.pi / 2)):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        low, high = (hull @ turn.T).min(axis=0), (hull @ turn.T).max(axis=0)
        area = float(np.prod(high - low))
        if area < best[0] - 1e-9:
            best = (area, float(angle), turn.T @ ((low + high) / 2), high - low)
    _, yaw, centre, (along, across) = best
    if across > along:
        yaw, along, across = yaw - np.pi / 2, across, along
    return float(centre[0]), float(centre[1]), float(along), float(across), float(yaw)
