"""The mathematics of PPO as pure functions, small to large."""

from __future__ import annotations

import torch
from torch import Tensor

from policy_core.agents.scale import Reduce


def weighted_mean(values: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """Sum of the entries that count, over `total`, their count in all processes of a run (None: only here)."""
    return (values * weight).sum() / (weight.sum().clamp(min=1) if total is None else total)


def normalise_advantage(advantage: Tensor, weight: Tensor, reduce: Reduce) -> Tensor:
    """Zero mean and unit spread over the entries that count, of all processes; same shape.

    Args:
        advantage: any shape.
        weight: 1 where an entry counts, else 0; same shape.
        reduce: sums over all processes of a run.
    """
    total = reduce(weight.sum()).clamp(min=1)
    centred = advantage - reduce(weighted_mean(advantage, weight, total))
    return centred / (reduce(weighted_mean(centred.square(), weight, total)).sqrt() + 1e-6)


def policy_loss(
    log_ratio: Tensor, advantage: Tensor, weight: Tensor, clip: float, total: Tensor | None = None
) -> Tensor:
    """Clipped surrogate (arXiv:1707.06347, eq. 7), to be minimised.

    Args:
        log_ratio: new minus old log-probability [..., N].
        advantage: [..., N].
        weight: 1 where the agent had a choice, else 0 [..., N].
        clip: epsilon.
        total: count of such entries, see `weighted_mean`.
    """
    ratio = log_ratio.exp()
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -weighted_mean(surrogate, weight, total)


def value_loss(
    value: Tensor, old_value: Tensor, target: Tensor, weight: Tensor, clip: float, total: Tensor | None = None
) -> Tensor:
    """Half the squared error, the worse of plain and clipped, so that one batch cannot move a value far."""
    kept_close = old_value + (value - old_value).clamp(-clip, clip)
    error = torch.maximum((value - target).square(), (kept_close - target).square())
    return 0.5 * weighted_mean(error, weight, total)


def divergence(log_ratio: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """KL from old to new policy (nats), estimated without bias and never negative (Schulman 2020, "k3")."""
    return weighted_mean(log_ratio.exp() - 1 - log_ratio, weight, total)


def explained_variance(value: Tensor, target: Tensor) -> float:
    """Share of the targets' variance that the values explain; 0 if the targets do not vary."""
    variance = target.var()
    return float(1 - (target - value).var() / variance) if variance > 0 else 0.0


def estimate_advantage(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    ended: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Generalised advantage estimation (arXiv:1506.02438), with truncation told apart from termination.

    Args:
        reward: [T, E, N].
        value: of the tick's observation [T, E, N].
        next_value: of what followed in the same episode [T, E, N]; at a truncation that of the episode's last
            observation, not of the next episode's first.
        terminated: the task ended, nothing follows [T, E] bool.
        ended: terminated or truncated [T, E] bool.
        gamma: discount per tick.
        gae_lambda: weight of longer returns.

    Returns:
        Advantage [T, E, N]; add `value` for the returns.
    """
    goes_on = (~terminated).unsqueeze(-1).to(reward.dtype)
    same_episode = (~ended).unsqueeze(-1).to(reward.dtype)
    surprise = reward + gamma * goes_on * next_value - value
    advantage = torch.empty_like(reward)
    following = torch.zeros_like(reward[0])
    for tick in range(reward.shape[0] - 1, -1, -1):
        following = surprise[tick] + gamma * gae_lambda * same_episode[tick] * following
        advantage[tick] = following
    return advantage
