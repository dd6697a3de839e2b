"""Playing a policy as it is deployed: choices drawn at its temperature, with or without messages, on fixed seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from policy_core.agents.actions import sample, to_world
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.agents.senses import sense
from policy_core.chance import Chance
from policy_core.comm.channel import Bursts, transmit
from policy_core.environment import BatchEnvironment


class Evaluation(NamedTuple):
    """What a policy earned."""

    mean_return: float  # summed over the ticks, mean over worlds and agents
    spread: float  # standard error over worlds
    episode_return: float  # of each world's first episode, mean over worlds and agents; NaN where none ended
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
    """Play so many ticks in every world from a fresh start; the channel loses and delays as in training.

    Messages are rounded as in deployment, see rounding.py.
    """
    was_training = policy.training
    try:
        return _play(policy.eval(), environment, ticks, seed, temperature, silence)
    finally:
        policy.train(was_training)


def _play(
    policy: FleetPolicy, environment: BatchEnvironment, ticks: int, seed: int, temperature: float, silence: bool
) -> Evaluation:
    device = next(policy.parameters()).device
    air, chance = Chance(seed, device), Chance(seed + 1, device)
    rounds, numbers, bursts = policy.contract.rounds, policy.contract.message_size, Bursts()
    memory = None
    observations = environment.reset(seed)
    earned, first = np.zeros(environment.worlds), np.full(environment.worlds, np.nan)
    episodes: list[dict[str, float]] = []
    for _ in range(ticks):
        senses = sense(observations, device)
        links = transmit(
            policy.channel,
            senses.position,
            senses.alive,
            rounds,
            air,
            kinds=environment.kinds,
            numbers=numbers,
            bursts=bursts,
        )
        answer = policy(senses, links, memory, silence=silence)
        actions = sample(policy.contract, answer, chance, temperature)
        step = environment.step(to_world(policy.contract, senses.counts(), actions).cpu().numpy())
        over = torch.from_numpy(step.terminated | step.truncated).to(device)
        bursts.restart(over)
        memory = answer.hidden.masked_fill(over.view(-1, 1, 1), 0.0)
        observations = step.observations
        earned += step.reward.mean(-1)
        is_first = np.isnan(first) & (step.terminated | step.truncated)
        first[is_first] = earned[is_first]
        episodes.extend(step.kpis)
    names = sorted({name for episode in episodes for name in episode})
    kpis = {name: float(np.mean([episode[name] for episode in episodes if name in episode])) for name in names}
    episode = float(np.nanmean(first)) if np.isfinite(first).any() else float("nan")
    return Evaluation(float(earned.mean()), float(earned.std() / np.sqrt(len(earned))), episode, kpis)
