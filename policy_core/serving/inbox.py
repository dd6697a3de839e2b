"""What an agent keeps of what it is told, and what it refuses to read.

In training the channel (policy_core/comm/channel.py) decides who is heard and how old it is; this is its
counterpart on the robot, and a recorded trace through both gives the same presence and ages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from enum import Enum

import numpy as np

from policy_core.comm.wire import UNROUNDED, Message, decode_values
from policy_core.serving.policy import Heard

PAGES = 16  # (tick, round) pairs kept; older ones are forgotten
CLOCK_STEP = 1e-6  # s, tolerance of comparing times


class Verdict(Enum):
    """What became of a message that was offered."""

    ACCEPTED = "accepted"
    UNKNOWN_SENDER = "unknown sender"
    FOREIGN_PROTOCOL = "foreign protocol"
    WRONG_SHAPE = "wrong shape"
    NOT_FINITE = "not finite"
    TOO_OLD = "too old"
    FROM_FUTURE = "from the future"
    DUPLICATE = "duplicate"


class _Page:
    """The messages of one round of one tick."""

    def __init__(self, neighbours: int, message_size: int) -> None:
        self.messages = np.zeros((neighbours, message_size), np.float32)
        self.stamp = np.zeros(neighbours)
        self.present = np.zeros(neighbours, bool)
        self.position = np.zeros((neighbours, 3), np.float32)


class Inbox:
    """Messages of the latest rounds, by sender.

    Args:
        neighbours: kind of every other agent by name, in fixed fleet order.
        message_size: M.
        protocol_id: the only one that is read.
        max_age: (s) between a message's stamp and its reading.
        max_ahead: (s) by which a sender's clock may lead; in lockstep the receiver's clock may be a tick behind.
        bits: of one number, as the protocol rounds it; codes of other widths have the wrong shape.
    """

    def __init__(
        self,
        neighbours: Mapping[str, str],
        message_size: int,
        protocol_id: int,
        max_age: float,
        max_ahead: float = 1.0,
        bits: int = UNROUNDED,
    ) -> None:
        self.counts: Counter[Verdict] = Counter()
        self._row = {name: row for row, name in enumerate(neighbours)}
        self._kinds = tuple(neighbours.values())
        self._message_size = message_size
        self._protocol_id = protocol_id
        self._max_age = max_age
        self._max_ahead = max_ahead
        self._bits = bits
        self._pages: dict[tuple[int, int], _Page] = {}

    def offer(self, message: Message, now: float) -> Verdict:
        """Keep a message, or say why not; every verdict is counted. `now` is the receiver's clock (s)."""
        values = decode_values(message.values, self._bits)
        verdict = self._judge(message, values, now)
        self.counts[verdict] += 1
        if verdict is Verdict.ACCEPTED:
            page, row = self._page(message.tick, message.round), self._row[message.sender]
            page.messages[row] = values
            page.stamp[row] = message.stamp
            page.position[row] = message.position
            page.present[row] = True
        return verdict

    def view(self, tick: int, round: int, now: float) -> Heard:
        """What is there of one round, read at `now` (s); absent rows are zeros."""
        page = self._pages.get((tick, round))
        if page is None:
            page = _Page(len(self._row), self._message_size)
        age = np.where(page.present, np.maximum(now - page.stamp, 0.0), 0.0)
        present = page.present & (age <= self._max_age + CLOCK_STEP)
        return Heard(
            np.where(present[:, None], page.messages, np.float32(0)),
            np.where(present, age, 0.0).astype(np.float32),
            present,
            np.where(present[:, None], page.position, np.float32(0)),
            self._kinds,
        )

    def complete(self, tick: int, round: int, expected: Collection[str]) -> bool:
        """Whether all expected neighbours were heard in a round."""
        page = self._pages.get((tick, round))
        if page is None:
            return not expected
        return all(page.present[self._row[name]] for name in expected)

    def _judge(self, message: Message, values: np.ndarray, now: float) -> Verdict:
        row = self._row.get(message.sender)
        if row is None:
            return Verdict.UNKNOWN_SENDER
        if message.protocol_id != self._protocol_id:
            return Verdict.FOREIGN_PROTOCOL
        if values.shape != (self._message_size,):
            return Verdict.WRONG_SHAPE
        if not (np.isfinite(values).all() and np.isfinite((message.stamp, *message.position)).all()):
            return Verdict.NOT_FINITE
        if now - message.stamp > self._max_age + CLOCK_STEP:
            return Verdict.TOO_OLD
        if message.stamp - now > self._max_ahead + CLOCK_STEP:
            return Verdict.FROM_FUTURE
        page = self._pages.get((message.tick, message.round))
        if page is not None and page.present[row]:
            return Verdict.DUPLICATE
        return Verdict.ACCEPTED

    def _page(self, tick: int, round: int) -> _Page:
        page = self._pages.get((tick, round))
        if page is None:
            page = self._pages[(tick, round)] = _Page(len(self._row), self._message_size)
            while len(self._pages) > PAGES:
                self._pages.pop(next(iter(self._pages)))
        return page
