"""A process that begins as a copy of this one: torch, numba and ROS are imported once for all of a fleet's hosts.

Only for the first start, while this process has no threads of its own and has not joined the graph: what DDS keeps in
memory must not be copied. Every later start is a fresh interpreter with the same command line.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

FIRST_DESCRIPTOR, LAST_DESCRIPTOR = 3, 4096  # closed in the copy


class Forked:
    """What `subprocess.Popen` is to a fresh interpreter, as far as the runner needs it."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> None:
        """Start the Python script argv[0] in a session of its own; its output is added to `log`."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._exit_code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, log, environment, folder)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


def can_fork() -> bool:
    """Whether a copy of this process is safe: it is one thread, and ROS is not in use."""
    import rclpy

    return threading.active_count() == 1 and not rclpy.ok()


def prepare(policy: str) -> None:
    """Import what hosts with this policy need, and keep the garbage collector from copying the pages they share."""
    importlib.import_module("parley_agents.host")
    if policy.startswith("bundle:"):
        importlib.import_module("policy_core.serving.onboard")
    gc.collect()
    gc.freeze()


def _become(argv: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> NoReturn:
    """Run the script in this copy, and never return into the runner's code."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        null, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for descriptor, target in ((null, 0), (out, 1), (out, 2)):
            os.dup2(descriptor, target)
        os.closerange(FIRST_DESCRIPTOR, LAST_DESCRIPTOR)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), line_buffering=True) for descriptor in (1, 2)
        )
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = list(argv)
        runpy.run_path(argv[0], run_name="__main__")
        code = 0
    except SystemExit as wish:
        code = wish.code if isinstance(wish.code, int) else 0 if wish.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
