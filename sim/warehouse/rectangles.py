"""Distances from points to rectangles on the floor: the one piece of geometry that plans, routes and imports share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sim.warehouse.floorplan import Area, Box, Place

PALLET_SIDE = 0.8  # m: the square a place keeps free for its pallet


def box_rectangles(boxes: Iterable[Box]) -> np.ndarray:
    """Boxes as rows [B, 5] float64: x, y, length, width (m), yaw (rad)."""
    rows = [(box.x, box.y, box.length, box.width, box.yaw) for box in boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def area_rectangles(areas: Iterable[Area]) -> np.ndarray:
    """Areas on the floor as rows [B, 5] float64: x, y, length, width (m), yaw (rad)."""
    rows = [(area.x, area.y, area.length, area.width, area.yaw) for area in areas]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def place_rectangles(places: Iterable[Place]) -> np.ndarray:
    """The pallet squares of places as rows [P, 5] float64: x, y, length, width (m), yaw (rad)."""
    rows = [(place.x, place.y, PALLET_SIDE, PALLET_SIDE, place.yaw) for place in places]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def distance_to_each(point: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """Distance (m) from one point [2] to every rectangle [B, 5]; 0 inside: [B]."""
    across, along = point[0] - rectangles[:, 0], point[1] - rectangles[:, 1]
    cosine, sine = np.cos(rectangles[:, 4]), np.sin(rectangles[:, 4])
    outside_x = np.maximum(np.abs(across * cosine + along * sine) - rectangles[:, 2] / 2, 0.0)
    outside_y = np.maximum(np.abs(along * cosine - across * sine) - rectangles[:, 3] / 2, 0.0)
    return np.asarray(np.hypot(outside_x, outside_y))


def nearest_rectangle(points: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """Distance (m) from each point [..., 2] to the nearest rectangle [B, 5]; 0 inside one, inf without any."""
    nearest = np.full(points.shape[:-1], np.inf)
    for x, y, length, width, yaw in rectangles:
        across, along = points[..., 0] - x, points[..., 1] - y
        cosine, sine = np.cos(yaw), np.sin(yaw)
        outside_x = np.maximum(np.abs(across * cosine + along * sine) - length / 2, 0.0)
        outside_y = np.maximum(np.abs(along * cosine - across * sine) - width / 2, 0.0)
        np.minimum(nearest, np.hypot(outside_x, outside_y), out=nearest)
    return nearest


def segments_clear(start: np.ndarray, end: np.ndarray, rectangles: np.ndarray, radius: float) -> np.ndarray:
    """Whether a disc of `radius` (m) can move straight from start [N, 2] to end [N, 2] without a touch: bool [N].

    The way is sampled every 10 cm at most, so a corner can be cut by less than 3 mm.
    """
    if len(start) == 0:
        return np.zeros(0, dtype=bool)
    reach = np.hypot(rectangles[:, 2], rectangles[:, 3]) / 2 + radius
    low, high = np.minimum(start, end).min(axis=0), np.maximum(start, end).max(axis=0)
    near = (rectangles[:, :2] >= low - reach[:, None]) & (rectangles[:, :2] <= high + reach[:, None])
    rectangles = rectangles[near.all(axis=1)]
    longest = float(np.hypot(*(end - start).T).max())
    share = np.linspace(0.0, 1.0, max(2, int(np.ceil(longest / 0.1)) + 1))
    points = start[:, None] + share[None, :, None] * (end - start)[:, None]
    return np.asarray((nearest_rectangle(points, rectangles) >= radius - 1e-3).all(axis=1))
