"""Takes a node of another process through its life as the lifecycle manager does: a lost answer is asked for again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from signal import SIGABRT

from rclpy.node import Node

from parley_agents.managed_node import HEARTBEAT_TOPIC
from parley_bringup.managed_peer import ACTIVE, INACTIVE, STATE_NAMES, ManagedPeer
from parley_msgs.msg import Heartbeat

SLACK = 5.0  # s beyond a change's own limit, so that it is the peer who says what went wrong


def bring_up(
    node: Node,
    name: str,
    process: subprocess.Popen[bytes],
    wait: Callable[[Callable[[], bool], float], object],
    limit: float,
) -> None:
    """Configure and activate the node `name` of another process.

    Args:
        wait: serves `node` until a condition holds, for so many seconds at most.
        limit: for each step (s).

    Raises:
        AssertionError: the node refused, ended or hangs; a process that hangs is aborted, so that it prints its stack.
    """
    peer = ManagedPeer(node, name, lambda: None)

    def hear(beat: Heartbeat) -> None:
        if beat.pid == process.pid:  # one that was killed may still be in the graph
            peer.hear(beat, time.monotonic())

    def has_settled() -> bool:
        peer.step(time.monotonic())
        return not peer.is_busy

    def step(until: Callable[[], bool], what: str) -> None:
        wait(lambda: until() or process.poll() is not None, limit + SLACK)
        assert process.poll() is None, f"{name} ended with exit code {process.returncode} before {what}"
        if not until() or peer.refusal:
            heard = "never" if peer.heard is None else f"{time.monotonic() - peer.heard:.1f} s ago"
            process.send_signal(SIGABRT)
            process.wait(timeout=10)
            state = STATE_NAMES.get(peer.state, peer.state)
            reason = peer.refusal or "it did not refuse"
            reason += f"; its service is {'ready' if peer._change.service_is_ready() else 'not found'}"
            raise AssertionError(f"{name}: no {what} in {limit:g} s; it is {state}, last heard {heard}; {reason}")

    beats = node.create_subscription(Heartbeat, HEARTBEAT_TOPIC, hear, 10)
    step(lambda: peer.heard is not None, "heartbeat")
    for goal in (INACTIVE, ACTIVE):
        peer.request(goal, time.monotonic(), limit)
        step(has_settled, f"answer to become {STATE_NAMES[goal]}")
        assert peer.state == goal, f"{name} is {STATE_NAMES[peer.state]}, wanted {STATE_NAMES[goal]}"
    node.destroy_subscription(beats)
