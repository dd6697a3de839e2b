"""Collecting experience: T ticks of E worlds, with what the world said and what the air did to messages.

Messages themselves are never kept: the loss computes them anew, with gradient, from the same senses and links.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from policy_core.agents.fleet_policy import FleetPolicy, judge, sample
from policy_core.agents.senses import Senses, sense
from policy_core.comm.channel import Links, transmit
from policy_core.environment import BatchEnvironment, Observations


class Final(NamedTuple):
    """The last senses of episodes that time cut off at one tick."""

    tick: int
    worlds: Tensor  # indices [W]
    senses: Senses  # of those worlds


class Rollout(NamedTuple):
    """T ticks of E worlds."""

    senses: Senses  # [T, E, ...]
    links: Links  # [T, E, K, N, N]
    actions: Tensor  # [T, E, N] int64
    log_probability: Tensor  # [T, E, N] of the actions, when they were drawn
    reward: Tensor  # [T, E, N]
    terminated: Tensor  # [T, E] bool
    truncated: Tensor  # [T, E] bool
    last: Senses  # what followed the last tick [E, ...]
    finals: list[Final]
    episodes: list[dict[str, float]]  # KPIs of the episodes that ended, and their `return` and `ticks`


class Collector:
    """Plays the policy in a batch of worlds; its buffers are reused, so a rollout lives until the next `collect`."""

    def __init__(self, environment: BatchEnvironment, *, ticks: int, rounds: int, seed: int, device: torch.device):
        """Start every world anew and make room for T ticks."""
        self.environment = environment
        self.ticks = ticks
        self.device = device
        self.chance = torch.Generator(device).manual_seed(seed)  # of actions
        self.air = torch.Generator(device).manual_seed(seed + 1)
        self.observations = environment.reset(seed)
        worlds, agents = environment.worlds, len(environment.agents)
        self.running_return = np.zeros(worlds)
        self.running_ticks = np.zeros(worlds, dtype=np.int64)
        link_shape = (ticks, worlds, rounds, agents, agents)
        self._senses = sense(self.observations).map(
            lambda part: torch.empty((ticks, *part.shape), dtype=part.dtype, device=device)
        )
        self._links = Links(
            torch.empty(link_shape, dtype=torch.bool, device=device), torch.empty(link_shape, device=device)
        )
        self._actions = torch.empty((ticks, worlds, agents), dtype=torch.int64, device=device)
        self._log_probability, self._reward = (torch.empty((ticks, worlds, agents), device=device) for _ in range(2))
        self._terminated, self._truncated = (
            torch.empty((ticks, worlds), dtype=torch.bool, device=device) for _ in range(2)
        )

    @torch.no_grad()
    def collect(self, policy: FleetPolicy) -> Rollout:
        """Play T ticks on from where the worlds stand."""
        finals: list[Final] = []
        episodes: list[dict[str, float]] = []
        for tick in range(self.ticks):
            senses = sense(self.observations, self.device)
            links = transmit(policy.channel, senses.position, senses.alive, policy.contract.rounds, self.air)
            logits = policy(senses, links).logits
            actions = sample(logits, self.chance)
            self._remember(tick, senses, links)
            self._actions[tick] = actions
            self._log_probability[tick] = judge(logits, actions)[0]
            step = self.environment.step(actions.cpu().numpy())
            self._reward[tick] = torch.from_numpy(step.reward)
            self._terminated[tick] = torch.from_numpy(step.terminated)
            self._truncated[tick] = torch.from_numpy(step.truncated)
            self.observations = step.observations
            if step.truncated.any():
                finals.append(self._final(tick, step.final, step.truncated))
            episodes.extend(self._close(step.reward, step.terminated | step.truncated, step.kpis))
        return Rollout(
            self._senses,
            self._links,
            self._actions,
            self._log_probability,
            self._reward,
            self._terminated,
            self._truncated,
            sense(self.observations, self.device),
            finals,
            episodes,
        )

    def _remember(self, tick: int, senses: Senses, links: Links) -> None:
        for name, kind in senses.kinds.items():
            for kept, part in zip(self._senses.kinds[name], kind, strict=True):
                kept[tick] = part
        self._senses.position[tick] = senses.position
        self._senses.alive[tick] = senses.alive
        self._senses.state[tick] = senses.state
        self._links.heard[tick] = links.heard
        self._links.age[tick] = links.age

    def _final(self, tick: int, final: Observations | None, truncated: np.ndarray) -> Final:
        if final is None:
            raise ValueError(
                f"the world reports {int(truncated.sum())} truncated episode(s) at a tick but gives no `final` "
                "observations; a truncated episode needs them for its bootstrap value"
            )
        worlds = torch.from_numpy(np.flatnonzero(truncated)).to(self.device)
        return Final(tick, worlds, sense(final, self.device).select(worlds))

    def _close(self, reward: np.ndarray, ended: np.ndarray, kpis: list[dict[str, float]]) -> list[dict[str, float]]:
        """Count the running episodes on; give the ended ones' figures."""
        self.running_return += reward.mean(-1)
        self.running_ticks += 1
        worlds = np.flatnonzero(ended)
        closed = [
            {"return": float(self.running_return[world]), "ticks": float(self.running_ticks[world])} for world in worlds
        ]
        for figures, episode in zip(closed, kpis, strict=False):
            figures.update(episode)
        self.running_return[worlds] = 0.0
        self.running_ticks[worlds] = 0
        return closed
