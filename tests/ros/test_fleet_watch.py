"""The command line's watch over a fleet, the graph query and the live view, against real topics."""

import json
import time

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rich.console import Console
from rosgraph_msgs.msg import Clock

from parley_bringup.fleet_watch import FleetWatch
from parley_bringup.graph_snapshot import query_graph
from parley_bringup.live_view import LiveView
from parley_msgs.msg import Decision, Heartbeat, Kpis, TensorMessage

LIMIT = 10.0  # s any wait may take on a loaded machine


class Stage:
    """A node that says what a fleet says, and a watch that listens."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("stage", context=self.context)
        qos = QoSProfile(depth=100)
        self.publishers = {
            kind: self.node.create_publisher(kind, topic, qos)
            for kind, topic in (
                (Clock, "/clock"), (Decision, "/fleet/decisions"), (Heartbeat, "/fleet/heartbeat"),
                (Kpis, "/tasks/kpis"), (DiagnosticArray, "/diagnostics"),
            )
        }  # fmt: skip
        unsure = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.publishers[TensorMessage] = self.node.create_publisher(TensorMessage, "/fleet/messages", unsure)
        self.watch = FleetWatch(None, ("forklift_1", "quality_1"), rounds=2).start()
        self.wait(lambda: all(publisher.get_subscription_count() for publisher in self.publishers.values()))
        self.wait(lambda: all(hearing.get_publisher_count() for hearing in self.watch.node.subscriptions))

    def say(self, message):
        self.publishers[type(message)].publish(message)

    def wait(self, holds):
        end = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)

    def end(self):
        self.watch.stop()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.end()


def test_a_snapshot_tells_time_talk_kpis_and_how_each_agent_stands(stage):
    for second in range(3):
        clock = Clock()
        clock.clock.sec = second
        stage.say(clock)
    for complete in (2, 1):
        stage.say(TensorMessage(sender="forklift_1"))
        stage.say(Decision(sender="forklift_1", verb=Decision.CLAIM, phase=Decision.TO_PICK, job=4,
                           rounds_complete=complete))  # fmt: skip
    stage.say(Kpis(names=["orders_done", "orders_received"], values=[3.0, 5.0]))
    stage.say(Heartbeat(node="/forklift_1/agent", incarnation="a", state=3))
    stage.say(Heartbeat(node="/task_server", incarnation="b", state=3))
    stage.wait(lambda: stage.watch.snapshot().nodes and stage.watch.snapshot().kpis)
    snapshot = stage.watch.snapshot()
    assert snapshot.simulated == 2.0
    assert snapshot.real_time_factor > 0
    assert snapshot.messages == 2
    assert snapshot.rounds_complete_share == 0.75
    assert snapshot.kpis["orders_done"] == 3.0
    forklift, quality = snapshot.agents
    assert (forklift.verb, forklift.phase, forklift.job, forklift.state) == (Decision.CLAIM, Decision.TO_PICK, 4, 3)
    assert forklift.silence < LIMIT
    assert quality.silence is None
    assert [node.name for node in snapshot.nodes] == ["/task_server"]


def test_a_process_that_came_back_counts_as_a_restart_and_drops_are_summed(stage):
    for incarnation in ("a", "a", "b"):
        stage.say(Heartbeat(node="/quality_1/agent", incarnation=incarnation, state=3))
    status = DiagnosticStatus(level=DiagnosticStatus.WARN, name="/quality_1/agent", message="foreign protocol")
    status.values = [KeyValue(key="dropped_too_old", value="2"), KeyValue(key="dropped_not_finite", value="1")]
    stage.say(DiagnosticArray(status=[status]))
    stage.wait(lambda: stage.watch.snapshot().complaints and stage.watch.snapshot().agents[1].restarts)
    quality = stage.watch.snapshot().agents[1]
    assert (quality.restarts, quality.dropped) == (1, 3)
    assert stage.watch.snapshot().complaints == {"/quality_1/agent": "foreign protocol"}
    status.level = DiagnosticStatus.OK
    stage.say(DiagnosticArray(status=[status]))
    stage.wait(lambda: not stage.watch.snapshot().complaints)


def test_the_last_snapshot_stays_after_the_watch_has_stopped(stage):
    stage.say(TensorMessage(sender="forklift_1"))
    stage.wait(lambda: stage.watch.snapshot().messages == 1)
    stage.watch.stop()
    stage.watch.stop()
    assert stage.watch.snapshot().messages == 1


def test_the_graph_query_finds_nodes_and_endpoints_but_not_itself(stage, tmp_path):
    twin = rclpy.create_node("stage", context=stage.context)
    graph = query_graph(stage.watch.node, LIMIT)
    twin.destroy_node()
    assert "/stage" in graph.nodes
    assert "/fleet_watch" not in graph.nodes
    assert graph.twice == ("/stage",)
    (messages,) = [topic for topic in graph.topics if topic.name == "/fleet/messages"]
    assert (messages.types, messages.publishers, messages.subscriptions) == (("parley_msgs/msg/TensorMessage",), 1, 0)
    written = json.loads(graph.write(tmp_path, [{"name": "sim", "pid": 1}]).read_text())
    assert written["nodes"] == list(graph.nodes)
    assert written["processes"] == [{"name": "sim", "pid": 1}]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_live_view_shows_a_snapshot_with_and_without_a_terminal(stage, is_terminal):
    stage.say(Kpis(names=["orders_done", "orders_received", "contacts"], values=[31.0, 47.0, 0.0]))
    stage.say(Heartbeat(node="/forklift_1/agent", incarnation="a", state=3))
    stage.wait(lambda: stage.watch.snapshot().kpis and stage.watch.snapshot().agents[0].silence is not None)
    console = Console(force_terminal=is_terminal, width=100, record=True)
    with LiveView(console, minutes=5.0) as view:
        view.update(stage.watch.snapshot())
        view.update(stage.watch.snapshot())
    shown = console.export_text()
    assert "31" in shown
    assert "16" in shown  # open orders
    assert ("forklift_1" in shown) == is_terminal
    if not is_terminal:
        assert len(shown.splitlines()) == 1  # one line every few seconds, not one per snapshot
