"""A world that needs messages is learned with them by every message layer, and not without."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from policy_core.comm.layers import LAYERS, LayerName
from policy_core.ppo.evaluate import evaluate
from policy_core.ppo.run import Run
from tests.support.tiny_world import make
from tests.support.training_runs import tiny_settings

LIMIT = 200  # iterations
TICKS = 16
MESSAGE = 4  # numbers; TarMAC's layer gives a quarter of them away as signature


class Taught(NamedTuple):
    layer: LayerName
    run: Run
    iterations: int


def start(folder: Path, layer: LayerName, *, detach: bool) -> Run:
    return Run(
        tiny_settings(
            worlds=64,
            ticks=8,
            frames=LIMIT * 64 * 8 * 3,
            detach_messages=detach,
            env_settings={"message_size": MESSAGE},
            architecture={"layer": layer, "hidden": 32, "heads": 4, "attention": 16, "candidate": 16},
            channel={"radio_range": 10.0},
            ppo={"minibatch": 256, "learning_rate": 3e-3, "gamma": 0.5, "kl_limit": 0.1},
        ),
        folder,
    )


def share_right(run: Run, *, silence: bool = False) -> float:
    worlds = make(64, message_size=MESSAGE)
    return evaluate(run.policy, worlds, ticks=TICKS, seed=99, temperature=0.1, silence=silence).mean_return / TICKS


@pytest.fixture(scope="module", params=list(LAYERS))
def taught(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    run = start(tmp_path_factory.mktemp("run"), request.param, detach=False)
    while run.iteration < LIMIT:
        run.iterate()
        if run.iteration % 10 == 0 and share_right(run) > 0.98:
            break
    return Taught(request.param, run, run.iteration)


@pytest.mark.timeout(300)
def test_messages_are_learned_to_95_percent_of_the_optimum(taught: Taught) -> None:
    assert share_right(taught.run) > 0.95


@pytest.mark.timeout(300)
def test_silenced_the_same_policy_falls_to_chance(taught: Taught) -> None:
    assert share_right(taught.run, silence=True) < 0.35  # chance is 0.25


@pytest.mark.timeout(300)
def test_with_detached_messages_as_much_training_stays_near_chance(taught: Taught, tmp_path: Path) -> None:
    control = start(tmp_path, taught.layer, detach=True)
    for _ in range(taught.iterations):
        control.iterate()
    assert share_right(control) < 0.45
