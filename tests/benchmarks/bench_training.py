"""How fast a training iteration is: collecting with messages, and the update through all of them."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from policy_core.config import read_settings
from policy_core.ppo.run import Run
from policy_core.ppo.settings import Threads, TrainingSettings
from tests.benchmarks.conftest import Record

REPEATS = 3
WORLDS, TICKS = 32, 32


def test_training_iteration(record: Record, tmp_path: Path) -> None:
    settings = read_settings(TrainingSettings, "config/training/demo.yaml")
    changes = {"worlds": WORLDS, "ticks": TICKS, "device": "cpu", "threads": Threads(update=1, collect=1)}
    run = Run(settings.model_copy(update={**changes, "frames": 1_000_000}), tmp_path)
    run.iterate()  # compiles
    figures = [run.iterate() for _ in range(REPEATS)]
    collect, learn = (median(each[name] for each in figures) for name in ("seconds/collect", "seconds/learn"))
    row = {
        "agent_frames_per_s": median(each["frames per second"] for each in figures),
        "collect_s": collect,
        "learn_s": learn,
        "learn_share": learn / (collect + learn),
    }
    config = {
        "worlds": WORLDS,
        "ticks": TICKS,
        "agents": len(run.environment.agents),
        "rounds": run.environment.contract.rounds,
        "epochs": settings.ppo.epochs,
        "minibatch": settings.ppo.minibatch,
        "architecture": settings.architecture.model_dump(mode="json"),
        "threads": 1,
        "repeats": REPEATS,
    }
    record("training iteration", config, [row])
