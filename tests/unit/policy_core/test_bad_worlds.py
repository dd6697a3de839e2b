"""Worlds that break in the middle of a run: told by name, with the last good checkpoint intact."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from policy_core.environment import Observations, Step
from policy_core.ppo.checkpoint import CheckpointError, read_checkpoint, read_newest
from policy_core.ppo.learner import TrainingError
from policy_core.ppo.train import train
from tests.support.tiny_world import CONTRACT, TinyWorld
from tests.support.training_runs import tiny_settings

FRAMES = 32 * 16 * 3  # of one iteration
BAD_TICK = 2 * 16 + 5  # in the third iteration
Spoil = Callable[[Step], Step]


class SpoiledWorld(TinyWorld):
    """A tiny world that breaks at one tick."""

    def __init__(self, worlds: int, fault: str) -> None:
        super().__init__(worlds, 2, CONTRACT)
        self.fault = fault

    def step(self, actions: np.ndarray) -> Step:
        step = super().step(actions)
        return FAULTS[self.fault](step) if self.tick == BAD_TICK else step


def make(worlds: int, fault: str = "none") -> SpoiledWorld:
    return SpoiledWorld(worlds, fault)


def spoil_observation(step: Step) -> Step:
    sender = step.observations.kinds["sender"]
    sender.vector[7, 0, SENDER_NOISE_COLUMN] = np.nan
    return step


def spoil_candidate(step: Step) -> Step:
    step.observations.kinds["actor"].candidates[3, 1, 2] = np.inf
    return step


def spoil_reward(value: float) -> Spoil:
    def spoil(step: Step) -> Step:
        step.reward[5, 1] = value
        return step

    return spoil


SENDER_NOISE_COLUMN = 6
FAULTS: dict[str, Spoil] = {
    "none": lambda step: step,
    "observation": spoil_observation,
    "candidate": spoil_candidate,
    "nan reward": spoil_reward(float("nan")),
    "huge reward": spoil_reward(1e30),
}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("observation", r"nan in sender field 'noise'.*\[5, 7, 0\] of the rollout"),
        ("candidate", "inf in actor, candidate field 'symbol'"),
        ("nan reward", "reward of nan .*world 5, agent 1.*finite number within"),
        ("huge reward", r"reward of 1e\+30 .*ppo.reward_limit"),
    ],
)
def test_a_world_that_breaks_is_told_and_the_last_good_checkpoint_stays(tmp_path: Path, fault: str, told: str) -> None:
    settings = tiny_settings(
        env="tests.unit.policy_core.test_bad_worlds:make", env_settings={"fault": fault}, frames=4 * FRAMES
    )
    with pytest.raises(TrainingError, match=told):
        train(settings, tmp_path, console=Console(quiet=True))
    content, faults = read_newest(tmp_path)
    assert content["iteration"] == 2 and not faults
    assert all(weight.isfinite().all() for weight in content["policy"].values())


def test_observations_that_do_not_fit_the_contract_are_refused(tmp_path: Path) -> None:
    settings = tiny_settings(env="tests.unit.policy_core.test_bad_worlds:make_short")
    with pytest.raises(TrainingError, match=r"sender .*\(32, 1, 27\) as observation; the contract wants \(32, 1, 28\)"):
        train(settings, tmp_path, console=Console(quiet=True))


class ShortWorld(TinyWorld):
    """A tiny world whose sender sees a number less than the contract says."""

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        seen = super().reset(seed, first_world)
        sender = seen.kinds["sender"]
        return seen._replace(kinds=seen.kinds | {"sender": sender._replace(vector=sender.vector[..., :-1])})


def make_short(worlds: int) -> ShortWorld:
    return ShortWorld(worlds, 2, CONTRACT)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"may not mount a small disk here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_on_a_full_disk_the_run_ends_in_words_and_goes_on_once_there_is_room(small_disk: Path) -> None:
    settings = tiny_settings(frames=12 * FRAMES, checkpoint={"every": 1, "keep": 100})  # fills the disk
    with pytest.raises(CheckpointError, match=r"No space left on device.*last good checkpoint is intact"):
        train(settings, small_disk, console=Console(quiet=True))
    content, faults = read_newest(small_disk)
    assert 0 < content["iteration"] < 12 and not faults
    for checkpoint in sorted(small_disk.glob("checkpoint-*"))[:-1]:
        os.unlink(checkpoint)
    roomier = settings.model_copy(update={"checkpoint": settings.checkpoint.model_copy(update={"keep": 1})})
    outcome = train(roomier, small_disk, resume=True, console=Console(quiet=True))
    assert outcome.iterations == 12
    assert read_checkpoint(small_disk / "checkpoint-0000012.pt")["iteration"] == 12
