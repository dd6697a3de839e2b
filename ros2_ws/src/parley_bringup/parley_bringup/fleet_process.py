"""One process of a fleet: its lives, what it used, and the environment it starts in."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from parley_bringup.forked import Forked
from parley_bringup.nodes import NodeSpec


@dataclass
class Process:
    """One process of the fleet, through all its lives."""

    spec: NodeSpec
    log: Path
    popen: subprocess.Popen[bytes] | Forked | None = None
    started: float = 0.0  # s, monotonic
    restart_at: float | None = None  # s, monotonic; None: no restart is due
    starts: int = 0
    tries: int = 0
    exit_code: int | None = None
    cpu: float = 0.0  # s, of all ended lives
    cpu_now: float = 0.0  # s, of this life
    peak_rss: int = 0  # bytes
    pids: list[int] = field(default_factory=list)


def usage(pid: int) -> tuple[float, int]:
    """CPU time so far (s, without that of children) and peak resident memory (bytes); zeros if it has gone."""
    try:
        times = psutil.Process(pid).cpu_times()
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (psutil.Error, OSError):
        return 0.0, 0
    peak = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return times.user + times.system, peak


def environment(domain: int, run_dir: Path, *, is_local: bool) -> dict[str, str]:
    """The environment of a fleet's processes: its domain, this machine only unless told otherwise, logs in the run."""
    chosen = dict(os.environ)
    chosen["ROS_DOMAIN_ID"] = str(domain)
    if is_local:
        chosen.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    chosen.setdefault("OMP_NUM_THREADS", "1")  # many small processes on one machine
    chosen["ROS_LOG_DIR"] = str(run_dir / "logs" / "ros")
    chosen["RCUTILS_COLORIZED_OUTPUT"] = "0"
    chosen["RCUTILS_LOGGING_BUFFERED_STREAM"] = "0"
    chosen["PYTHONUNBUFFERED"] = "1"
    return chosen


def describe_exit(code: int) -> str:
    """An exit code as subprocess gives it, in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
