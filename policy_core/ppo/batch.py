"""From a rollout to samples for the loss: judged by the critic, cut into sequences, normalised over all processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from policy_core.agents.actions import may_choose
from policy_core.agents.critic import Critic
from policy_core.agents.joint_critic import JointCritic
from policy_core.agents.senses import Senses
from policy_core.comm.channel import Links
from policy_core.ppo.learner import Learner
from policy_core.ppo.losses import estimate_advantage, explained_variance, normalise_advantage
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.rollout import Rollout
from policy_core.ppo.settings import PpoSettings

PIECE = 512  # joint samples that the critic judges at a time, to stay in the cache


class Batch(NamedTuple):
    """Joint fleet samples, as S sequences of L ticks each [S, L, ...]; L is 1 for a policy without memory."""

    senses: Senses
    links: Links
    memory: Tensor  # [S, N, H] before the first tick
    began: Tensor  # [S, L] bool: first tick of an episode
    actions: Tensor  # [S, L, N, P]
    advice: Tensor  # [S, L, N, P]; P is 0 without
    log_probability: Tensor  # [S, L, N]
    advantage: Tensor  # [S, L, N] normalised
    value: Tensor  # [S, L, N] normalised
    target: Tensor  # [S, L, N] normalised
    chooses: Tensor  # [S, L, N] 1 where the agent had a real choice
    alive: Tensor  # [S, L, N] 1 where the agent lives

    def select(self, index: Tensor) -> Batch:
        """The sequences at these indices; one that does not count where there are none, as networks need one."""
        if not len(index):
            alone = self.select(index.new_zeros(1))
            return alone._replace(chooses=torch.zeros_like(alone.chooses), alive=torch.zeros_like(alone.alive))
        links = self.links.map(lambda part: part.index_select(0, index))
        return Batch(self.senses.select(index), links, *(part.index_select(0, index) for part in self[2:]))


@torch.no_grad()
def prepare(rollout: Rollout, learner: Learner, settings: PpoSettings, ranks: Ranks) -> tuple[Batch, dict[str, float]]:
    """Judge the rollout with the critic and cut it into sequences; also gives figures for the log."""
    critic, scale = learner.critic, learner.scale
    alive = rollout.senses.alive.float()
    reward = rollout.reward * alive
    if settings.credit == "team":
        reward = reward.sum(-1, keepdim=True) / alive.sum(-1, keepdim=True).clamp(min=1) * alive
    judged = _values(critic, rollout.senses)
    value = scale.restore(judged) * alive  # who dies has nothing to expect
    last = scale.restore(critic(rollout.last)) * rollout.last.alive
    next_value = torch.cat((value[1:], last.unsqueeze(0)))
    for final in rollout.finals:
        next_value[final.tick, final.worlds] = scale.restore(critic(final.senses)) * final.senses.alive
    ended = rollout.terminated | rollout.truncated
    advantage = estimate_advantage(
        reward, value, next_value, rollout.terminated, ended, settings.gamma, settings.gae_lambda
    )
    returns = advantage + value
    scale.update(returns, alive, ranks.sum)
    masks = {name: kind.mask for name, kind in rollout.senses.kinds.items()}
    chooses = may_choose(learner.policy.contract, masks, rollout.senses.alive).float()
    counts = list(rollout.senses.counts().values())
    by_kind = zip(advantage.split(counts, dim=-1), chooses.split(counts, dim=-1), strict=True)
    sequence = rollout.began.shape[0] // rollout.memory.shape[0]

    def cut(part: Tensor) -> Tensor:
        """[T, E, ...] to sequences [S, L, ...]."""
        return part.unflatten(0, (-1, sequence)).transpose(1, 2).flatten(0, 1)

    batch = Batch(
        rollout.senses.map(cut),
        rollout.links.map(cut),
        rollout.memory.flatten(0, 1),
        cut(rollout.began),
        cut(rollout.actions),
        cut(rollout.advice),
        cut(rollout.log_probability),
        cut(torch.cat([normalise_advantage(part, weight, ranks.sum) for part, weight in by_kind], dim=-1)),
        cut(judged),
        cut(scale.normalise(returns)),
        cut(chooses),
        cut(alive),
    )
    heard = rollout.links.heard
    figures = {
        "reward per tick": float(rollout.reward.mean()),
        "explained variance": explained_variance(value[rollout.senses.alive], returns[rollout.senses.alive]),
        "share choosing": float(chooses.mean()),
        "links heard": float(heard.float().mean()) if heard.numel() else 0.0,
        "bits per tick and agent": float(rollout.bits.sum() / alive.sum().clamp(min=1)),
    }
    return batch, figures


def minibatches(units: Tensor, parts: int, shuffle: torch.Generator, own: Split) -> Iterator[Tensor]:
    """A random split of sequences into at most so many nearly equal parts; gives this process's own of each.

    Args:
        units: indices of the sequences among those of all processes.
        parts: of the split.
        shuffle: the same in all processes.
        own: which are this process's.
    """
    order = torch.randperm(len(units), generator=shuffle, device=shuffle.device)
    for part in units[order].chunk(parts):
        yield own.local(part)


class Split(NamedTuple):
    """How sequences, numbered sequence by sequence and within that world by world, lie in the processes."""

    rows: slice  # own worlds
    worlds: int  # of all processes

    def local(self, units: Tensor) -> Tensor:
        """The own among these, as places in the own batch."""
        each = self.rows.stop - self.rows.start
        if each == self.worlds:
            return units
        sequence, world = torch.div(units, self.worlds, rounding_mode="floor"), units % self.worlds
        mine = (world >= self.rows.start) & (world < self.rows.stop)
        return (sequence * each + world - self.rows.start)[mine]


def deciding(batch: Batch, ranks: Ranks, split: Split) -> Tensor:
    """Indices, among the sequences of all processes, of those in which at least one agent had a choice."""
    own = batch.chooses.flatten(1).any(1).view(-1, split.rows.stop - split.rows.start)
    return ranks.join(own, dim=1).flatten().nonzero().squeeze(-1)


def _values(critic: Critic | JointCritic, senses: Senses) -> Tensor:
    """Normalised values [T, E, N]."""
    ticks, worlds = senses.alive.shape[:2]
    flat = senses.map(lambda part: part.flatten(0, 1))
    starts = range(0, ticks * worlds, PIECE)
    values = [critic(flat.select(slice(start, start + PIECE))) for start in starts]
    return torch.cat(values).unflatten(0, (ticks, worlds))
