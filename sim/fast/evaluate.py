"""Play episodes of the fast world with per-agent policies, through the same channel as everywhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from policy_core.environment import Observations
from policy_core.serving.policy import AgentPolicy, Heard, Observation
from sim.fast.env import FastWarehouse

MakePolicy = Callable[[str, int], AgentPolicy]  # kind, number within the kind -> policy


def play(
    env: FastWarehouse,
    make_policy: MakePolicy | None,
    seed: int,
    *,
    reach: float,
    loss: float = 0.0,
    is_silenced: bool = False,
) -> dict[str, float]:
    """One episode in a one-world environment.

    Args:
        env: a world with E = 1 and no stagger.
        make_policy: gives each agent's policy; None: the central planner decides for all, and nobody talks.
        seed: of the world and of the channel.
        reach: radio range (m).
        loss: chance that one message to one receiver is lost, unless the world draws its own.
        is_silenced: nobody hears anything.

    Returns:
        The episode's KPIs (sim/warehouse/kpis.py) and `reward`, the team's return.
    """
    air = np.random.default_rng((seed, 7919))
    numbers = [env.kinds[:agent].count(kind) for agent, kind in enumerate(env.kinds)]
    places = zip(env.kinds, numbers, strict=True)
    policies = [] if make_policy is None else [make_policy(kind, number) for kind, number in places]
    observations = env.reset(seed)
    drawn = env.draws(0).get("link_loss", -1.0)
    loss = drawn if drawn >= 0.0 else loss
    total = 0.0
    while True:
        if make_policy is None:
            step = env.step(env.advise())
        else:
            choices = decide(env, policies, numbers, observations, air, reach, loss, is_silenced)
            step = env.step(choices[None])
        total += float(step.reward[0, 0])
        if step.truncated[0]:
            return {**step.kpis[0], "reward": total}
        observations = step.observations


def decide(
    env: FastWarehouse,
    policies: list[AgentPolicy],
    numbers: list[int],
    observations: Observations,
    air: np.random.Generator,
    reach: float,
    loss: float,
    is_silenced: bool,
) -> np.ndarray:
    """One tick's joint decision [N]: all observe, talk for the contract's rounds through the air, and choose."""
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
    for _ in range(env.contract.rounds):
        spoken = messages.copy()
        is_heard = (distance <= reach) & (air.random((count, count)) >= loss) & (not is_silenced)
        is_heard &= observations.alive[0][None, :] & observations.alive[0][:, None]
        for agent, policy in enumerate(policies):
            others = [other for other in range(count) if other != agent]
            present = is_heard[agent, others]
            answer = policy.hear(
                Heard(
                    np.where(present[:, None], spoken[others], 0.0).astype(np.float32),
                    np.zeros(count - 1, np.float32),
                    present,
                    position[others],
                    tuple(env.kinds[other] for other in others),
                )
            )
            if answer is not None:
                messages[agent] = answer
    return np.array([policy.choose() for policy in policies], np.int64)
