"""Finish recordings that a kill cut off, so that every tool opens them."""

from __future__ import annotations

from pathlib import Path

from parley_bringup.recording.definitions import Definition
from parley_bringup.recording.metadata import METADATA_FILE, write_metadata
from parley_bringup.recording.reader import read_raw, read_summary, recording_parts
from parley_bringup.recording.writer import RecordingWriter


def repair_recording(run_dir: Path) -> list[str]:
    """Finish every part of a run's recording that was cut off, and describe all parts anew for rosbag2.

    Returns:
        What was repaired, in words; empty where all was well.

    Raises:
        OSError: the disk has no room for a copy; what was recorded is left as it was.
    """
    cut_off = [part for part in recording_parts(run_dir) if read_summary(part) is None]
    notes = [f"{part.name} was cut off; it was finished with the {_finish(part)} messages it held" for part in cut_off]
    if notes or not (run_dir / METADATA_FILE).is_file():
        write_metadata(run_dir)
    return notes


def _finish(path: Path) -> int:
    """Replace a cut-off file by a finished one with the same messages, in one step; gives their number."""
    copy = path.with_suffix(".recovered")
    copy.unlink(missing_ok=True)
    writer = RecordingWriter(copy)
    try:
        channels: dict[int, int] = {}
        for schema, channel, message in read_raw(path):
            if channel.id not in channels:
                type_hash = channel.metadata.get("topic_type_hash", "")
                definition = Definition(schema.name, schema.data.decode("utf-8"), type_hash)
                qos = channel.metadata.get("offered_qos_profiles", "")
                channels[channel.id] = writer.add_topic(channel.topic, definition, qos)
            writer.write(channels[channel.id], message.log_time, message.data)
        writer.finish()
    except OSError:
        writer.abandon()
        copy.unlink(missing_ok=True)
        raise
    copy.replace(path)
    return writer.messages
