"""The runner's last witness: ends the fleet's processes and removes their shared memory when the runner has gone.

`python keeper.py` reads lines: `+PID` a process of the fleet, `-PID` it has ended, `=PID` the runner itself. While the
pipe is open it only notes which Fast DDS segments those processes map. When the pipe closes (the runner ended, or was
killed) it ends what is left of the fleet and removes the segments nobody holds any more. Standard library only, so
that it starts fast and stays small.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import sys
import time
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
SEGMENT = re.compile(r"/dev/shm/(fastrtps_(?:port)?[0-9a-f]+)\b")
MERCY = 2.0  # s between asking and killing


def main() -> int:
    """Watch until standard input closes, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it outlives what it watches; the closed pipe ends it
    watched: dict[int, str] = {}
    mapped: set[int] = set()
    segments: set[str] = set()
    pause = 0.2
    buffer = b""
    while True:
        ready, _, _ = select.select([0], [], [], pause)
        if ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                pid = int(line[1:])
                if line.startswith(b"-"):
                    watched.pop(pid, None)
                    mapped.discard(pid)
                    continue
                mapped.add(pid)
                if line.startswith(b"+"):
                    watched[pid] = birth(pid)
            pause = 0.2
        for pid in mapped:
            segments |= segments_of(pid)
        pause = min(5.0, pause * 1.3)
    end_processes(watched)
    for segment in segments:
        remove_segment(segment)
    return 0


def birth(pid: int) -> str:
    """When a process started (clock ticks since boot), to know it from a later one of the same number; '' if gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


def segments_of(pid: int) -> set[str]:
    """Names of the Fast DDS segments a process maps."""
    try:
        return set(SEGMENT.findall(Path(f"/proc/{pid}/maps").read_text()))
    except OSError:
        return set()


def end_processes(watched: dict[int, str]) -> None:
    """Ask the processes that are still the ones watched to end, then kill what did not."""
    for signal_number, patience in ((signal.SIGTERM, MERCY), (signal.SIGKILL, 1.0)):
        alive = [pid for pid, born in watched.items() if born and birth(pid) == born]
        for pid in alive:
            _signal_group(pid, signal_number)
        end = time.monotonic() + patience
        while time.monotonic() < end and any(birth(pid) == watched[pid] for pid in alive):
            time.sleep(0.05)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def remove_segment(name: str) -> None:
    """Remove one segment with its locks, unless a living process holds it (Fast DDS locks a file beside each)."""
    held = []
    try:
        for suffix in ("_el", "_sl"):
            path = SHARED_MEMORY / f"{name}{suffix}"
            if not path.exists():
                continue
            descriptor = os.open(path, os.O_RDWR)
            held.append(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for each in (name, f"{name}_el", f"{name}_sl", f"sem.{name}_mutex"):
            (SHARED_MEMORY / each).unlink(missing_ok=True)
    except OSError:
        return  # held by a living process, or another user's
    finally:
        for descriptor in held:
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
