"""Where a pallet could stand on an unknown floor: every spot along a wall or obstacle that a robot can approach."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from sim.warehouse.maps.floor import Floor
from sim.warehouse.maps.passage import MARGIN, standing_room
from sim.warehouse.maps.settings import ImportSettings
from sim.warehouse.rectangles import PALLET_SIDE
from sim.warehouse.routes import ROBOT_RADIUS, TURNING_RADIUS

AROUND = 3.5  # m: a spot's surroundings


class Candidates(NamedTuple):
    """N spots, in frame grid, ordered along the faces they stand at."""

    centre: np.ndarray  # [N, 2] (m)
    yaw: np.ndarray  # [N] (rad): heading of a robot that docks, a multiple of pi/2
    is_outer: np.ndarray  # [N] bool: behind the face there is no more floor in this direction
    space: np.ndarray  # [N] in [0, 1]: how much room for robots there is around, against the roomiest part of the floor


def find_candidates(floor: Floor, settings: ImportSettings) -> Candidates:
    """All spots that have a face behind them, free way before them, and room to turn at the approach point."""
    room = standing_room(floor, TURNING_RADIUS - ROBOT_RADIUS)
    around = 2 * round(AROUND / floor.cell) + 1
    space = ndimage.uniform_filter(
        standing_room(floor, settings.ways[0] / 2 - ROBOT_RADIUS).astype(float), around, mode="constant"
    )
    centre, yaw, is_outer = [], [], []
    for turned, is_flipped, heading in (
        (False, False, 0.0),
        (True, False, 1.0),
        (False, True, 2.0),
        (True, True, -1.0),
    ):
        row, column, outer = _facing_right(
            _view(floor.solid, turned, is_flipped), _view(room, turned, is_flipped), floor, settings
        )
        if is_flipped:
            column = floor.solid.shape[0 if turned else 1] - 1 - column
        x, y = (row, column) if turned else (column, row)
        centre.append((np.stack([x, y], axis=1) + 0.5) * floor.cell)
        yaw.append(np.full(len(row), heading * np.pi / 2))
        is_outer.append(outer)
    centres, yaws = np.concatenate(centre), np.concatenate(yaw)
    approach = centres - settings.approach * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    column, row = (approach / floor.cell).astype(int).T
    return Candidates(centres, yaws, np.concatenate(is_outer), space[row, column] / max(float(space.max()), 1e-9))


def _view(cells: np.ndarray, turned: bool, is_flipped: bool) -> np.ndarray:
    """The cells such that the heading in question runs along increasing columns."""
    seen = cells.T if turned else cells
    return seen[:, ::-1] if is_flipped else seen


def _facing_right(
    solid: np.ndarray, room: np.ndarray, floor: Floor, settings: ImportSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns [N] and is_outer [N] of spots whose face lies towards increasing columns."""
    cell, width = floor.cell, solid.shape[1]
    ahead, behind = _free_run(solid), _free_run(solid[:, ::-1])[:, ::-1]
    band = 2 * round(PALLET_SIDE / 2 / cell) + 1
    gap = int(np.ceil((PALLET_SIDE / 2 + settings.gap_behind) / cell - 0.5 - 1e-6))
    back = round(settings.approach / cell)
    needed = int(np.ceil((PALLET_SIDE / 2 + settings.passing) / cell - 0.5 - 1e-6))
    fits = ~solid & (ndimage.minimum_filter1d(ahead, band, axis=0, mode="constant", cval=0) == gap)
    fits &= ndimage.minimum_filter1d(behind, band, axis=0, mode="constant", cval=0) >= needed
    near = (ahead <= gap + settings.backing_depth / cell).astype(np.float64)
    fits &= ndimage.uniform_filter1d(near, band, axis=0, mode="constant") >= settings.backing - 1e-9
    fits[:, back:] &= room[:, : width - back]
    fits[:, :back] = False
    column, row = np.nonzero(fits.T)  # by column first, so that neighbours along a face follow each other
    floor_beyond = np.cumsum(~solid[:, ::-1], axis=1)[:, ::-1]
    face = np.minimum(column + ahead[row, column] + 1, width - 1)
    return row, column, floor_beyond[row, face] == 0


def _free_run(solid: np.ndarray) -> np.ndarray:
    """For each cell, how many cells in a row are floor to the right of it [H, W] int32."""
    run = np.zeros(solid.shape, dtype=np.int32)
    for column in range(solid.shape[1] - 2, -1, -1):
        run[:, column] = np.where(solid[:, column + 1], 0, run[:, column + 1] + 1)
    return run


def in_the_way(candidates: Candidates, chosen: int, settings: ImportSettings) -> np.ndarray:
    """Which candidates [N] can no longer be used once `chosen` is: too near, or one stands in the other's way."""
    return spots_in_the_way(candidates, candidates.centre[chosen], float(candidates.yaw[chosen]), settings)


def spots_in_the_way(candidates: Candidates, spot: np.ndarray, yaw: float, settings: ImportSettings) -> np.ndarray:
    """Which candidates [N] cannot be used beside a pallet at `spot` [2] that is reached with heading `yaw`."""
    apart = np.hypot(*(candidates.centre - spot).T)
    same_heading = np.isclose(np.cos(candidates.yaw - yaw), 1.0)
    clash = apart < np.where(same_heading, settings.pitch - 1e-6, max(settings.pitch, PALLET_SIDE + ROBOT_RADIUS))
    near = np.flatnonzero(apart < 2 * (settings.passing + PALLET_SIDE))
    centre, heading = candidates.centre[near], candidates.yaw[near]
    one, one_heading = spot[None], np.array([yaw])
    clash[near] |= _touch(_ways(centre, heading, settings), _pallets(one, one_heading))
    clash[near] |= _touch(_pallets(centre, heading), _ways(one, one_heading, settings))
    return np.asarray(clash)


def _pallets(centre: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    side = np.full(len(yaw), PALLET_SIDE)
    return np.stack([*centre.T, side, side, yaw], axis=1)


def _ways(centre: np.ndarray, yaw: np.ndarray, settings: ImportSettings) -> np.ndarray:
    """The free way each spot keeps before it, as rectangles [n, 5] as wide as a robot."""
    forward = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    middle = centre - forward * (PALLET_SIDE + settings.passing) / 2
    length, width = np.full(len(yaw), settings.passing), np.full(len(yaw), 2 * (ROBOT_RADIUS + MARGIN))
    return np.stack([*middle.T, length, width, yaw], axis=1)


def _touch(many: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Whether each upright or quarter-turned rectangle [n, 5] overlaps the one [1, 5]."""
    swap = np.abs(np.sin(many[:, 4])) > 0.5
    half = np.where(swap[:, None], many[:, [3, 2]], many[:, [2, 3]]) / 2
    grown = one[0, [3, 2]] / 2 if abs(np.sin(one[0, 4])) > 0.5 else one[0, [2, 3]] / 2
    away = np.abs(many[:, :2] - one[0, :2]) - half - grown
    return np.asarray((away < -1e-6).all(axis=1))
