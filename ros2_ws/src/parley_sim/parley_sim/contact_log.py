"""Counts contacts as events: a touch that goes on, or comes back within a moment, is one. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence

from sim.bullet.contacts import Contact


class ContactLog:
    """Contacts begun so far, by robot.

    Two robots that touch are one event, counted for the one that comes first in the fleet.

    Args:
        robots: names in fleet order.
        lull: steps without touch after which the next touch of the same two is a new event.
    """

    def __init__(self, robots: Sequence[str], lull: int = 10) -> None:
        self.counts = dict.fromkeys(robots, 0)
        self._rank = {name: rank for rank, name in enumerate(robots)}
        self._lull = lull
        self._latest: dict[tuple[str, str], int] = {}

    def note(self, step: int, contacts: Sequence[Contact]) -> list[Contact]:
        """Take the contacts of one step; returns those that begin an event."""
        begun = []
        for contact in contacts:
            robot, other = contact.robot, contact.other
            if self._rank.get(other, len(self._rank)) < self._rank[robot]:
                robot, other = other, robot
            latest = self._latest.get((robot, other))
            self._latest[robot, other] = step
            if latest is None or step - latest > self._lull:
                self.counts[robot] += 1
                begun.append(contact)
        return begun
