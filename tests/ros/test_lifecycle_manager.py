from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.ros.dummy_fleet import dummy, log, manager, start, wait

pytestmark = pytest.mark.timeout(60)


def test_brings_up_in_order_revives_a_killed_node_and_takes_down_in_reverse(tmp_path: Path) -> None:
    runner = start(
        tmp_path,
        manager(tmp_path, "first", "second", silence=1.5),
        dummy(tmp_path, "first", respawns=True, respawn_delay=0.2),
        dummy(tmp_path, "second"),
    )
    try:
        assert wait(runner, lambda: "the fleet is active: 2 nodes" in log(tmp_path, "lifecycle_manager"), 20)
        os.kill(runner.pids()["first"], signal.SIGKILL)
        assert wait(runner, lambda: "/first is active again" in log(tmp_path, "lifecycle_manager"), 15)
        assert log(tmp_path, "first").count("active /first") == 2
        assert runner.ended_by is None
    finally:
        runner.close()
    assert runner.events[0][1] == "first ended with signal SIGKILL"
    moment = {name: int(log(tmp_path, name).split(f"inactive /{name} ")[1].split()[0]) for name in ("first", "second")}
    assert moment["second"] < moment["first"]


def test_a_refusal_ends_the_start_with_the_nodes_own_words(tmp_path: Path) -> None:
    nodes = dummy(tmp_path, "good"), dummy(tmp_path, "bad", "refuse")
    runner = start(tmp_path, manager(tmp_path, "good", "bad"), *nodes)
    try:
        assert wait(runner, lambda: runner.ended_by is not None, 20)
        assert runner.ended_by is not None
        assert runner.ended_by.exit_code == 3
        assert "/bad: the weights are for another fleet" in "".join(runner.last_words()["lifecycle_manager"])
    finally:
        runner.close()


def test_a_slow_transition_is_asked_after_and_a_missing_node_is_named(tmp_path: Path) -> None:
    runner = start(
        tmp_path,
        manager(tmp_path, "slow", "absent", start_timeout=6.0),
        dummy(tmp_path, "slow", "slow"),
    )
    try:
        assert wait(runner, lambda: runner.ended_by is not None, 20)
        assert "not heard within 6 s: /absent" in log(tmp_path, "lifecycle_manager")
    finally:
        runner.close()


def test_a_transition_longer_than_its_time_is_judged_by_the_real_state(tmp_path: Path) -> None:
    runner = start(tmp_path, manager(tmp_path, "slow", transition_timeout=2.0), dummy(tmp_path, "slow", "slow"))
    try:
        assert wait(runner, lambda: "the fleet is active" in log(tmp_path, "lifecycle_manager"), 20)
    finally:
        runner.close()


def test_a_second_manager_on_the_domain_refuses(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    runner = start(one, manager(one, "node"), dummy(one, "node"))
    try:
        assert wait(runner, lambda: "the fleet is active" in log(one, "lifecycle_manager"), 20)
        second = start(two, manager(two, "other"), is_locked=False)
        try:
            assert wait(second, lambda: second.ended_by is not None, 10)
            assert second.ended_by is not None
            assert second.ended_by.exit_code == 4
            assert "another fleet's lifecycle manager" in log(two, "lifecycle_manager")
        finally:
            second.close()
        assert wait(runner, lambda: runner.ended_by is None, 1)
    finally:
        runner.close()
