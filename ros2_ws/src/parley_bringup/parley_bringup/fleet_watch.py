"""Listen to a running fleet from the command line's own process, without taking part in it.

```
with FleetWatch(domain_id=45, agents=("forklift_1", "quality_1")) as watch:
    watch.snapshot().simulated
```
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from parley_msgs.msg import Decision, Heartbeat, Kpis, TensorMessage

RATE_WINDOW = 5.0  # s of wall time that rates are measured over
PATIENCE = 0.1  # s the listening thread waits before it looks whether to end
# A watcher must never slow down whom it watches; best effort matches every publisher.
WATCHING = QoSProfile(depth=500, reliability=ReliabilityPolicy.BEST_EFFORT)


class AgentStanding(NamedTuple):
    """How one agent stands, by what was last heard of it."""

    name: str
    verb: int = 0  # parley_msgs/Decision: the last that was not NONE
    phase: int = 0  # parley_msgs/Decision: how its job stands
    job: int = -1  # serial of its running job, -1 none
    silence: float | None = None  # s of wall time since its last heartbeat; None: never heard
    state: int = 0  # lifecycle_msgs/State
    restarts: int = 0  # how often its process came back as a new one
    dropped: int = 0  # messages of others it refused, by its diagnostics


class NodeStanding(NamedTuple):
    """How a node that is no agent stands."""

    name: str
    silence: float  # s of wall time since its last heartbeat
    state: int  # lifecycle_msgs/State


class FleetSnapshot(NamedTuple):
    """The fleet at one moment."""

    simulated: float  # s
    wall: float  # s since the watch began
    real_time_factor: float  # simulated per wall time, lately
    messages: int  # on the fleet topic since the watch began
    messages_per_second: float  # wall time, lately
    rounds_complete_share: float | None  # of all rounds since the watch began; None: no decision yet
    kpis: dict[str, float]  # counters of parley_msgs/Kpis
    agents: tuple[AgentStanding, ...]
    nodes: tuple[NodeStanding, ...]
    complaints: dict[str, str]  # node: its last diagnostic, where that was WARN or ERROR


class FleetWatch:
    """A node in a thread and a ROS context of its own that counts what a fleet says."""

    def __init__(self, domain_id: int | None, agents: Sequence[str], rounds: int = 2) -> None:
        """Prepare the watch.

        Args:
            domain_id: ROS domain of the fleet; None takes ROS_DOMAIN_ID.
            agents: names of the agents to show, in fleet order.
            rounds: message rounds in one decision.
        """
        self._domain_id, self._rounds = domain_id, rounds
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._agents = {name: AgentStanding(name) for name in agents}
        self._beats: dict[str, tuple[float, int, str]] = {}  # node: when heard, state, incarnation
        self._kpis: dict[str, float] = {}
        self._complaints: dict[str, str] = {}
        self._lately: deque[tuple[float, float, int]] = deque()  # when, simulated time, messages so far
        self._simulated, self._messages = 0.0, 0
        self._rounds_complete, self._rounds_expected = 0, 0
        self._began = time.monotonic()

    def start(self) -> FleetWatch:
        """Join the ROS graph and listen in a thread."""
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=self._domain_id, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("fleet_watch", context=self._context, start_parameter_services=False)
        for message_type, topic, callback in (
            (Clock, "/clock", self._on_clock),
            (Decision, "/fleet/decisions", self._on_decision),
            (Heartbeat, "/fleet/heartbeat", self._on_heartbeat),
            (Kpis, "/tasks/kpis", self._on_kpis),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            self._node.create_subscription(message_type, topic, callback, WATCHING)
        self._node.create_subscription(TensorMessage, "/fleet/messages", self._on_message, WATCHING, raw=True)
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._listen, name="fleet_watch", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Leave the ROS graph; the last snapshot stays available. May be called twice."""
        if self._thread is None:
            return
        self._ending.set()
        self._thread.join(timeout=5.0)
        self._thread = None
        self._node.destroy_node()
        self._context.try_shutdown()

    def __enter__(self) -> FleetWatch:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()

    @property
    def node(self) -> Any:
        """The watching node, for graph queries."""
        return self._node

    def snapshot(self) -> FleetSnapshot:
        """The fleet now; zeros and empty entries for what was not heard yet."""
        with self._lock:
            now = time.monotonic()
            self._forget(now)
            factor = rate = 0.0
            if self._lately:
                when, simulated, messages = self._lately[0]
                passed = max(now - when, 1e-3)
                factor, rate = (self._simulated - simulated) / passed, (self._messages - messages) / passed
            beats = {name: (now - heard, state) for name, (heard, state, _) in self._beats.items()}
            agents = []
            for name, standing in self._agents.items():
                silence, state = beats.pop(f"/{name}/agent", (None, 0))
                agents.append(standing._replace(silence=silence, state=state))
            share = self._rounds_complete / self._rounds_expected if self._rounds_expected else None
            return FleetSnapshot(
                simulated=self._simulated,
                wall=now - self._began,
                real_time_factor=factor,
                messages=self._messages,
                messages_per_second=rate,
                rounds_complete_share=share,
                kpis=dict(self._kpis),
                agents=tuple(agents),
                nodes=tuple(NodeStanding(name, *beats[name]) for name in sorted(beats)),
                complaints=dict(self._complaints),
            )

    def _listen(self) -> None:
        executor = EventsExecutor(context=self._context)
        executor.add_node(self._node)
        try:
            while self._context.ok() and not self._ending.is_set():
                # Finite: an endless spin of the events executor neither ends nor serves callbacks in Jazzy.
                executor.spin_until_future_complete(rclpy.Future(), timeout_sec=PATIENCE)
        finally:
            executor.remove_node(self._node)
            executor.shutdown()

    def _forget(self, now: float) -> None:
        while self._lately and now - self._lately[0][0] > RATE_WINDOW:
            self._lately.popleft()

    def _on_clock(self, message: Clock) -> None:
        with self._lock:
            now = time.monotonic()
            self._simulated = message.clock.sec + message.clock.nanosec * 1e-9
            self._lately.append((now, self._simulated, self._messages))
            self._forget(now)

    def _on_message(self, message: bytes) -> None:
        self._messages += 1

    def _on_decision(self, message: Decision) -> None:
        with self._lock:
            standing = self._agents.get(message.sender)
            if standing is None:
                return
            verb = message.verb or standing.verb
            self._agents[message.sender] = standing._replace(verb=verb, phase=message.phase, job=message.job)
            self._rounds_expected += self._rounds
            self._rounds_complete += min(message.rounds_complete, self._rounds)

    def _on_heartbeat(self, message: Heartbeat) -> None:
        with self._lock:
            known = self._beats.get(message.node)
            agent = self._agents.get(_agent_of(message.node))
            if agent is not None and known is not None and known[2] != message.incarnation:
                self._agents[agent.name] = agent._replace(restarts=agent.restarts + 1)
            self._beats[message.node] = (time.monotonic(), message.state, message.incarnation)

    def _on_kpis(self, message: Kpis) -> None:
        with self._lock:
            self._kpis = dict(zip(message.names, message.values, strict=False))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._lock:
            for status in message.status:
                if status.level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR):
                    self._complaints[status.name] = status.message
                else:
                    self._complaints.pop(status.name, None)
                agent = self._agents.get(_agent_of(status.name))
                if agent is not None:
                    drops = [int(told.value) for told in status.values if told.key.startswith("dropped_")]
                    self._agents[agent.name] = agent._replace(dropped=sum(drops))


def _agent_of(node: str) -> str:
    """The agent a node belongs to, by its fully qualified name: "/forklift_1/agent" is forklift_1's."""
    return node.strip("/").split("/")[0]
