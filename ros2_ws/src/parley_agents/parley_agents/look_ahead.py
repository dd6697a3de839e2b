"""How far a robot's outline can go along its arc before it comes too close to a point. Plain geometry, compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from sim.warehouse.bodies import Bodies

STEP = 0.03  # m the fastest point of the body moves between two poses of the look-ahead


class Outline(NamedTuple):
    """A forklift seen from above, as boxes in base_link: x min, x max, half width (m)."""

    chassis: np.ndarray  # [2, 3]: chassis, forks
    loaded: np.ndarray  # [3, 3]: chassis, forks, load
    load_near: float  # m from the centre to the face of the load that the laser sees
    load_half: float  # m, half the side of a pallet


def outline_of(bodies: Bodies, load_x: float) -> Outline:
    """The outline of a forklift whose load, once lifted, has its centre `load_x` (m) ahead of the robot's."""
    truck, forks, pallet = bodies.forklift, bodies.forks, bodies.pallet
    chassis = np.array(
        [
            [truck.rear, truck.front, 0.5 * truck.width],
            [truck.front, truck.front + forks.length, 0.5 * (forks.spread + forks.width)],
        ]
    )
    load_half = 0.5 * max(pallet.length, pallet.width)
    load = [load_x - load_half, load_x + load_half, load_half]
    return Outline(chassis, np.vstack([chassis, load]), load_x - load_half, load_half)


def clearance(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Distance (m) from each point [n, 2] to the nearest of the boxes [b, 3]; 0 inside."""
    beyond_x = np.maximum(boxes[:, 0] - points[:, :1], points[:, :1] - boxes[:, 1])
    beyond_y = np.abs(points[:, 1:]) - boxes[:, 2]
    return np.asarray(np.hypot(np.maximum(beyond_x, 0.0), np.maximum(beyond_y, 0.0)).min(axis=1))


def seen_from(points: np.ndarray, x: float, y: float, yaw: float) -> np.ndarray:
    """The points [n, 2] in the frame that stands at (x, y, yaw)."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    dx, dy = points[:, 0] - x, points[:, 1] - y
    return np.stack([cos * dx + sin * dy, cos * dy - sin * dx], axis=1)


def pace_of(v: float, w: float, boxes: np.ndarray) -> float:
    """Speed (m/s) that no point of the outline exceeds at the command (v, w)."""
    reach = float(np.hypot(np.abs(boxes[:, :2]).max(axis=1), boxes[:, 2]).max())
    return abs(v) + abs(w) * reach


def pace_to_stop_in(distance: float, reaction: float, braking: float) -> float:
    """Highest speed (m/s) from which reaction and braking together need no more than `distance` (m)."""
    return float(braking * (math.sqrt(reaction * reaction + 2 * distance / braking) - reaction))


@njit(cache=True)
def free_way(points: np.ndarray, wanted: np.ndarray, boxes: np.ndarray, v: float, w: float, way: float) -> float:
    """How far the boxes [b, 3] can go along the arc of (v, w) and keep `wanted` [n] (m) from each point [n, 2].

    The command is divided by its pace, so that its fastest point moves a metre in unit time; `way` and what is
    returned are metres of that point. Gives `way` if nothing is in the way.
    """
    steps = math.ceil(way / STEP)
    for step in range(1, steps + 1):
        yaw = w * way * step / steps
        cos, sin = math.cos(yaw), math.sin(yaw)
        x, y = v * way * step / steps, 0.0
        if abs(yaw) > 1e-6:
            x, y = v / w * sin, v / w * (1 - cos)
        for point in range(points.shape[0]):
            dx, dy = points[point, 0] - x, points[point, 1] - y
            along, aside = cos * dx + sin * dy, abs(cos * dy - sin * dx)
            for box in range(boxes.shape[0]):
                out_x = max(boxes[box, 0] - along, along - boxes[box, 1], 0.0)
                out_y = max(aside - boxes[box, 2], 0.0)
                if out_x * out_x + out_y * out_y < wanted[point] * abs(wanted[point]):
                    return way * (step - 1) / steps
    return way
