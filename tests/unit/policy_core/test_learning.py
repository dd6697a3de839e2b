"""A world that needs messages is learned with them, and not without."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_core.ppo.evaluate import Evaluation, evaluate
from policy_core.ppo.train import Run
from tests.support.tiny_world import make
from tests.support.training_runs import tiny_settings

ITERATIONS = 60
TICKS = 32


def learn(folder: Path, *, detach: bool) -> Run:
    frames = ITERATIONS * 32 * 16 * 3
    run = Run(tiny_settings(frames=frames, detach_messages=detach), folder)
    for _ in range(ITERATIONS):
        run.iterate()
    return run


def share_right(run: Run, *, silence: bool = False) -> float:
    result: Evaluation = evaluate(run.policy, make(64), ticks=TICKS, seed=99, silence=silence)
    return result.mean_return / TICKS


@pytest.mark.timeout(120)
def test_messages_are_learned_and_needed(tmp_path: Path) -> None:
    run = learn(tmp_path, detach=False)
    assert share_right(run) > 0.95
    assert share_right(run, silence=True) < 0.35  # chance is 0.25


@pytest.mark.timeout(120)
def test_without_gradient_between_agents_nothing_better_than_chance_is_learned(tmp_path: Path) -> None:
    assert share_right(learn(tmp_path, detach=True)) < 0.45
