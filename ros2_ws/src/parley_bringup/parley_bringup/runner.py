"""The embedded runner: starts a fleet's processes where no `ros2 launch` is, and leaves nothing behind.

It starts, restarts and ends processes; who may work when is the lifecycle manager's business, so that the same fleet
behaves the same under `ros2 launch`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parley_bringup import keeper
from parley_bringup.fleet_process import Process, describe_exit, usage
from parley_bringup.forked import Forked, can_fork, prepare
from parley_bringup.nodes import NodeSpec, write_parameters
from policy_core.config import ConfigError

SAMPLE_PERIOD = 1.0  # s between two looks at CPU time and memory
REFUSED = 2  # exit code of a node that refuses its parameters: starting it again would not help
TRIES = 4  # restarts in a row before a process is given up
STEADY = 30.0  # s of life after which a process counts as healthy again
LONGEST_DELAY = 8.0  # s
ESCALATION = ((signal.SIGINT, 2.0), (signal.SIGTERM, 1.0), (signal.SIGKILL, 0.5))  # with patience (s)
SHOWN = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "OMP_NUM_THREADS", "ROS_LOG_DIR")
MANAGER_PATIENCE = 1.2  # s the lifecycle manager has to take the fleet down in order


class Runner:
    """Runs the processes of one fleet: call `step` about ten times a second, and `close` whatever happens."""

    def __init__(
        self, specs: Sequence[NodeSpec], run_dir: Path, environment: Mapping[str, str], lock: socket.socket
    ) -> None:
        self.run_dir = run_dir
        self.events: list[tuple[float, str]] = []  # s since the start, what happened
        self.ended_by: Process | None = None  # the critical process whose end ended the fleet
        self.given_up: list[Process] = []  # ended too often
        self._environment = dict(environment)
        self._lock = lock
        self._processes = [Process(spec, run_dir / "logs" / f"{spec.process}.log") for spec in specs]
        self._keeper: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self._sampled = 0.0
        self._is_closed = False
        self._is_prepared = False  # the hosts' modules are imported here

    def start(self) -> None:
        """Write the parameter files and start everything.

        Raises:
            ConfigError: an executable is not installed.
        """
        missing = [process.spec.argv()[0] for process in self._processes if not Path(process.spec.argv()[0]).exists()]
        if missing:
            raise ConfigError(f"not installed: {', '.join(missing)}. Run `make setup`.")
        (self.run_dir / "logs").mkdir(parents=True, exist_ok=True)
        write_parameters([process.spec for process in self._processes])
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self._lock.fileno()],  # the domain stays taken until all is cleaned up
        )
        self._tell_keeper(f"={os.getpid()}")
        is_host = {process.spec.process: process.spec.executable == "host" for process in self._processes}
        for process in sorted(self._processes, key=lambda each: is_host[each.spec.process]):
            if is_host[process.spec.process] and not self._is_prepared and can_fork():
                prepare(next(iter(process.spec.parameters.values())).get("policy", ""))  # while the others start
                self._is_prepared = True
            self._start(process, is_copy=self._is_prepared)

    def step(self) -> bool:
        """Reap, restart and measure; False once a critical process has ended."""
        now = time.monotonic()
        for process in self._processes:
            code = process.popen.poll() if process.popen else None
            if code is not None:
                self._ended(process, code, now)
            if process.restart_at is not None and now >= process.restart_at and self.ended_by is None:
                self._start(process)
        if now - self._sampled >= SAMPLE_PERIOD:
            self._sample(now)
        return self.ended_by is None

    def close(self) -> None:
        """End every process within 5 s, remove what they left in shared memory, write processes.json."""
        if self._is_closed:
            return
        self._is_closed = True
        self._note("ending all")
        self._sample(time.monotonic())
        try:
            self._end_all()
        finally:
            if self._keeper and self._keeper.stdin:
                with contextlib.suppress(OSError):
                    self._keeper.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._keeper.wait(5.0)
            self._lock.close()
            self._write_report()

    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by process name."""
        return {process.spec.process: process.popen.pid for process in self._processes if process.popen}

    def last_words(self, lines: int = 15) -> dict[str, list[str]]:
        """What went wrong, by process: the lines marked ERROR or FATAL, or the last lines of one that crashed."""
        words: dict[str, list[str]] = {}
        for process in self._processes:
            if not process.log.exists():
                continue
            text = process.log.read_text(encoding="utf-8", errors="replace").splitlines()
            marked = [line for line in text if "[ERROR]" in line or "[FATAL]" in line]
            crashed = process.exit_code not in (None, 0)
            if text and (marked or crashed):
                words[process.spec.process] = (text if crashed and not marked else marked)[-lines:]
        return words

    def _start(self, process: Process, *, is_copy: bool = False) -> None:
        process.restart_at = None
        if is_copy:
            process.popen = Forked(process.spec.argv(), process.log, self._environment, self.run_dir)
        else:
            with process.log.open("ab") as log:
                process.popen = subprocess.Popen(
                    process.spec.argv(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    cwd=self.run_dir,
                    start_new_session=True,  # Ctrl-C in the terminal reaches the runner alone
                )
        process.started = time.monotonic()
        process.starts += 1
        process.exit_code = None
        process.pids.append(process.popen.pid)
        self._tell_keeper(f"+{process.popen.pid}")
        if process.starts > 1:
            self._note(f"{process.spec.process} started again (try {process.tries})")

    def _ended(self, process: Process, code: int, now: float) -> None:
        if process.popen:
            with contextlib.suppress(OSError):
                os.killpg(process.popen.pid, signal.SIGKILL)  # what it started itself, if anything
            self._tell_keeper(f"-{process.popen.pid}")
        process.popen, process.exit_code = None, code
        process.cpu, process.cpu_now = process.cpu + process.cpu_now, 0.0
        self._note(f"{process.spec.process} ended with {describe_exit(code)}")
        if self._is_closed:
            return
        if process.spec.is_critical or code == REFUSED:
            self.ended_by = self.ended_by or process
        elif process.spec.respawns:
            process.tries = 1 if now - process.started > STEADY else process.tries + 1
            if process.tries > TRIES:
                self.given_up.append(process)
                self._note(f"{process.spec.process} ended {process.tries} times in a row and is given up")
            else:
                process.restart_at = now + min(process.spec.respawn_delay * 2.0 ** (process.tries - 1), LONGEST_DELAY)

    def _sample(self, now: float) -> None:
        self._sampled = now
        for process in self._processes:
            if process.popen:
                cpu, peak = usage(process.popen.pid)
                process.cpu_now = max(process.cpu_now, cpu)
                process.peak_rss = max(process.peak_rss, peak)

    def _end_all(self) -> None:
        """The manager first, so that it can take the fleet down in order; then all, ever more firmly."""
        asked = [process for process in self._processes if process.spec.process == "lifecycle_manager"]
        self._signal(asked, signal.SIGINT)
        self._wait(asked, MANAGER_PATIENCE)
        for number, patience in ESCALATION:
            alive = [process for process in self._processes if process.popen]
            if not alive:
                return
            self._signal([process for process in alive if process not in asked], number)
            self._wait(alive, patience)
            asked = []

    def _signal(self, processes: Sequence[Process], number: int) -> None:
        for process in processes:
            if process.popen:
                with contextlib.suppress(OSError):
                    os.killpg(process.popen.pid, number)

    def _wait(self, processes: Sequence[Process], patience: float) -> None:
        """Wait until the processes have ended, `patience` seconds at most."""
        end = time.monotonic() + patience
        while True:
            now = time.monotonic()
            for process in processes:
                code = process.popen.poll() if process.popen else None
                if code is not None:
                    self._ended(process, code, now)
            if now > end or not any(process.popen for process in processes):
                return
            time.sleep(0.02)

    def _tell_keeper(self, line: str) -> None:
        if self._keeper and self._keeper.stdin:
            with contextlib.suppress(OSError):
                self._keeper.stdin.write(line.encode() + b"\n")
                self._keeper.stdin.flush()

    def _note(self, text: str) -> None:
        self.events.append((round(time.monotonic() - self._began, 3), text))

    def _write_report(self) -> None:
        """Write processes.json (what each process used) and runner.log (command lines, and what happened when)."""
        wall = round(time.monotonic() - self._began, 3)
        rows: list[dict[str, Any]] = [
            {
                "name": process.spec.process,
                "pid": process.pids[-1] if process.pids else 0,
                "cpu_s": round(process.cpu + process.cpu_now, 3),
                "peak_rss_mb": round(process.peak_rss / 1e6, 1),
                "wall_s": wall,
                "restarts": max(process.starts - 1, 0),
            }
            for process in self._processes
        ]
        cpu, peak = usage(os.getpid())
        own = {"name": "parley", "pid": os.getpid(), "cpu_s": round(cpu, 3), "peak_rss_mb": round(peak / 1e6, 1)}
        rows.append({**own, "wall_s": wall, "restarts": 0})
        part = self.run_dir / "processes.json.part"
        part.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        part.replace(self.run_dir / "processes.json")
        lines = [f"export {name}={shlex.quote(self._environment[name])}" for name in SHOWN if name in self._environment]
        lines += [shlex.join(process.spec.argv()) for process in self._processes]
        lines += [f"{seconds:9.3f} s  {text}" for seconds, text in self.events]
        (self.run_dir / "runner.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
