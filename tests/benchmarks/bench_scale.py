"""How forward and backward grow with the number of agents: neighbour lists against everybody hearing everybody."""

from __future__ import annotations

import time

import numpy as np
import torch

from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.agents.senses import KindSenses, Senses
from policy_core.chance import Chance
from policy_core.comm.channel import ChannelSettings, transmit
from policy_core.comm.graph import GraphSettings
from policy_core.contract import Contract
from tests.benchmarks.conftest import Record

AGENTS = (8, 16, 32, 64, 128, 256, 512, 1024)
NEIGHBOURS, ROUNDS, TURNS, TOTAL = 16, 3, 5, 1024
SPACING = 4.0  # m: the floor grows with the fleet


def make_policy(graph: GraphSettings) -> FleetPolicy:
    bounds = {"unit": "1", "low": -1, "high": 1}
    kind = {
        "observation": [{"name": "view", "size": 64, **bounds}],
        "controls": [{"name": "speed", "size": 2, **bounds}],
    }
    content = {"version": 1, "message_size": 16, "rounds": ROUNDS, "tick": 1.0, "kinds": {"robot": kind}}
    torch.manual_seed(0)
    channel = ChannelSettings(radio_range=1e6, graph=graph)
    return FleetPolicy(Contract.model_validate(content), Architecture(), channel)


def draw_senses(fleets: int, agents: int) -> Senses:
    chance = torch.Generator().manual_seed(agents)
    vector = torch.randn(fleets, agents, 64, generator=chance)
    mask = torch.ones(fleets, agents, 0, dtype=torch.bool)
    position = torch.rand(fleets, agents, 3, generator=chance) * SPACING * agents**0.5
    alive = torch.ones(fleets, agents, dtype=torch.bool)
    return Senses({"robot": KindSenses(vector, torch.zeros(fleets, agents, 0, 0), mask)}, position, alive, vector[:, 0])


def seconds(policy: FleetPolicy, senses: Senses, chance: Chance) -> tuple[float, float]:
    """CPU time of graph and channel, and of forward and backward."""
    began = time.process_time()
    kinds = ("robot",) * senses.alive.shape[1]
    with torch.no_grad():
        links = transmit(policy.channel, senses.position, senses.alive, ROUNDS, chance, kinds=kinds)
    connected = time.process_time()
    policy.zero_grad()
    policy(senses, links).controls["robot"].square().mean().backward()
    return connected - began, time.process_time() - connected


def test_growth_with_the_fleet(record: Record) -> None:
    torch.set_num_threads(1)
    policies = {
        f"{NEIGHBOURS} nearest": make_policy(GraphSettings(kind="nearest", neighbours=NEIGHBOURS)),
        "full": make_policy(GraphSettings(kind="full")),
    }
    chance, rows = Chance(0, "cpu"), []
    spent = {name: {agents: [] for agents in AGENTS} for name in policies}  # type: ignore[var-annotated]
    for turn in range(TURNS + 1):  # the first compiles
        for agents in AGENTS:
            fleets = max(1, TOTAL // agents)  # as many agents in all, so that only the fleet's size differs
            senses = draw_senses(fleets, agents)
            for name, policy in policies.items():
                found = np.array(seconds(policy, senses, chance)) / fleets
                if turn > 0:
                    spent[name][agents].append(found)
    for name, by_size in spent.items():
        middle = {agents: np.median(times, axis=0) for agents, times in by_size.items()}
        whole = [middle[agents].sum() for agents in AGENTS]
        exponent = np.polyfit(np.log(AGENTS), np.log(whole), 1)[0]
        steepest = np.polyfit(np.log(AGENTS[-3:]), np.log(whole[-3:]), 1)[0]
        for agents, total in zip(AGENTS, whole, strict=True):
            rows.append(
                {
                    "graph": name,
                    "agents": agents,
                    "ms_per_fleet": 1e3 * total,
                    "of_that_graph_ms": 1e3 * middle[agents][0],
                    "us_per_agent": 1e6 * total / agents,
                    "exponent": float(exponent),
                    "exponent_256_to_1024": float(steepest),
                }
            )
    config = {"rounds": ROUNDS, "threads": 1, "turns": TURNS, "agents_in_all": TOTAL, "clock": "process CPU time"}
    record("growth with the fleet", config, rows)
