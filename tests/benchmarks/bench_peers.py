"""Training speed beside BenchMARL's MAPPO on the same VMAS world: equal networks and epochs, and each with its own.

BenchMARL comes with the `peers` extra: `make peers`. All runs are processes of their own, taken in turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tests.benchmarks.conftest import Record
from tests.benchmarks.outside_worlds import NAVIGATION, ROBOTS, SETTINGS, SILENT, TALKING
from tests.benchmarks.timing import TOP

WORLD, AGENTS = "navigation", 3
BATCH, BATCHES, TURNS = 6000, 3, 2  # world frames of a batch; the first is not counted
EPOCHS, MINIBATCH = 45, 400  # BenchMARL's
SENSED, CONTROLS = 18, 2  # numbers that an agent of the world senses and decides
WARM, UPDATES = 20, 300  # of the bare loop
EQUAL = [  # BenchMARL's defaults: networks of 256-256, 45 epochs of minibatches of 400, 10 worlds
    "worlds=10",
    f"ticks={BATCH // 10}",
    f"ppo.epochs={EPOCHS}",
    f"ppo.minibatch={MINIBATCH}",
    "ppo.kl_limit=1000",
    "ppo.learning_rate=5e-5",
    "architecture.hidden=256",
    "architecture.attention=256",
    "architecture.encoder=tanh",
    "architecture.critic=joint",
    "evaluation.every=1",
    "evaluation.worlds=1",
    "evaluation.ticks=1",
]
OWN = [*ROBOTS, "evaluation.every=1", "evaluation.worlds=1", "evaluation.ticks=1"]


def time_ours(folder: Path, changes: list[str]) -> float:
    """Agent frames per CPU second of `parley train`, the first batch left out."""
    words = [sys.executable, "-m", "parley_bringup.cli.train", "--config", SETTINGS, "--env", f"vmas:{WORLD}"]
    frames = f"frames={BATCH * BATCHES * AGENTS}"
    for change in (*changes, NAVIGATION, frames):
        words += ["--set", change]
    result = folder / "ours.json"
    call([*words, "--run-dir", str(folder / "run"), "--json", str(result)])
    first, *_, last = json.loads(result.read_text())["evaluations"]
    return (last["frames"] - first["frames"]) / (last["cpu seconds"] - first["cpu seconds"])


def time_benchmarl(folder: Path, settings: str) -> float:
    """The same of BenchMARL."""
    result = folder / "theirs.json"
    words = [sys.executable, "tests/benchmarks/peer_benchmarl.py", "--world", WORLD, "--settings", settings]
    words += ["--frames", str(BATCH * BATCHES), "--episodes", "1", "--evaluate-every", "1000000"]
    call([*words, "--out", str(result)])
    first, *_, last = json.loads(result.read_text())["points"]
    return (last["agent_frames"] - first["agent_frames"]) / (last["cpu_s"] - first["cpu_s"])


def time_bare_torch() -> float:
    """Agent frames per CPU second of nothing but the equal networks' PPO updates in plain torch: the limit of both."""
    actor, critic = (
        nn.Sequential(nn.Linear(into, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, out))
        for into, out in ((SENSED, 2 * CONTROLS), (SENSED * AGENTS, 1))
    )
    weights = [*actor.parameters(), *critic.parameters()]
    optimiser = torch.optim.Adam(weights, fused=True)
    senses, action = torch.randn(MINIBATCH, AGENTS, SENSED), torch.randn(MINIBATCH, AGENTS, CONTROLS)
    advantage, old, target = torch.randn(MINIBATCH, AGENTS), torch.randn(MINIBATCH, AGENTS), torch.randn(MINIBATCH, 1)
    began = 0.0
    for update in range(WARM + UPDATES):
        if update == WARM:
            began = time.process_time()
        mean, spread = actor(senses).chunk(2, -1)
        likelihood = Normal(mean, spread.clamp(-4, 2).exp()).log_prob(action).sum(-1)
        ratio = (likelihood - old).clamp(-1, 1).exp()
        policy_loss = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
        loss = policy_loss + nn.functional.smooth_l1_loss(critic(senses.flatten(1)), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimiser.step()
    return UPDATES * MINIBATCH * AGENTS / EPOCHS / (time.process_time() - began)


def call(words: list[str]) -> None:
    path = os.pathsep.join([str(TOP), *sys.path])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}
    subprocess.run(words, check=True, env=env, cwd=TOP, capture_output=True, timeout=600)


@pytest.mark.timeout(1800)
def test_training_speed_beside_benchmarl(record: Record, tmp_path: Path) -> None:
    if find_spec("benchmarl") is None:
        pytest.skip("BenchMARL is not installed; get it with: make peers")
    sides = {
        "BenchMARL, its defaults": lambda folder: time_benchmarl(folder, "default"),
        "Parley, equal networks, epochs, minibatch": lambda folder: time_ours(folder, [*EQUAL, SILENT]),
        "plain torch, the same updates and nothing else": lambda folder: time_bare_torch(),
        "Parley, its own recipe": lambda folder: time_ours(folder, [*OWN, SILENT]),
        "Parley, its own recipe, two message rounds": lambda folder: time_ours(folder, [*OWN, TALKING]),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS):
        for place, (name, side) in enumerate(sides.items()):
            folder = tmp_path / f"{turn}-{place}"
            folder.mkdir()
            speeds[name].append(side(folder))
    base = median(speeds["BenchMARL, its defaults"])
    rows = [
        {"trainer": name, "agent_frames_per_cpu_s": median(each), "to_benchmarl": median(each) / base}
        for name, each in speeds.items()
    ]
    config = {"world": WORLD, "agents": AGENTS, "batches": BATCHES - 1, "turns": TURNS, "threads": 1}
    record("training beside BenchMARL", {**config, "clock": "process CPU time, evaluation left out"}, rows)
