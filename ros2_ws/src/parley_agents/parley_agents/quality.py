"""A quality-control agent: from what the ledger tells about its station to what it may choose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parley_agents.body import Choice, Position, Progress, Sheet
from policy_core.contract import Kind
from policy_core.serving.policy import Observation
from sim.warehouse.observe import QUEUE, observe_quality
from sim.warehouse.settings import SUPPLIERS


class QueueFacts(NamedTuple):
    """A quality report as plain arrays; meanings as in parley_msgs/QualityReport."""

    queue: np.ndarray  # [QUEUE, 4] int32: pallet serial (-1: empty), state, family, supplier
    queue_facts: np.ndarray  # [QUEUE, 4] float64: reading, inspections, waited (s), under inspection now
    busy: float  # s
    arriving: float  # pallets
    supplier_history: np.ndarray  # [SUPPLIERS] float64
    is_staffed: bool


def empty_queue() -> QueueFacts:
    """A station without pallets; the shapes and types the kernel takes."""
    queue = np.zeros((QUEUE, 4), np.int32)
    queue[:, 0] = -1
    return QueueFacts(queue, np.zeros((QUEUE, 4)), 0.0, 0.0, np.zeros(SUPPLIERS), True)


class QualityBody:
    """Judges the pallets of one station from a fixed position."""

    def __init__(self, kind: Kind, position: Position) -> None:
        self.facts = empty_queue()
        self._sheet = Sheet(kind)
        self._position = position
        self.observe(0.0)  # loads or compiles the kernel now, so that no tick waits for it

    def observe(self, now: float) -> Observation:
        """The queue as the last report told it."""
        sheet, facts = self._sheet, self.facts
        observe_quality(sheet.vector, sheet.candidates, sheet.mask, sheet.verb, sheet.subject, *facts)
        return sheet.observation(self._position)

    def decide(self, index: int, now: float) -> Choice:
        """Nothing moves here: the task server does what is decided."""
        return self._sheet.choice(index)

    def progress(self) -> Progress:
        """A station has no job of its own."""
        return Progress()
