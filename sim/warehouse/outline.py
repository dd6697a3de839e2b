"""The outline of a forklift on the floor, as points and as a body: how far one robot is from another."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.turning import FRONT, HALF_WIDTH, REAR

OUTLINE_POINTS = 12
BODY_REACH = math.hypot(FRONT, HALF_WIDTH) + 1e-3  # m; no point of an outline is farther from its centre
NEAR = 0.25  # m between outlines, below which two robots have nearly met


@kernel
def outline(pose: np.ndarray, point: int, ahead: float) -> tuple[float, float]:
    """One of twelve points on a robot's outline, in map (m): five along each side, and the middles of front and rear.

    The front is moved forward by `ahead` (m), to cover where the robot will be.
    """
    return outline_point(pose[0], pose[1], math.cos(pose[2]), math.sin(pose[2]), point, ahead)


@kernel
def outline_point(x: float, y: float, c: float, s: float, point: int, ahead: float) -> tuple[float, float]:
    """`outline` of a robot at x, y (m) whose heading has this cosine and sine."""
    front = FRONT + ahead
    if point < 10:
        along = front - (front + REAR) * (point // 2) / 4
        aside = HALF_WIDTH if point % 2 == 0 else -HALF_WIDTH
    else:
        along = front if point == 10 else -REAR
        aside = 0.0
    return x + along * c - aside * s, y + along * s + aside * c


@kernel
def gap_to_body(x: float, y: float, yaw: float) -> float:
    """Metres from a point, seen from a robot's centre along the map's axes, to that robot's body; 0 inside."""
    return gap_seen(x, y, math.cos(yaw), math.sin(yaw))


@kernel
def gap_seen(x: float, y: float, c: float, s: float) -> float:
    """`gap_to_body` of a robot whose heading has this cosine and sine."""
    along, aside = x * c + y * s, abs(y * c - x * s)
    return math.hypot(max(along - FRONT, -REAR - along, 0.0), max(aside - HALF_WIDTH, 0.0))


@kernel
def is_beyond(x: float, y: float, c: float, s: float, gap: float) -> bool:
    """Whether `gap_seen` is surely `gap` (m) or more, without a root."""
    along, aside = x * c + y * s, abs(y * c - x * s)
    return max(along - FRONT, -REAR - along) > gap + 1e-6 or aside - HALF_WIDTH > gap + 1e-6


@kernel
def outline_gap(pose: np.ndarray, other: np.ndarray) -> float:
    """Metres from one robot's body to the nearest outline point of another; 0 inside."""
    best = 9.0
    if abs(pose[0] - other[0]) > 4.0 or abs(pose[1] - other[1]) > 4.0:
        return best
    c, s = math.cos(pose[2]), math.sin(pose[2])
    other_c, other_s = math.cos(other[2]), math.sin(other[2])
    for point in range(OUTLINE_POINTS):
        x, y = outline_point(other[0], other[1], other_c, other_s, point, 0.0)
        best = min(best, gap_seen(x - pose[0], y - pose[1], c, s))
    return best
