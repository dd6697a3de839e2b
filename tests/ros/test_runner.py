from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from parley_bringup import keeper
from parley_bringup.domain import hold_domain
from policy_core.config import ConfigError
from tests.ros.dummy_fleet import dummy, log, start, wait

pytestmark = pytest.mark.timeout(60)


def segments(pids: Iterable[int]) -> set[str]:
    """Names of the shared memory these processes use."""
    return set().union(*(keeper.segments_of(pid) for pid in pids))


def left_of(used: set[str]) -> set[str]:
    """Those segments that still lie there, and no process maps; Fast DDS shares ports between all domains."""
    held = segments(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return (used & set(os.listdir("/dev/shm"))) - held


def test_ends_even_a_deaf_node_within_5_s_and_leaves_no_shared_memory(tmp_path: Path) -> None:
    runner = start(tmp_path, dummy(tmp_path, "kind"), dummy(tmp_path, "stopped"))
    pids = runner.pids()
    assert wait(runner, lambda: all(keeper.segments_of(pid) for pid in pids.values()), 10)
    time.sleep(0.5)
    used = segments(pids.values())
    os.kill(pids["stopped"], signal.SIGSTOP)  # as deaf as a process can be
    began = time.monotonic()
    runner.close()
    assert time.monotonic() - began < 5.0
    assert not any(keeper.birth(pid) for pid in pids.values())
    assert used
    assert not left_of(used)
    rows = {row["name"]: row for row in json.loads((tmp_path / "processes.json").read_text())}
    assert rows["kind"]["cpu_s"] > 0.1
    assert rows["kind"]["peak_rss_mb"] > 20
    assert "shut down" in log(tmp_path, "kind")


def test_nothing_is_left_when_the_runner_itself_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib; sys.path.insert(0, '.')\n"
        "from tests.ros.dummy_fleet import *\n"
        f"run = pathlib.Path({str(tmp_path)!r})\n"
        "runner = start(run, dummy(run, 'one'), dummy(run, 'two'))\n"
        "print(*runner.pids().values(), flush=True)\n"
        "while True: runner.step(); time.sleep(0.05)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    end = time.monotonic() + 10
    while time.monotonic() < end and not all(keeper.segments_of(pid) for pid in pids):
        time.sleep(0.05)
    time.sleep(1.0)
    used = segments(pids)
    parent.kill()
    parent.wait()
    domain = int(os.environ["ROS_DOMAIN_ID"])
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            hold_domain(domain)[1].close()
            break
        except ConfigError:
            time.sleep(0.05)
    else:
        pytest.fail("the domain is still taken 5 s after the runner was killed")
    assert not any(keeper.birth(pid) for pid in pids)
    assert used
    assert not left_of(used)


def test_restarts_with_growing_delays_and_gives_up_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley_bringup.runner.TRIES", 2)
    runner = start(tmp_path, dummy(tmp_path, "frail", "exit", respawns=True, respawn_delay=0.1))
    try:
        assert wait(runner, lambda: bool(runner.given_up), 20)
    finally:
        runner.close()
    assert [text for _, text in runner.events] == [
        "frail ended with exit code 5",
        "frail started again (try 1)",
        "frail ended with exit code 5",
        "frail started again (try 2)",
        "frail ended with exit code 5",
        "frail ended 3 times in a row and is given up",
        "ending all",
    ]


def test_a_refused_parameter_ends_the_fleet_at_once(tmp_path: Path) -> None:
    spec = dummy(tmp_path, "told_wrong", respawns=True)
    spec.parameters["/told_wrong"]["seed"] = "seven"
    runner = start(tmp_path, spec)
    try:
        assert wait(runner, lambda: runner.ended_by is not None, 15)
        assert "parameter 'seed'" in runner.last_words()["told_wrong"][-1]
    finally:
        runner.close()


def test_a_second_fleet_on_the_domain_is_refused_at_once(tmp_path: Path) -> None:
    domain, lock = hold_domain(int(os.environ["ROS_DOMAIN_ID"]))
    with lock, pytest.raises(ConfigError, match=f"another Parley fleet is running in ROS domain {domain}"):
        hold_domain(domain)
    hold_domain(domain)[1].close()


def test_without_a_wish_a_free_domain_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID")
    first, one = hold_domain()
    second, two = hold_domain()
    with one, two:
        assert first != second
        assert {first, second} <= set(range(1, 102))
