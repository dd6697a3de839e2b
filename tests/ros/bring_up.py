"""Takes a node of another process through its life as the lifecycle manager does: a lost answer is asked for again."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from parley_agents.managed_node import HEARTBEAT_TOPIC
from parley_bringup.managed_peer import ACTIVE, INACTIVE, ManagedPeer
from parley_msgs.msg import Heartbeat


def bring_up(node: Node, name: str, pid: int, wait: Callable[[Callable[[], bool]], object], limit: float) -> None:
    """Configure and activate the node `name` of process `pid`; `wait` serves `node` until a condition holds.

    Raises:
        AssertionError: the node refused; in its own words.
    """
    peer = ManagedPeer(node, name, lambda: None)

    def hear(beat: Heartbeat) -> None:
        if beat.pid == pid:  # one that was killed may still be in the graph
            peer.hear(beat, time.monotonic())

    def has_settled() -> bool:
        peer.step(time.monotonic())
        return not peer.is_busy

    beats = node.create_subscription(Heartbeat, HEARTBEAT_TOPIC, hear, 10)
    wait(lambda: peer.heard is not None)
    for goal in (INACTIVE, ACTIVE):
        peer.request(goal, time.monotonic(), limit)
        wait(has_settled)
        assert not peer.refusal, f"{name}: {peer.refusal}"
        assert peer.state == goal, f"{name} is in state {peer.state}, wanted {goal}"
    node.destroy_subscription(beats)
