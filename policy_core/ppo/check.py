"""Refusing experience that nothing can be learned from, by the name of the field, before it reaches the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from policy_core.config import ConfigError
from policy_core.contract import Contract, Field
from policy_core.environment import Advising, BatchEnvironment, Observations
from policy_core.ppo.learner import TrainingError
from policy_core.ppo.rollout import Rollout

CURE = "The weights and the last good checkpoint are those of the iteration before."


def check_world(environment: BatchEnvironment, observations: Observations) -> None:
    """Hold a world's first observations against its own contract.

    Raises:
        TrainingError: a kind is missing or unknown, or a shape differs.
    """
    contract, worlds = environment.contract, environment.worlds
    counts = {name: environment.kinds.count(name) for name in contract.kinds if name in environment.kinds}
    if list(observations.kinds) != list(counts):
        raise TrainingError(
            f"the world observes kinds {', '.join(observations.kinds)}; wanted those of its agents in the contract's "
            f"order: {', '.join(counts)}. Mend the world."
        )
    for name, seen in observations.kinds.items():
        kind, agents = contract.kinds[name], counts[name]
        wanted = {
            "observation": (seen.vector, (worlds, agents, kind.observation_size)),
            "candidates": (seen.candidates, (worlds, agents, kind.candidates, kind.candidate_size)),
            "mask": (seen.mask, (worlds, agents, sum(kind.blocks))),
        }
        for part, (array, shape) in wanted.items():
            if array.shape != shape:
                raise TrainingError(
                    f"the world gives {name} an array of shape {array.shape} as {part}; the contract wants {shape} "
                    "[world, agent, ...]. Mend the world, or its contract."
                )


def check_fleet(ours: BatchEnvironment, seen: Observations, other: BatchEnvironment, observed: Observations) -> None:
    """Hold a world in which a run is to go on against the one that it plays, each with what it observes.

    Raises:
        ConfigError: contract, agents or the size of the state differ.
        TrainingError: what it observes does not fit its contract.
    """
    check_world(other, observed)
    pairs = {
        "contract": (ours.contract.digest()[:16], other.contract.digest()[:16]),
        "fleet": (f"{len(ours.agents)} agents, {_crew(ours)}", f"{len(other.agents)} agents, {_crew(other)}"),
        "agents": (", ".join(ours.agents), ", ".join(other.agents)),
        "state": (f"{seen.state.shape[-1]} numbers", f"{observed.state.shape[-1]} numbers"),
    }
    for name, (wanted, found) in pairs.items():
        if wanted != found:
            raise ConfigError(
                f"its world has another {name} than that in which the run begins: {found}; wanted {wanted}. The fleet "
                "is the same in all stages and in evaluation. For a smaller team ask for worlds in which some are not "
                "there, such as the warehouse's env_settings: {robots: [1, 2]}."
            )


def check_adviser(environment: BatchEnvironment, env: str, weight: float) -> None:
    """Hold a world against the weight of its advice.

    Raises:
        ConfigError: advice is to be learned from, and the world gives none.
    """
    if weight > 0 and not isinstance(environment, Advising):
        raise ConfigError(f"ppo.advice_start: '{env}' has no adviser; leave it 0, or give it `advise`")


def _crew(environment: BatchEnvironment) -> str:
    return ", ".join(f"{environment.kinds.count(kind)} {kind}" for kind in dict.fromkeys(environment.kinds))


def check_rollout(rollout: Rollout, contract: Contract, reward_limit: float) -> None:
    """Hold what the world said against what a number may be.

    Raises:
        TrainingError: an observation or reward is not finite, or a reward is greater than the limit.
    """
    for name, senses in rollout.senses.kinds.items():
        kind = contract.kinds[name]
        _check_fields(senses.vector, kind.observation, name)
        offered = senses.mask[..., : kind.candidates]
        if not torch.isfinite(senses.candidates[offered]).all():  # what is not offered is never read
            legal = senses.candidates.where(offered.unsqueeze(-1), 0.0)
            _check_fields(legal, kind.candidate, f"{name}, candidate")
        for block in senses.mask.split(kind.blocks, dim=-1):
            _check_any(block, name)
    for label, part in (("position", rollout.senses.position), ("state", rollout.senses.state)):
        if not torch.isfinite(part).all():
            place = (~torch.isfinite(part)).nonzero()[0].tolist()
            raise TrainingError(
                f"the world gave a {label} of {part[tuple(place)].item()} at place {place} of the rollout [tick, "
                f"world, ...]; wanted finite numbers. Mend the world. {CURE}"
            )
    reward = rollout.reward
    is_bad = ~(reward.abs() <= reward_limit)
    if is_bad.any():
        tick, world, agent = is_bad.nonzero()[0].tolist()
        raise TrainingError(
            f"the world gave a reward of {reward[tick, world, agent].item():g} (tick {tick} of the rollout, world "
            f"{world}, agent {agent}); wanted a finite number within ±{reward_limit:g} (ppo.reward_limit). Mend the "
            f"world's reward, or scale it. {CURE}"
        )


def _check_any(legal: Tensor, label: str) -> None:
    """Hold one part of the masks [T, E, N, options]: each agent must have something legal."""
    has_none = ~legal.any(-1)
    if has_none.any():
        raise TrainingError(
            f"the world offers {label} no legal option, at place {has_none.nonzero()[0].tolist()} of the rollout "
            f"[tick, world, agent]; wanted one in each part of a decision. Mend the world's mask. {CURE}"
        )


def _check_fields(values: Tensor, fields: tuple[Field, ...], label: str) -> None:
    if torch.isfinite(values).all():
        return
    place = (~torch.isfinite(values)).nonzero()[0]
    column, start = int(place[-1]), 0
    for field in fields:
        if column < start + field.size:
            seen = values[tuple(place.tolist())].item()
            raise TrainingError(
                f"the world observed {seen} in {label} field '{field.name}' ({field.unit}), at place "
                f"{place[:-1].tolist()} of the rollout [tick, world, agent, ...]; wanted finite numbers. "
                f"Mend the world. {CURE}"
            )
        start += field.size
