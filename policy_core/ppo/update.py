"""One PPO update: some epochs of minibatches of joint fleet samples, in step with a run's other processes.

The policy learns from the samples in which at least one agent had a choice, the critic from all: a fleet of busy
robots decides rarely, and a sample without a choice has no policy gradient to give.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from policy_core.agents.actions import Answer, judge
from policy_core.agents.fleet_policy import FleetPolicy, RoundTap
from policy_core.agents.senses import Senses
from policy_core.comm.stabiliser import GradientStabiliser
from policy_core.ppo.batch import Batch, Split, deciding, minibatches
from policy_core.ppo.learner import Learner, TrainingError
from policy_core.ppo.losses import divergence, policy_loss, value_loss, weighted_mean
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.retelling import Retelling
from policy_core.ppo.settings import PpoSettings


def update(
    batch: Batch,
    learner: Learner,
    settings: PpoSettings,
    progress: float,
    *,
    split: Split,
    ranks: Ranks,
    detach: bool = False,
) -> dict[str, float]:
    """Run the epochs; `progress` in [0, 1] sets learning rate and entropy bonus. Gives figures for the log.

    Raises:
        TrainingError: a loss is not finite; the weights are then those of the last good step.
    """
    learning_rate = settings.learning_rate * (1 - progress if settings.schedule == "linear" else 1)
    for optimiser in (learner.policy_optimiser, learner.critic_optimiser):
        optimiser.param_groups[0]["lr"] = learning_rate
    entropy_weight = settings.entropy_start + (settings.entropy_end - settings.entropy_start) * progress
    advice_weight = settings.advice_weight(progress)
    everything = torch.arange(batch.began.shape[0] * ranks.count, device=batch.began.device)
    choosing = deciding(batch, ranks, split)
    parts = max(1, round(len(everything) * batch.began.shape[1] / settings.minibatch))
    policy_log: list[dict[str, Tensor]] = []
    critic_log: list[dict[str, Tensor]] = []
    flow: dict[str, Tensor] = {}
    may_move = len(choosing) > 0
    for _ in range(settings.epochs):
        if may_move:
            first = len(policy_log)
            for index in minibatches(choosing, parts, learner.shuffle, split):
                tap = _stabiliser(learner, settings) if settings.link_gradient_norm or not policy_log else None
                part = batch.select(index)
                step = step_policy(
                    part, learner, settings, entropy_weight, ranks, advice_weight=advice_weight, detach=detach, tap=tap
                )
                policy_log.append(step)
                flow = flow or (tap.figures() if tap else {})
            may_move = advice_weight > 0 or mean_figures(policy_log[first:], ranks)["kl"] <= settings.kl_limit
        for index in minibatches(everything, parts, learner.shuffle, split):
            critic_log.append(step_critic(batch, index, learner, settings, ranks))
    figures = mean_figures(policy_log, ranks) | mean_figures(critic_log, ranks)
    figures |= {name: float(figure) for name, figure in flow.items()}
    return figures | {
        "policy steps": float(len(policy_log)),
        "samples deciding": len(choosing) / len(everything),
        "learning rate": learning_rate,
        "entropy weight": entropy_weight,
    }


def step_policy(
    batch: Batch,
    learner: Learner,
    settings: PpoSettings,
    entropy_weight: float,
    ranks: Ranks,
    *,
    advice_weight: float = 0.0,
    detach: bool = False,
    tap: GradientStabiliser | None = None,
) -> dict[str, Tensor]:
    """One gradient step of the policy: the joint forward with all rounds, one loss over all agents, one backward.

    With advice, the policy is also drawn to the adviser's decisions where it has been itself (kickstarting, Schmitt et
    al. 2018, arXiv:1803.03835, with a deterministic teacher). What the adviser knew and the agent does not see can only
    come by message, so this loss teaches senders, too.
    """
    total = ranks.sum(batch.chooses.sum()).clamp(min=1)
    log_probability, entropy, advised, amiss = replay(
        learner.policy, batch, learner.retelling, detach=detach, tap=None if tap is None else tap.tap
    )
    log_ratio = log_probability - batch.log_probability
    surrogate = policy_loss(log_ratio, batch.advantage, batch.chooses, settings.clip, total)
    mean_entropy = weighted_mean(entropy, batch.chooses, total)
    distance = -weighted_mean(advised, batch.chooses, total)  # nats from the adviser; 0 without one
    drawn = distance
    if batch.advice.shape[-1] and settings.advice_acts != 1.0:
        acts = torch.where(batch.advice[..., 0] != 0, settings.advice_acts, 1.0)
        drawn = -weighted_mean(advised, batch.chooses * acts, total)
    retold = weighted_mean(amiss, batch.alive, ranks.sum(batch.alive.sum()).clamp(min=1))
    loss = surrogate - entropy_weight * mean_entropy + advice_weight * drawn + settings.retelling * retold
    heads = list(learner.retelling.parameters()) if learner.retelling else []
    norm = _descend(loss, learner.policy_optimiser, learner.policy, settings.gradient_norm, ranks, heads)
    with torch.no_grad():
        clipped = ((log_ratio.exp() - 1).abs() > settings.clip).float()
        figures = {
            "policy loss": surrogate,
            "entropy": mean_entropy,
            "kl": divergence(log_ratio, batch.chooses, total),
            "clipped share": weighted_mean(clipped, batch.chooses, total),
            "gradient norm policy": norm / ranks.count,
        }
        figures |= {"nats from advice": distance} if batch.advice.shape[-1] else {}
        figures |= {"retelling error": retold} if learner.retelling else {}
    return {name: figure.detach() for name, figure in figures.items()}


def step_critic(
    batch: Batch, index: Tensor, learner: Learner, settings: PpoSettings, ranks: Ranks
) -> dict[str, Tensor]:
    """One gradient step of the critic on these sequences of the batch."""
    counts = bool(len(index))  # where this process has none of the minibatch, one that does not count
    index = index if counts else index.new_zeros(1)
    old, target, alive = (part.index_select(0, index) for part in (batch.value, batch.target, batch.alive * counts))
    total = ranks.sum(alive.sum()).clamp(min=1)
    value = learner.critic(batch.senses.select(index).map(_join)).unflatten(0, alive.shape[:2])
    error = value_loss(value, old, target, alive, settings.value_clip, total)
    norm = _descend(error, learner.critic_optimiser, learner.critic, settings.gradient_norm, ranks)
    return {"value loss": error.detach(), "gradient norm critic": norm / ranks.count}


def replay(
    policy: FleetPolicy,
    batch: Batch,
    retelling: Retelling | None = None,
    *,
    detach: bool = False,
    tap: RoundTap | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How likely the policy finds what was done, anew and with gradient.

    Gives the log-probability of what was done, the entropy of the decision, the log-probability of what was advised
    (0 without advice), and the error of retelling (0 without), all [S, L, N]. A policy with memory runs through each
    sequence from the memory that collection had there (stored state, Kapturowski et al. 2019, R2D2), and forgets where
    an episode begins.
    """
    if not policy.architecture.memory:
        senses, links = batch.senses.map(_join), batch.links.map(_join)
        answer = policy(senses, links, detach_messages=detach, tap=tap)
        judged = _judge_all(policy, answer, senses, _join(batch.actions), _join(batch.advice), retelling)
        done, entropy, advised, amiss = (part.unflatten(0, batch.began.shape) for part in judged)
        return done, entropy, advised, amiss
    memory, told = batch.memory, []
    for tick in range(batch.began.shape[1]):
        at_tick = functools.partial(torch.select, dim=1, index=tick)
        senses, links = batch.senses.map(at_tick), batch.links.map(at_tick)
        memory = memory.masked_fill(batch.began[:, tick].view(-1, 1, 1), 0.0)
        answer = policy(senses, links, memory, detach_messages=detach, tap=tap)
        actions, advice = batch.actions[:, tick], batch.advice[:, tick]
        told.append(_judge_all(policy, answer, senses, actions, advice, retelling))
        memory = answer.hidden
    done, entropy, advised, amiss = (torch.stack(parts, dim=1) for parts in zip(*told, strict=True))
    return done, entropy, advised, amiss


def _judge_all(
    policy: FleetPolicy,
    answer: Answer,
    senses: Senses,
    actions: Tensor,
    advice: Tensor,
    retelling: Retelling | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`judge` of what was done, the log-probability of what was advised, and the error of retelling."""
    done, entropy = judge(policy.contract, answer, actions)
    advised = judge(policy.contract, answer, advice)[0] if advice.shape[-1] else torch.zeros_like(done)
    amiss = retelling(policy, answer.hidden, senses) if retelling else torch.zeros_like(done)
    return done, entropy, advised, amiss


def _join(part: Tensor) -> Tensor:
    """[S, L, ...] to [S * L, ...]."""
    return part.flatten(0, 1)


def mean_figures(log: list[dict[str, Tensor]], ranks: Ranks) -> dict[str, float]:
    """The mean of every figure over the steps, summed over the processes; empty from an empty log."""
    if not log:
        return {}
    means = torch.stack([torch.stack(list(figures.values())) for figures in log]).mean(0)
    return dict(zip(log[0], ranks.sum(means).tolist(), strict=True))


def _stabiliser(learner: Learner, settings: PpoSettings) -> GradientStabiliser:
    contract = learner.policy.contract
    device = learner.shuffle.device
    return GradientStabiliser(contract.rounds, tuple(contract.kinds), settings.link_gradient_norm, device)


def _descend(
    loss: Tensor,
    optimiser: torch.optim.Optimizer,
    module: nn.Module,
    gradient_norm: float,
    ranks: Ranks,
    others: Sequence[nn.Parameter] = (),
) -> Tensor:
    """One step down the loss, the module's gradient clipped, that of the others not; gives the norm before clipping."""
    seen = ranks.sum(loss.detach())
    if not torch.isfinite(seen):
        raise TrainingError(
            f"the loss is {seen.item()}; wanted a finite number. Look for NaN or exploding rewards and observations "
            "in the world, or lower learning_rate. The last good checkpoint is intact."
        )
    parameters = list(module.parameters())
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    ranks.sum_gradients([*parameters, *others])
    norm = nn.utils.clip_grad_norm_(parameters, gradient_norm)
    optimiser.step()
    return norm
