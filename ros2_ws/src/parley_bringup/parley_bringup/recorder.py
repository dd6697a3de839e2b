"""The node that records a run: raw bytes from the fleet's topics into `run.mcap`, never decoded on the way.

Published topics: /diagnostics (what is recorded, or why not), /fleet/heartbeat.
Parameters: `topics`, `thin`, `flush_period`, `run_dir` (the run folder).
A run that cannot be recorded goes on: a full disk becomes an ERROR on /diagnostics, never a stopped fleet.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rclpy.topic_endpoint_info import TopicEndpointInfo

from parley_agents.managed_node import ManagedNode, run
from parley_bringup.recording.definitions import DefinitionError, read_definition
from parley_bringup.recording.metadata import write_metadata
from parley_bringup.recording.reader import next_part
from parley_bringup.recording.writer import RecordingWriter
from policy_core.config import ConfigError

TOPICS = [
    "/clock",
    "/tf",
    "/tf_static",
    "/diagnostics",
    "/fleet/*",
    "/tasks/*",
    "/sim/*",
    "/*/odom",
    "/*/scan",
    "/*/cmd_vel",
    "/*/fork_command",
    "/*/joint_states",
    "/*/battery_state",
]
LOOK_AROUND_PERIOD = 0.5  # s of wall time between looks at the graph for topics that appeared
REPORT_PERIOD = 1.0  # s of wall time between two statuses on /diagnostics
LOW_DISK = 200 * 2**20  # bytes free below which /diagnostics warns
QUEUE = 1000  # messages a topic may bring while a chunk is compressed


class Recorder(ManagedNode):
    """Subscribes to whatever the topic patterns match, with the QoS its publishers offer, and writes it down."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", **options)
        self._patterns: list[str] = self.setting("topics", TOPICS, "topics to record; * stands for anything")
        thinned: list[str] = self.setting("thin", [""], "PATTERN=N records every Nth message, e.g. /*/scan=5")
        self._thin = dict(_read_thinning(entry) for entry in thinned if entry)
        self._flush_period: float = self.setting(
            "flush_period", 1.0, "wall time a kill of this process may cost (s)", low=0.05, high=60.0
        )
        self._writer: RecordingWriter | None = None
        self._subscriptions_by_topic: dict[str, Subscription] = {}
        self._refused: dict[str, str] = {}
        self._skipped: dict[int, int] = {}
        self._lost = 0
        self._failure = ""
        self._wall_timers: list[Timer] = []

    # --- life

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the run folder; a recording that is there already is kept, and this one becomes its next part."""
        if not self.run_settings.run_dir:
            raise ConfigError("parameter 'run_dir' is empty; give the folder the recording goes to.")
        self._run_dir = Path(self.run_settings.run_dir)
        self._run_dir.mkdir(parents=True, exist_ok=True)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the next part of the recording and subscribe to what is there."""
        self._failure, self._lost = "", 0
        try:
            self._writer = RecordingWriter(next_part(self._run_dir))
        except OSError as error:
            self._give_up(error)
        self._look_around()
        self._wall_timers = [
            self.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
            for period, callback in (
                (LOOK_AROUND_PERIOD, self._look_around),
                (self._flush_period, self._flush),
                (REPORT_PERIOD, self._report),
            )
        ]
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the file and describe it for rosbag2."""
        self._stop()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the file where nobody deactivated the node first."""
        self._stop()
        return TransitionCallbackReturn.SUCCESS

    def _stop(self) -> None:
        for timer in self._wall_timers:
            self.destroy_timer(timer)
        for subscription in self._subscriptions_by_topic.values():
            self.destroy_subscription(subscription)
        self._wall_timers, self._subscriptions_by_topic, self._refused, self._skipped = [], {}, {}, {}
        if self._writer is not None:
            try:
                self._writer.finish()
                self.get_logger().info(f"{self._writer.path.name}: {self._writer.messages} messages recorded.")
            except OSError as error:
                self._give_up(error)
            self._writer = None
            self._describe()

    def _describe(self) -> None:
        try:
            write_metadata(self._run_dir)
        except OSError as error:
            self.get_logger().error(f"metadata.yaml was not written: {error}. The .mcap files are readable without it.")

    # --- callbacks

    def _look_around(self) -> None:
        """Subscribe to matching topics that have a publisher and are not recorded yet."""
        if self._writer is None:
            return
        for topic, types in self.get_topic_names_and_types():
            is_known = topic in self._subscriptions_by_topic or topic in self._refused
            if is_known or not any(fnmatch.fnmatchcase(topic, pattern) for pattern in self._patterns):
                continue
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            try:
                self._subscribe(topic, types[0], publishers)
            except (DefinitionError, ImportError, AttributeError) as error:
                self._refused[topic] = str(error)
                self.get_logger().warning(f"{topic} is not recorded: {error}")
            except OSError as error:
                self._give_up(error)
                return

    def _subscribe(self, topic: str, type_name: str, publishers: list[TopicEndpointInfo]) -> None:
        assert self._writer is not None
        definition = read_definition(type_name)
        package, _, name = type_name.split("/")
        message_type = getattr(importlib.import_module(f"{package}.msg"), name)
        channel = self._writer.add_topic(topic, definition, offered_qos(publishers))
        every = next((n for pattern, n in self._thin.items() if fnmatch.fnmatchcase(topic, pattern)), 1)
        take = (
            functools.partial(self._take_every, channel, every) if every > 1 else functools.partial(self._take, channel)
        )
        self._subscriptions_by_topic[topic] = self.create_subscription(
            message_type, topic, take, matching_qos(publishers), raw=True
        )

    def _take(self, channel: int, data: bytes) -> None:
        if self._writer is None:
            self._lost += 1
            return
        try:
            self._writer.write(channel, time.time_ns(), data)
        except OSError as error:
            self._give_up(error)

    def _take_every(self, channel: int, every: int, data: bytes) -> None:
        count = self._skipped.get(channel, 0)
        self._skipped[channel] = (count + 1) % every
        if count == 0:
            self._take(channel, data)

    def _flush(self) -> None:
        if self._writer is not None:
            try:
                self._writer.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Stop recording, keep what is on disk, and let the run go on."""
        name, kept = next_part(self._run_dir).name, 0
        if self._writer is not None:
            name, kept = self._writer.path.name, self._writer.size
            self._writer.abandon()
            self._writer = None
        self._failure = (
            f"recording stopped: {error.strerror or error}; {name} keeps its first {kept / 1e6:.1f} MB. The run goes "
            f"on unrecorded. Free space under {self._run_dir}, then deactivate and activate the recorder."
        )
        self.get_logger().error(self._failure)
        self.tell(DiagnosticStatus.ERROR, self._failure, lost=self._lost)

    def _report(self) -> None:
        if self._writer is None:
            self.tell(DiagnosticStatus.ERROR, self._failure, lost=self._lost)
            return
        free = shutil.disk_usage(self._run_dir).free
        level, words = DiagnosticStatus.OK, "recording"
        if self._refused:
            level, words = DiagnosticStatus.WARN, f"recording, but not {', '.join(sorted(self._refused))}"
        if free < LOW_DISK:
            level, words = DiagnosticStatus.WARN, f"recording, but only {free // 2**20} MB are free"
        self.tell(
            level,
            words,
            file=self._writer.path.name,
            topics=len(self._subscriptions_by_topic),
            messages=self._writer.messages,
            bytes=self._writer.size,
        )


def _read_thinning(entry: str) -> tuple[str, int]:
    pattern, _, count = entry.rpartition("=")
    if not pattern or not count.isdigit() or int(count) < 1:
        raise ConfigError(f"parameter 'thin': wanted PATTERN=N with N of 1 or more, such as /*/scan=5; saw '{entry}'.")
    return pattern, int(count)


def matching_qos(publishers: list[TopicEndpointInfo]) -> QoSProfile:
    """The strictest QoS that every publisher of a topic still matches."""
    offers = [publisher.qos_profile for publisher in publishers]
    is_reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    is_kept = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return QoSProfile(
        depth=QUEUE,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_kept else DurabilityPolicy.VOLATILE,
    )


def offered_qos(publishers: list[TopicEndpointInfo]) -> str:
    """The publishers' QoS as rosbag2 version 9 spells it: a YAML list of mappings."""
    offers = [publisher.qos_profile for publisher in publishers]
    return str(yaml.safe_dump([_spell(offer) for offer in offers], sort_keys=False))


def _spell(qos: QoSProfile) -> dict[str, Any]:
    def time_of(duration: Any) -> dict[str, int]:
        seconds, nanoseconds = divmod(duration.nanoseconds, 10**9)
        return {"sec": seconds, "nsec": nanoseconds}

    return {
        "history": qos.history.name.lower(),
        "depth": qos.depth,
        "reliability": qos.reliability.name.lower(),
        "durability": qos.durability.name.lower(),
        "deadline": time_of(qos.deadline),
        "lifespan": time_of(qos.lifespan),
        "liveliness": qos.liveliness.name.lower(),
        "liveliness_lease_duration": time_of(qos.liveliness_lease_duration),
        "avoid_ros_namespace_conventions": qos.avoid_ros_namespace_conventions,
    }


def main() -> int:
    """Run the recorder until SIGINT or SIGTERM."""
    return run(lambda: [Recorder()])


if __name__ == "__main__":
    sys.exit(main())
