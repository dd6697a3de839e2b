"""Who must be heard before a tick may go on, and who has been given up for now."""

from __future__ import annotations

from collections.abc import Iterable


class TickBarrier:
    """A set of names that all have to arrive at a tick before it is complete.

    Whoever has not arrived when the wait is given up (`expire`) is dropped, so one dead process costs the others
    the limit once and not at every tick. A dropped name is expected again as soon as it arrives anywhere.
    The barrier keeps no clock: its owner runs a timer of `limit` and calls `expire` when it rings.

    Args:
        expected: the names that take part.
        limit: how long one wait may last (s of wall time), for the owner's timer.
    """

    def __init__(self, expected: Iterable[str], limit: float) -> None:
        self.members = frozenset(expected)
        self.limit = limit
        self.expected = set(self.members)
        self._latest = dict.fromkeys(self.members, -1)

    def arrive(self, name: str, tick: int) -> bool:
        """Note that `name` has reached `tick`; False, and no effect, if it is not one of the members."""
        if name not in self._latest:
            return False
        self._latest[name] = max(self._latest[name], tick)
        self.expected.add(name)
        return True

    def complete(self, tick: int) -> bool:
        """Whether every expected name has reached `tick`; true where nobody is expected."""
        return all(self._latest[name] >= tick for name in self.expected)

    def missing(self, tick: int) -> list[str]:
        """The expected names that have not reached `tick`, sorted."""
        return sorted(name for name in self.expected if self._latest[name] < tick)

    def expire(self, tick: int) -> list[str]:
        """Give up waiting: drop whoever has not reached `tick` and return them, sorted."""
        late = self.missing(tick)
        self.expected.difference_update(late)
        return late
