"""Counts contacts and near misses as events, each robot for itself, as sim/fast/fleet.py does. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.bullet.contacts import Contact
from sim.warehouse.outline import NEAR, outline_gap


class ContactLog:
    """Contacts begun so far, by robot.

    A robot that touches something, be it a robot, a wall, a rack or a foreign pallet, has begun a contact; whatever it
    touches before it is clear again belongs to that one. Two robots that touch each other have begun one each.

    Args:
        robots: names in fleet order.
        lull: steps without touch after which a robot is clear; forces flicker while bodies rub.
    """

    def __init__(self, robots: Sequence[str], lull: int = 10) -> None:
        self.counts = dict.fromkeys(robots, 0)
        self._lull = lull
        self._latest: dict[str, int] = {}

    def note(self, step: int, contacts: Sequence[Contact]) -> list[Contact]:
        """Take the contacts of one step; returns those that begin an event."""
        begun = []
        for contact in contacts:
            latest = self._latest.get(contact.robot)
            self._latest[contact.robot] = step
            if latest is None or step - latest > self._lull:
                self.counts[contact.robot] += 1
                begun.append(contact)
        return begun


class NearMissLog:
    """Near misses begun so far, of the whole fleet.

    A robot whose outline comes nearer than `NEAR` to that of any other has begun one, until it is that far from all;
    so two robots that pass each other closely have begun one each.

    Args:
        robots: how many there are.
    """

    def __init__(self, robots: int) -> None:
        self.count = 0
        self._is_near = np.zeros(robots, bool)
        outline_gap(np.zeros(4), np.zeros(4))  # compiles it now, for no step may wait for that

    def note(self, poses: np.ndarray) -> None:
        """Take the poses of one step: x (m), y (m), yaw (rad), speed (m/s) in map [R, 4] float64."""
        for robot, pose in enumerate(poses):
            is_near = any(outline_gap(pose, other) < NEAR for row, other in enumerate(poses) if row != robot)
            self.count += is_near and not self._is_near[robot]
            self._is_near[robot] = is_near
