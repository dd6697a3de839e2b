"""Parties on the wire: each has a ROS context, and so a DDS participant, of its own; one thread serves all in turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.node import Node

from parley_agents.agent_node import AgentNode
from parley_agents.hub_node import BEST_EFFORT, TICK, HubNode
from parley_agents.managed_node import ManagedNode
from parley_msgs.msg import Decision, ObservationReport, TensorMessage

CONFIG = Path(__file__).parents[2] / "config"
TURN = 0.002  # s that one party is served before the next


class Party:
    """One participant with its nodes."""

    def __init__(self, make: Callable[[Any], list[Node]], **parameters: object) -> None:
        self.context = rclpy.Context()
        arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        rclpy.init(args=["--ros-args", *arguments] if arguments else [], context=self.context)
        self.nodes = make(self.context)
        self._executor = EventsExecutor(context=self.context)
        for node in self.nodes:
            self._executor.add_node(node)

    def serve(self) -> None:
        """Serve what has come in."""
        self._executor.spin_until_future_complete(rclpy.Future(), timeout_sec=TURN)

    def close(self) -> None:
        """Leave the wire."""
        for node in self.nodes:
            self._executor.remove_node(node)
            node.destroy_node()
        self._executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@contextmanager
def on_the_wire(*parties: Party) -> Iterator[Callable[..., None]]:
    """Gives `until(holds, limit)`, which serves all parties until `holds()`; closes them at the end.

    It begins when everybody can hear everybody: what is said before is lost to those not found yet, and for good.
    """
    alive = list(parties)

    def until(holds: Callable[[], bool], limit: float = 10.0) -> None:
        end = time.monotonic() + limit
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"waited {limit} s for nothing")
            for party in alive:
                if party.context.ok():
                    party.serve()

    try:
        until(lambda: everybody_is_matched(alive), limit=30.0)
        yield until
    finally:
        for party in alive:
            if party.context.ok():
                party.close()


def everybody_is_matched(parties: list[Party]) -> bool:
    """Each publisher of these parties knows of every subscription to its topic that they have, and the other way."""
    nodes = [node for party in parties for node in party.nodes]
    ears = Counter(ear.topic_name for node in nodes for ear in node.subscriptions)
    mouths = Counter(mouth.topic_name for node in nodes for mouth in node.publishers)
    return all(
        mouth.get_subscription_count() >= ears[mouth.topic_name] for node in nodes for mouth in node.publishers
    ) and all(ear.get_publisher_count() >= mouths[ear.topic_name] for node in nodes for ear in node.subscriptions)


class Spy(Node):
    """Hears what the fleet says, decides, is asked and tells of itself."""

    def __init__(self, context: Any) -> None:
        super().__init__("spy", context=context)
        self.messages: list[TensorMessage] = []
        self.decisions: list[Decision] = []
        self.reports: list[ObservationReport] = []
        self.told: dict[str, dict[str, str]] = {}
        self.words: dict[str, str] = {}
        self.create_subscription(TensorMessage, "/fleet/messages", self.messages.append, BEST_EFFORT)
        self.create_subscription(Decision, "/fleet/decisions", self.decisions.append, TICK)
        self.create_subscription(ObservationReport, "/fleet/observations", self.reports.append, TICK)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._hear, TICK)
        self.out = self.create_publisher(TensorMessage, "/fleet/messages", TICK)

    def count(self, agent: str, name: str) -> float:
        """A counter of an agent as last told on /diagnostics; 0 if never told."""
        return float(self.told.get(agent, {}).get(name, 0))

    def _hear(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.told[status.hardware_id] = {entry.key: entry.value for entry in status.values}
            self.words[status.hardware_id] = status.message


def agents_party(folder: Path, fleet: dict[str, str], names: list[str], **parameters: object) -> Party:
    """A host with some agents of a fleet (kind by name), configured and active."""
    file = folder / "fleet.yaml"
    agents = [{"name": name, "kind": kind, "host": "here"} for name, kind in fleet.items()]
    file.write_text(yaml.safe_dump({"name": "small", "agents": agents}))

    def make(context: Any) -> list[Node]:
        hub = HubNode(context=context)
        return [hub, *(AgentNode(name, hub, context=context) for name in names)]

    told = {
        "floorplan": CONFIG / "floorplans" / "small_dc.yaml",
        "fleet": file,
        "warehouse": CONFIG / "warehouse.yaml",
        "contract": CONFIG / "contract.yaml",
        **parameters,
    }
    party = Party(make, **told)
    start(party)
    return party


def start(party: Party) -> None:
    """Configure and activate every managed node."""
    for node in party.nodes:
        if isinstance(node, ManagedNode):
            for change in (node.trigger_configure, node.trigger_activate):
                assert "SUCCESS" in str(change()), f"{node.get_fully_qualified_name()} refused"
