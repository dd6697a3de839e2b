"""Upright boxes as what bodies take up: do two of them, or one and a ball, overlap?"""

from __future__ import annotations

import math
from typing import NamedTuple


class Block(NamedTuple):
    """An upright box: middle (m, map), yaw (rad), length along its own x and width (m), underside and top (m)."""

    x: float
    y: float
    yaw: float
    length: float
    width: float
    low: float
    high: float

    def corners(self) -> list[tuple[float, float]]:
        """The four corners seen from above (m, map)."""
        ahead, aside = self._halves()
        signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
        return [(self.x + a * ahead[0] + b * aside[0], self.y + a * ahead[1] + b * aside[1]) for a, b in signs]

    def overlaps(self, other: Block) -> bool:
        """Whether two blocks share room; those that only touch do not.

        Separating axes (Gottschalk, Lin, Manocha 1996, section 5): two rectangles are apart if and only if their
        shadows are, along a side of one of them.
        """
        if self.low >= other.high or other.low >= self.high:
            return False
        between = (other.x - self.x, other.y - self.y)
        sides = (*self._halves(), *other._halves())
        for yaw in (self.yaw, self.yaw + 0.5 * math.pi, other.yaw, other.yaw + 0.5 * math.pi):
            axis = (math.cos(yaw), math.sin(yaw))
            reach = sum(abs(_dot(side, axis)) for side in sides)
            if abs(_dot(between, axis)) >= reach - 1e-9:
                return False
        return True

    def gap_to(self, x: float, y: float, z: float) -> float:
        """Distance (m) of a point from the block; 0 within it."""
        dx, dy = x - self.x, y - self.y
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        along = max(abs(dx * cos + dy * sin) - 0.5 * self.length, 0.0)
        across = max(abs(dy * cos - dx * sin) - 0.5 * self.width, 0.0)
        return math.hypot(along, across, max(self.low - z, z - self.high, 0.0))

    def _halves(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """From the middle to the middle of the front and of the left side (m, map)."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return (0.5 * self.length * cos, 0.5 * self.length * sin), (-0.5 * self.width * sin, 0.5 * self.width * cos)


def _dot(a: tuple[float, float], b: tuple[float, float]) -> float:
    return a[0] * b[0] + a[1] * b[1]
