"""What stands in a robot's way by its laser, and how far its outline can go along its arc before it comes too close.

Plain geometry, compiled.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sim.warehouse.bodies import Bodies
from sim.warehouse.compiled import allocating, kernel

STEP = 0.03  # m the fastest point of the body moves between two poses of the look-ahead
SLACK = 1e-6  # m by which a point may come closer than it is without counting as nearer


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


@kernel
def gap(x: float, y: float, boxes: np.ndarray) -> float:
    """Distance (m) from a point to the nearest of the boxes [b, 3]; 0 inside."""
    best = np.inf
    for box in range(boxes.shape[0]):
        out_x = max(boxes[box, 0] - x, x - boxes[box, 1], 0.0)
        out_y = max(abs(y) - boxes[box, 2], 0.0)
        best = min(best, math.hypot(out_x, out_y))
    return best


@allocating
def clearance(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """`gap` of each of some points [n, 2]."""
    found = np.empty(len(points))
    for point in range(len(points)):
        found[point] = gap(points[point, 0], points[point, 1], boxes)
    return found


@allocating
def seen_from(points: np.ndarray, x: float, y: float, yaw: float) -> np.ndarray:
    """The points [n, 2] in the frame that stands at (x, y, yaw)."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    seen = np.empty((len(points), 2))
    for point in range(len(points)):
        dx, dy = points[point, 0] - x, points[point, 1] - y
        seen[point, 0], seen[point, 1] = cos * dx + sin * dy, cos * dy - sin * dx
    return seen


@allocating
def obstacles_seen(
    ranges: np.ndarray,
    angles: np.ndarray,
    own: np.ndarray,
    expected: tuple[float, float, float, float],
) -> np.ndarray:
    """Points in base_link [n, 2] (m) where the laser met what is neither the robot's own nor expected.

    Args:
        ranges: m [L]; what is not finite, or not above 0, is no return.
        angles: rad in base_link [L].
        own: boxes [b, 3] in which returns are the robot's own; may be none.
        expected: x, y (m), yaw (rad) and half side (m) of a square in which returns are expected; negative: none.
    """
    at_x, at_y, yaw, half = expected
    cos, sin = math.cos(yaw), math.sin(yaw)
    points = np.empty((len(ranges), 2))
    count = 0
    for ray in range(len(ranges)):
        reach = float(ranges[ray])
        if not (math.isfinite(reach) and reach > 0.0):
            continue
        x, y = reach * math.cos(angles[ray]), reach * math.sin(angles[ray])
        if own.shape[0] > 0 and gap(x, y, own) <= 0.0:
            continue
        dx, dy = x - at_x, y - at_y
        if max(abs(cos * dx + sin * dy), abs(cos * dy - sin * dx)) <= half:
            continue
        points[count, 0], points[count, 1] = x, y
        count += 1
    return points[:count]


@kernel
def pace_of(v: float, w: float, boxes: np.ndarray) -> float:
    """Speed (m/s) that no point of the outline exceeds at the command (v, w)."""
    reach = 0.0
    for box in range(boxes.shape[0]):
        reach = max(reach, math.hypot(max(abs(boxes[box, 0]), abs(boxes[box, 1])), boxes[box, 2]))
    return abs(v) + abs(w) * reach


@kernel
def pace_to_stop_in(distance: float, reaction: float, braking: float) -> float:
    """Highest speed (m/s) from which reaction and braking together need no more than `distance` (m)."""
    return braking * (math.sqrt(reaction * reaction + 2 * distance / braking) - reaction)


@allocating
def allowed_share(
    v: float,
    w: float,
    points: np.ndarray,
    margin: float,
    robots: np.ndarray,
    robot_margin: float,
    boxes: np.ndarray,
    reaction: float,
    braking: float,
) -> float:
    """Share of (v, w) in [0, 1] from which the body can stop on its arc before it comes too close to a point.

    A point that is already closer than the margin stops only motion that brings it closer still, so a robot can
    always leave the way it came.

    Args:
        v: m/s.
        w: rad/s.
        points: obstacles in base_link [n, 2] (m).
        margin: m kept from them.
        robots: outlines of other robots in base_link [m, 2] (m).
        robot_margin: m kept from them.
        boxes: the own outline [b, 3].
        reaction: s until the brakes bite.
        braking: m/s^2 they are sure to give.
    """
    pace = pace_of(v, w, boxes)
    way = pace * reaction + pace * pace / (2 * braking)
    if way <= 0.0:
        return 1.0
    near = np.empty((len(points) + len(robots), 2))
    wanted = np.empty(len(near))
    count = 0
    for point in range(len(near)):
        is_robot = point >= len(points)
        x = robots[point - len(points), 0] if is_robot else points[point, 0]
        y = robots[point - len(points), 1] if is_robot else points[point, 1]
        kept, apart = robot_margin if is_robot else margin, gap(x, y, boxes)
        if apart < kept + way:
            near[count, 0], near[count, 1], wanted[count] = x, y, min(kept, apart) - SLACK
            count += 1
    free = _free_way(near[:count], wanted[:count], boxes, v / pace, w / pace, way)
    return 1.0 if free >= way else min(1.0, pace_to_stop_in(free, reaction, braking) / pace)


@kernel
def _free_way(points: np.ndarray, wanted: np.ndarray, boxes: np.ndarray, v: float, w: float, way: float) -> float:
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
