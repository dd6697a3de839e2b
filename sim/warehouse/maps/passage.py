"""Keeps the floor in one piece: a pallet may stand where it likes as long as robots still reach all the others."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sim.warehouse.maps.floor import Floor
from sim.warehouse.rectangles import PALLET_SIDE, nearest_rectangle
from sim.warehouse.routes import ROBOT_RADIUS

MARGIN = 0.05  # m added to what a robot needs to stand, against the coarseness of the grid
LINK = 0.25  # m more than half a way's width that an approach point may lie beside the way
Spot = tuple[float, float, float]  # x, y (m, frame grid), yaw (rad) of a robot that docks


def standing_room(floor: Floor, margin: float) -> np.ndarray:
    """Where a robot's centre keeps `margin` (m) more than its radius from all that is not floor: [H, W] bool."""
    clearance = np.maximum(ndimage.distance_transform_edt(~floor.solid) - 0.5, 0.0) * floor.cell
    return np.asarray(clearance >= ROBOT_RADIUS + margin)


class Passage:
    """Where ways of a given width (m) lead, given the floor and the pallets that stand so far."""

    def __init__(self, floor: Floor, approach: float, way_width: float) -> None:
        self._margin = way_width / 2 - ROBOT_RADIUS
        self._way = standing_room(floor, self._margin)
        self._cell, self._approach = floor.cell, approach
        self._approaches: list[tuple[int, int]] = []

    def admit(self, spots: list[Spot]) -> bool:
        """Place pallets at all the spots if every approach point stays joined with every other; else change nothing."""
        way = self._way.copy()
        for spot in spots:
            self._block(way, spot)
        approaches = self._approaches + [self._approach_cell(spot) for spot in spots]
        part, count = ndimage.label(way)
        near = round((self._margin + LINK) / self._cell)
        joined = np.ones(count + 1, dtype=bool)
        joined[0] = False
        for row, column in approaches:
            touched = np.zeros(count + 1, dtype=bool)
            touched[part[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1]] = True
            joined &= touched
        if approaches and not joined.any():
            return False
        self._way, self._approaches = way, approaches
        return True

    def _approach_cell(self, spot: Spot) -> tuple[int, int]:
        x, y, yaw = spot
        column = int((x - self._approach * np.cos(yaw)) / self._cell)
        row = int((y - self._approach * np.sin(yaw)) / self._cell)
        return row, column

    def _block(self, way: np.ndarray, spot: Spot) -> None:
        """Take away all cells from which a robot would touch a pallet at the spot."""
        x, y, yaw = spot
        reach = PALLET_SIDE + ROBOT_RADIUS + self._margin
        first = [max(0, int((middle - reach) / self._cell)) for middle in (x, y)]
        last = [int((middle + reach) / self._cell) + 2 for middle in (x, y)]
        window = way[first[1] : last[1], first[0] : last[0]]
        rows, columns = np.indices(window.shape)
        centre = np.stack([columns + first[0] + 0.5, rows + first[1] + 0.5], axis=-1) * self._cell
        pallet = np.array([[x, y, PALLET_SIDE, PALLET_SIDE, yaw]])
        window &= nearest_rectangle(centre, pallet) >= ROBOT_RADIUS + self._margin
