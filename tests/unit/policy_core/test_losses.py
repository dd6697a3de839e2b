"""The mathematics of PPO against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from policy_core.ppo.losses import (
    divergence,
    estimate_advantage,
    explained_variance,
    normalise_advantage,
    policy_loss,
    value_loss,
    weighted_mean,
)
from policy_core.ppo.ranks import Ranks

GAMMA, LAMBDA = 0.9, 0.5


def column(*numbers: float) -> torch.Tensor:
    """One world, one agent: [T, 1, 1]."""
    return torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1)


def advantage(terminated: list[bool], ended: list[bool], next_value: torch.Tensor) -> list[float]:
    reward, value = column(1.0, 2.0, 3.0), column(0.5, 1.0, 1.5)
    term, end = (torch.tensor(flags).view(-1, 1) for flags in (terminated, ended))
    return estimate_advantage(reward, value, next_value, term, end, GAMMA, LAMBDA).flatten().tolist()


def test_advantage_of_an_unbroken_episode() -> None:
    # surprises: 1 + .9*1 - .5 = 1.4;  2 + .9*1.5 - 1 = 2.35;  3 + .9*2 - 1.5 = 3.3;  gamma*lambda = .45
    seen = advantage([False] * 3, [False] * 3, column(1.0, 1.5, 2.0))
    torch.testing.assert_close(seen, [1.4 + 0.45 * (2.35 + 0.45 * 3.3), 2.35 + 0.45 * 3.3, 3.3])


def test_a_terminated_episode_has_no_future() -> None:
    # surprises: 1.4;  2 - 1 = 1 (nothing follows);  3.3
    seen = advantage([False, True, False], [False, True, False], column(1.0, 7.0, 2.0))
    torch.testing.assert_close(seen, [1.4 + 0.45 * 1.0, 1.0, 3.3])


def test_a_truncated_episode_is_bootstrapped_from_its_own_last_observation() -> None:
    # the value of the last observation is 4: surprise 2 + .9*4 - 1 = 4.6; nothing leaks in from the next episode
    seen = advantage([False] * 3, [False, True, False], column(1.0, 4.0, 2.0))
    torch.testing.assert_close(seen, [1.4 + 0.45 * 4.6, 4.6, 3.3])
    # control: taking truncation for termination gives another, wrong, answer
    wrong = advantage([False, True, False], [False, True, False], column(1.0, 4.0, 2.0))
    assert abs(wrong[1] - seen[1]) > 3


def test_the_surrogate_is_clipped_only_where_that_makes_it_worse() -> None:
    log_ratio = torch.log(torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1]))
    gain = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0])
    # min(1.5, 1.2) + min(-1.5, -1.2) + min(.5, .8) + min(-.5, -.8) + 2.2 = 1.2 - 1.5 + .5 - .8 + 2.2
    loss = policy_loss(log_ratio, gain, torch.ones(5), 0.2)
    torch.testing.assert_close(loss, torch.tensor(-1.6 / 5))


def test_entries_without_weight_have_neither_value_nor_gradient() -> None:
    log_ratio = torch.tensor([0.3, 0.1], requires_grad=True)
    policy_loss(log_ratio, torch.tensor([5.0, 1.0]), torch.tensor([0.0, 1.0]), 0.2).backward()
    assert log_ratio.grad is not None
    assert log_ratio.grad[0] == 0
    torch.testing.assert_close(log_ratio.grad[1], -torch.tensor(0.1).exp())
    assert weighted_mean(torch.tensor([3.0, 4.0]), torch.zeros(2)) == 0


def test_the_value_loss_takes_the_worse_of_plain_and_clipped() -> None:
    value, old, target = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.9]), torch.tensor([1.0, 0.0])
    # first: plain 0, clipped (0.2 - 1)^2 = .64; second: plain 1, clipped 1
    torch.testing.assert_close(value_loss(value, old, target, torch.ones(2), 0.2), torch.tensor(0.5 * 1.64 / 2))


def test_divergence_is_zero_for_equal_policies_and_close_to_the_true_one_for_near_ones() -> None:
    assert divergence(torch.zeros(3), torch.ones(3)) == 0
    old = torch.log_softmax(torch.tensor([0.0, 0.5, 1.0]), 0)
    new = torch.log_softmax(torch.tensor([0.1, 0.5, 0.8]), 0)
    truth = (old.exp() * (old - new)).sum()
    torch.testing.assert_close((old.exp() * (torch.exp(new - old) - 1 - (new - old))).sum(), truth)
    torch.testing.assert_close(divergence(new - old, old.exp() * 3), truth)


def test_advantages_are_normalised_over_what_counts() -> None:
    seen = normalise_advantage(
        torch.tensor([[1.0, 3.0], [100.0, 5.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]]), Ranks().sum
    )
    torch.testing.assert_close(seen.flatten()[[0, 1, 3]], torch.tensor([-1.224744, 0.0, 1.224744]), atol=1e-5, rtol=0)


def test_explained_variance() -> None:
    target = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(torch.zeros(3), target) == 0.0
    assert explained_variance(torch.zeros(3), torch.ones(3)) == 0.0


def test_advantage_and_losses_in_float32_equal_plain_float64_loops() -> None:
    chance = np.random.default_rng(0)
    ticks, worlds, agents = 40, 5, 3
    reward, value, next_value = chance.normal(size=(3, ticks, worlds, agents))
    terminated = chance.random((ticks, worlds)) < 0.1
    ended = terminated | (chance.random((ticks, worlds)) < 0.1)
    gains = np.zeros_like(reward)
    for world in range(worlds):
        for agent in range(agents):
            following = 0.0
            for tick in reversed(range(ticks)):
                future = 0.0 if terminated[tick, world] else next_value[tick, world, agent]
                surprise = reward[tick, world, agent] + GAMMA * future - value[tick, world, agent]
                following = surprise + (0.0 if ended[tick, world] else GAMMA * LAMBDA * following)
                gains[tick, world, agent] = following
    inputs = [torch.from_numpy(part).float() for part in (reward, value, next_value)]
    seen = estimate_advantage(*inputs, torch.from_numpy(terminated), torch.from_numpy(ended), GAMMA, LAMBDA)
    np.testing.assert_allclose(seen.numpy(), gains, atol=1e-6, rtol=1e-6)

    log_ratio, old = 0.4 * chance.normal(size=reward.shape), value + 0.3 * chance.normal(size=reward.shape)
    weight = (chance.random(reward.shape) < 0.7).astype(np.float64)
    surrogate, error, kl, count = 0.0, 0.0, 0.0, weight.sum()
    for place in np.ndindex(*reward.shape):
        ratio = math.exp(log_ratio[place])
        clipped = min(max(ratio, 0.8), 1.2)
        surrogate -= weight[place] * min(ratio * gains[place], clipped * gains[place]) / count
        near = old[place] + min(max(value[place] - old[place], -0.2), 0.2)
        worse = max((value[place] - gains[place]) ** 2, (near - gains[place]) ** 2)
        error += weight[place] * 0.5 * worse / count
        kl += weight[place] * (ratio - 1 - log_ratio[place]) / count
    tensors = [torch.from_numpy(part).float() for part in (log_ratio, gains, weight, value, old)]
    ratios, advantages, weights, values, olds = tensors
    assert float(policy_loss(ratios, advantages, weights, 0.2)) == pytest.approx(surrogate, abs=1e-6)
    assert float(value_loss(values, olds, advantages, weights, 0.2)) == pytest.approx(error, abs=1e-6)
    assert float(divergence(ratios, weights)) == pytest.approx(kl, abs=1e-6)
