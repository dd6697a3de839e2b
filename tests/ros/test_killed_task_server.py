"""The task server as a process that is killed.

A file, and so a ROS domain, of its own: a lifecycle node that was destroyed may leave half of its services in the graph
until its process ends, and no client calls a service ready that has more readers than writers, or fewer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from parley_tasks.task_node import RESULT_FILE
from tests.ros.bring_up import bring_up
from tests.ros.test_task_node import TICKS, Stage, arguments, settings

__all__ = ["settings"]
PROGRAM = "from parley_tasks.task_node import main; raise SystemExit(main())"


class Process:
    """The task server as a process of its own, walked through its life as the lifecycle manager does."""

    def __init__(self, settings: dict[str, object], stage: Stage, started: list[subprocess.Popen[bytes]]) -> None:
        began = time.monotonic()
        self.popen = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments(settings)], env=os.environ)
        started.append(self.popen)
        bring_up(stage.fleet, "/task_server", self.popen, stage.run_until, 40.0)
        assert stage.run_until(lambda: stage.fleet.is_linked)
        self.active = time.monotonic() - began

    def end(self, number: int) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(timeout=10)


def test_a_killed_task_server_comes_back_with_the_same_world(settings, tmp_path) -> None:
    stage = Stage(settings, has_server=False)
    fleet, started = stage.fleet, list[subprocess.Popen[bytes]]()
    try:
        first = Process(settings, stage, started)
        fleet.say_time()
        assert stage.run_until(lambda: 23 in fleet.boards)
        first.end(signal.SIGKILL)
        stage.run_until(lambda: False, limit=0.3)
        reached = max(fleet.boards)
        known, running = fleet.kpis[reached], {job.serial: job.robot for job in fleet.boards[reached].jobs if job.robot}

        again = Process(settings, stage, started)
        fleet.tick = reached + 4  # the simulator has gone on meanwhile
        for _ in range(20):  # DDS may take a while to tell the new process from the dead one
            fleet.say_time()
            if stage.run_until(lambda: reached + 4 in fleet.boards, limit=1.0):
                break
        now = fleet.kpis[reached + 4]
        assert all(now[name] >= known[name] for name in ("lines_shipped", "orders_received", "contacts", "inspections"))
        listed = {job.serial: job.robot for job in fleet.boards[reached + 4].jobs if job.robot}
        assert all(listed.get(serial, robot) == robot for serial, robot in running.items())
        assert stage.run_until(lambda: TICKS in fleet.boards and TICKS in fleet.kpis)
        assert again.end(signal.SIGINT) == 0
    finally:
        stage.close()
        for process in started:
            process.kill()
    assert fleet.kpis[TICKS]["distance_m"] == pytest.approx(4 * 0.5 * TICKS), "nothing lost, nothing counted twice"
    assert json.loads((tmp_path / RESULT_FILE).read_text(encoding="utf-8"))["seconds"] == TICKS
    print(f"back after {again.active:.1f} s")
