"""Boxes that somebody puts into a running world: obstacles that stand fast, and crates that can be pushed."""

from __future__ import annotations

from typing import NamedTuple

import pybullet

from sim.bullet import groups
from sim.bullet.pallets import SLEEP_BELOW


class BoxSize(NamedTuple):
    """Length along its own x, width, height (m) and mass (kg); a box without mass stands fast."""

    length: float
    width: float
    height: float
    mass: float


class Boxes:
    """The boxes of one world, by name."""

    def __init__(self, client: int, friction: float) -> None:
        self._client = client
        self._friction = friction
        self._bodies: dict[str, int] = {}
        self._sizes: dict[str, BoxSize] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._bodies

    def names(self) -> tuple[str, ...]:
        """Every box's name, in the order they came."""
        return tuple(self._bodies)

    def body(self, name: str) -> int:
        """Bullet's number for a box."""
        return self._bodies[name]

    def size(self, name: str) -> BoxSize:
        """How big a box is."""
        return self._sizes[name]

    def add(self, name: str, size: BoxSize, x: float, y: float, yaw: float) -> int:
        """Stand a box on the floor; returns its Bullet number.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._bodies:
            raise ValueError(f"box {name} is in the world already; remove it first or give another name")
        half = (0.5 * size.length, 0.5 * size.width, 0.5 * size.height)
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=self._client)
        body = int(
            pybullet.createMultiBody(
                size.mass,
                shape,
                basePosition=(x, y, half[2]),
                baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, yaw)),
                useMaximalCoordinates=True,
                physicsClientId=self._client,
            )
        )
        group = groups.PALLETS if size.mass else groups.FIXED
        pybullet.setCollisionFilterGroupMask(body, -1, group, groups.COLLIDES_WITH[group], physicsClientId=self._client)
        pybullet.changeDynamics(
            body, -1, lateralFriction=self._friction, sleepThreshold=SLEEP_BELOW, physicsClientId=self._client
        )
        self._bodies[name], self._sizes[name] = body, size
        return body

    def remove(self, name: str) -> int:
        """Take a box away; returns the Bullet number it had; raises KeyError if it is not there."""
        body = self._bodies.pop(name)
        del self._sizes[name]
        pybullet.removeBody(body, physicsClientId=self._client)
        return body
