"""Marked floor storage in open space: rows of pallets back to back, with a way for two robots on either side."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sim.warehouse.maps.floor import Floor
from sim.warehouse.maps.passage import Passage, Spot
from sim.warehouse.maps.settings import ImportSettings
from sim.warehouse.rectangles import PALLET_SIDE
from sim.warehouse.routes import CLOSEST_PLACES, ROBOT_RADIUS


def find_floor_rows(
    floor: Floor, passage: Passage, standing: list[Spot], most: int, settings: ImportSettings
) -> list[Spot]:
    """Up to `most` spots in rows of pairs, longest rows first; none block the spots `standing` there already.

    The spots found are admitted to the passage.
    """
    pallets, ways = np.zeros_like(floor.solid), np.zeros_like(floor.solid)
    for spot in standing:
        _mark(pallets, ways, spot, floor, settings)
    found: list[Spot] = []
    while most - len(found) >= 2:
        upright, turned = (_longest(floor, pallets, ways, is_turned, settings) for is_turned in (False, True))
        is_turned = len(turned) > len(upright)
        row = (turned if is_turned else upright)[: (most - len(found)) // 2]
        if len(row) < 2:
            break
        spots = [spot for x, y in row for spot in _pair(x, y, is_turned, settings)]
        if not passage.admit(spots):
            break
        for spot in spots:
            _mark(pallets, ways, spot, floor, settings)
        found += spots
    return found


def _depth(settings: ImportSettings) -> float:
    """From front to front of two pallets back to back (m); rounding must not bring them too close."""
    return PALLET_SIDE + max(PALLET_SIDE + settings.gap_behind, CLOSEST_PLACES + 0.01)


def _pair(x: float, y: float, is_turned: bool, settings: ImportSettings) -> tuple[Spot, Spot]:
    """Two pallets back to back around (x, y): reached from left and right, or from below and above if turned."""
    half = (_depth(settings) - PALLET_SIDE) / 2
    if is_turned:
        return (x, y - half, np.pi / 2), (x, y + half, -np.pi / 2)
    return (x - half, y, 0.0), (x + half, y, np.pi)


def _longest(
    floor: Floor, pallets: np.ndarray, ways: np.ndarray, is_turned: bool, settings: ImportSettings
) -> list[tuple[float, float]]:
    """Centres (m) of the pairs of the longest row that fits, at most `longest_row` of them."""
    blocked = floor.solid | pallets
    kept = blocked | ways
    if is_turned:
        blocked, kept = blocked.T, kept.T
    depth = _depth(settings)
    fits = _eroded(~kept, depth, PALLET_SIDE + 2 * settings.row_end, floor.cell)
    fits &= _eroded(~blocked, depth + 2 * settings.passing, 2 * ROBOT_RADIUS, floor.cell)
    run = np.zeros(fits.shape[1], dtype=np.int32)
    best, best_end = 0, (0, 0)
    for row in range(fits.shape[0]):
        run = np.where(fits[row], run + 1, 0)
        column = int(run.argmax())
        if run[column] > best:
            best, best_end = int(run[column]), (row, column)
    if best == 0:
        return []
    pitch = settings.pitch / floor.cell
    count = min(int((best - 1) / pitch) + 1, settings.longest_row)
    first = best_end[0] - (best - 1) / 2 - (count - 1) * pitch / 2
    centres = [((best_end[1] + 0.5) * floor.cell, (first + pitch * n + 0.5) * floor.cell) for n in range(count)]
    return [(y, x) for x, y in centres] if is_turned else centres


def _eroded(cells: np.ndarray, length: float, width: float, cell: float) -> np.ndarray:
    """Where the middle of a rectangle can lie so that all of it is True: `length` (m) along columns, `width` rows."""
    whole = cells.astype(np.uint8)
    for axis, side in ((1, length), (0, width)):
        whole = ndimage.minimum_filter1d(whole, 2 * int(np.ceil(side / 2 / cell)) + 1, axis=axis, mode="constant")
    return whole.astype(bool)


def _mark(pallets: np.ndarray, ways: np.ndarray, spot: Spot, floor: Floor, settings: ImportSettings) -> None:
    x, y, yaw = spot
    forward = np.array([np.cos(yaw), np.sin(yaw)])
    middle = np.array([x, y]) - forward * (PALLET_SIDE + settings.passing) / 2
    reach = np.abs(forward) * settings.passing + np.abs(forward[::-1]) * 2 * ROBOT_RADIUS
    for cells, centre, size in ((pallets, np.array([x, y]), np.full(2, PALLET_SIDE)), (ways, middle, reach)):
        low = np.maximum(np.floor((centre - size / 2) / floor.cell + 1e-6), 0).astype(int)
        high = np.ceil((centre + size / 2) / floor.cell - 1e-6).astype(int)
        cells[low[1] : high[1], low[0] : high[0]] = True
