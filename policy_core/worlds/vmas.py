"""VMAS worlds (Bettini et al. 2022, arXiv:2207.03530): E worlds in one object, stepped together by torch.

A world that ends goes on from the same row of a second, freshly started batch: VMAS itself starts single worlds one
by one, each at the cost of a tick. Where a start draws something for all worlds together (a goal in simple_push), rows
do not tell a world, and VMAS's own way is taken. All worlds draw from one random state that is this batch's own, so the
seed of a run is that of the batch; `first_world` only makes the batches of several processes differ.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policy_core.config import ConfigError
from policy_core.environment import KindObservation, Observations, Step
from policy_core.worlds.fleet import Member, blank, bring, make_fleet
from policy_core.worlds.vmas_rows import copy_rows, shares_chance

STARTS = 6  # of a batch, in which is looked for what a start draws for all worlds together


def make(
    worlds: int,
    name: str,
    message_size: int = 16,
    rounds: int = 2,
    tick: float = 1.0,
    max_steps: int = 100,
    options: dict[str, Any] | None = None,
) -> VmasWorlds:
    """Build E worlds of a scenario.

    Args:
        worlds: E.
        name: of the scenario, such as transport.
        message_size: M of the learned messages.
        rounds: K; 0: no learned messages.
        tick: what one step stands for in the contract (s); VMAS itself simulates 0.1 s.
        max_steps: ticks of an episode.
        options: of the scenario, and `continuous_actions`, `multidiscrete_actions`.

    Raises:
        ConfigError: VMAS is not installed, or has no such scenario, or the scenario does not take these options.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # gym, which it imports, tells at length that it is old
        package = bring("vmas")
    known = scenarios(package)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"env: VMAS has no scenario '{name}'; " + (f"did you mean '{near[0]}'?" if near else ", ".join(known))
        )
    return VmasWorlds(package, worlds, name, message_size, rounds, tick, max_steps, options or {})


def scenarios(package: Any) -> list[str]:
    """Names of all scenarios."""
    return sorted([*package.scenarios, *package.mpe_scenarios, *package.debug_scenarios])


class VmasWorlds:
    """E worlds of one scenario."""

    def __init__(
        self,
        package: Any,
        worlds: int,
        name: str,
        message_size: int,
        rounds: int,
        tick: float,
        max_steps: int,
        options: dict[str, Any],
    ) -> None:
        """Build them; call `reset` before `step`."""
        self.worlds = worlds
        self._shared_chance = package.simulator.environment.Environment.vmas_random_state
        self._chance = list(self._shared_chance)
        settings = {"max_steps": max_steps, "device": "cpu", "clamp_actions": True, "terminated_truncated": True}
        try:
            with self._own_chance(), warnings.catch_warnings():
                warnings.filterwarnings("error", message="Scenario kwargs")  # an option that no one reads
                self.world = package.make_env(name, num_envs=worlds, seed=0, **settings, **options)
                twin = type(self.world.scenario)()  # VMAS reads a named scenario's file anew, to another class
                self.spare = package.make_env(twin, num_envs=worlds, seed=1, **settings, **options)
                self.is_slow = self._shares_chance()
        except (AssertionError, TypeError, ValueError, UserWarning) as error:
            raise ConfigError(f"env_settings: VMAS's {name} does not accept the options {options} ({error})") from None
        spaces = zip(self.world.agents, self.world.observation_space, self.world.action_space, strict=True)
        members = [Member(agent.name, *pair) for agent, *pair in spaces]
        self.fleet = make_fleet(members, message_size=message_size, rounds=rounds, tick=tick)
        self.contract, self.agents, self.kinds = self.fleet.contract, self.fleet.agents, self.fleet.kinds
        own = [member.name for member in members]
        self._places = [own.index(agent) for agent in self.agents]  # of each of our agents among VMAS's
        self._decisions = [self.fleet.decisions[kind] for kind in self.kinds]
        self._frame = blank(self.fleet, worlds)
        self._used = torch.ones(worlds, dtype=torch.bool)  # rows of the spare batch that a world goes on from
        self._first: tuple[list[Any], Tensor] = ([], torch.empty(0))
        self._length = torch.zeros(worlds)
        self._return = torch.zeros(worlds)
        self._sums: dict[str, Tensor] = {}

    def _shares_chance(self) -> bool:
        """Whether a start draws something for all worlds together, so that rows alone do not tell a world."""
        for _ in range(STARTS):
            if shares_chance(self.world, self.spare, self.worlds):
                return True
            self.spare.reset(return_observations=False)
        return False

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew."""
        with self._own_chance():
            mixed = int(np.random.SeedSequence((seed, first_world)).generate_state(1)[0])
            senses = self.world.reset(seed=mixed)
        self._used.fill_(True)
        self._length.zero_()
        self._return.zero_()
        self._sums.clear()
        return self._observe(self._vectors(senses), self._positions(self.world))

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick; see `BatchEnvironment`."""
        sent: list[Any] = [None] * len(self.agents)
        decided = torch.from_numpy(actions)
        for place, (own, decision) in enumerate(zip(self._places, self._decisions, strict=True)):
            sent[own] = decided[:, place, : decision.size]
        with self._own_chance():
            senses, rewards, terminated, truncated, infos = self.world.step(sent)
        reward = torch.stack([rewards[own] for own in self._places], dim=1)
        self._count(reward, infos)
        truncated = truncated & ~terminated
        vectors, positions = self._vectors(senses), self._positions(self.world)
        ended = terminated | truncated
        final, kpis = None, []
        if ended.any():
            final = self._observe(vectors, positions)
            kpis = self._close(ended)
            vectors, positions = self._start(ended, vectors, positions)
        return Step(
            self._observe(vectors, positions),
            reward.float().numpy(),
            terminated.numpy(),
            truncated.numpy(),
            final,
            kpis,
        )

    def _start(self, ended: Tensor, vectors: list[Tensor], positions: Tensor) -> tuple[list[Tensor], Tensor]:
        """Let the worlds that ended begin anew, from their spare rows where that can be; gives what is then sensed."""
        if self.is_slow:
            return self._start_slowly(ended)
        if (self._used & ended).any():
            with self._own_chance():
                fresh = self.spare.reset()
            self._first = self._vectors(fresh), self._positions(self.spare)
            self._used.fill_(False)
        rows = ended.nonzero().squeeze(-1)
        copy_rows(self.world, self.spare, rows, self.worlds)
        self._used |= ended
        first, first_positions = self._first
        vectors = [part.index_copy(0, rows, fresh[rows]) for part, fresh in zip(vectors, first, strict=True)]
        return vectors, positions.index_copy(0, rows, first_positions[rows])

    def _start_slowly(self, ended: Tensor) -> tuple[list[Tensor], Tensor]:
        """The same, world by world."""
        with self._own_chance():
            if ended.all():
                self.world.reset(return_observations=False)
            else:
                for row in ended.nonzero().flatten().tolist():
                    self.world.reset_at(row, return_observations=False)
            (senses,) = self.world.get_from_scenario(
                get_observations=True, get_rewards=False, get_infos=False, get_dones=False
            )
        return self._vectors(senses), self._positions(self.world)

    def _vectors(self, senses: list[Any]) -> list[Tensor]:
        """What is sensed, of each kind [E, N_kind, O]."""
        parts = [_flatten(senses[own]) for own in self._places]
        joined, start = [], 0
        for count in self.fleet.counts.values():
            joined.append(torch.stack(parts[start : start + count], dim=1))
            start += count
        return joined

    def _positions(self, world: Any) -> Tensor:
        """Position and heading [E, N, 3]."""
        states = [world.agents[own].state for own in self._places]
        return torch.cat(
            [part.float() for state in states for part in (state.pos[:, :2], state.rot[:, :1])], dim=1
        ).unflatten(1, (len(states), 3))

    def _observe(self, vectors: list[Tensor], positions: Tensor) -> Observations:
        """Observations that share memory with the tensors, and with one another what never changes."""
        kinds = {
            name: KindObservation(part.numpy(), known.candidates, known.mask)
            for (name, known), part in zip(self._frame.kinds.items(), vectors, strict=True)
        }
        return Observations(kinds, positions.numpy(), self._frame.alive, self._frame.state)

    def _count(self, reward: Tensor, infos: list[dict[str, Any]]) -> None:
        """Sum up the running episodes: returns, ticks, and what the scenario tells of them, mean over agents."""
        self._return += reward.mean(1)
        self._length += 1
        told: dict[str, list[Tensor]] = {}
        for info in infos:
            for name, value in info.items():
                if isinstance(value, Tensor) and value.shape in ((self.worlds,), (self.worlds, 1)):
                    told.setdefault(name, []).append(value)
        for name, values in told.items():
            mean = values[0].view(-1) if len(values) == 1 else torch.stack(values).view(len(values), -1).float().mean(0)
            self._sums[name] = self._sums[name] + mean if name in self._sums else mean.float().clone()

    def _close(self, ended: Tensor) -> list[dict[str, float]]:
        """Figures of the episodes that end: return, ticks, and the scenario's own, mean over ticks."""
        names = ["return", "ticks", *(f"info {name}" for name in self._sums)]
        means = [total[ended] / self._length[ended] for total in self._sums.values()]
        table = torch.stack([self._return[ended], self._length[ended], *means], dim=1).tolist()
        for total in (self._return, self._length, *self._sums.values()):
            total[ended] = 0
        return [dict(zip(names, row, strict=True)) for row in table]

    @contextlib.contextmanager
    def _own_chance(self) -> Iterator[None]:
        """Let VMAS draw from this batch's random state: it keeps one for all batches of a process."""
        before = list(self._shared_chance)
        self._shared_chance[:] = self._chance
        try:
            yield
        finally:
            self._chance = list(self._shared_chance)
            self._shared_chance[:] = before


def _flatten(sensed: Any) -> Tensor:
    """One agent's observation [E, O]; a dict's parts in its order."""
    if isinstance(sensed, Tensor):
        return sensed.flatten(1).float()
    return torch.cat([_flatten(part) for part in sensed.values()], dim=1)
