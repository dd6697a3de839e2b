"""Recordings: the definitions they carry, and a file that stays whole when the disk does not."""

import resource
import sys
from pathlib import Path

import pytest
import yaml
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock

from parley_bringup.recording.definitions import DefinitionError, read_definition
from parley_bringup.recording.metadata import write_metadata
from parley_bringup.recording.reader import next_part, read_messages, read_raw, read_summary, recording_parts
from parley_bringup.recording.repair import repair_recording
from parley_bringup.recording.writer import RecordingWriter
from parley_msgs.msg import JobBoard, TensorMessage
from tests.support.hand_run import at

CLOCK = read_definition("rosgraph_msgs/msg/Clock")


def write_seconds(writer, channel, seconds):
    for second in seconds:
        writer.write(channel, second * 10**9, bytes(serialize_message(Clock(clock=at(second)))))


def recorded_seconds(run_dir):
    return [recorded.message.clock.sec for recorded in read_messages(run_dir, {"/clock"})]


def test_a_definition_holds_the_type_and_every_type_inside_it_once():
    text = read_definition("parley_msgs/msg/JobBoard").text
    parts = text.split("=" * 80 + "\n")
    assert [part.splitlines()[0] for part in parts[1:]] == [
        "MSG: std_msgs/Header",
        "MSG: parley_msgs/Job",
        "MSG: builtin_interfaces/Time",
    ]
    assert parts[0] == (Path(_share("parley_msgs")) / "msg/JobBoard.msg").read_text()


def _share(package):
    return Path(sys.prefix, "share", package)


@pytest.mark.parametrize("message_type", [JobBoard, TensorMessage, Clock])
def test_a_definition_carries_the_hash_the_publishers_announce(message_type):
    package = message_type.__module__.split(".")[0]
    definition = read_definition(f"{package}/msg/{message_type.__name__}")
    assert definition.type_hash.startswith("RIHS01_")
    assert len(definition.type_hash) == len("RIHS01_") + 64


@pytest.mark.parametrize("name", ["nobody_msgs/msg/Thing", "parley_msgs/msg/Nothing", "parley_msgs/Job", "Job"])
def test_a_type_that_is_not_installed_is_refused_by_name(name):
    with pytest.raises(DefinitionError, match=name):
        read_definition(name)


def test_what_was_flushed_is_readable_while_the_file_still_grows(tmp_path):
    writer = RecordingWriter(tmp_path / "run.mcap")
    channel = writer.add_topic("/clock", CLOCK, "")
    write_seconds(writer, channel, range(3))
    assert recorded_seconds(tmp_path) == []
    writer.flush()
    write_seconds(writer, channel, range(3, 5))
    assert recorded_seconds(tmp_path) == [0, 1, 2]
    writer.finish()
    assert recorded_seconds(tmp_path) == [0, 1, 2, 3, 4]


def test_a_recording_is_never_overwritten(tmp_path):
    RecordingWriter(tmp_path / "run.mcap").finish()
    with pytest.raises(FileExistsError):
        RecordingWriter(tmp_path / "run.mcap")
    assert next_part(tmp_path).name == "run_1.mcap"


def test_a_disk_that_takes_no_more_leaves_every_chunk_before_it(tmp_path):
    writer = RecordingWriter(tmp_path / "run.mcap")
    channel = writer.add_topic("/clock", CLOCK, "")
    write_seconds(writer, channel, range(3))
    writer.flush()
    kept, (soft, hard) = writer.size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept + 10, hard))  # the kernel takes 10 bytes more, then refuses
    try:
        write_seconds(writer, channel, range(3, 6))
        with pytest.raises(OSError, match="File too large"):
            writer.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.abandon()
    assert (tmp_path / "run.mcap").stat().st_size == kept  # not even the 10 bytes stay
    assert recorded_seconds(tmp_path) == [0, 1, 2]
    assert len(repair_recording(tmp_path)) == 1
    assert read_summary(tmp_path / "run.mcap").statistics.message_count == 3


def test_a_bit_that_flipped_ends_the_reading_before_its_chunk(tmp_path):
    writer = RecordingWriter(tmp_path / "run.mcap")
    channel = writer.add_topic("/clock", CLOCK, "")
    write_seconds(writer, channel, range(3))
    writer.flush()
    start = writer.size
    write_seconds(writer, channel, range(3, 6))
    writer.flush()
    middle = (start + writer.size) // 2
    writer.finish()
    content = bytearray((tmp_path / "run.mcap").read_bytes())
    content[start + 60] ^= 0xFF
    assert start + 60 < middle
    (tmp_path / "run.mcap").write_bytes(content)
    assert recorded_seconds(tmp_path) == [0, 1, 2]


def test_parts_are_one_recording_in_the_order_of_their_numbers(tmp_path):
    for number in range(11):
        writer = RecordingWriter(next_part(tmp_path))
        write_seconds(writer, writer.add_topic("/clock", CLOCK, ""), [number])
        writer.finish()
    assert [part.name for part in recording_parts(tmp_path)][-2:] == ["run_9.mcap", "run_10.mcap"]
    assert recorded_seconds(tmp_path) == list(range(11))
    metadata = yaml.safe_load(write_metadata(tmp_path).read_text())["rosbag2_bagfile_information"]
    assert metadata["message_count"] == 11
    assert metadata["duration"]["nanoseconds"] == 10 * 10**9


def test_no_finished_part_means_no_metadata(tmp_path):
    writer = RecordingWriter(tmp_path / "run.mcap")
    assert write_metadata(tmp_path) is None
    writer.finish()
    assert write_metadata(tmp_path) == tmp_path / "metadata.yaml"


@pytest.mark.parametrize("size", [0, 3, 20, 60])
def test_a_file_cut_off_in_its_first_bytes_is_an_empty_recording(tmp_path, size):
    writer = RecordingWriter(tmp_path / "run.mcap")
    write_seconds(writer, writer.add_topic("/clock", CLOCK, ""), [1])
    writer.finish()
    (tmp_path / "run.mcap").write_bytes((tmp_path / "run.mcap").read_bytes()[:size])
    assert recorded_seconds(tmp_path) == []
    assert "0 messages" in repair_recording(tmp_path)[0]
    assert read_summary(tmp_path / "run.mcap").statistics.message_count == 0


def test_the_bytes_recorded_are_the_bytes_published(tmp_path):
    writer = RecordingWriter(tmp_path / "run.mcap")
    raw = bytes(serialize_message(Clock(clock=at(7.25))))
    writer.write(writer.add_topic("/clock", CLOCK, ""), 5, raw)
    writer.finish()
    ((schema, channel, message),) = read_raw(tmp_path / "run.mcap")
    assert (schema.name, schema.encoding, channel.topic) == ("rosgraph_msgs/msg/Clock", "ros2msg", "/clock")
    assert message.data == raw
