"""What every kind of agent has between its facts and its policy: one sheet of observation and choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from policy_core.contract import Kind
from policy_core.serving.policy import Observation
from sim.warehouse.state import NO_JOB

Begin = Callable[[int, float], None]  # takes tick and stamp (s) when the facts of a new tick are complete
Position = tuple[float, float, float]  # x (m), y (m), yaw (rad) in map


class Choice(NamedTuple):
    """A candidate, and what it means to the task server; words as in parley_msgs/Decision."""

    candidate: int
    verb: int
    subject: int
    pick_distance: float = 0.0  # m along the route to a claimed pallet


class Progress(NamedTuple):
    """How the running job stands; words as in parley_msgs/Decision. The defaults are those of agents without wheels."""

    job: int = NO_JOB  # serial number
    phase: int = 0
    blocked: float = 0.0  # s so far
    travelled: float = 0.0  # m so far
    battery: float = 1.0  # share of its capacity that is left


class Body(Protocol):
    """The part of an agent that differs from kind to kind."""

    def observe(self, now: float) -> Observation:
        """What the agent senses at `now` (s); valid until the next call."""

    def decide(self, index: int, now: float) -> Choice:
        """Act on the chosen candidate of the last observation."""

    def progress(self) -> Progress:
        """How the running job stands."""


class Feed(Protocol):
    """Where a body's facts come from, and when they make a tick."""

    is_active: bool  # what arrives while this is False is ignored

    @property
    def body(self) -> Body:
        """The agent's own part."""

    def look(self, wall: float) -> None:
        """See to deadlines; called often, with the wall time (s)."""

    def stop(self) -> None:
        """Bring everything that moves to a stand."""

    def close(self) -> None:
        """Leave all topics."""


class Sheet:
    """The arrays that the kernels of sim/warehouse/observe.py fill, kept from tick to tick."""

    def __init__(self, kind: Kind) -> None:
        self.vector = np.zeros(kind.observation_size, np.float32)
        self.candidates = np.zeros((kind.candidates, kind.candidate_size), np.float32)
        self.mask = np.zeros(kind.candidates, np.bool_)
        self.verb = np.zeros(kind.candidates, np.int32)
        self.subject = np.zeros(kind.candidates, np.int32)

    def observation(self, position: Position) -> Observation:
        """The sheet as a policy reads it."""
        return Observation(self.vector, self.candidates, self.mask, position)

    def blank(self) -> Observation:
        """An observation of nothing, in which only candidate 0 is allowed."""
        self.mask[0] = True
        return self.observation((0.0, 0.0, 0.0))

    def choice(self, index: int) -> Choice:
        """What candidate `index` means."""
        return Choice(index, int(self.verb[index]), int(self.subject[index]))
