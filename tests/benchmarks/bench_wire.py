"""What DDS makes of learned messages: latency at an even pace and messages per second, from one process to another."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy

from parley_agents.convert import tensor_message
from parley_msgs.msg import TensorMessage
from policy_core.comm.wire import Message
from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import quantile_ms
from tests.benchmarks.wire_sink import QUALITIES, TOPIC

SIZES = (16, 256)  # numbers in a message
PACED, PERIOD = 400, 0.01  # messages, s between them
FLOOD = 4000  # messages as fast as one process can send them
LIMIT = 20.0  # s for the two processes to find each other
SETTLE = 0.5  # s for the last messages to arrive


def message(phase: int, size: int) -> TensorMessage:
    values = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    return tensor_message(Message("forklift_1", phase, 1, 2**60, time.time(), (1.0, 2.0, 0.3), values))


def exchange(context: rclpy.Context, quality: str) -> tuple[dict[int, list[list[float]]], list[float]]:
    """Send all phases to a new process; gives what came by phase, and the seconds that each flood took to send."""
    node = rclpy.create_node("wire_source", context=context)
    publisher = node.create_publisher(TensorMessage, TOPIC, QUALITIES[quality])
    program = [sys.executable, str(Path(__file__).with_name("wire_sink.py")), quality]
    sink = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + LIMIT
        while not publisher.get_subscription_count():
            assert time.monotonic() < end, "the two processes did not find each other"
            time.sleep(0.02)
        assert sink.stdout is not None and sink.stdout.readline() == "linked\n"
        time.sleep(SETTLE)
        floods = []
        for number, size in enumerate(SIZES):
            due = time.monotonic()
            for _ in range(PACED):
                publisher.publish(message(2 * number, size))
                due += PERIOD
                time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            for _ in range(FLOOD):
                publisher.publish(message(2 * number + 1, size))
            floods.append(time.perf_counter() - began)
            time.sleep(SETTLE)
        said, _ = sink.communicate(timeout=LIMIT)
        return {int(phase): came for phase, came in json.loads(said).items()}, floods
    finally:
        sink.kill()
        sink.wait()
        node.destroy_node()


@pytest.mark.timeout(120)
def test_wire(record: Record, ros_context: rclpy.Context) -> None:
    rows = []
    for quality in QUALITIES:
        came, floods = exchange(ros_context, quality)
        for number, size in enumerate(SIZES):
            latency = [received - sent for sent, received in came[2 * number]]
            flood = came[2 * number + 1]
            rows.append(
                {
                    "quality": quality,
                    "numbers": size,
                    "p50_ms": quantile_ms(latency, 0.5),
                    "p99_ms": quantile_ms(latency, 0.99),
                    "arrived_paced": len(latency) / PACED,
                    "sent_per_s": FLOOD / floods[number],
                    "received_per_s": len(flood) / (flood[-1][1] - flood[0][0]),
                    "arrived_flood": len(flood) / FLOOD,
                }
            )
    config = {
        "paced": PACED,
        "period_s": PERIOD,
        "flood": FLOOD,
        "processes": 2,
        "rmw": "rmw_fastrtps_cpp",
        "depth": 100,
    }
    record("wire", config, rows)
