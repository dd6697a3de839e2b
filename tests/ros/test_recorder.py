"""The recorder over real DDS: everything said is in the file, and whatever ends the process leaves it readable."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.qos import QoSProfile
from rosbags.highlevel import AnyReader

from parley_bringup.recording.reader import read_messages, read_summary, recording_parts
from parley_bringup.recording.repair import repair_recording
from sim.warehouse.floorplan import read_floorplan
from tests.ros.bring_up import bring_up
from tests.support.scripted_fleet import AGENTS, ROUNDS, TOPIC_TYPES, ScriptedFleet

PLAN = read_floorplan(Path(__file__).parents[2] / "config/floorplans/small_dc.yaml")
LIMIT = 15.0  # s any wait may take on a loaded machine


class Stage:
    """Publishers of the scripted fleet's topics, and a recorder process that is taken through its life."""

    def __init__(self, run_dir):
        self.run_dir = run_dir
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("stage", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        qos = QoSProfile(depth=1000)
        self.publishers = {topic: self.node.create_publisher(kind, topic, qos) for topic, kind in TOPIC_TYPES.items()}
        self.processes = []
        self.said = Counter()

    def start_recorder(self, *parameters, file_limit=None):
        arguments = [argument for parameter in parameters for argument in ("-p", parameter)]
        command = [sys.executable, "-m", "parley_bringup.recorder", "--ros-args", "-p", f"run_dir:={self.run_dir}"]
        limit = None
        if file_limit is not None:
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))  # noqa: E731
        ghosts = self.heard_by()  # a killed recorder stays in the graph until its lease ends
        process = subprocess.Popen([*command, *arguments], preexec_fn=limit)
        self.processes.append(process)
        bring_up(self.node, "/recorder", process, self.wait, LIMIT)
        self.wait(lambda: all(now > before for now, before in zip(self.heard_by(), ghosts, strict=True)))
        return process

    def heard_by(self):
        return [publisher.get_subscription_count() for publisher in self.publishers.values()]

    def wait(self, holds, limit=LIMIT):
        end = time.monotonic() + limit
        while not holds():
            assert time.monotonic() < end, "waited in vain"
            self.executor.spin_once(timeout_sec=0.02)

    def play(self, ticks, seed=0):
        said = []
        for topic, message in ScriptedFleet(PLAN, seed=seed).play(ticks):
            self.publishers[topic].publish(message)
            self.said[topic] += 1
            said.append((topic, message))
            if topic == "/clock":
                time.sleep(0.002)
        return said

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(LIMIT)
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path / "run")
    yield stage
    stage.end()


def recorded_counts(run_dir):
    return Counter(recorded.topic for recorded in read_messages(run_dir, TOPIC_TYPES))


def test_everything_said_is_recorded_and_three_independent_readers_decode_it(stage):
    recorder = stage.start_recorder()
    said = stage.play(ticks=20)
    recorder_has_all = lambda: recorded_counts(stage.run_dir) == stage.said  # noqa: E731
    stage.wait(recorder_has_all)  # by the flush each second; also shows that a file in the making is readable
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(LIMIT) == 0

    path = stage.run_dir / "run.mcap"
    with path.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        decoded = [(channel.topic, message) for _, channel, _, message in reader.iter_decoded_messages(
            topics=["/fleet/messages"], log_time_order=True)]  # fmt: skip
    spoken = [message for topic, message in said if topic == "/fleet/messages"]
    assert len(decoded) == len(spoken) == 20 * ROUNDS * len(AGENTS)
    for (_, read), sent in zip(decoded, spoken, strict=True):
        assert (read.sender, read.tick, read.round) == (sent.sender, sent.tick, sent.round)
        assert bytes(read.tensor.data) == bytes(sent.tensor.data)

    for source in (stage.run_dir, path):  # as a rosbag2 folder, and the bare file
        with AnyReader([source]) as bag:
            counts = {connection.topic: connection.msgcount for connection in bag.connections}
            assert {topic: counts[topic] for topic in stage.said} == dict(stage.said)
            robots = [connection for connection in bag.connections if connection.topic == "/fleet/robots"]
            connection, _, raw = next(bag.messages(robots))
            assert len(bag.deserialize(raw, connection.msgtype).robots) == 4
            assert connection.ext.offered_qos_profiles[0].reliability.name == "RELIABLE"


def test_metadata_is_rosbag2_version_9_with_the_hash_of_each_type(stage):
    recorder = stage.start_recorder()
    stage.play(ticks=2)
    time.sleep(0.3)
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(LIMIT) == 0
    metadata = yaml.safe_load((stage.run_dir / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (metadata["version"], metadata["storage_identifier"]) == (9, "mcap")
    assert metadata["relative_file_paths"] == ["run.mcap"]
    entries = [entry["topic_metadata"] for entry in metadata["topics_with_message_count"]]
    (hash_,) = [entry["type_description_hash"] for entry in entries if entry["name"] == "/fleet/messages"]
    publisher = stage.node.get_publishers_info_by_topic("/fleet/messages")[0]
    expected = "RIHS01_" + bytes(publisher.topic_type_hash.value).hex()
    assert hash_ == expected


def test_a_kill_costs_at_most_one_flush_and_the_next_recorder_continues_in_a_second_file(stage):
    recorder = stage.start_recorder("flush_period:=0.2")
    stage.play(ticks=10)
    before = Counter(stage.said)
    stage.wait(lambda: recorded_counts(stage.run_dir) == before)
    recorder.kill()
    recorder.wait(LIMIT)
    assert read_summary(stage.run_dir / "run.mcap") is None  # cut off: no index
    assert recorded_counts(stage.run_dir) == before  # yet every message is there

    recorder = stage.start_recorder("flush_period:=0.2")
    stage.play(ticks=5, seed=1)
    stage.wait(lambda: recorded_counts(stage.run_dir) == stage.said)
    recorder.send_signal(signal.SIGTERM)
    assert recorder.wait(LIMIT) == 0
    assert [part.name for part in recording_parts(stage.run_dir)] == ["run.mcap", "run_1.mcap"]

    (note,) = repair_recording(stage.run_dir)
    assert "run.mcap was cut off" in note
    assert repair_recording(stage.run_dir) == []
    assert recorded_counts(stage.run_dir) == stage.said
    with AnyReader([stage.run_dir]) as bag:
        clock = [connection for connection in bag.connections if connection.topic == "/clock"]
        assert sum(1 for _ in bag.messages(clock)) == stage.said["/clock"] == 150


def test_a_full_disk_is_told_on_diagnostics_and_the_recorder_lives(stage):
    statuses = []
    stage.node.create_subscription(DiagnosticArray, "/diagnostics", lambda array: statuses.extend(array.status), 10)
    recorder = stage.start_recorder("flush_period:=0.1", file_limit=30_000)
    stage.play(ticks=30)
    stage.wait(lambda: any(status.level == DiagnosticStatus.ERROR for status in statuses))
    words = next(status.message for status in statuses if status.level == DiagnosticStatus.ERROR)
    assert "recording stopped" in words
    assert "Free space" in words
    assert recorder.poll() is None
    kept = recorded_counts(stage.run_dir)
    assert 0 < sum(kept.values()) < sum(stage.said.values())
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(LIMIT) == 0
    assert recorded_counts(stage.run_dir) == kept


def test_a_thinned_topic_keeps_every_nth_message_and_the_others_all(stage):
    recorder = stage.start_recorder("thin:=['/*/odom=5']")
    stage.play(ticks=10)
    expected = {topic: -(-count // 5) if topic.endswith("/odom") else count for topic, count in stage.said.items()}
    stage.wait(lambda: recorded_counts(stage.run_dir) == expected)
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(LIMIT) == 0


@pytest.mark.parametrize("thin", ["/*/scan", "/*/scan=0", "=3"])
def test_a_bad_thinning_ends_the_node_with_words(stage, thin):
    command = [sys.executable, "-m", "parley_bringup.recorder", "--ros-args", "-p", f"thin:=['{thin}']"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=dict(os.environ))
    assert ended.returncode == 2
    assert "PATTERN=N" in ended.stderr
    assert "Traceback" not in ended.stderr
