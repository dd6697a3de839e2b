"""Playing E worlds from their start with the same chance each time, meddling with messages or keeping what was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from policy_core.agents.actions import Answer, sample, to_world
from policy_core.agents.senses import Senses, sense
from policy_core.analysis.meddling import Fleet, Meddler
from policy_core.chance import Chance
from policy_core.comm.channel import Bursts, Links, transmit
from policy_core.environment import BatchEnvironment


class Moment(NamedTuple):
    """One tick of E worlds, before it is acted on."""

    tick: int
    senses: Senses
    links: Links
    memory: Tensor | None  # [E, N, H] of a policy with memory
    answer: Answer
    actions: Tensor  # [E, N, P]


class Played(NamedTuple):
    """What each world earned."""

    reward: np.ndarray  # [E] summed over the ticks, mean over the agents
    kpis: dict[str, np.ndarray]  # [E] mean over the episodes that ended; NaN where none did


Watch = Callable[[Moment], None]
Tell = Callable[[float], None]  # share of the work that is done


def nobody(_: float) -> None:
    """Tell nobody."""


@torch.no_grad()
def play(
    fleet: Fleet,
    environment: BatchEnvironment,
    *,
    ticks: int,
    seed: int,
    temperature: float,
    meddler: Meddler | None = None,
    watch: Watch | None = None,
    tell: Tell = nobody,
) -> Played:
    """Play so many ticks; worlds, air and draws of actions are the same in every rollout of one seed."""
    air, chance, bursts = Chance(seed, "cpu"), Chance(seed + 1, "cpu"), Bursts()
    rounds, numbers = fleet.contract.rounds, fleet.contract.message_size
    observations = environment.reset(seed)
    worlds = environment.worlds
    memory: Tensor | None = None
    over = torch.ones(worlds, dtype=torch.bool)
    reward = np.zeros(worlds)
    episodes: list[list[dict[str, float]]] = [[] for _ in range(worlds)]
    for tick in range(ticks):
        senses = sense(observations)
        links = transmit(
            fleet.channel,
            senses.position,
            senses.alive,
            rounds,
            air,
            kinds=environment.kinds,
            numbers=numbers,
            bursts=bursts,
        )
        tap = None
        if meddler is not None:
            meddler.begin(over)
            links = meddler.links(links)
            tap = meddler.tap(links)
        answer = fleet(senses, links, memory, tap=tap)
        actions = sample(fleet.contract, answer, chance, temperature)
        if watch is not None:
            watch(Moment(tick, senses, links, memory, answer, actions))
        step = environment.step(to_world(fleet.contract, senses.counts(), actions).numpy())
        ended = step.terminated | step.truncated
        over = torch.from_numpy(ended)
        bursts.restart(over)
        memory = answer.hidden.masked_fill(over.view(-1, 1, 1), 0.0)
        observations = step.observations
        reward += step.reward.mean(-1)
        for world, kpis in zip(np.flatnonzero(ended), step.kpis, strict=False):
            episodes[world].append(kpis)
        tell((tick + 1) / ticks)
    names = sorted({name for own in episodes for episode in own for name in episode})
    figures = {
        name: np.array([np.mean([each[name] for each in own]) if own else np.nan for own in episodes]) for name in names
    }
    return Played(reward, figures)
