"""How long a decision takes: each agent on board, against the whole fleet in one batched forward."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.config import read_settings
from policy_core.contract import read_contract
from policy_core.export.bundle import Bundle, Provenance, read_bundle, write_bundle
from policy_core.ppo.settings import TrainingSettings
from policy_core.serving.engine import FleetEngine
from policy_core.serving.onboard import OnboardPolicy
from policy_core.serving.policy import Heard, Observation
from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import quantile_ms

FLEETS = (
    {"forklift": 4, "inventory": 2, "quality": 2},
    {"forklift": 24, "inventory": 4, "quality": 4},
)
DECISIONS, WARM = 200, 10


def fresh_bundle(path: Path) -> Bundle:
    """The demo's network with random weights, as a bundle."""
    settings = read_settings(TrainingSettings, "config/training/demo.yaml")
    torch.manual_seed(0)
    policy = FleetPolicy(read_contract("config/contract.yaml"), settings.architecture, settings.channel)
    write_bundle(path, policy, 0.5, Provenance(settings={}, frames=0, git_commit="unknown", trained_fleet={}))
    return read_bundle(path, policy.contract)


class OnboardFleet:
    """One policy per agent in this process; messages go by hand, without loss or age."""

    def __init__(self, bundle: Bundle, kinds: list[str], observations: list[Observation]) -> None:
        self.policies = [OnboardPolicy(bundle, kind) for kind in kinds]
        self.observations = observations
        everybody = np.array([observation.position for observation in observations], np.float32)
        self.others = [[other for other in range(len(kinds)) if other != agent] for agent in range(len(kinds))]
        self.positions = [everybody[others] for others in self.others]
        self.kinds = [tuple(kinds[other] for other in others) for others in self.others]
        self.age = np.zeros(len(kinds) - 1, np.float32)
        self.present = np.ones(len(kinds) - 1, bool)

    def decide(self) -> np.ndarray:
        """All agents decide in turn; seconds of computing each took [N]."""
        spent = np.zeros(len(self.policies))
        said: list[np.ndarray | None] = [None] * len(self.policies)
        for agent, policy in enumerate(self.policies):
            began = perf_counter()
            said[agent] = policy.begin(self.observations[agent])
            spent[agent] += perf_counter() - began
        while said[0] is not None:
            spoken = np.stack([message for message in said if message is not None])
            for agent, policy in enumerate(self.policies):
                began = perf_counter()
                messages = spoken[self.others[agent]]
                heard = Heard(messages, self.age, self.present, self.positions[agent], self.kinds[agent])
                said[agent] = policy.hear(heard)
                spent[agent] += perf_counter() - began
        for agent, policy in enumerate(self.policies):
            began = perf_counter()
            policy.choose()
            spent[agent] += perf_counter() - began
        return spent


def draw_observations(bundle: Bundle, kinds: list[str]) -> list[Observation]:
    """Random senses of agents that all hear each other."""
    rng = np.random.default_rng(3)
    observations = []
    for name in kinds:
        kind = bundle.manifest.contract.kind(name)
        mask = rng.random(kind.candidates) < 0.6
        mask[0] = True
        vector = rng.random(kind.observation_size).astype(np.float32)
        candidates = rng.random((kind.candidates, kind.candidate_size)).astype(np.float32)
        x, y, yaw = rng.uniform(-5.0, 5.0, 3).tolist()
        observations.append(Observation(vector, candidates, mask, (x, y, yaw)))
    return observations


def test_decision_latency(record: Record, tmp_path: Path) -> None:
    bundle = fresh_bundle(tmp_path / "bundle")
    rows = []
    for counts in FLEETS:
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        names = [f"agent_{number}" for number in range(len(kinds))]
        observations = draw_observations(bundle, kinds)
        by_name = dict(zip(names, observations, strict=True))
        fleet = OnboardFleet(bundle, kinds, observations)
        engine = FleetEngine(bundle, dict(zip(names, kinds, strict=True)), device="cpu")
        spent: dict[str, list[float]] = {"on board, one agent": [], "on board, all in turn": [], "engine, all": []}
        for decision in range(WARM + DECISIONS):
            alone = fleet.decide()
            began = perf_counter()
            engine.decide(by_name)
            batched = perf_counter() - began
            if decision >= WARM:
                spent["on board, one agent"] += alone.tolist()
                spent["on board, all in turn"].append(alone.sum())
                spent["engine, all"].append(batched)
        base = quantile_ms(spent["engine, all"], 0.5)
        rows += [
            {
                "agents": len(kinds),
                "way": way,
                "p50_ms": quantile_ms(seconds, 0.5),
                "p99_ms": quantile_ms(seconds, 0.99),
                "p50_to_engine": quantile_ms(seconds, 0.5) / base,
            }
            for way, seconds in spent.items()
        ]
    config = {"fleets": list(FLEETS), "decisions": DECISIONS, "rounds": bundle.manifest.contract.rounds, "threads": 1}
    record("decision latency", {**config, "weights": "random, demo's sizes"}, rows)
