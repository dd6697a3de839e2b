"""An inventory agent: from what the ledger tells about its zone to what it may choose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parley_agents.body import Choice, Position, Progress, Sheet
from policy_core.contract import Kind
from policy_core.serving.policy import Observation
from sim.warehouse.observe import observe_inventory
from sim.warehouse.settings import SKUS


class StockFacts(NamedTuple):
    """A stock report as plain arrays; meanings as in parley_msgs/StockReport."""

    stock: np.ndarray  # [SKUS] float64, as are the next five
    pipeline: np.ndarray
    demand: np.ndarray
    slack: np.ndarray  # s
    finishing: np.ndarray
    recent: np.ndarray
    totals: np.ndarray  # [4] float64: share of free slots, open lines, released lines, s until the next cut-off
    can_reorder: bool
    lines: np.ndarray  # [J, 3] int32: subject, family, lines left of the order
    line_facts: np.ndarray  # [J, 3] float64: slack (s), age (s), metres to the dock (-1: no free pallet)


def no_stock() -> StockFacts:
    """An empty zone nobody orders from; the shapes and types the kernel takes."""
    stock, pipeline, demand, slack, finishing, recent = np.zeros((6, SKUS))
    lines = np.zeros((0, 3), np.int32)
    line_facts = np.zeros((0, 3))
    return StockFacts(stock, pipeline, demand, slack, finishing, recent, np.zeros(4), False, lines, line_facts)


class InventoryBody:
    """Watches the stock of one zone from a fixed position."""

    def __init__(self, kind: Kind, position: Position) -> None:
        self.facts = no_stock()
        self._sheet = Sheet(kind)
        self._position = position
        self.observe(0.0)  # loads or compiles the kernel now, so that no tick waits for it

    def observe(self, now: float) -> Observation:
        """The zone as the last report told it."""
        sheet, facts = self._sheet, self.facts
        observe_inventory(sheet.vector, sheet.candidates, sheet.mask, sheet.verb, sheet.subject, *facts)
        return sheet.observation(self._position)

    def decide(self, index: int, now: float) -> Choice:
        """Nothing moves here: the task server does what is decided."""
        return self._sheet.choice(index)

    def progress(self) -> Progress:
        """An inventory agent has no job of its own."""
        return Progress()
