"""Play episodes of the fast world: agents that decide one by one, a whole fleet's policy in a batch, or the planner."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from policy_core.environment import Observations
from policy_core.serving.policy import AgentPolicy, Heard, Observation
from sim.fast.air import UNROUNDED, carry, rounded
from sim.fast.env import FastWarehouse
from sim.fast.robots import count_the_living
from sim.fast.senses import observe_world

AIR_CHANCE = 7919  # names the stream of chance that messages are lost and late by
MakePolicy = Callable[[str, int], AgentPolicy]  # kind, number within the kind -> policy


class FleetsPolicy(Protocol):
    """Decides for whole fleets of E worlds (policy_core/serving/joint.py)."""

    def decide(self, observations: Observations, heard: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Decisions [E, N, P], given who hears whom [E, K, N, N] bool and how old what is read is [E, K, N] (s)."""


class Stop(NamedTuple):
    """A robot that stands dead for a time, beside those that the world itself draws."""

    robot: int
    at: float  # s into the episode; 0: from the start, so it joins late
    until: float = math.inf  # s; by default it never comes back


def play(
    env: FastWarehouse,
    make_policy: MakePolicy | None,
    seed: int,
    *,
    reach: float,
    loss: float = 0.0,
    is_silenced: bool = False,
    delay: float = 0.0,
    bits: int = UNROUNDED,
    stops: Sequence[Stop] = (),
) -> dict[str, float]:
    """One episode in a one-world environment.

    Args:
        env: a world with E = 1 and no stagger.
        make_policy: gives each agent's policy; None: the central planner decides for all, and nobody talks.
        seed: of the world and of the channel.
        reach: radio range (m).
        loss: chance that one message to one receiver is lost, unless the world draws its own.
        is_silenced: nobody hears anything.
        delay: mean of a message's exponential transport time (s), unless the world draws its own.
        bits: each number of a message is rounded to so many (`rounded`); 32: none is.
        stops: robots that stand dead for a time.

    Returns:
        The episode's KPIs (sim/warehouse/kpis.py), `reward`, the team's return, and `alive_s`, the forklift-seconds
        in which one was there, had energy left and was held by no outage.

    Raises:
        ValueError: a policy's messages do not lie in [-1, 1], and are to be rounded.
    """
    numbers = [env.kinds[:agent].count(kind) for agent, kind in enumerate(env.kinds)]
    places = zip(env.kinds, numbers, strict=True)
    policies = [] if make_policy is None else [make_policy(kind, number) for kind, number in places]
    began = _begin(env, [seed], [stops])
    air = np.random.default_rng((seed, AIR_CHANCE))
    lost, late = (float(drawn[0]) for drawn in _drawn(env, loss, delay))

    def choose(seen: Observations) -> np.ndarray:
        if make_policy is None:
            return env.advise()
        return decide(env, policies, numbers, seen, air, reach, lost, is_silenced, late, bits)[None]

    return _finish(env, began, choose)[0]


def play_together(
    env: FastWarehouse,
    policy: FleetsPolicy | None,
    seeds: Sequence[int],
    *,
    reach: float,
    loss: float = 0.0,
    is_silenced: bool = False,
    delay: float = 0.0,
    stops: Sequence[Sequence[Stop]] = (),
) -> list[dict[str, float]]:
    """An episode in each of E worlds, each the one that `play` plays with that seed.

    Args:
        env: without stagger.
        policy: with nothing remembered; None: the central planner.
        seeds: of each world and its channel [E].
        reach: radio range (m).
        loss: as in `play`.
        is_silenced: as in `play`.
        delay: as in `play`.
        stops: in each world [E]; empty: none.

    Returns:
        What `play` gives, world by world.
    """
    began = _begin(env, seeds, stops or [()] * len(seeds))
    chances = [np.random.default_rng((seed, AIR_CHANCE)) for seed in seeds]
    lost, late = _drawn(env, loss, delay)

    def choose(seen: Observations) -> np.ndarray:
        if policy is None:
            return env.advise()
        heard, age = carry(
            chances,
            seen.position,
            seen.alive,
            env.contract.rounds,
            reach=reach,
            loss=lost,
            delay=late,
            is_silenced=is_silenced,
        )
        return policy.decide(seen, heard, age)

    return _finish(env, began, choose)


def _begin(env: FastWarehouse, seeds: Sequence[int], stops: Sequence[Sequence[Stop]]) -> Observations:
    observations = env.reset_each(seeds)
    for world, own in enumerate(stops):
        if own:
            observations = stop_robots(env, own, world)
    return observations


def _drawn(env: FastWarehouse, loss: float, delay: float) -> tuple[np.ndarray, np.ndarray]:
    """Loss and mean delay (s) of each world [E]: what it drew, else these."""
    draws = [env.draws(world) for world in range(env.worlds)]
    names = (("link_loss", loss), ("link_delay", delay))
    lost, late = (
        np.array([drawn[name] if drawn.get(name, -1.0) >= 0.0 else asked for drawn in draws]) for name, asked in names
    )
    return lost, late


def _finish(
    env: FastWarehouse, observations: Observations, choose: Callable[[Observations], np.ndarray]
) -> list[dict[str, float]]:
    """Play all worlds to the end of their episodes, which end together; the figures of each."""
    is_forklift = np.array([kind == "forklift" for kind in env.kinds])
    total, alive = np.zeros(env.worlds), np.zeros(env.worlds, np.int64)
    while True:
        alive += observations.alive[:, is_forklift].sum(axis=1)
        step = env.step(choose(observations))
        total += step.reward[:, 0]
        if step.truncated.all():
            figures = zip(step.kpis, total.tolist(), (alive * env.contract.tick).tolist(), strict=True)
            return [{**kpis, "reward": reward, "alive_s": seconds} for kpis, reward, seconds in figures]
        observations = step.observations


def stop_robots(env: FastWarehouse, stops: Sequence[Stop], world: int = 0) -> Observations:
    """Let these robots stand dead in a world's episode, which has just begun; what is sensed then."""
    for stop in stops:
        env.robots.down_at[world, stop.robot], env.robots.up_at[world, stop.robot] = stop.at, stop.until
    count_the_living(env.state, world, env.robots)
    observe_world(env.parts, world)
    return env.observe()


def decide(
    env: FastWarehouse,
    policies: list[AgentPolicy],
    numbers: list[int],
    observations: Observations,
    air: np.random.Generator,
    reach: float,
    loss: float,
    is_silenced: bool,
    delay: float = 0.0,
    bits: int = UNROUNDED,
) -> np.ndarray:
    """One tick's joint decision [N] in one world: all observe, talk for the contract's rounds (`carry`), and choose."""
    count = len(policies)
    position = observations.position[0]
    messages = np.zeros((count, env.contract.message_size), np.float32)
    for agent, policy in enumerate(policies):
        sensed = observations.kinds[env.kinds[agent]]
        row = numbers[agent]
        x, y, yaw = (float(value) for value in position[agent])
        messages[agent] = policy.begin(
            Observation(sensed.vector[0, row], sensed.candidates[0, row], sensed.mask[0, row], (x, y, yaw))
        )
    heard, age = carry(
        [air],
        observations.position,
        observations.alive,
        env.contract.rounds,
        reach=reach,
        loss=np.array([loss]),
        delay=np.array([delay]),
        is_silenced=is_silenced,
    )
    for number in range(env.contract.rounds):
        spoken = rounded(messages, bits)
        for agent, policy in enumerate(policies):
            others = [other for other in range(count) if other != agent]
            present = heard[0, number, agent, others]
            answer = policy.hear(
                Heard(
                    np.where(present[:, None], spoken[others], 0.0).astype(np.float32),
                    np.where(present, age[0, number, agent], 0.0).astype(np.float32),
                    present,
                    position[others],
                    tuple(env.kinds[other] for other in others),
                )
            )
            if answer is not None:
                messages[agent] = answer
    return np.array([policy.choose() for policy in policies], np.int64)
