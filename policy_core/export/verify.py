"""Proving a bundle: it reads, it fits, and it decides on board exactly as the fleet engine decides for all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from policy_core.contract import Contract, Kind, scale_of
from policy_core.export.bundle import Bundle, BundleError, read_bundle
from policy_core.serving.engine import FleetEngine
from policy_core.serving.onboard import OnboardPolicy
from policy_core.serving.policy import Heard, Observation

TOLERANCE = 1e-5


class Verification(NamedTuple):
    """What was checked and what came out."""

    bundle: Bundle
    trials: int
    greatest_difference: float  # between on board and engine, of messages, and of logits as a share of the largest
    same_choices: int  # agents that made the same choices on board and in the engine
    choices: int


def verify_bundle(path: Path, contract: Contract | None = None, trials: int = 20, seed: int = 0) -> Verification:
    """Read a bundle and run its trained fleet on random observations, on board and batched.

    Raises:
        BundleError: unreadable, or the two runs differ by more than 1e-5.
    """
    bundle = read_bundle(path, contract)
    agents = {
        f"{kind}_{number + 1}": kind
        for kind, count in bundle.manifest.provenance.trained_fleet.items()
        for number in range(count)
    }
    engine = FleetEngine(bundle, agents, device="cpu")
    chance = np.random.default_rng(seed)
    greatest, same, choices = 0.0, 0, 0
    for _ in range(trials):
        observations = {
            name: draw_observation(bundle.manifest.contract.kind(kind), chance) for name, kind in agents.items()
        }
        engine.forget()
        answer = engine.decide(observations)
        policies, messages = decide_on_board(bundle, agents, observations)
        for name, policy in policies.items():
            legal = observations[name].mask
            here, there = policy.judge(), answer.judged[name]
            for mine, other in ((here.logits[legal], there.logits[legal]), (here.controls, there.controls)):
                greatest = max(greatest, _relative_difference(mine, other))
            blocks = len(bundle.manifest.contract.kind(agents[name]).blocks)
            same += bool(np.array_equal(policy.decide()[:blocks], answer.decisions[name][:blocks]))
        if messages.size:
            greatest = max(greatest, float(np.abs(messages - answer.messages).max()))
        choices += len(agents)
    if greatest > TOLERANCE:
        raise BundleError(f"{path}: on board and engine differ by {greatest:.2e}; wanted at most {TOLERANCE:.0e}.")
    return Verification(bundle, trials, greatest, same, choices)


def decide_on_board(
    bundle: Bundle, agents: dict[str, str], observations: dict[str, Observation]
) -> tuple[dict[str, OnboardPolicy], np.ndarray]:
    """Play one tick with one on-board policy per agent and a perfect channel.

    Returns:
        The policies by name, ready to decide, and messages [K, N, M].
    """
    names, kinds = list(agents), list(agents.values())
    numbers = [kinds[: place + 1].count(kind) for place, kind in enumerate(kinds)]
    policies = {
        name: OnboardPolicy(bundle, kind, number) for name, kind, number in zip(names, kinds, numbers, strict=True)
    }
    spoken = {name: policy.begin(observations[name]) for name, policy in policies.items()}
    rounds = []
    for _ in range(bundle.manifest.contract.rounds):
        rounds.append(np.stack([spoken[name] for name in agents]))
        replies = {name: policy.hear(_hear(name, agents, observations, spoken)) for name, policy in policies.items()}
        spoken = {name: reply for name, reply in replies.items() if reply is not None}
    return policies, np.array(rounds, np.float32)


def _relative_difference(mine: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(mine - other).max() / max(1.0, np.abs(mine).max())) if mine.size else 0.0


def _hear(
    receiver: str, agents: dict[str, str], observations: dict[str, Observation], spoken: dict[str, np.ndarray]
) -> Heard:
    others = [name for name in agents if name != receiver]
    return Heard(
        np.array([spoken[name] for name in others], np.float32).reshape(len(others), len(spoken[receiver])),
        np.zeros(len(others), np.float32),
        np.ones(len(others), bool),
        np.array([observations[name].position for name in others], np.float32).reshape(len(others), 3),
        tuple(agents[name] for name in others),
    )


def draw_observation(kind: Kind, chance: np.random.Generator) -> Observation:
    """A random observation within the contract's ranges, anywhere on a 30 m by 20 m floor."""
    centre, half = scale_of(kind.observation)
    vector = centre + half * chance.uniform(-1, 1, centre.shape)
    centre, half = scale_of(kind.candidate)
    candidates = centre + half * chance.uniform(-1, 1, (kind.candidates, *centre.shape))
    mask = chance.random(sum(kind.blocks)) < 0.5
    mask[kind.firsts] = True
    position = (float(chance.uniform(0, 30)), float(chance.uniform(0, 20)), float(chance.uniform(-np.pi, np.pi)))
    return Observation(vector.astype(np.float32), candidates.astype(np.float32), mask, position)
