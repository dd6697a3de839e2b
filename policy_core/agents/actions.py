"""From judgement to decision: drawing actions of every type, and how likely an action was.

A decision is P numbers: an index for the pointer and for each choice, then the controls in units of half their range
about its centre. Controls are Gaussian and unbounded here; the world gets them clipped to their range.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from policy_core.chance import Chance
from policy_core.contract import Contract, Kind, scale_of

LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)


class Answer(NamedTuple):
    """What B fleets say, and how they judge what they may do, by kind."""

    logits: dict[str, Tensor]  # [B, N_kind, L], -inf where masked
    controls: dict[str, Tensor]  # [B, N_kind, 2U] mean and log spread; only kinds that have controls
    messages: list[Tensor]  # of each round [B, N, M]
    hidden: Tensor  # [B, N, H] after the last round: what a fleet with memory keeps until the next tick


def sample(contract: Contract, answer: Answer, chance: Chance, temperature: float = 1.0) -> Tensor:
    """Actions drawn from the judgement [B, N, P]; a temperature below 1 draws the likelier more often."""
    chosen = []
    for name, logits in answer.logits.items():
        kind = contract.kinds[name]
        noise = chance.exponential(logits.shape).clamp_(min=1e-20).log_()
        parts = [
            block.argmax(-1, keepdim=True).to(logits.dtype)  # Gumbel-max
            for block in (logits / temperature - noise).split(kind.blocks, dim=-1)
        ]
        if name in answer.controls:
            mean, log_spread = answer.controls[name].chunk(2, dim=-1)
            parts.append(mean + log_spread.exp() * temperature * chance.normal(mean.shape))
        chosen.append(_pad(torch.cat(parts, dim=-1), contract.action_size))
    return torch.cat(chosen, dim=-2)


def judge(contract: Contract, answer: Answer, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of the actions [B, N, P] and entropy of the decision, both [B, N], over all its parts."""
    counts = [logits.shape[-2] for logits in answer.logits.values()]
    log_probabilities, entropies = [], []
    for (name, logits), action in zip(answer.logits.items(), actions.split(counts, dim=-2), strict=True):
        kind = contract.kinds[name]
        log_probability, entropy = _judge_blocks(kind, logits, action)
        if name in answer.controls:
            mean, log_spread = answer.controls[name].chunk(2, dim=-1)
            value = action[..., len(kind.blocks) : kind.action_size]
            density = -0.5 * ((value - mean) * (-log_spread).exp()).square() - log_spread - LOG_ROOT_TAU
            log_probability = log_probability + density.sum(-1)
            entropy = entropy + (log_spread + 0.5 + LOG_ROOT_TAU).sum(-1)
        log_probabilities.append(log_probability)
        entropies.append(entropy)
    return torch.cat(log_probabilities, dim=-1), torch.cat(entropies, dim=-1)


def _judge_blocks(kind: Kind, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    log_probability = entropy = logits.new_zeros(logits.shape[:-1])
    for place, block in enumerate(logits.split(kind.blocks, dim=-1)):
        logs = torch.log_softmax(block, dim=-1)
        index = action[..., place : place + 1].long()
        log_probability = log_probability + logs.gather(-1, index).squeeze(-1)
        entropy = entropy - (logs.exp() * logs.masked_fill(block == -torch.inf, 0.0)).sum(-1)
    return log_probability, entropy


def to_world(contract: Contract, counts: dict[str, int], actions: Tensor) -> Tensor:
    """Actions [..., N, P] as a world takes them: controls in their units, clipped to their range.

    Args:
        contract: of the fleet.
        counts: agents of each kind, in the order of the agent axis.
        actions: as drawn.
    """
    if not any(contract.kinds[name].controls for name in counts):
        return actions
    sent = []
    for name, part in zip(counts, actions.split(list(counts.values()), dim=-2), strict=True):
        kind = contract.kinds[name]
        centre, half = (torch.from_numpy(side).to(part.device) for side in scale_of(kind.controls))
        first, rest = part[..., : len(kind.blocks)], part[..., len(kind.blocks) : kind.action_size]
        placed = torch.cat((first, centre + half * rest.clamp(-1, 1)), dim=-1)
        sent.append(_pad(placed, contract.action_size))
    return torch.cat(sent, dim=-2)


def may_choose(contract: Contract, masks: dict[str, Tensor], alive: Tensor) -> Tensor:
    """Whether each agent has a real choice: alive, and two legal options somewhere or a control [..., N] bool.

    Args:
        contract: of the fleet.
        masks: of each kind [..., N_kind, L], in the order of the agent axis.
        alive: [..., N] bool.
    """
    free = []
    for name, mask in masks.items():
        kind = contract.kinds[name]
        is_free = torch.full(mask.shape[:-1], bool(kind.controls), dtype=torch.bool, device=mask.device)
        for block in mask.split(kind.blocks, dim=-1):
            is_free = is_free | (block.sum(-1) > 1)
        free.append(is_free)
    return torch.cat(free, dim=-1) & alive


def _pad(action: Tensor, size: int) -> Tensor:
    return action if action.shape[-1] == size else torch.nn.functional.pad(action, (0, size - action.shape[-1]))
