"""The `metadata.yaml` of rosbag2 (version 9), written from the recording's own index."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from parley_bringup.recording.reader import read_summary, recording_parts

METADATA_FILE = "metadata.yaml"


def write_metadata(run_dir: Path) -> Path | None:
    """Describe every finished part of a run's recording, so that rosbag2 tools open the run folder as a bag.

    Returns:
        The file written; None where no part is finished yet.

    Raises:
        OSError: the file cannot be written; an earlier one stays as it was.
    """
    summaries = [(path, summary) for path in recording_parts(run_dir) if (summary := read_summary(path))]
    files, topics, counts = [], {}, Counter[str]()
    for path, summary in summaries:
        statistics = summary.statistics
        if statistics is None:
            continue
        start, end = statistics.message_start_time, statistics.message_end_time
        files.append(_file_entry(path.name, start, end - start, statistics.message_count))
        for channel in summary.channels.values():
            counts[channel.topic] += statistics.channel_message_counts.get(channel.id, 0)
            topics[channel.topic] = {
                "name": channel.topic,
                "type": summary.schemas[channel.schema_id].name,
                "serialization_format": channel.message_encoding,
                "offered_qos_profiles": yaml.safe_load(channel.metadata.get("offered_qos_profiles", "")) or [],
                "type_description_hash": channel.metadata.get("topic_type_hash", ""),
            }
    if not files:
        return None
    filled = [entry for entry in files if entry["message_count"]] or files
    first = min(entry["starting_time"]["nanoseconds_since_epoch"] for entry in filled)
    last = max(entry["starting_time"]["nanoseconds_since_epoch"] + entry["duration"]["nanoseconds"] for entry in filled)
    content = {
        "rosbag2_bagfile_information": {
            "version": 9,
            "storage_identifier": "mcap",
            "duration": {"nanoseconds": last - first},
            "starting_time": {"nanoseconds_since_epoch": first},
            "message_count": sum(counts.values()),
            "topics_with_message_count": [
                {"topic_metadata": topics[name], "message_count": counts[name]} for name in sorted(topics)
            ],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [entry["path"] for entry in files],
            "files": files,
            "custom_data": None,
            "ros_distro": "jazzy",
        }
    }
    target = run_dir / METADATA_FILE
    part = target.with_suffix(".yaml.part")
    part.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    part.replace(target)
    return target


def _file_entry(name: str, start: int, duration: int, messages: int) -> dict[str, Any]:
    return {
        "path": name,
        "starting_time": {"nanoseconds_since_epoch": start},
        "duration": {"nanoseconds": duration},
        "message_count": messages,
    }
