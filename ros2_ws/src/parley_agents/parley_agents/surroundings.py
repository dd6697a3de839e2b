"""What is known of a robot's surroundings without looking: the map's obstacles, and where other robots will be."""

from __future__ import annotations

import math

import numpy as np

from parley_agents.look_ahead import Outline, seen_from
from sim.warehouse.routes import Tables

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
        near = np.abs(self._map - pose[:2]).max(axis=1) < REACH
        return seen_from(self._map[near], pose[0], pose[1], pose[2])

    def robots(self, pose: np.ndarray, others: np.ndarray, me: int) -> np.ndarray:
        """Outlines of the other robots within reach, from where they are to where they can stop [m, 2] (m).

        If every robot keeps its own way to a stop clear of everybody else's, two that cross cannot meet. `others`
        are the poses of all robots [R, 4]; row `me` and rows with NaN are left out.
        """
        parts = [NOTHING]
        for other in range(len(others)):
            x, y, yaw, speed = others[other]
            if other == me or not (abs(x - pose[0]) < REACH and abs(y - pose[1]) < REACH):  # NaN is out of reach
                continue
            way = abs(speed) * self._reaction + speed * speed / (2 * self._braking)
            turn = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
            for ahead in np.linspace(0.0, math.copysign(way, speed), 1 + math.ceil(way / STRIDE)):
                parts.append((self._robot + np.array((ahead, 0.0))) @ turn + np.array((x, y)))
        return seen_from(np.concatenate(parts), pose[0], pose[1], pose[2])


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
