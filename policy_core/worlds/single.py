"""Worlds that come one at a time, played side by side as a batch."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from policy_core.environment import Observations, Step
from policy_core.worlds.fleet import Fleet, Member, blank


class Moment(NamedTuple):
    """What the living sense at one moment of one world."""

    observations: dict[str, Any]  # by agent; one that is missing senses zeros
    alive: set[str]


class Turn(NamedTuple):
    """One tick of one world."""

    moment: Moment
    reward: dict[str, float]  # an agent that is missing gets 0
    terminated: bool  # of the whole world
    truncated: bool
    told: dict[str, float]  # figures of the episode so far, or of this tick


class SingleWorld(Protocol):
    """One world."""

    members: list[Member]

    def start(self, seed: int) -> Moment:
        """Begin an episode that draws all its chance from the seed."""

    def play(self, actions: dict[str, Any]) -> Turn:
        """Advance one tick with the actions of the living."""


def build_world(build: str, settings: dict[str, Any]) -> SingleWorld:
    """The world that "module:function" gives for these settings."""
    module, _, function = build.partition(":")
    return cast(SingleWorld, getattr(importlib.import_module(module), function)(**settings))


def episode_seed(seed: int, world: int, episode: int) -> int:
    """The seed of one world's n-th episode, counted from 0, below 2^31."""
    return int(np.random.SeedSequence((seed, world, episode)).generate_state(1)[0] >> 1)


class Batch:
    """E single worlds, one after the other; see `BatchEnvironment`."""

    def __init__(self, singles: list[SingleWorld], fleet: Fleet) -> None:
        """Take worlds that are alike; call `reset` before `step`."""
        self.singles = singles
        self.fleet = fleet
        self.worlds = len(singles)
        self.contract, self.agents, self.kinds = fleet.contract, fleet.agents, fleet.kinds
        self._decisions = [fleet.decisions[kind] for kind in self.kinds]
        counts = fleet.counts
        self._rows = [(kind, row) for kind, count in counts.items() for row in range(count)]  # of each agent
        self._seed = (0, 0)
        self._episode = np.zeros(self.worlds, dtype=np.int64)
        self._return = np.zeros(self.worlds)
        self._ticks = np.zeros(self.worlds, dtype=np.int64)
        self._living: list[set[str]] = []

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        self._seed = (seed, first_world)
        for each in (self._episode, self._return, self._ticks):
            each.fill(0)
        observations = blank(self.fleet, self.worlds)
        moments = [self._start(place) for place in range(self.worlds)]
        self._living = [moment.alive for moment in moments]
        for place, moment in enumerate(moments):
            self._write(observations, place, moment)
        return observations

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick; see `BatchEnvironment`."""
        observations = blank(self.fleet, self.worlds)
        final: Observations | None = None
        reward = np.zeros((self.worlds, len(self.agents)), dtype=np.float32)
        terminated, truncated = np.zeros((2, self.worlds), dtype=bool)
        kpis = []
        for place, single in enumerate(self.singles):
            living = self._living[place]
            turn = single.play(
                {
                    agent: decision.read(numbers)
                    for agent, decision, numbers in zip(self.agents, self._decisions, actions[place], strict=True)
                    if agent in living
                }
            )
            reward[place] = [turn.reward.get(agent, 0.0) for agent in self.agents]
            terminated[place], truncated[place] = turn.terminated, turn.truncated and not turn.terminated
            moment = turn.moment
            self._return[place] += reward[place].mean(dtype=np.float64)
            self._ticks[place] += 1
            if turn.terminated or turn.truncated:
                final = final or blank(self.fleet, self.worlds)
                self._write(final, place, moment)
                kpis.append({"return": float(self._return[place]), "ticks": float(self._ticks[place]), **turn.told})
                self._episode[place] += 1
                self._return[place] = self._ticks[place] = 0
                moment = self._start(place)
            self._living[place] = moment.alive
            self._write(observations, place, moment)
        return Step(observations, reward, terminated, truncated, final, kpis)

    def _start(self, place: int) -> Moment:
        seed, first = self._seed
        return self.singles[place].start(episode_seed(seed, first + place, int(self._episode[place])))

    def _write(self, observations: Observations, place: int, moment: Moment) -> None:
        """Put what one world's agents sense in their rows; the dead sense zeros and may choose the first option."""
        for agent, (name, row) in enumerate(self._rows):
            kind = observations.kinds[name]
            label = self.agents[agent]
            if label not in moment.alive:
                observations.alive[place, agent] = False
                kind.mask[place, row] = False
                kind.mask[place, row, self.contract.kinds[name].firsts] = True
            elif label in moment.observations:
                sense, value = self.fleet.senses[name], moment.observations[label]
                sense.write(value, kind.vector[place, row])
                offered = sense.legal(value)
                if offered is not None:
                    kind.mask[place, row, : len(offered)] &= offered
