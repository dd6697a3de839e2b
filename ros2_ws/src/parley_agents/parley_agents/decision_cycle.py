"""One decision: begin, K rounds of saying and hearing, choose. Driven by what arrives; knows no clock and no ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from parley_agents.tick_barrier import TickBarrier
from policy_core.comm.wire import Message
from policy_core.serving.inbox import Inbox, Verdict
from policy_core.serving.policy import AgentPolicy, Observation


class DecisionCycle:
    """Runs one agent's policy through its rounds.

    A round ends when every expected neighbour was heard, or when `give_up` says that its deadline passed; who is
    missing then is masked, and is not waited for again until heard.

    Args:
        agent: own name, the sender of what is said.
        policy: decides.
        inbox: keeps what the neighbours say; knows shape, protocol and age limits.
        protocol_id: put on every message sent.
        radio_range: neighbours farther away (m) are masked.
        rounds: K of the contract.
        neighbours: names of all other agents.
        limit: how long one round may last (s of wall time).
        say: sends a message to the fleet.
        decided: takes the chosen candidate and the number of rounds that were complete.
    """

    def __init__(
        self,
        agent: str,
        policy: AgentPolicy,
        inbox: Inbox,
        protocol_id: int,
        radio_range: float,
        rounds: int,
        neighbours: Iterable[str],
        limit: float,
        say: Callable[[Message], None],
        decided: Callable[[int, int], None],
    ) -> None:
        self._agent = agent
        self._policy = policy
        self._inbox = inbox
        self._protocol_id = protocol_id
        self._radio_range = radio_range
        self._rounds = rounds
        self._barrier = TickBarrier(neighbours, limit)
        self._say = say
        self._decided = decided
        self._tick, self._round, self._stamp = -1, 0, 0.0
        self._position = (0.0, 0.0, 0.0)
        self._now = 0.0
        self._complete = 0
        self._deadline = 0.0

    @property
    def is_waiting(self) -> bool:
        """A round is open."""
        return self._round > 0

    @property
    def missing(self) -> list[str]:
        """Neighbours that fell silent and are not waited for, sorted."""
        return sorted(self._barrier.members - self._barrier.expected)

    def start(self, tick: int, stamp: float, observation: Observation, wall: float) -> None:
        """Begin the decision of a tick observed at `stamp` (s); one still open is abandoned.

        `wall` is the monotonic wall time (s) from which the round's deadline counts.
        """
        self._tick, self._stamp, self._position = tick, stamp, observation.position
        self._now, self._complete = stamp, 0
        message = self._policy.begin(observation)
        self._round = 1 if self._rounds else 0
        if not self._rounds:
            self._decided(self._policy.choose(), 0)
            return
        self._open_round(message, wall)
        self._read_complete(wall)

    def offer(self, message: Message, now: float, wall: float) -> Verdict:
        """Take in what a neighbour said; `now` is the clock (s) its age is judged by."""
        verdict = self._inbox.offer(message, now)
        if verdict is Verdict.ACCEPTED:
            self._now = max(self._now, now)
            self._barrier.arrive(message.sender, self._number(message.tick, message.round))
            self._read_complete(wall)
        return verdict

    def give_up(self, now: float, wall: float) -> list[str]:
        """If the open round's deadline has passed, go on without the missing and return their names."""
        if not self.is_waiting or wall < self._deadline:
            return []
        self._now = max(self._now, now)
        missing = self._barrier.expire(self._number(self._tick, self._round))
        self._read(wall)
        self._read_complete(wall)
        return missing

    def abandon(self) -> None:
        """Close an open round without a decision."""
        self._round = 0

    def _number(self, tick: int, round_: int) -> int:
        return tick * max(self._rounds, 1) + round_ - 1

    def _open_round(self, values: np.ndarray, wall: float) -> None:
        self._deadline = wall + self._barrier.limit
        self._say(Message(self._agent, self._tick, self._round, self._protocol_id, self._stamp, self._position, values))

    def _read_complete(self, wall: float) -> None:
        while self.is_waiting and self._barrier.complete(self._number(self._tick, self._round)):
            self._complete += self._inbox.complete(self._tick, self._round, self._barrier.expected)
            self._read(wall)

    def _read(self, wall: float) -> None:
        heard = self._inbox.view(self._tick, self._round, self._now)
        apart = np.hypot(heard.position[:, 0] - self._position[0], heard.position[:, 1] - self._position[1])
        reply = self._policy.hear(heard._replace(present=heard.present & (apart <= self._radio_range)))
        if self._round == self._rounds or reply is None:
            self._round = 0
            self._decided(self._policy.choose(), self._complete)
            return
        self._round += 1
        self._open_round(reply, wall)
