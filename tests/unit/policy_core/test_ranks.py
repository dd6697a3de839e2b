"""torchrun: two processes learn what one learns, and a killed one costs the running iteration only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from rich.console import Console

from policy_core.config import ConfigError
from policy_core.ppo.batch import Split
from policy_core.ppo.checkpoint import read_checkpoint
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.train import train
from tests.support.training_runs import tiny_settings

ROOT = Path(__file__).parents[3]
FRAMES = 32 * 16 * 3  # of one iteration
LIMIT = 120.0  # s


def start_two(folder: Path, *options: str, **changes: Any) -> subprocess.Popen[str]:
    """`torchrun --nproc-per-node 2 parley train` with these settings."""
    folder.mkdir()
    config = folder / "asked.yaml"
    config.write_text(yaml.safe_dump(tiny_settings(**changes).model_dump(mode="json")))
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
    words += ["-m", "parley_bringup.cli.train", "--config", str(config), "--run-dir", str(folder)]
    paths = os.pathsep.join([str(ROOT), *sys.path])
    env = os.environ | {"PYTHONPATH": paths, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


def finish(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=LIMIT)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            child.kill()
        process.kill()
    assert process.returncode == 0, output
    return output


def weights(folder: Path, iteration: int) -> dict[str, torch.Tensor]:
    content = read_checkpoint(folder / f"checkpoint-{iteration:07d}.pt")
    parts = (("", "policy"), ("critic.", "critic"), ("retelling.", "retelling"))
    return {before + name: weight for before, part in parts for name, weight in content[part].items()}


@pytest.mark.parametrize("memory", [False, True])
def test_two_processes_learn_what_one_learns_from_the_same_total_batch(tmp_path: Path, memory: bool) -> None:
    sizes = {"hidden": 32, "heads": 4, "attention": 16, "candidate": 16, "memory": memory, "normaliser": "running"}
    learning = tiny_settings().ppo.model_dump() | {"retelling": 5.0}
    changes = {"frames": 2 * FRAMES, "architecture": sizes, "ppo": learning}
    process = start_two(tmp_path / "two", **changes)
    train(tiny_settings(**changes), tmp_path / "one", console=Console(quiet=True))
    output = finish(process)
    assert output.count("2/2") == 1  # the first process alone speaks
    one, two = weights(tmp_path / "one", 2), weights(tmp_path / "two", 2)
    assert one.keys() == two.keys()
    for name in one:  # 16 gradient steps; floats are added in another order
        torch.testing.assert_close(one[name], two[name], atol=2e-5, rtol=1e-4, msg=name)


def test_two_processes_go_through_the_stages_of_one(tmp_path: Path) -> None:
    stages = [{"until": 0.5}, {"until": 1.0, "env_settings": {"variant": 2}, "channel": {"loss": 0.5, "delay": 0.1}}]
    changes = {"env": "tests.support.staged_world:make", "frames": 2 * FRAMES}
    process = start_two(tmp_path / "two", **changes, curriculum=stages)
    train(tiny_settings(**changes, curriculum=stages), tmp_path / "one", console=Console(quiet=True))
    train(tiny_settings(**changes), tmp_path / "plain", console=Console(quiet=True))
    assert "stage 2 of 2" in finish(process)
    one, two, plain = (weights(tmp_path / name, 2) for name in ("one", "two", "plain"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-5, rtol=1e-4, msg=name)
    assert any((one[name] - plain[name]).abs().max() > 1e-3 for name in one)


def test_a_killed_process_costs_the_running_iteration_and_nothing_else(tmp_path: Path) -> None:
    frames = 12 * FRAMES
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    finish(start_two(unbroken, frames=frames))
    process = start_two(killed, "--max-restarts", "1", frames=frames)
    until = time.monotonic() + LIMIT
    while not list(killed.glob("checkpoint-000000[2-9].pt")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    ranks = {
        child.environ().get("RANK"): child for child in psutil.Process(process.pid).children() if child.is_running()
    }
    ranks["1"].send_signal(signal.SIGKILL)
    finish(process)
    expected, seen = weights(unbroken, 12), weights(killed, 12)
    assert all(torch.equal(expected[name], seen[name]) for name in expected)


def test_worlds_are_split_evenly_or_not_at_all() -> None:
    assert [Ranks(index, 4).rows(8) for index in range(4)] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    with pytest.raises(ConfigError, match="6 cannot be split over 4 processes"):
        Ranks(0, 4).rows(6)


def test_every_sequence_belongs_to_one_process() -> None:
    units = torch.randperm(3 * 4, generator=torch.Generator().manual_seed(0))  # 3 sequences of each of 4 worlds
    marked = torch.arange(12).view(3, 4)
    seen = []
    for index in range(2):
        rows = Ranks(index, 2).rows(4)
        own = marked[:, rows].flatten()  # as a process holds them: sequence by sequence, own worlds only
        seen.append(own[Split(rows, 4).local(units)])
    assert sorted(torch.cat(seen).tolist()) == list(range(12))
    assert seen[0].tolist() == [unit for unit in units.tolist() if unit % 4 < 2]  # in the order of the shuffle


def test_only_a_restart_of_the_same_launch_goes_on_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny_settings(frames=FRAMES)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "first")
    train(settings, tmp_path, console=Console(quiet=True))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    longer = tiny_settings(frames=2 * FRAMES)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "second")
    with pytest.raises(ConfigError, match="already holds a run"):
        train(longer, tmp_path, console=Console(quiet=True))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "first")
    assert train(longer, tmp_path, console=Console(quiet=True)).iterations == 2
