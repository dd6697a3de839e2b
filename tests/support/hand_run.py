"""A run folder written message by message, so that a test knows the answer to every figure drawn from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message

from parley_bringup.recording.definitions import read_definition
from parley_bringup.recording.metadata import write_metadata
from parley_bringup.recording.writer import RecordingWriter
from parley_bringup.report.context import AgentEntry, RunContext
from sim.warehouse.floorplan import read_floorplan

FLOORPLAN = Path(__file__).parents[2] / "config/floorplans/small_dc.yaml"
EPOCH = 1_700_000_000  # s, wall time of the first message


class HandRun:
    """Collects messages with their wall time of arrival and writes them as a run folder."""

    def __init__(self, run_dir: Path, agents: tuple[tuple[str, str], ...], **context: Any) -> None:
        self.run_dir = run_dir
        settings = {"policy": "greedy", "seed": 1, "minutes": 1.0, "rounds": 2} | context
        entries = tuple(AgentEntry(name=name, kind=kind) for name, kind in agents)
        RunContext(agents=entries, **settings).write(run_dir, read_floorplan(FLOORPLAN))
        self.writer = RecordingWriter(run_dir / "run.mcap")
        self.channels: dict[str, int] = {}

    def say(self, wall: float, topic: str, message: Any) -> None:
        """Record one message that arrived `wall` s after the first."""
        if topic not in self.channels:
            package = type(message).__module__.split(".")[0]
            definition = read_definition(f"{package}/msg/{type(message).__name__}")
            self.channels[topic] = self.writer.add_topic(topic, definition, "")
        self.writer.write(self.channels[topic], round((EPOCH + wall) * 1e9), bytes(serialize_message(message)))

    def finish(self) -> Path:
        self.writer.finish()
        write_metadata(self.run_dir)
        return self.run_dir


def at(seconds: float) -> Time:
    """A stamp of simulated time (s)."""
    return Time(sec=int(seconds), nanosec=round((seconds % 1.0) * 1e9))
