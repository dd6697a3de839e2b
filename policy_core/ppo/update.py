"""One PPO update: advantages from a rollout, then some epochs of minibatches of joint fleet samples."""

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
        return Batch(self.senses.map(lambda part: part[index]), links, *(part[index] for part in parts))


class Learner(NamedTuple):
    """Everything that an update changes."""

    policy: FleetPolicy
    critic: Critic
    scale: ValueScale
    optimiser: torch.optim.Optimizer
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
        TrainingError: the loss is not finite; the weights are then those of the last good step.
    """
    for group in learner.optimiser.param_groups:
        group["lr"] = settings.learning_rate * (1 - progress)
    entropy_weight = settings.entropy_start + (settings.entropy_end - settings.entropy_start) * progress
    log: list[dict[str, Tensor]] = []
    for _ in range(settings.epochs):
        first = len(log)
        for index in minibatches(batch.actions.shape[0], settings.minibatch, learner.shuffle):
            log.append(step(batch.select(index), learner, settings, entropy_weight, detach=detach))
        if torch.stack([figures["kl"] for figures in log[first:]]).mean() > settings.kl_limit:
            break
    means = {name: float(torch.stack([figures[name] for figures in log]).mean()) for name in log[0]}
    return means | {"gradient steps": float(len(log)), "learning rate": learner.optimiser.param_groups[0]["lr"]}


def step(
    batch: Batch, learner: Learner, settings: PpoSettings, entropy_weight: float, *, detach: bool
) -> dict[str, Tensor]:
    """One gradient step on one minibatch: the joint forward with all rounds, one loss, one backward."""
    answer = learner.policy(batch.senses, batch.links, detach_messages=detach)
    for message in answer.messages:
        message.retain_grad()
    log_probability, entropy = judge(answer.logits, batch.actions)
    log_ratio = log_probability - batch.log_probability
    surrogate = policy_loss(log_ratio, batch.advantage, batch.chooses, settings.clip)
    mean_entropy = weighted_mean(entropy, batch.chooses)
    value = learner.critic(batch.senses)
    value_error = value_loss(value, batch.value, batch.target, batch.alive, settings.value_clip)
    loss = surrogate - entropy_weight * mean_entropy + settings.value_weight * value_error
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss.item()} (policy {surrogate.item()}, value {value_error.item()}); wanted a finite "
            "number. Look for NaN or exploding rewards and observations in the world, or lower learning_rate."
        )
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    policy_norm = nn.utils.clip_grad_norm_(learner.policy.parameters(), settings.gradient_norm)
    critic_norm = nn.utils.clip_grad_norm_(learner.critic.parameters(), settings.gradient_norm)
    learner.optimiser.step()
    with torch.no_grad():
        clipped = ((log_ratio.exp() - 1).abs() > settings.clip).float()
        figures = {
            "policy loss": surrogate,
            "value loss": value_error,
            "entropy": mean_entropy,
            "kl": divergence(log_ratio, batch.chooses),
            "clipped share": weighted_mean(clipped, batch.chooses),
            "gradient norm policy": policy_norm,
            "gradient norm critic": critic_norm,
        }
        for number, message in enumerate(answer.messages, start=1):
            through = torch.zeros(()) if message.grad is None else message.grad.norm()
            figures[f"gradient through messages round {number}"] = through
    return {name: figure.detach() for name, figure in figures.items()}


def minibatches(samples: int, size: int, shuffle: torch.Generator) -> Iterator[Tensor]:
    """A random split of all samples into nearly equal parts of about this size."""
    order = torch.randperm(samples, generator=shuffle, device=shuffle.device)
    yield from order.chunk(max(1, round(samples / size)))


def _values(critic: Critic, senses: Senses) -> Tensor:
    """Normalised values [T, E, N], a few ticks at a time to stay in the cache."""
    parts = []
    for start in range(0, senses.alive.shape[0], 8):
        piece = senses.map(lambda part, start=start: part[start : start + 8])
        values = critic(piece.map(lambda part: part.flatten(0, 1)))
        parts.append(values.unflatten(0, piece.alive.shape[:2]))
    return torch.cat(parts)
