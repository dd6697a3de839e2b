"""Several trainings that differ in the seed only, one after the other; stopped ones go on, finished ones are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from parley_bringup.cli.json_result import write_json
from policy_core.config import ConfigError
from policy_core.ppo.checkpoint import PATTERN
from policy_core.ppo.settings import TrainingSettings
from policy_core.ppo.train import Outcome
from policy_core.ppo.train import train as run_training


def parse_seeds(text: str) -> list[int]:
    """The seeds of `0..4`, `0,3,7` or both mixed, in that order.

    Raises:
        ConfigError: something else is written there, or a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        try:
            seeds += range(int(first), int(last) + 1) if dots else [int(first)]
        except ValueError:
            raise ConfigError(f"--seeds: saw '{text}', wanted such as 0..4 or 0,3,7") from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds: saw '{text}', wanted different seeds from 0 up, such as 0..4 or 0,3,7")
    return seeds


def train_seeds(settings: TrainingSettings, seeds: list[int], folder: Path, console: Console) -> list[Outcome]:
    """Train once per seed in `folder`/seed-N, and write the result beside it as seed-N.json for `parley plot`.

    Ends early when a run was interrupted; called again, it goes on there, and what was finished before counts.

    Raises:
        ConfigError: a finished run of the folder had other settings, or its result is not one.
    """
    outcomes: list[Outcome] = []
    for seed in seeds:
        own, run_dir, result = (
            settings.model_copy(update={"seed": seed}),
            folder / f"seed-{seed}",
            folder / f"seed-{seed}.json",
        )
        if result.exists():
            _check_same(own, run_dir / "settings.yaml")
            console.print(f"seed {seed}: finished before, see {result}", soft_wrap=True)
            outcomes.append(_read(result))
            continue
        outcome = run_training(own, run_dir, resume=any(run_dir.glob(PATTERN)), console=console)
        outcomes.append(outcome)
        if outcome.was_interrupted:
            break
        write_json(result, tell(outcome, run_dir))
    return outcomes


def tell(outcome: Outcome, run_dir: Path) -> dict[str, Any]:
    """A run's outcome as plain data."""
    return outcome._asdict() | {"best": str(outcome.best) if outcome.best else None, "run_dir": str(run_dir)}


def _read(result: Path) -> Outcome:
    """The outcome that `tell` told."""
    try:
        told = json.loads(result.read_text())
        best = Path(told["best"]) if told["best"] else None
        return Outcome(**{name: told[name] for name in Outcome._fields} | {"best": best})
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{result}: not the result of a training ({error}); delete it to train this seed") from None


def _check_same(settings: TrainingSettings, known: Path) -> None:
    if known.is_file() and yaml.safe_load(known.read_text()) != settings.model_dump(mode="json"):
        raise ConfigError(f"{known}: this seed was trained with other settings; give another --run-dir")
