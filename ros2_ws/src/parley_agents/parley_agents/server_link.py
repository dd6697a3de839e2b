"""The agent's view of the policy server: asked every tick, waited for while it answers, never relied on."""

from __future__ import annotations

from typing import NamedTuple

from policy_core.serving.policy import Observation


class Question(NamedTuple):
    """An observation that the server has been asked about."""

    tick: int
    stamp: float  # s
    observation: Observation
    deadline: float  # s, wall


class ServerLink:
    """Whether to wait for the server, and what is open.

    A server that misses one limit is not waited for again until it has been heard, so a dead server costs the fleet
    the limit once.

    Args:
        limit: how long one answer may take (s of wall time).
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.is_expected = True
        self.open: Question | None = None

    def ask(self, tick: int, stamp: float, observation: Observation, wall: float) -> bool:
        """Note a question; False if its answer is not worth waiting for."""
        self.open = Question(tick, stamp, observation, wall + self.limit) if self.is_expected else None
        return self.is_expected

    def answer(self, tick: int) -> Question | None:
        """The server was heard: the question this answers, None if it comes too late or was never asked."""
        self.is_expected = True
        if self.open is None or self.open.tick != tick:
            return None
        question, self.open = self.open, None
        return question

    def overdue(self, wall: float) -> Question | None:
        """The question to decide onboard now, because its answer did not come in time."""
        if self.open is None or wall < self.open.deadline:
            return None
        question, self.open = self.open, None
        self.is_expected = False
        return question
