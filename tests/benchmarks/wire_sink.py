"""The receiving process of the wire benchmark: notes when messages came, until its input ends; then prints as JSON.

Usage: wire_sink.py best-effort|reliable. The tick of a message is the phase it belongs to.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import rclpy
from rclpy.experimental.events_executor import EventsExecutor

from parley_agents.convert import message_of
from parley_agents.hub_node import BEST_EFFORT, TICK
from parley_msgs.msg import TensorMessage

TOPIC = "/bench/messages"
QUALITIES = {"best-effort": BEST_EFFORT, "reliable": TICK}


def main() -> None:
    """Serve the subscription until standard input ends."""
    came: dict[int, list[tuple[float, float]]] = {}  # phase: sent, received (s, wall)

    def hear(ros: TensorMessage) -> None:
        message = message_of(ros)
        came.setdefault(message.tick, []).append((message.stamp, time.time()))

    rclpy.init()
    node = rclpy.create_node("wire_sink")
    node.create_subscription(TensorMessage, TOPIC, hear, QUALITIES[sys.argv[1]])
    executor = EventsExecutor()
    executor.add_node(node)
    stop = rclpy.Future()

    def end() -> None:
        sys.stdin.read()
        stop.set_result(None)

    threading.Thread(target=end, daemon=True).start()
    is_told = False
    while not stop.done():
        executor.spin_until_future_complete(stop, timeout_sec=0.1)
        if not is_told and node.count_publishers(TOPIC):
            is_told = True
            print("linked", flush=True)
    print(json.dumps(came), flush=True)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
