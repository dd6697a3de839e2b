"""What is known of a robot's surroundings without looking: the map's obstacles, and where other robots will be."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.look_ahead import Outline, seen_from
from sim.warehouse.routes import Tables
from sim.warehouse.skill import wrap

REACH = 5.0  # m; farther things cannot matter before the next scan
SPACING = 0.15  # m between points on an outline
STRIDE = 0.3  # m between two outlines on another robot's way
NOTHING = np.zeros((0, 2))


class Surroundings:
    """Points that stand for obstacles, in base_link, from map and shared localisation.

    Args:
        tables: of the floor plan.
        outline: of every robot of the fleet.
        reaction: s until another robot's brakes bite.
        braking: m/s^2 with which it is sure to brake.
    """

    def __init__(self, tables: Tables, outline: Outline, reaction: float, braking: float) -> None:
        row, column = np.nonzero(_edge(tables.clearance <= 0.0))
        centre = (np.stack([column, row], axis=1) + 0.5) * tables.cell + tables.grid_origin
        self._map = centre.astype(np.float64)
        self._robot = np.concatenate([_along_edges(box) for box in outline.loaded])
        self._reaction = reaction
        self._braking = braking

    def obstacles(self, pose: np.ndarray) -> np.ndarray:
        """Edges of the map's obstacles within reach [n, 2] (m), as seen from `pose` (x, y, yaw, speed in map)."""
        return seen_from(_near(self._map, pose[0], pose[1]), pose[0], pose[1], pose[2])

    def robots(self, pose: np.ndarray, others: np.ndarray, me: int) -> np.ndarray:
        """Outlines of the other robots within reach, from where they are to where they can stop [m, 2] (m).

        If every robot keeps its own way to a stop clear of everybody else's, two that cross cannot meet. `others`
        are the poses of all robots [R, 4]; row `me` and rows with NaN are left out.
        """
        return _ways_to_stop(self._robot, pose, others, me, self._reaction, self._braking)


def at_place(pose: np.ndarray, place: int, tables: Tables) -> tuple[float, float, float]:
    """A place as seen by the robot: x, y (m) in base_link and the angle (rad) the robot would have to turn by."""
    dx, dy = float(tables.place_x[place] - pose[0]), float(tables.place_y[place] - pose[1])
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    return cos * dx + sin * dy, cos * dy - sin * dx, float(wrap(tables.place_yaw[place] - pose[2]))


@allocating
def _near(points: np.ndarray, x: float, y: float) -> np.ndarray:
    """Those of the points [n, 2] within reach of x, y (m) along both axes."""
    near = np.empty((len(points), 2))
    count = 0
    for point in range(len(points)):
        if abs(points[point, 0] - x) < REACH and abs(points[point, 1] - y) < REACH:
            near[count] = points[point]
            count += 1
    return near[:count]


@allocating
def _ways_to_stop(
    outline: np.ndarray, pose: np.ndarray, others: np.ndarray, me: int, reaction: float, braking: float
) -> np.ndarray:
    """See `Surroundings.robots`; `outline` are points on a robot in its base_link [n, 2]."""
    count = 0
    for other in range(len(others)):
        if _is_in_reach(pose, others, other, me):
            count += _outlines_on_way(others[other, 3], reaction, braking)
    points = np.empty((count * len(outline), 2))
    own_cos, own_sin = math.cos(pose[2]), math.sin(pose[2])
    row = 0
    for other in range(len(others)):
        if not _is_in_reach(pose, others, other, me):
            continue
        x, y, yaw, speed = others[other]
        cos, sin, way = math.cos(yaw), math.sin(yaw), math.copysign(_way_to_stop(speed, reaction, braking), speed)
        stages = _outlines_on_way(speed, reaction, braking)
        for stage in range(stages):
            ahead = way * stage / max(stages - 1, 1)
            for point in range(len(outline)):
                along, aside = outline[point, 0] + ahead, outline[point, 1]
                dx, dy = x + along * cos - aside * sin - pose[0], y + along * sin + aside * cos - pose[1]
                points[row, 0], points[row, 1] = own_cos * dx + own_sin * dy, own_cos * dy - own_sin * dx
                row += 1
    return points


@kernel
def _is_in_reach(pose: np.ndarray, others: np.ndarray, other: int, me: int) -> bool:
    x, y = others[other, 0], others[other, 1]
    return other != me and abs(x - pose[0]) < REACH and abs(y - pose[1]) < REACH  # NaN is out of reach


@kernel
def _way_to_stop(speed: float, reaction: float, braking: float) -> float:
    return abs(speed) * reaction + speed * speed / (2 * braking)


@kernel
def _outlines_on_way(speed: float, reaction: float, braking: float) -> int:
    return 1 + int(math.ceil(_way_to_stop(speed, reaction, braking) / STRIDE))


def _edge(solid: np.ndarray) -> np.ndarray:
    """Solid cells [H, W] with a free cell beside them: what lies deeper can't be touched first."""
    padded = np.pad(solid, 1, constant_values=True)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(solid & ~inner)


def _along_edges(box: np.ndarray) -> np.ndarray:
    """Points along the four edges of a box (x min, x max, half width) [n, 2]."""
    x = np.linspace(box[0], box[1], max(2, math.ceil((box[1] - box[0]) / SPACING) + 1))
    y = np.linspace(-box[2], box[2], max(2, math.ceil(2 * box[2] / SPACING) + 1))
    ends = [np.stack([np.full(len(y), end), y], axis=1) for end in box[:2]]
    sides = [np.stack([x, np.full(len(x), side)], axis=1) for side in (-box[2], box[2])]
    return np.concatenate(ends + sides)
