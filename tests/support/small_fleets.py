"""Small fleets of two kinds, with random senses, for tests of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.agents.senses import KindSenses, Senses
from policy_core.comm.channel import ChannelSettings, Links
from policy_core.comm.graph import choose_neighbours
from policy_core.comm.layers import LayerName
from policy_core.contract import Contract

RANGE = 10.0
COUNTS = {"scout": 3, "lifter": 2}


def make_contract(rounds: int = 2) -> Contract:
    field = {"unit": "1", "low": -1, "high": 1}
    kinds = {
        "scout": {
            "candidates": 4,
            "observation": [{"name": "view", "size": 5, **field}],
            "candidate": [{"name": "place", "size": 3, **field}],
        },
        "lifter": {
            "candidates": 6,
            "observation": [{"name": "load", "size": 2, **field}],
            "candidate": [{"name": "job", "size": 4, **field}],
        },
    }
    return Contract.model_validate({"version": 1, "message_size": 6, "rounds": rounds, "tick": 1.0, "kinds": kinds})


def make_policy(
    rounds: int = 2,
    seed: int = 0,
    bits: int = 32,
    layer: LayerName = "attention",
    memory: bool = False,
    **channel: Any,
) -> FleetPolicy:
    torch.manual_seed(seed)
    architecture = Architecture(layer=layer, hidden=16, heads=4, attention=8, candidate=8, memory=memory)
    return FleetPolicy(make_contract(rounds), architecture, ChannelSettings(radio_range=RANGE, bits=bits, **channel))


def draw_senses(batch: int = 3, seed: int = 1, counts: dict[str, int] = COUNTS) -> Senses:
    chance = torch.Generator().manual_seed(seed)
    contract = make_contract()
    kinds = {}
    for name, count in counts.items():
        kind = contract.kinds[name]
        mask = torch.rand(batch, count, kind.candidates, generator=chance) < 0.6
        mask[..., 0] = True
        kinds[name] = KindSenses(
            torch.randn(batch, count, kind.observation_size, generator=chance),
            torch.randn(batch, count, kind.candidates, kind.candidate_size, generator=chance),
            mask,
        )
    agents = sum(counts.values())
    position = torch.rand(batch, agents, 3, generator=chance) * 5
    alive = torch.ones(batch, agents, dtype=torch.bool)
    return Senses(kinds, position, alive, torch.randn(batch, 3, generator=chance))


def perfect_links(senses: Senses, rounds: int = 2, age: float = 0.0) -> Links:
    heard = choose_neighbours(senses.position, senses.alive, RANGE).unsqueeze(1)
    heard = heard.expand(-1, rounds, -1, -1).clone()
    return Links(heard, torch.full(heard.shape, age))


def in_double(senses: Senses) -> Senses:
    return senses.map(lambda part: part.double() if part.is_floating_point() else part)


def legal(logits: Tensor) -> Tensor:
    """Logits with zeros in place of minus infinity, for comparing."""
    return logits.masked_fill(logits == -torch.inf, 0.0)
