"""Keeps the floor in one piece: a pallet may stand where it likes as long as robots still reach all the others."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sim.warehouse.maps.floor import Floor
from sim.warehouse.rectangles import PALLET_SIDE, nearest_rectangle
from sim.warehouse.routes import ROBOT_RADIUS

MARGIN = 0.05  # m added to what a robot needs, against the coarseness of the grid
Spot = tuple[float, float, float]  # x, y (m, frame grid), yaw (rad) of a robot that docks


class Passage:
    """Where a robot's centre can be, given the floor and the pallets that stand so far."""

    def __init__(self, floor: Floor, approach: float) -> None:
        clearance = np.maximum(ndimage.distance_transform_edt(~floor.solid) - 0.5, 0.0) * floor.cell
        self.free: np.ndarray = clearance >= ROBOT_RADIUS + MARGIN  # [H, W] bool
        self._cell, self._approach = floor.cell, approach
        self._approaches: list[tuple[int, int]] = []

    def admit(self, spots: list[Spot]) -> bool:
        """Place pallets at all the spots if every approach point stays joined with every other; else change nothing."""
        free = self.free.copy()
        for spot in spots:
            self._block(free, spot)
        approaches = self._approaches + [self._approach_cell(spot) for spot in spots]
        part, _ = ndimage.label(free)
        parts = {int(part[cell]) for cell in approaches}
        if len(parts) > 1 or 0 in parts:
            return False
        self.free, self._approaches = free, approaches
        return True

    def _approach_cell(self, spot: Spot) -> tuple[int, int]:
        x, y, yaw = spot
        column = int((x - self._approach * np.cos(yaw)) / self._cell)
        row = int((y - self._approach * np.sin(yaw)) / self._cell)
        return row, column

    def _block(self, free: np.ndarray, spot: Spot) -> None:
        """Take away all cells from which a robot would touch a pallet at the spot."""
        x, y, yaw = spot
        reach = PALLET_SIDE + ROBOT_RADIUS
        first = [max(0, int((middle - reach) / self._cell)) for middle in (x, y)]
        last = [int((middle + reach) / self._cell) + 2 for middle in (x, y)]
        window = free[first[1] : last[1], first[0] : last[0]]
        rows, columns = np.indices(window.shape)
        centre = np.stack([columns + first[0] + 0.5, rows + first[1] + 0.5], axis=-1) * self._cell
        pallet = np.array([[x, y, PALLET_SIDE, PALLET_SIDE, yaw]])
        window &= nearest_rectangle(centre, pallet) >= ROBOT_RADIUS + MARGIN
