"""PyBullet worlds in worker processes play bit for bit what one process plays, and what dies is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from policy_core.config import ConfigError
from policy_core.environment import Advising, Observations, Step
from policy_core.ppo.checkpoint import Restorable
from policy_core.worlds.processes import WorldError
from sim.bullet.env import BulletWarehouse, make
from sim.bullet.workers import BulletWorkers
from tests.unit.sim.warehouse_world import CONFIG

SIZE = {"forklifts": 2, "episode": 18.0}


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(CONFIG.parent)


def parts(observations: Observations) -> list[np.ndarray]:
    kinds = [part for kind in observations.kinds.values() for part in kind]
    return [*kinds, observations.position, observations.alive, observations.state]


def are_equal(one: Observations, other: Observations) -> bool:
    pairs = zip(parts(one), parts(other), strict=True)
    return all(mine.dtype == theirs.dtype and np.array_equal(mine, theirs) for mine, theirs in pairs)


def are_equal_steps(one: Step, other: Step) -> bool:
    if (one.final is None) != (other.final is None):
        return False
    numbers = ("reward", "terminated", "truncated")
    return (
        are_equal(one.observations, other.observations)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in numbers)
        and one.kpis == other.kpis
        and (one.final is None or other.final is None or are_equal(one.final, other.final))
    )


def test_workers_play_what_one_process_plays_bit_for_bit_and_snapshots_are_the_same():
    alone, shared = make(3, **SIZE), make(3, **SIZE, workers=2)
    assert isinstance(alone, BulletWarehouse) and isinstance(shared, BulletWorkers)
    assert isinstance(shared, Advising) and isinstance(shared, Restorable)
    assert (shared.agents, shared.kinds, shared.contract) == (alone.agents, alone.kinds, alone.contract)
    assert are_equal(alone.reset(3, 4), shared.reset(3, 4))
    ended, steps = [], []
    for tick in range(20):
        if tick == 12:
            saved, theirs = alone.snapshot(), shared.snapshot()
            assert saved.keys() == theirs.keys()
            assert all(np.array_equal(saved[name], theirs[name]) for name in saved)
        advice = shared.advise()
        assert np.array_equal(advice, alone.advise())
        one, other = alone.step(advice), shared.step(advice)
        assert are_equal_steps(one, other), f"tick {tick}"
        ended += [one.truncated.tolist()]
        steps += [(advice, one)]
    assert [True] * 3 not in ended, "the worlds end at different ticks, so one worker's end while another's go on"
    assert any(any(each) for each in ended)
    where = steps[-1][1].observations.position

    other = shared.reset(8)
    assert not are_equal(other, steps[0][1].observations), "another seed is another world"
    shared.restore(theirs)
    again = [shared.step(advice) for advice, _ in steps[12:]]
    assert all(are_equal_steps(then, now) for (_, then), now in zip(steps[12:], again, strict=True))
    assert np.array_equal(again[-1].observations.position, where)
    for _ in range(20):
        played = shared.step(shared.advise())
    assert not np.array_equal(played.observations.position, where)

    with pytest.raises(ValueError, match=r"saved with 2 worlds of .* here are 3"):
        shared.restore({**saved, "ticks": saved["ticks"][:2]})
    assert are_equal(shared.reset(3, 4), alone.reset(3, 4)), "a refused snapshot ends nobody"

    with pytest.raises(WorldError, match=r"worker 0 \(worlds 0 to 1\) failed:\nTraceback(.|\n)*IndexError"):
        shared.restore({**saved, "plan": np.array([7])})
    assert all(worker.process.poll() is not None for worker in shared.workers), "and then nobody is left"
    alone.close()


def test_a_killed_worker_is_told_by_name_and_the_others_end():
    shared = make(2, **SIZE, workers=9)
    assert isinstance(shared, BulletWorkers)
    assert len(shared.workers) == 2, "no more processes than worlds"
    shared.reset(0)
    processes = [worker.process for worker in shared.workers]
    processes[1].kill()
    processes[1].wait(timeout=10)
    with pytest.raises(WorldError, match=rf"worker 1 \(worlds 1 to 1\), process {processes[1].pid}, .*SIGKILL"):
        shared.step(np.zeros((2, len(shared.agents), 1), np.float32))
    assert all(process.poll() is not None for process in processes)


def test_all_worlds_play_on_the_plan_that_their_batch_drew(tmp_path: Path):
    small = CONFIG / "floorplans" / "small_dc.yaml"
    larger = yaml.safe_load(small.read_text())
    larger["boxes"] = larger["boxes"][:-1]
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(larger))
    ranges = yaml.safe_load((CONFIG / "randomisation.yaml").read_text())
    ranges["floorplans"] = [str(small), str(tmp_path / "other.yaml")]
    (tmp_path / "ranges.yaml").write_text(yaml.safe_dump(ranges))
    settings = {**SIZE, "randomisation": str(tmp_path / "ranges.yaml")}
    alone, shared = make(2, **settings), make(2, **settings, workers=2)
    assert isinstance(alone, BulletWarehouse)
    seed = next(seed for seed in range(99) if alone.draw_plan(seed, 0) == 1 != alone.draw_plan(seed, 1))
    assert are_equal(alone.reset(seed), shared.reset(seed))
    assert alone.floor.name == larger["name"] and len(alone.floor.boxes) == len(larger["boxes"])
    assert shared.snapshot()["plan"] == [1]
    advice = alone.advise()
    assert are_equal_steps(alone.step(advice), shared.step(advice))
    for each in (alone, shared):
        each.close()


def test_settings_that_build_no_world_are_told_before_any_process_starts(monkeypatch):
    monkeypatch.setattr("sim.bullet.workers.SERVE", "nowhere:nothing")  # a worker that starts would be told instead
    with pytest.raises(ConfigError, match="workers: saw -1"):
        make(2, workers=-1)
    with pytest.raises(ConfigError, match="parking places"):
        make(2, forklifts=99, workers=2)
    with pytest.raises(WorldError, match="has died"):
        make(2, **SIZE, workers=2)
