"""Facts of an agent without wheels: the task server's report on its zone or station, once a tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from parley_agents import convert
from parley_agents.body import Begin
from parley_agents.hub_node import HubNode
from parley_agents.inventory import InventoryBody
from parley_agents.quality import QualityBody
from parley_msgs.msg import QualityReport, StockReport
from policy_core.contract import Kind
from sim.warehouse.routes import Tables
from sim.warehouse.state import INSPECTION, SLOT
from sim.warehouse.stations import middle_of


class Report(NamedTuple):
    """A report with its place in the protocol."""

    agent: str
    tick: int
    stamp: float  # s
    facts: Any  # StockFacts or QueueFacts


class ReportFeed:
    """Begins a decision with every new report on `agent`.

    Args:
        read: makes plain facts of a report.
        begin: called with tick and stamp when the body's facts are those of a new tick.
    """

    def __init__(
        self,
        hub: HubNode,
        agent: str,
        body: InventoryBody | QualityBody,
        topic: str,
        report: type,
        read: Callable[[Any], Any],
        begin: Begin,
    ) -> None:
        self.body = body
        self.is_active = False
        self._hub = hub
        self._agent = agent
        self._begin = begin
        self._tick = -1

        def read_report(ros: Any) -> Report:
            return Report(ros.agent, ros.tick, convert.seconds(ros.header.stamp), read(ros))

        hub.listen(topic, report, read_report, self._hear)

    def look(self, wall: float) -> None:
        """Nothing here has a deadline."""

    def stop(self) -> None:
        """Nothing here moves."""

    def close(self) -> None:
        """Leave the topic."""
        self._hub.unlisten(self._hear)

    def _hear(self, report: Report) -> None:
        if self.is_active and report.agent == self._agent and report.tick != self._tick:
            self._tick = report.tick
            self.body.facts = report.facts
            self._begin(report.tick, report.stamp)


def inventory_feed(hub: HubNode, agent: str, number: int, kind: Kind, tables: Tables, begin: Begin) -> ReportFeed:
    """The feed of the inventory agent of zone `number`."""
    body = InventoryBody(kind, middle_of(tables, SLOT, number))
    return ReportFeed(hub, agent, body, "/tasks/stock", StockReport, convert.stock_facts, begin)


def quality_feed(hub: HubNode, agent: str, number: int, kind: Kind, tables: Tables, begin: Begin) -> ReportFeed:
    """The feed of the quality agent of station `number`."""
    body = QualityBody(kind, middle_of(tables, INSPECTION, number))
    return ReportFeed(hub, agent, body, "/tasks/quality", QualityReport, convert.queue_facts, begin)
