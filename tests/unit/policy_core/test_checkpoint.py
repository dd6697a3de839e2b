"""Saving and going on: bit for bit, past a broken file, and on a full disk."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from policy_core.config import ConfigError
from policy_core.ppo.checkpoint import CheckpointError, read_checkpoint, read_newest, save_numbered, write_checkpoint
from policy_core.ppo.run import Run
from policy_core.ppo.train import train
from tests.support.training_runs import tiny_settings

FRAMES = 32 * 16 * 3  # of one iteration


def quiet() -> Console:
    return Console(quiet=True)


def weights(folder: Path, iteration: int) -> dict[str, torch.Tensor]:
    content = read_checkpoint(folder / f"checkpoint-{iteration:07d}.pt")
    return {**content["policy"], **content["critic"], **content["scale"]}


def test_a_resumed_run_ends_with_the_very_same_weights(tmp_path: Path) -> None:
    settings = tiny_settings(frames=6 * FRAMES)
    train(settings, tmp_path / "unbroken", console=quiet())
    run = Run(settings, tmp_path / "broken")  # the same run, given up after three iterations
    for _ in range(3):
        run.iterate()
    save_numbered(tmp_path / "broken", 3, run.content(), 2)
    outcome = train(settings, tmp_path / "broken", resume=True, console=quiet())
    assert outcome.iterations == 6
    unbroken, broken = weights(tmp_path / "unbroken", 6), weights(tmp_path / "broken", 6)
    assert unbroken.keys() == broken.keys()
    assert all(torch.equal(unbroken[name], broken[name]) for name in unbroken)
    assert not torch.equal(unbroken["comm.0.head.weight"], run.policy.state_dict()["comm.0.head.weight"])


def test_a_truncated_newest_checkpoint_is_passed_over(tmp_path: Path) -> None:
    train(tiny_settings(frames=3 * FRAMES), tmp_path, console=quiet())
    newest = tmp_path / "checkpoint-0000003.pt"
    newest.write_bytes(newest.read_bytes()[:5000])
    content, faults = read_newest(tmp_path)
    assert content["iteration"] == 2
    assert "checkpoint-0000003.pt: not a whole checkpoint" in faults[0]


def test_killed_while_writing_the_newest_whole_one_is_kept(tmp_path: Path) -> None:
    script = (
        "import sys, torch; from pathlib import Path; from policy_core.ppo.checkpoint import save_numbered\n"
        "for number in range(1, 10**6):\n"
        "    save_numbered(Path(sys.argv[1]), number, {'iteration': number, 'large': torch.zeros(10**6)}, 2)\n"
        "    print(number, flush=True)"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        done = [int(process.stdout.readline()) for _ in range(5)]
        process.kill()
        rest = [int(line) for line in process.stdout.read().splitlines()]
        process.wait()
        content, faults = read_newest(tmp_path)
        assert not faults
        assert content["iteration"] - (rest or done)[-1] in (0, 1)  # saved, perhaps not told any more


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    train(tiny_settings(), tmp_path, console=quiet())
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-0000003.pt",
        "checkpoint-0000004.pt",
    ]


def test_a_full_disk_leaves_the_last_good_checkpoint_intact(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, {"iteration": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # no file may grow beyond 20 kB
    try:
        with pytest.raises(CheckpointError, match="last good checkpoint is intact"):
            write_checkpoint(path, {"iteration": 2, "large": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_checkpoint(path)["iteration"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": 1, "folder": Path("/")}, path)  # any object that is not plain data
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        read_checkpoint(path)


def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(tmp_path: Path) -> None:
    train(tiny_settings(frames=FRAMES), tmp_path, console=quiet())
    with pytest.raises(ConfigError, match="already holds a run"):
        train(tiny_settings(frames=FRAMES), tmp_path, console=quiet())
    with pytest.raises(ConfigError, match="worlds: 32, now 16"):
        train(tiny_settings(frames=FRAMES, worlds=16), tmp_path, resume=True, console=quiet())
    with pytest.raises(CheckpointError, match="Start without --resume"):
        train(tiny_settings(frames=FRAMES), tmp_path / "empty", resume=True, console=quiet())


def test_a_run_does_not_go_on_with_another_contract(tmp_path: Path) -> None:
    run = Run(tiny_settings(), tmp_path)
    content = run.content()
    content["contract"]["kinds"]["actor"]["observation"][0]["high"] = 2.0
    with pytest.raises(ConfigError, match="the contract has changed since the run was started"):
        run.take_up(content)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ("tests.support.tiny_world", "wanted 'module:function'"),
        ("tests.support.nowhere:make", "cannot be found"),
        ("tests.support.tiny_world:build", "cannot be found"),
    ],
)
def test_an_unknown_world_is_named(tmp_path: Path, env: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Run(tiny_settings(env=env), tmp_path)
    with pytest.raises(ConfigError, match="does not accept them"):
        Run(tiny_settings(env_settings={"colour": 3}), tmp_path)
