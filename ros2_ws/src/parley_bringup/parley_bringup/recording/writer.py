"""Write raw ROS 2 messages to one MCAP file so that whatever ends the process leaves it readable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, cast

from mcap.writer import CompressionType, Writer

from parley_bringup.recording.definitions import Definition

CHUNK_BYTES = 512 * 1024  # before compression; a fleet of four with lasers fills one in about a second of wall time


class RecordingWriter:
    """One MCAP file, profile `ros2`, zstd chunks; on disk up to the last `flush` at every moment.

    Any method that touches the disk may raise OSError (disk full, quota, device gone). The file then still ends
    after its last whole chunk, and the only thing left to do is `abandon`.
    """

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            FileExistsError: the file is there already; a recording is never overwritten.
            OSError: the file cannot be created.
        """
        self.path = path
        self.messages = 0
        self._file = _GrowingFile(path)
        self._mcap = Writer(cast(IO[bytes], self._file), chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._schemas: dict[str, int] = {}
        self._mcap.start(profile="ros2", library="parley")
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes of the file so far; the chunk being filled is not counted."""
        return self._file.tell()

    def add_topic(self, topic: str, definition: Definition, offered_qos: str) -> int:
        """Announce a topic; gives the channel number that `write` wants.

        Args:
            topic: full topic name.
            definition: the message type.
            offered_qos: QoS of the topic's publishers, as rosbag2 spells it (YAML list).
        """
        if definition.name not in self._schemas:
            self._schemas[definition.name] = self._mcap.register_schema(
                definition.name, "ros2msg", definition.text.encode("utf-8")
            )
        return self._mcap.register_channel(
            topic,
            "cdr",
            self._schemas[definition.name],
            {"offered_qos_profiles": offered_qos, "topic_type_hash": definition.type_hash},
        )

    def write(self, channel: int, received: int, data: bytes) -> None:
        """Add one serialised message; `received` is the wall time of its arrival (ns since 1970).

        Raises:
            OSError: a chunk became full and the disk did not take it.
        """
        self._mcap.add_message(channel, received, data, publish_time=received)
        self.messages += 1
        if self._file.pending:
            self._file.flush()

    def flush(self) -> None:
        """End the chunk being filled and hand it to the kernel: from here on a kill loses nothing before it."""
        self._mcap.flush()

    def finish(self) -> None:
        """Write the index and close: a complete MCAP file."""
        self._mcap.finish()
        self._file.flush()
        self._file.close(is_synced=True)

    def abandon(self) -> None:
        """Close without an index, after an OSError; the chunks written before it stay readable."""
        self._file.close(is_synced=False)


class _GrowingFile:
    """The stream beneath the MCAP writer: a write that the disk refuses is taken back whole.

    A BufferedWriter would keep refused bytes and write them later, behind others, into the middle of a record.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._kept = 0  # bytes the kernel has
        self.pending = bytearray()

    def write(self, data: bytes) -> int:
        self.pending += data
        return len(data)

    def tell(self) -> int:
        return self._kept + len(self.pending)

    def flush(self) -> None:
        written = 0
        try:
            while written < len(self.pending):
                written += os.write(self._descriptor, memoryview(self.pending)[written:])
        except OSError:
            self.pending.clear()
            os.ftruncate(self._descriptor, self._kept)
            raise
        self._kept += written
        self.pending.clear()

    def close(self, is_synced: bool) -> None:
        try:
            if is_synced:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
