"""Worlds in worker processes play bit for bit what one process plays, and what dies is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from policy_core.worlds.processes import WorldError
from tests.unit.policy_core.outside_world import ROOT, SHELVES, SPEAKER, E, build, draw, parts
from tests.unit.policy_core.test_train_command import paths


@pytest.mark.parametrize("env", [SPEAKER, SHELVES])
def test_workers_play_what_one_process_plays_bit_for_bit(env: str) -> None:
    options = {"max_cycles": 7} if env == SPEAKER else {"max_steps": 9}
    alone, shared = (build(env, worlds=5, workers=workers, options=options) for workers in (0, 2))
    for one, other in zip(parts(alone.reset(3, 4)), parts(shared.reset(3, 4)), strict=True):
        assert np.array_equal(one, other)
    for action in draw(alone, 20):
        one, other = alone.step(action), shared.step(action)
        pairs = zip(parts(one.observations), parts(other.observations), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FLAGS_AND_REWARD)
        assert one.kpis == other.kpis
        assert (one.final is None) == (other.final is None)
        if one.final is not None:
            assert all(np.array_equal(*pair) for pair in zip(parts(one.final), parts(other.final), strict=True))
    shared.close()


FLAGS_AND_REWARD = ("reward", "terminated", "truncated")


def test_a_killed_worker_is_told_by_name_and_the_others_end() -> None:
    world = build(SPEAKER, workers=2)
    world.reset(0)
    processes = [worker.process for worker in world.workers]
    processes[1].kill()
    processes[1].wait(timeout=10)
    with pytest.raises(WorldError, match=rf"worker 1 \(worlds 2 to 3\), process {processes[1].pid}, .*SIGKILL"):
        world.step(draw(world, 1)[0])
    assert all(process.poll() is not None for process in processes)


def test_a_world_that_fails_in_a_worker_is_told_with_its_traceback() -> None:
    world = build(SPEAKER, workers=2)
    world.reset(0)
    with pytest.raises(WorldError, match=r"worker 0 \(worlds 0 to 1\) failed:\nTraceback(.|\n)*not in action space"):
        world.step(np.full((E, 2, 1), 77, dtype=np.float32))


def test_workers_end_with_a_parent_that_is_killed() -> None:
    code = (
        "from policy_core.worlds.singles import make; import time;"
        f"w = make(2, 'policy_core.worlds.pettingzoo:build', {SPEAKER.split(':')[1]!r}, workers=2); w.reset(0);"
        "print(*[each.process.pid for each in w.workers], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | paths()
    )
    try:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.send_signal(signal.SIGKILL)
        limit = time.monotonic() + 20
        while any(is_running(child) for child in children) and time.monotonic() < limit:
            time.sleep(0.05)
        assert not any(is_running(child) for child in children)
    finally:
        parent.kill()
        parent.wait(timeout=10)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
