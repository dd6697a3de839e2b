"""Collecting and updating: the replay hears what was heard, and only real choices teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policy_core.agents.critic import ValueScale
from policy_core.comm.stabiliser import GradientStabiliser
from policy_core.ppo.batch import prepare
from policy_core.ppo.learner import TrainingError
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run
from policy_core.ppo.update import replay, step_critic, step_policy, update
from tests.support.tiny_world import LENGTH
from tests.support.training_runs import tiny_settings

ALONE = Ranks()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tiny_settings(channel={"radio_range": 10.0, "loss": 0.3, "delay": 0.05}), tmp_path)


def test_with_unchanged_weights_the_replay_gives_a_ratio_of_one(run: Run) -> None:
    rollout = run.collector.collect(run.policy)
    batch, figures = prepare(rollout, run.learner, run.settings.ppo, ALONE)
    assert 0.2 < figures["links heard"] < 0.6  # the channel lost messages, and the replay lost the same
    log_probability = replay(run.policy, batch)[0]
    ratio = (log_probability - batch.log_probability).exp()
    torch.testing.assert_close(ratio, torch.ones(512, 1, 3), atol=1e-5, rtol=0)


def test_other_links_would_not_give_a_ratio_of_one(run: Run) -> None:
    batch, _ = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)
    shuffled = batch.links._replace(heard=batch.links.heard.roll(1, dims=0))
    log_probability = replay(run.policy, batch._replace(links=shuffled))[0]
    assert (log_probability - batch.log_probability).abs().max() > 1e-3


def test_an_agent_without_a_choice_gets_no_policy_gradient_of_its_own(run: Run) -> None:
    batch, figures = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)
    assert figures["share choosing"] == pytest.approx(2 / 3)  # the sender never has a choice, the actors always do
    assert batch.chooses[..., 0].sum() == 0
    spoiled = batch._replace(advantage=batch.advantage.clone())
    spoiled.advantage[..., 0] = 1e6
    figures = step_policy(spoiled, run.learner, run.settings.ppo, 0.0, ALONE)
    assert figures["policy loss"].abs() < 1.0
    pointer = run.policy.actors["sender"].pointer
    assert all(weight.grad is None or weight.grad.abs().max() == 0 for weight in pointer.parameters())
    encoder = run.policy.actors["sender"].encoder
    assert encoder.body[0].weight.grad.abs().max() > 0  # but its message is taught by those who heard it


def test_detached_messages_teach_the_sender_nothing(run: Run) -> None:
    batch, _ = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)
    tap = GradientStabiliser(2, ("sender", "actor"), 0.0, "cpu")
    step_policy(batch, run.learner, run.settings.ppo, 0.0, ALONE, detach=True, tap=tap)
    weight = run.policy.actors["sender"].encoder.body[0].weight
    assert weight.grad is None or weight.grad.abs().max() == 0
    assert tap.sums.abs().max() == 0


def test_truncated_episodes_bring_their_last_observation(run: Run) -> None:
    rollout = run.collector.collect(run.policy)
    assert [final.tick for final in rollout.finals] == [LENGTH - 1, 2 * LENGTH - 1]
    assert rollout.truncated.sum() == 2 * 32
    assert not rollout.terminated.any()
    assert len(rollout.episodes) == 64
    assert {"return", "ticks", "last tick right"} <= rollout.episodes[0].keys()
    assert rollout.episodes[0]["ticks"] == LENGTH


def test_an_exploding_reward_is_told_and_leaves_the_weights_alone(run: Run) -> None:
    rollout = run.collector.collect(run.policy)
    rollout.reward[3, 2] = float("nan")
    batch, _ = prepare(rollout, run.learner, run.settings.ppo, ALONE)
    before = [weight.clone() for weight in run.policy.parameters()]
    with pytest.raises(TrainingError, match="wanted a finite number"):
        update(batch, run.learner, run.settings.ppo, 0.0, split=run.split, ranks=ALONE)
    assert all(torch.equal(old, new) for old, new in zip(before, run.policy.parameters(), strict=True))


def test_the_epochs_stop_when_the_policy_has_moved_too_far(tmp_path: Path) -> None:
    wild = {"minibatch": 128, "learning_rate": 0.05, "kl_limit": 0.001, "epochs": 10}
    run = Run(tiny_settings(ppo=wild), tmp_path)
    figures = run.iterate()
    assert figures["policy steps"] == 4  # one epoch of ten
    assert figures["kl"] > 0.001


def test_the_value_scale_is_the_mean_and_spread_of_the_returns() -> None:
    scale = ValueScale()
    assert scale.restore(torch.tensor(2.0)) == 2.0
    returns = torch.tensor(np.random.default_rng(0).normal(5.0, 3.0, 4000), dtype=torch.float32)
    scale.update(returns, torch.ones_like(returns), ALONE.sum)
    normal = scale.normalise(returns)
    assert abs(normal.mean()) < 1e-4
    assert abs(normal.std() - 1) < 1e-3
    torch.testing.assert_close(scale.restore(normal), returns)


def test_the_value_clip_starts_from_what_the_critic_said(run: Run) -> None:
    rollout = run.collector.collect(run.policy)
    batch, _ = prepare(rollout, run.learner, run.settings.ppo, ALONE)
    with torch.no_grad():
        said = run.learner.critic(batch.senses.map(lambda part: part.flatten(0, 1))).unsqueeze(1)
    torch.testing.assert_close(batch.value, said, atol=1e-5, rtol=0)


def test_a_share_of_no_sequences_changes_nothing(run: Run) -> None:
    batch, _ = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)
    nothing = torch.zeros(0, dtype=torch.int64)
    figures = step_policy(batch.select(nothing), run.learner, run.settings.ppo, 0.01, ALONE)
    figures |= step_critic(batch, nothing, run.learner, run.settings.ppo, ALONE)
    assert figures["gradient norm policy"] == figures["gradient norm critic"] == 0


def test_the_dead_earn_nothing_and_enter_no_statistics(tmp_path: Path) -> None:
    changes = {"ppo": {"credit": "team", "gamma": 0.5, "minibatch": 256}}
    run = Run(tiny_settings(**changes), tmp_path)
    rollout = run.collector.collect(run.policy)
    rollout.senses.alive[:, :, 2] = False
    for later in (rollout.last, *(final.senses for final in rollout.finals)):
        later.alive[:, 2] = False
    rollout.reward[:, :, 2] = 1e3
    batch, _ = prepare(rollout, run.learner, run.settings.ppo, ALONE)
    target = run.learner.scale.restore(batch.target)
    assert target[..., 2].abs().max() == pytest.approx(0.0, abs=1e-4)
    assert target[..., :2].abs().max() < 10
    assert run.learner.scale.restore(torch.tensor(0.0)) == pytest.approx(float(target[..., :2].mean()), abs=1e-4)
