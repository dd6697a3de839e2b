"""How many sample passes a core makes: one agent of one joint sample, once through forward, backward and Adam."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from statistics import median

import pytest
import torch
from torch import Tensor, nn

from policy_core.agents.actor import Encoder
from policy_core.agents.critic import Critic, ValueScale
from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.agents.senses import KindSenses, Senses
from policy_core.chance import Chance
from policy_core.comm import attention, fused
from policy_core.comm.channel import ChannelSettings, transmit
from policy_core.contract import Contract, read_contract
from policy_core.ppo.batch import Batch
from policy_core.ppo.learner import Learner
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.settings import PpoSettings
from policy_core.ppo.update import replay, step_policy
from tests.benchmarks.conftest import Record

COUNTS = (4, 2, 2)  # agents of each kind
ROUNDS, SAMPLES, TURNS, STEPS = 3, 2048, 7, 4
MINIBATCHES = (64, 256, 512)
LEGAL = 0.2  # share of the candidates
PATHS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"plain torch": fused.attend_plainly, "fused": fused.attend}


def demo_policy() -> FleetPolicy:
    """The demo's sizes, with three rounds."""
    contract = read_contract("config/contract.yaml").model_copy(update={"rounds": ROUNDS})
    return FleetPolicy(contract, Architecture(), ChannelSettings(radio_range=25.0, loss=0.05))


def wide_policy() -> FleetPolicy:
    """Three kinds that sense 64 numbers each, an encoder 64-128-64, and attention of 64 numbers in 8 heads."""
    bounds = {"unit": "1", "low": -1, "high": 1}
    kind = {
        "candidates": 6,
        "observation": [{"name": "view", "size": 64, **bounds}],
        "candidate": [{"name": "place", "size": 8, **bounds}],
    }
    content = {"version": 1, "message_size": 16, "rounds": ROUNDS, "tick": 1.0}
    contract = Contract.model_validate(content | {"kinds": dict.fromkeys(("first", "second", "third"), kind)})
    architecture = Architecture(hidden=64, heads=8, attention=64, candidate=8)
    policy = FleetPolicy(contract, architecture, ChannelSettings(radio_range=25.0, loss=0.05))
    for name in contract.kinds:
        widen(policy.actor(name).encoder, 128)
    return policy


def widen(encoder: Encoder, inner: int) -> None:
    """Give the body an inner layer wider than the hidden state."""
    first, relu, last, norm = encoder.body
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    encoder.body = nn.Sequential(nn.Linear(first.in_features, inner), relu, nn.Linear(inner, last.out_features), norm)


def draw_batch(policy: FleetPolicy) -> Batch:
    """Random senses, links, choices and advantages."""
    chance = torch.Generator().manual_seed(0)
    kinds = {}
    for (name, kind), count in zip(policy.contract.kinds.items(), COUNTS, strict=True):
        mask = torch.rand(SAMPLES, count, kind.candidates, generator=chance) < LEGAL
        mask[..., 0] = True
        vector = torch.randn(SAMPLES, count, kind.observation_size, generator=chance)
        shape = (SAMPLES, count, kind.candidates, kind.candidate_size)
        kinds[name] = KindSenses(vector, torch.randn(shape, generator=chance), mask)
    agents = sum(COUNTS)
    position = torch.rand(SAMPLES, agents, 3, generator=chance) * 15
    alive = torch.ones(SAMPLES, agents, dtype=torch.bool)
    senses = Senses(kinds, position, alive, torch.zeros(SAMPLES, 3))
    links = transmit(policy.channel, position, alive, ROUNDS, Chance(0, "cpu"))
    one, began = torch.ones(SAMPLES, 1, agents), torch.zeros(SAMPLES, 1, dtype=torch.bool)
    each = functools.partial(torch.unsqueeze, dim=1)  # sequences of one tick
    actions = torch.zeros(SAMPLES, 1, agents, policy.contract.action_size)
    no_memory, no_advice = one[..., :0], actions[..., :0]
    rest = (one,) * 6
    batch = Batch(senses.map(each), links.map(each), no_memory, began, actions, no_advice, *rest)
    with torch.no_grad():
        log_probability = replay(policy, batch)[0]
    return batch._replace(log_probability=log_probability, advantage=torch.randn(one.shape, generator=chance))


def make_learner(policy: FleetPolicy) -> Learner:
    critic = Critic(policy.contract, policy.architecture, 3)
    optimisers = [torch.optim.Adam(net.parameters(), eps=1e-5, fused=True) for net in (policy, critic)]
    return Learner(policy, critic, ValueScale(), optimisers[0], optimisers[1], torch.Generator().manual_seed(0))


def test_sample_passes_per_core(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, rows = PpoSettings(), []
    torch.set_num_threads(1)
    for sizes, make in (("wide", wide_policy), ("demo", demo_policy)):
        torch.manual_seed(0)
        learner = make_learner(make())
        batch = draw_batch(learner.policy)
        for minibatch in MINIBATCHES:
            spent: dict[str, list[float]] = {name: [] for name in PATHS}
            for turn in range(TURNS + 1):  # the first compiles
                for name, attend in PATHS.items():
                    monkeypatch.setattr(attention, "attend", attend)
                    began = time.process_time()
                    for _ in range(STEPS):
                        index = torch.randint(SAMPLES, (minibatch,), generator=learner.shuffle)
                        step_policy(batch.select(index), learner, settings, 0.01, Ranks())
                    if turn > 0:
                        spent[name].append((time.process_time() - began) / STEPS)
            passes = {name: minibatch * sum(COUNTS) / median(seconds) for name, seconds in spent.items()}
            rows += [
                {
                    "sizes": sizes,
                    "minibatch": minibatch,
                    "path": name,
                    "passes_per_s": each,
                    "to_plain": each / passes["plain torch"],
                }
                for name, each in passes.items()
            ]
    config = {"agents": COUNTS, "rounds": ROUNDS, "legal_share": LEGAL, "threads": 1, "turns": TURNS, "steps": STEPS}
    record("sample passes", {**config, "clock": "process CPU time"}, rows)
