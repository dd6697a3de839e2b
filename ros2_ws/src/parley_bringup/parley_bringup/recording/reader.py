"""Read recordings, finished or cut off: every message up to the last whole chunk."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import CRCValidationError, StreamReader
from mcap.summary import Summary
from mcap_ros2.decoder import DecoderFactory

FIRST_PART = "run.mcap"
_SHORTEST = 45  # bytes: magic number at both ends and the footer
# What a file that ends in the middle of a record makes the MCAP library raise.
_CUT_OFF = (McapError, CRCValidationError, zstandard.ZstdError, EOFError, struct.error, ValueError)


class Recorded(NamedTuple):
    """One message of a recording."""

    topic: str
    received: int  # wall time of arrival, ns since 1970
    message: Any  # decoded; fields as in the .msg file


def recording_parts(run_dir: Path) -> list[Path]:
    """The files of a run's recording in the order they were written: `run.mcap`, `run_1.mcap`, ...

    More than one exists where the recorder was started again during the run.
    """
    later = [path for path in run_dir.glob("run_*.mcap") if path.stem[4:].isdigit()]
    parts = [run_dir / FIRST_PART, *sorted(later, key=lambda path: int(path.stem[4:]))]
    return [path for path in parts if path.is_file()]


def next_part(run_dir: Path) -> Path:
    """The file a recorder that starts now writes."""
    number = len(recording_parts(run_dir))
    return run_dir / (f"run_{number}.mcap" if number else FIRST_PART)


def read_summary(path: Path) -> Summary | None:
    """The index of a finished file (channels, schemas, counts); None where the file was cut off."""
    if path.stat().st_size < _SHORTEST:
        return None
    try:
        with path.open("rb") as stream:
            return make_reader(stream).get_summary()
    except _CUT_OFF:
        return None


def read_messages(run_dir: Path, topics: Collection[str]) -> Iterator[Recorded]:
    """Decode the messages of some topics over all parts of a recording, in the order of their arrival.

    A part that was cut off is read up to its last whole chunk.
    """
    for path in recording_parts(run_dir):
        factory = DecoderFactory()  # numbers of schemas are a file's own
        decoders: dict[int, Callable[[bytes], Any]] = {}
        for schema, channel, message in read_raw(path):
            if channel.topic not in topics:
                continue
            if channel.id not in decoders:
                decoder = factory.decoder_for(channel.message_encoding, schema)
                if decoder is None:
                    continue
                decoders[channel.id] = decoder
            yield Recorded(channel.topic, message.log_time, decoders[channel.id](message.data))


def read_raw(path: Path) -> Iterator[tuple[Schema, Channel, Message]]:
    """The serialised messages of one file with their channel and schema; ends quietly where the file was cut off."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with path.open("rb") as stream:
        records = iter(StreamReader(stream, validate_crcs=True).records)
        while True:
            try:
                record = next(records, None)
            except _CUT_OFF:
                return
            if record is None:
                return
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                channel = channels[record.channel_id]
                yield schemas[channel.schema_id], channel, record
