"""A world's adviser, who sees everything, draws the policy at first; what only he knew is learned as messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policy_core.config import ConfigError
from policy_core.ppo.batch import prepare
from policy_core.ppo.evaluate import evaluate
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run
from policy_core.ppo.settings import PpoSettings
from policy_core.ppo.update import step_policy
from tests.support.tiny_world import CONTRACT, TinyWorld, make
from tests.support.training_runs import tiny_settings

ITERATIONS = 30
TICKS = 16


class AdvisedWorld(TinyWorld):
    """The tiny world with one who sees the sender's number and tells every actor where to point; no reward."""

    def advise(self) -> np.ndarray:
        """Where each actor's candidate with the sender's number is [E, N, 1]."""
        right = (self._symbols() == self._numbers()[:, None, None]).argmax(-1) + 1
        return np.hstack((np.zeros((self.worlds, 1)), right))[..., None].astype(np.float32)

    def step(self, actions: np.ndarray):
        """As always, but nobody is paid."""
        step = super().step(actions)
        return step._replace(reward=np.zeros_like(step.reward))


def make_advised(worlds: int) -> AdvisedWorld:
    return AdvisedWorld(worlds, 2, CONTRACT)


def train(folder: Path, *, advice: float, detach: bool = False) -> float:
    """Share of right answers after as much training, in the world as it is."""
    run = Run(
        tiny_settings(
            env="tests.unit.policy_core.test_advice:make_advised",
            worlds=64,
            ticks=8,
            frames=ITERATIONS * 64 * 8 * 3,
            detach_messages=detach,
            ppo={"minibatch": 256, "learning_rate": 5e-3, "advice_start": advice, "advice_until": 1.0},
        ),
        folder,
    )
    while run.iteration < run.iterations:
        run.iterate()
    return evaluate(run.policy, make(64), ticks=TICKS, seed=99, temperature=0.1).mean_return / TICKS


def test_senders_learn_from_what_the_receivers_are_advised(tmp_path: Path) -> None:
    assert train(tmp_path, advice=1.0) > 0.95


def test_without_advice_or_without_gradient_between_agents_nothing_is_learned(tmp_path: Path) -> None:
    assert train(tmp_path / "no advice", advice=0.0) < 0.45  # chance is 0.25
    assert train(tmp_path / "detached", advice=1.0, detach=True) < 0.45


def test_the_weight_falls_in_a_line_to_nothing() -> None:
    settings = PpoSettings(advice_start=2.0, advice_until=0.5)
    assert [settings.advice_weight(progress) for progress in (0.0, 0.25, 0.5, 0.9)] == [2.0, 1.0, 0.0, 0.0]


def test_some_of_the_weight_may_be_left_at_the_end() -> None:
    settings = PpoSettings(advice_start=2.0, advice_until=2.0)
    assert [settings.advice_weight(progress) for progress in (0.0, 0.5, 1.0)] == [2.0, 1.5, 1.0]


def test_advice_to_act_may_weigh_more(tmp_path: Path) -> None:
    gradients = []
    for weight in (1.0, 4.0):
        ppo = {"advice_start": 1.0, "advice_acts": weight, "gradient_norm": 1e6}
        run = Run(tiny_settings(env="tests.unit.policy_core.test_advice:make_advised", ppo=ppo), tmp_path)
        batch, _ = prepare(run.collector.collect(run.policy, with_advice=True), run.learner, run.settings.ppo, Ranks())
        batch = batch._replace(advantage=torch.zeros_like(batch.advantage))
        step_policy(batch, run.learner, run.settings.ppo, 0.0, Ranks(), advice_weight=1.0)
        gradients.append(run.policy.actors["actor"].pointer.of_agent.weight.grad)  # who is always advised to act
    torch.testing.assert_close(gradients[1], 4.0 * gradients[0])


def test_a_world_without_an_adviser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no adviser"):
        Run(tiny_settings(ppo={"advice_start": 1.0}), tmp_path)
