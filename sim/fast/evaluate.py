"""Play episodes of the fast world with per-agent policies, through the same channel as everywhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from policy_core.environment import Observations
from policy_core.serving.policy import AgentPolicy, Heard, Observation
from sim.fast.env import FastWarehouse
from sim.fast.robots import count_the_living
from sim.fast.senses import observe_world

UNROUNDED = 32  # bits of a message number that is sent as it is (policy_core/comm/wire.py)
DEADLINE = 0.2  # s a round of messages lasts at most, as in training (policy_core/comm/channel.py)
MakePolicy = Callable[[str, int], AgentPolicy]  # kind, number within the kind -> policy


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
    air = np.random.default_rng((seed, 7919))
    numbers = [env.kinds[:agent].count(kind) for agent, kind in enumerate(env.kinds)]
    places = zip(env.kinds, numbers, strict=True)
    policies = [] if make_policy is None else [make_policy(kind, number) for kind, number in places]
    observations = env.reset(seed)
    if stops:
        observations = stop_robots(env, stops)
    is_forklift = np.array([kind == "forklift" for kind in env.kinds])
    drawn = env.draws(0)
    loss = drawn["link_loss"] if drawn.get("link_loss", -1.0) >= 0.0 else loss
    delay = drawn["link_delay"] if drawn.get("link_delay", -1.0) >= 0.0 else delay
    total, alive = 0.0, 0
    while True:
        alive += int(observations.alive[0, is_forklift].sum())
        if make_policy is None:
            step = env.step(env.advise())
        else:
            choices = decide(env, policies, numbers, observations, air, reach, loss, is_silenced, delay, bits)
            step = env.step(choices[None])
        total += float(step.reward[0, 0])
        if step.truncated[0]:
            return {**step.kpis[0], "reward": total, "alive_s": alive * env.contract.tick}
        observations = step.observations


def stop_robots(env: FastWarehouse, stops: Sequence[Stop]) -> Observations:
    """Let these robots stand dead in the first world's episode, which has just begun; what is sensed then."""
    for stop in stops:
        env.robots.down_at[0, stop.robot], env.robots.up_at[0, stop.robot] = stop.at, stop.until
    count_the_living(env.state, 0, env.robots)
    observe_world(env.parts, 0)
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
    """One tick's joint decision [N]: all observe, talk for the contract's rounds through the air, and choose.

    With a delay (s, mean of an exponential transport time) an agent reads a round when all it expects have been heard,
    or when the round's time is over; what comes later is absent, and the age of what it read counts from the
    observation. The same as `policy_core.comm.channel.receive`, to which a test holds it.
    """
    count = len(policies)
    position = observations.position[0]
    distance = np.hypot(*(position[:, None, :2] - position[None, :, :2]).transpose(2, 0, 1))
    messages = np.zeros((count, env.contract.message_size), np.float32)
    for agent, policy in enumerate(policies):
        sensed = observations.kinds[env.kinds[agent]]
        row = numbers[agent]
        x, y, yaw = (float(value) for value in position[agent])
        messages[agent] = policy.begin(
            Observation(sensed.vector[0, row], sensed.candidates[0, row], sensed.mask[0, row], (x, y, yaw))
        )
    sent = np.zeros(count)  # s since the observation, when each speaks
    for number in range(env.contract.rounds):
        spoken = rounded(messages, bits)
        is_heard = (distance <= reach) & (air.random((count, count)) >= loss) & (not is_silenced)
        is_heard &= observations.alive[0][None, :] & observations.alive[0][:, None]
        age = np.zeros(count)
        if delay > 0.0:
            expected = (distance <= reach) & observations.alive[0][None, :] & observations.alive[0][:, None]
            np.fill_diagonal(expected, False)
            arrival = sent[None, :] + air.exponential(delay, (count, count))
            is_heard, age = in_time(arrival, expected, expected & is_heard, sent, (number + 1) * DEADLINE)
            sent = age
        for agent, policy in enumerate(policies):
            others = [other for other in range(count) if other != agent]
            present = is_heard[agent, others]
            answer = policy.hear(
                Heard(
                    np.where(present[:, None], spoken[others], 0.0).astype(np.float32),
                    np.where(present, age[agent], 0.0).astype(np.float32),
                    present,
                    position[others],
                    tuple(env.kinds[other] for other in others),
                )
            )
            if answer is not None:
                messages[agent] = answer
    return np.array([policy.choose() for policy in policies], np.int64)


def rounded(messages: np.ndarray, bits: int) -> np.ndarray:
    """A copy of messages [N, M], their numbers on the even grid of 2^bits steps in [-1, 1].

    Bit for bit what `policy_core.comm.rounding.quantise` gives, to which a test holds it. Zeros all through are no
    message, and stay.

    Raises:
        ValueError: a number lies beyond [-1, 1], where there is no grid.
    """
    if bits >= UNROUNDED:
        return messages.copy()
    if np.abs(messages).max(initial=0.0) > 1.0:
        raise ValueError(
            f"messages of {bits} bits: saw {np.abs(messages).max():.6g}, wanted numbers in [-1, 1], as learned "
            "messages are; where they name things there is no grid to round to. Leave the policy out, or send 32 bits."
        )
    steps = np.float32(2**bits - 1)
    codes = np.rint((messages + np.float32(1)) * (steps / np.float32(2)))
    grid = (np.float32(2) * codes - steps) / steps
    return np.where(messages.any(axis=1, keepdims=True), grid, messages).astype(np.float32)


def in_time(
    arrival: np.ndarray, expected: np.ndarray, on_its_way: np.ndarray, sent: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which messages of a round are read [N, N] bool, receivers first, and when each agent reads [N] (s).

    Args:
        arrival: of every message [N, N] (s since the observation).
        expected: who waits for whom [N, N] bool.
        on_its_way: which of these messages were not lost [N, N] bool.
        sent: when each agent itself spoke [N] (s).
        limit: when the round ends (s).
    """
    heard = on_its_way & (arrival <= limit)
    is_complete = (heard | ~expected).all(axis=1)
    last = np.where(heard, arrival, 0.0).max(axis=1, initial=0.0)
    return heard, np.where(is_complete, np.maximum(last, sent), limit)
