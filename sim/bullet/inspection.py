"""Counts and measures what Bullet holds, against what should be there; for soaks and tests, not for robots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pybullet

from sim.bullet.amrs import Amrs
from sim.bullet.boxes import Boxes
from sim.bullet.carrying import Carrying
from sim.bullet.forklift import Forklift
from sim.bullet.pallets import Pallets


class Census(NamedTuple):
    """How many bodies and constraints a Bullet client has, and how many it should have."""

    bodies: int
    expected_bodies: int
    constraints: int
    expected_constraints: int


class Inspection:
    """Looks into one world.

    Args:
        client: Bullet client.
        standing: Bullet numbers of the floor, and then of all that stands fast on it.
        robots: the robots by name.
        pallets: the pallets.
        boxes: what was put into the world from outside.
        carrying: who carries what.
        amrs: the AMRs that were put into the world.
    """

    def __init__(
        self,
        client: int,
        standing: Sequence[int],
        robots: Mapping[str, Forklift],
        pallets: Pallets,
        boxes: Boxes,
        carrying: Carrying,
        amrs: Amrs,
    ) -> None:
        self._client = client
        self._standing = len(standing)
        self._walls = frozenset(standing[1:])
        self._robots = robots
        self._pallets = pallets
        self._boxes = boxes
        self._carrying = carrying
        self._amrs = amrs
        self._level = {name: self._height(name) for name in robots}

    def census(self) -> Census:
        """Count what stands fast, robots, AMRs, pallets and boxes; and one grip for every carried pallet."""
        return Census(
            pybullet.getNumBodies(physicsClientId=self._client),
            self._standing + len(self._robots) + len(self._amrs) + len(self._pallets) + len(self._boxes.names()),
            pybullet.getNumConstraints(physicsClientId=self._client),
            sum(self._carrying.of(name) is not None for name in self._robots),
        )

    def deepest_in_walls(self) -> float:
        """How deep (m) any body lies in a wall, a rack or another box of the plan, as of the last physics step."""
        deepest = 0.0
        for point in pybullet.getContactPoints(physicsClientId=self._client):
            if point[1] in self._walls or point[2] in self._walls:
                deepest = max(deepest, -point[8])
        return deepest

    def lean(self, name: str) -> float:
        """The angle (rad) between a robot's mast and the vertical."""
        _, (x, y, _, _) = pybullet.getBasePositionAndOrientation(self._robots[name].body, physicsClientId=self._client)
        return math.acos(min(max(1.0 - 2.0 * (x * x + y * y), -1.0), 1.0))

    def risen(self, name: str) -> float:
        """How far (m) a robot's centre of mass is above where it was when the world was made."""
        return self._height(name) - self._level[name]

    def _height(self, name: str) -> float:
        return float(
            pybullet.getBasePositionAndOrientation(self._robots[name].body, physicsClientId=self._client)[0][2]
        )
