"""What is known of a robot's surroundings without looking: the map's obstacles and the other robots' outlines."""

from __future__ import annotations

import math

import numpy as np

from parley_agents.look_ahead import Outline, seen_from
from sim.warehouse.routes import Tables

REACH = 4.0  # m; farther things cannot matter before the next scan
SPACING = 0.15  # m between points on an outline


class Surroundings:
    """Points that stand for obstacles, in base_link, for the sector that a carried load hides from the laser."""

    def __init__(self, tables: Tables, outline: Outline) -> None:
        row, column = np.nonzero(_edge(tables.clearance <= 0.0))
        centre = (np.stack([column, row], axis=1) + 0.5) * tables.cell + tables.grid_origin
        self._map = centre.astype(np.float64)
        self._robot = np.concatenate([_along_edges(box) for box in outline.loaded])

    def seen_from(self, pose: np.ndarray, others: np.ndarray, me: int) -> np.ndarray:
        """Known obstacles within reach [n, 2] (m, base_link).

        `pose` is the own x, y, yaw, speed in map [4], `others` those of all robots [R, 4]; row `me` and rows with
        NaN are left out.
        """
        near = np.abs(self._map - pose[:2]).max(axis=1) < REACH
        parts = [self._map[near]]
        for other in range(len(others)):
            x, y, yaw = others[other, :3]
            if other != me and abs(x - pose[0]) < REACH and abs(y - pose[1]) < REACH:  # false for NaN
                turn = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
                parts.append(self._robot @ turn + (x, y))
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
