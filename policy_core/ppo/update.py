"""One PPO update: advantages from a rollout, then some epochs of minibatches of joint fleet samples.

The policy learns from the samples in which at least one agent had a choice, the critic from all: a fleet of busy
robots decides rarely, and a sample without a choice has no policy gradient to give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policy_core.agents.critic import Critic, ValueScale
from policy_core.agents.fleet_policy import FleetPolicy, judge
from policy_core.agents.senses import Senses
from policy_core.comm.channel import Links
from policy_core.ppo.losses import (
    divergence,
    estimate_advantage,
    explained_variance,
    normalise_advantage,
    policy_loss,
    value_loss,
    weighted_mean,
)
from policy_core.ppo.rollout import Rollout
from policy_core.ppo.settings import PpoSettings


class TrainingError(RuntimeError):
    """Training cannot go on; the text says what was seen and what may cure it."""


class Batch(NamedTuple):
    """Joint fleet samples [B, ...], ready for the loss."""

    senses: Senses
    links: Links
    actions: Tensor  # [B, N]
    log_probability: Tensor  # [B, N]
    advantage: Tensor  # [B, N] normalised
    value: Tensor  # [B, N] normalised
    target: Tensor  # [B, N] normalised
    chooses: Tensor  # [B, N] 1 where the agent had a real choice
    alive: Tensor  # [B, N] 1 where the agent lives

    def select(self, index: Tensor) -> Batch:
        """The samples at these indices."""
        parts = (self.actions, self.log_probability, self.advantage, self.value, self.target, self.chooses, self.alive)
        links = Links(self.links.heard[index], self.links.age[index])
        return Batch(self.senses.select(index), links, *(part[index] for part in parts))


class Learner(NamedTuple):
    """Everything that an update changes."""

    policy: FleetPolicy
    critic: Critic
    scale: ValueScale
    policy_optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer
    shuffle: torch.Generator


@torch.no_grad()
def prepare(rollout: Rollout, learner: Learner, settings: PpoSettings) -> tuple[Batch, dict[str, float]]:
    """Judge the rollout with the critic and flatten it to T * E joint samples; also gives figures for the log."""
    value = learner.scale.restore(_values(learner.critic, rollout.senses))
    next_value = torch.cat((value[1:], learner.scale.restore(learner.critic(rollout.last)).unsqueeze(0)))
    for final in rollout.finals:
        next_value[final.tick, final.worlds] = learner.scale.restore(learner.critic(final.senses))
    ended = rollout.terminated | rollout.truncated
    advantage = estimate_advantage(
        rollout.reward, value, next_value, rollout.terminated, ended, settings.gamma, settings.gae_lambda
    )
    returns = advantage + value
    learner.scale.update(returns)
    senses = rollout.senses.map(lambda part: part.flatten(0, 1))
    chooses = senses.may_choose().float()
    flat = advantage.flatten(0, 1)
    counts = [kind.mask.shape[1] for kind in senses.kinds.values()]
    by_kind = zip(flat.split(counts, dim=1), chooses.split(counts, dim=1), strict=True)
    batch = Batch(
        senses,
        Links(rollout.links.heard.flatten(0, 1), rollout.links.age.flatten(0, 1)),
        rollout.actions.flatten(0, 1),
        rollout.log_probability.flatten(0, 1),
        torch.cat([normalise_advantage(part, weight) for part, weight in by_kind], dim=1),
        learner.scale.normalise(value).flatten(0, 1),
        learner.scale.normalise(returns).flatten(0, 1),
        chooses,
        senses.alive.float(),
    )
    figures = {
        "reward per tick": float(rollout.reward.mean()),
        "explained variance": explained_variance(value, returns),
        "share choosing": float(chooses.mean()),
        "links heard": float(rollout.links.heard.float().mean()) if rollout.links.heard.numel() else 0.0,
    }
    return batch, figures


def update(batch: Batch, learner: Learner, settings: PpoSettings, progress: float, *, detach: bool) -> dict[str, float]:
    """Run the epochs; `progress` in [0, 1] sets learning rate and entropy bonus. Gives figures for the log.

    Raises:
        TrainingError: a loss is not finite; the weights are then those of the last good step.
    """
    learning_rate = settings.learning_rate * (1 - progress)
    for optimiser in (learner.policy_optimiser, learner.critic_optimiser):
        optimiser.param_groups[0]["lr"] = learning_rate
    entropy_weight = settings.entropy_start + (settings.entropy_end - settings.entropy_start) * progress
    parts = max(1, round(batch.actions.shape[0] / settings.minibatch))
    deciding = batch.chooses.any(-1).nonzero().squeeze(-1)
    policy_log: list[dict[str, Tensor]] = []
    critic_log: list[dict[str, Tensor]] = []
    may_move = len(deciding) > 0
    for _ in range(settings.epochs):
        if may_move:
            first = len(policy_log)
            for index in minibatches(len(deciding), parts, learner.shuffle):
                sample = batch.select(deciding[index])
                policy_log.append(step_policy(sample, learner, settings, entropy_weight, detach=detach))
            may_move = bool(mean_figures(policy_log[first:])["kl"] <= settings.kl_limit)
        for index in minibatches(batch.actions.shape[0], parts, learner.shuffle):
            critic_log.append(step_critic(batch.select(index), learner, settings))
    figures = mean_figures(policy_log) | mean_figures(critic_log)
    return figures | {
        "policy steps": float(len(policy_log)),
        "samples deciding": len(deciding) / batch.actions.shape[0],
        "learning rate": learning_rate,
        "entropy weight": entropy_weight,
    }


def step_policy(
    batch: Batch, learner: Learner, settings: PpoSettings, entropy_weight: float, *, detach: bool
) -> dict[str, Tensor]:
    """One gradient step of the policy: the joint forward with all rounds, one loss over all agents, one backward."""
    answer = learner.policy(batch.senses, batch.links, detach_messages=detach)
    for message in answer.messages:
        message.retain_grad()
    log_probability, entropy = judge(answer.logits, batch.actions)
    log_ratio = log_probability - batch.log_probability
    surrogate = policy_loss(log_ratio, batch.advantage, batch.chooses, settings.clip)
    mean_entropy = weighted_mean(entropy, batch.chooses)
    parameters = list(learner.policy.parameters())
    norm = _descend(
        surrogate - entropy_weight * mean_entropy, learner.policy_optimiser, parameters, settings.gradient_norm
    )
    with torch.no_grad():
        clipped = ((log_ratio.exp() - 1).abs() > settings.clip).float()
        figures = {
            "policy loss": surrogate,
            "entropy": mean_entropy,
            "kl": divergence(log_ratio, batch.chooses),
            "clipped share": weighted_mean(clipped, batch.chooses),
            "gradient norm policy": norm,
        }
        for number, message in enumerate(answer.messages, start=1):
            through = torch.zeros_like(norm) if message.grad is None else message.grad.norm()
            figures[f"gradient through messages round {number}"] = through
    return {name: figure.detach() for name, figure in figures.items()}


def step_critic(batch: Batch, learner: Learner, settings: PpoSettings) -> dict[str, Tensor]:
    """One gradient step of the critic."""
    error = value_loss(learner.critic(batch.senses), batch.value, batch.target, batch.alive, settings.value_clip)
    norm = _descend(error, learner.critic_optimiser, list(learner.critic.parameters()), settings.gradient_norm)
    return {"value loss": error.detach(), "gradient norm critic": norm}


def minibatches(samples: int, parts: int, shuffle: torch.Generator) -> Iterator[Tensor]:
    """A random split of all samples into at most so many nearly equal parts."""
    yield from torch.randperm(samples, generator=shuffle, device=shuffle.device).chunk(parts)


def mean_figures(log: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of every figure; empty from an empty log."""
    return {name: float(torch.stack([figures[name] for figures in log]).mean()) for name in (log[0] if log else ())}


def _descend(
    loss: Tensor, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], gradient_norm: float
) -> Tensor:
    """One clipped step down the loss; gives the gradient's norm before clipping."""
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss.item()}; wanted a finite number. Look for NaN or exploding rewards and observations "
            "in the world, or lower learning_rate. The last good checkpoint is intact."
        )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, gradient_norm)
    optimiser.step()
    return norm


def _values(critic: Critic, senses: Senses) -> Tensor:
    """Normalised values [T, E, N], some ticks at a time to stay in the cache."""
    ticks, worlds = senses.alive.shape[:2]
    flat = senses.map(lambda part: part.flatten(0, 1))
    values = [critic(flat.select(rows)) for rows in _pieces(ticks * worlds, 512)]
    return torch.cat(values).unflatten(0, (ticks, worlds))


def _pieces(samples: int, size: int) -> Iterator[slice]:
    for start in range(0, samples, size):
        yield slice(start, start + size)
