"""Playing a policy as it is deployed: choices drawn at its temperature, with or without messages, on fixed seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from policy_core.agents.fleet_policy import FleetPolicy, sample
from policy_core.agents.senses import sense
from policy_core.comm.channel import transmit
from policy_core.environment import BatchEnvironment


class Evaluation(NamedTuple):
    """What a policy earned."""

    mean_return: float  # summed over the ticks, mean over worlds and agents
    spread: float  # standard error over worlds
    kpis: dict[str, float]  # mean over the episodes that ended


@torch.no_grad()
def evaluate(
    policy: FleetPolicy,
    environment: BatchEnvironment,
    *,
    ticks: int,
    seed: int,
    temperature: float,
    silence: bool = False,
) -> Evaluation:
    """Play so many ticks in every world from a fresh start; the channel loses and delays as in training."""
    device = next(policy.parameters()).device
    air, chance = torch.Generator(device).manual_seed(seed), torch.Generator(device).manual_seed(seed + 1)
    observations = environment.reset(seed)
    earned = np.zeros(environment.worlds)
    episodes: list[dict[str, float]] = []
    for _ in range(ticks):
        senses = sense(observations, device)
        links = transmit(policy.channel, senses.position, senses.alive, policy.contract.rounds, air)
        logits = policy(senses, links, silence=silence).logits
        actions = sample({kind: judged / temperature for kind, judged in logits.items()}, chance)
        step = environment.step(actions.cpu().numpy())
        observations = step.observations
        earned += step.reward.mean(-1)
        episodes.extend(step.kpis)
    names = sorted({name for episode in episodes for name in episode})
    kpis = {name: float(np.mean([episode[name] for episode in episodes if name in episode])) for name in names}
    return Evaluation(float(earned.mean()), float(earned.std() / np.sqrt(len(earned))), kpis)
