"""Who bumps into what: contacts that count, without wheels on the floor and forks under their own pallet."""

from __future__ import annotations

from typing import NamedTuple

import pybullet

MIN_FORCE = 1.0  # N; lighter touches are rounding of the solver


class Contact(NamedTuple):
    """A robot, or the pallet it carries, presses on something it should not touch; `force` in N."""

    robot: str
    other: str
    force: float


def pressed_bodies(client: int, bodies: tuple[int, ...], ignored: frozenset[int]) -> dict[int, float]:
    """What some bodies press on: Bullet number -> sum of normal forces (N), without the ignored ones."""
    force: dict[int, float] = {}
    for body in bodies:
        for point in pybullet.getContactPoints(body, physicsClientId=client):
            # getContactPoints(bodyA) lists the pair with that body first; 2: the other body, 9: normal force.
            if point[2] not in ignored and point[9] > 0.0:
                force[point[2]] = force.get(point[2], 0.0) + point[9]
    return {other: total for other, total in force.items() if total >= MIN_FORCE}
