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
TURNS = 0.05  # rad/s; slower turning is none
MOMENT = 0.5  # s; poses that lie farther apart tell nothing of how fast a robot turns
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
        self._width = float(np.hypot(self._robot[:, 0], self._robot[:, 1]).max())
        self._reaction = reaction
        self._braking = braking

    def obstacles(self, pose: np.ndarray) -> np.ndarray:
        """Edges of the map's obstacles within reach [n, 2] (m), as seen from `pose` (x, y, yaw, speed in map)."""
        return seen_from(_near(self._map, pose[0], pose[1]), pose[0], pose[1], pose[2])

    def robots(self, pose: np.ndarray, others: np.ndarray, turning: np.ndarray, me: int) -> np.ndarray:
        """Outlines of the other robots within reach, from where they are to where they can stop [m, 2] (m).

        If every robot keeps its own way to a stop clear of everybody else's, two that cross, or turn side by side,
        cannot meet. `others` are the poses of all robots [R, 4], `turning` their yaw rates [R] (rad/s); row `me` and
        rows with NaN are left out.
        """
        return _ways_to_stop(self._robot, self._width, pose, others, turning, me, self._reaction, self._braking)


class TurnRates:
    """How fast robots turn, from where they are now and where they were a moment ago: nobody tells it."""

    def __init__(self) -> None:
        self._yaw = np.zeros(0)
        self._rates = np.zeros(0)
        self._then = -math.inf

    def at(self, now: float, poses: np.ndarray) -> np.ndarray:
        """Yaw rates [R] (rad/s) at simulated second `now` of robots at poses [R, 4]; 0 where it cannot be told yet."""
        elapsed = now - self._then
        if elapsed == 0.0 and len(self._rates) == len(poses):
            return self._rates  # told already
        self._rates = np.zeros(len(poses))
        if 0.0 < elapsed < MOMENT and len(self._yaw) == len(poses):
            turned = np.remainder(poses[:, 2] - self._yaw + math.pi, math.tau) - math.pi
            self._rates = np.nan_to_num(turned / elapsed)
        self._yaw, self._then = poses[:, 2].copy(), now
        return self._rates


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
    outline: np.ndarray,
    width: float,
    pose: np.ndarray,
    others: np.ndarray,
    turning: np.ndarray,
    me: int,
    reaction: float,
    braking: float,
) -> np.ndarray:
    """See `Surroundings.robots`; `outline` are points on a robot in its base_link [n, 2], none farther than `width`."""
    count = 0
    for other in range(len(others)):
        if _is_in_reach(pose, others, other, me):
            along, turn = _way_to_stop(others[other, 3], turning[other], width, reaction, braking)
            count += _stages(along, turn, width)
    points = np.empty((count * len(outline), 2))
    own_cos, own_sin = math.cos(pose[2]), math.sin(pose[2])
    row = 0
    for other in range(len(others)):
        if not _is_in_reach(pose, others, other, me):
            continue
        along, turn = _way_to_stop(others[other, 3], turning[other], width, reaction, braking)
        stages = _stages(along, turn, width)
        for stage in range(stages):
            share = stage / max(stages - 1, 1)
            half = 0.5 * share * turn
            chord = share * along * (math.sin(half) / half if half != 0.0 else 1.0)
            middle, yaw = others[other, 2] + half, others[other, 2] + share * turn
            x = others[other, 0] + chord * math.cos(middle) - pose[0]
            y = others[other, 1] + chord * math.sin(middle) - pose[1]
            cos, sin = math.cos(yaw), math.sin(yaw)
            for point in range(len(outline)):
                dx = x + outline[point, 0] * cos - outline[point, 1] * sin
                dy = y + outline[point, 0] * sin + outline[point, 1] * cos
                points[row, 0], points[row, 1] = own_cos * dx + own_sin * dy, own_cos * dy - own_sin * dx
                row += 1
    return points


@kernel
def _is_in_reach(pose: np.ndarray, others: np.ndarray, other: int, me: int) -> bool:
    x, y = others[other, 0], others[other, 1]
    return other != me and abs(x - pose[0]) < REACH and abs(y - pose[1]) < REACH  # NaN is out of reach


@kernel
def _way_to_stop(v: float, w: float, width: float, reaction: float, braking: float) -> tuple[float, float]:
    """Metres along its arc, and rad, that a robot at v (m/s) and w (rad/s) still goes, both with their signs."""
    w = w if abs(w) > TURNS else 0.0
    pace = abs(v) + abs(w) * width
    seconds = reaction + pace / (2 * braking)
    return v * seconds, w * seconds


@kernel
def _stages(along: float, turn: float, width: float) -> int:
    """How many outlines stand for a way of so many metres and rad."""
    return 1 + int(math.ceil(max(abs(along) / STRIDE, abs(turn) * width / SPACING)))


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
