"""Decisions of every type: pointer, choices and controls, alone and together, in one fleet."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Categorical, Normal

from policy_core.agents.actions import Answer, judge, may_choose, sample, to_world
from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.agents.senses import KindSenses, Senses
from policy_core.chance import Chance
from policy_core.comm.channel import ChannelSettings
from policy_core.contract import Contract, Kind
from tests.support.small_fleets import perfect_links

FIELD = {"name": "view", "size": 2, "unit": "1", "low": -1, "high": 1}
CONTRACT = Contract.model_validate(
    {
        "version": 1,
        "message_size": 4,
        "rounds": 2,
        "tick": 1.0,
        "kinds": {
            "picker": {  # all three parts
                "observation": [FIELD],
                "candidates": 4,
                "candidate": [FIELD],
                "choices": [{"name": "gear", "options": 3}, {"name": "lamp", "options": 2}],
                "controls": [{"name": "speed", "size": 2, "unit": "m/s", "low": 0.0, "high": 4.0}],
            },
            "drone": {
                "observation": [FIELD],
                "controls": [{"name": "thrust", "size": 3, "unit": "N", "low": -1, "high": 1}],
            },
            "lamp": {"observation": [FIELD], "choices": [{"name": "colour", "options": 3}]},
        },
    }
)
COUNTS = {"picker": 2, "drone": 1, "lamp": 2}


def draw_senses(batch: int = 6) -> Senses:
    chance = torch.Generator().manual_seed(2)
    kinds = {}
    for name, count in COUNTS.items():
        kind = CONTRACT.kinds[name]
        mask = torch.rand(batch, count, sum(kind.blocks), generator=chance) < 0.6
        mask[..., kind.firsts] = True
        vector = torch.randn(batch, count, 2, generator=chance)
        candidates = torch.randn(batch, count, kind.candidates, kind.candidate_size, generator=chance)
        kinds[name] = KindSenses(vector, candidates, mask)
    position = torch.rand(batch, 5, 3, generator=chance)
    return Senses(kinds, position, torch.ones(batch, 5, dtype=torch.bool), torch.zeros(batch, 1))


@pytest.fixture
def answer() -> Answer:
    torch.manual_seed(0)
    architecture = Architecture(hidden=16, heads=4, attention=8, candidate=8)
    policy = FleetPolicy(CONTRACT, architecture, ChannelSettings(radio_range=10.0))
    for parameter in policy.parameters():  # away from the flat start
        parameter.data += 0.3 * torch.randn_like(parameter)
    with torch.no_grad():
        senses = draw_senses()
        return policy(senses, perfect_links(senses))


def test_sizes_and_order_of_a_decision() -> None:
    picker = CONTRACT.kinds["picker"]
    assert picker.blocks == (4, 3, 2)
    assert picker.firsts == [0, 4, 7]
    assert picker.action_size == 3 + 2
    assert CONTRACT.action_size == 5
    assert CONTRACT.kinds["drone"].blocks == ()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ({"observation": [FIELD]}, "nothing to decide"),
        ({"observation": [FIELD], "candidates": 4}, "at least 2 candidates and 1 field"),
        ({"observation": [FIELD], "candidate": [FIELD]}, "at least 2 candidates and 1 field"),
    ],
)
def test_a_kind_that_cannot_decide_is_refused(kind: dict, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Kind.model_validate(kind)


def test_likelihood_and_entropy_are_the_sums_over_the_parts(answer: Answer) -> None:
    actions = sample(CONTRACT, answer, Chance(1, "cpu"))
    log_probability, entropy = judge(CONTRACT, answer, actions)
    logs, spreads = [], []
    for name, part in zip(COUNTS, actions.split(list(COUNTS.values()), dim=1), strict=True):
        kind = CONTRACT.kinds[name]
        log, spread = torch.zeros(part.shape[:-1]), torch.zeros(part.shape[:-1])
        for place, block in enumerate(answer.logits[name].split(kind.blocks, dim=-1)):
            reference = Categorical(logits=block.masked_fill(block == -torch.inf, -1e8))
            log, spread = log + reference.log_prob(part[..., place]), spread + reference.entropy()
        if name in answer.controls:
            mean, log_spread = answer.controls[name].chunk(2, dim=-1)
            normal = Normal(mean, log_spread.exp())
            controls = part[..., len(kind.blocks) : kind.action_size]
            log, spread = log + normal.log_prob(controls).sum(-1), spread + normal.entropy().sum(-1)
        logs.append(log)
        spreads.append(spread)
    torch.testing.assert_close(log_probability, torch.cat(logs, dim=1))
    torch.testing.assert_close(entropy, torch.cat(spreads, dim=1))


def test_what_is_masked_is_never_drawn(answer: Answer) -> None:
    chance = Chance(1, "cpu")
    for _ in range(50):
        actions = sample(CONTRACT, answer, chance)
        for name, part in zip(COUNTS, actions.split(list(COUNTS.values()), dim=1), strict=True):
            for place, block in enumerate(answer.logits[name].split(CONTRACT.kinds[name].blocks, dim=-1)):
                assert (block.gather(-1, part[..., place : place + 1].long()) > -torch.inf).all()


def test_draws_follow_the_probabilities_and_sharpen_with_temperature() -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0]]]).expand(20000, 1, 3)
    lamps = Answer({"lamp": logits}, {}, [], logits)
    for temperature in (1.0, 0.5):
        drawn = sample(CONTRACT, lamps, Chance(0, "cpu"), temperature)[..., 0]
        shares = torch.bincount(drawn.flatten().long(), minlength=3) / 20000
        torch.testing.assert_close(shares, torch.softmax(logits[0, 0] / temperature, 0), atol=0.01, rtol=0)
    placed = torch.tensor([0.5, -0.5, 0.0, -1.0, -1.0, -1.0]).expand(20000, 1, 6)
    drones = Answer({"drone": placed[..., :0]}, {"drone": placed}, [], placed)
    drawn = sample(CONTRACT, drones, Chance(0, "cpu"))[..., :3].flatten(0, 1)
    torch.testing.assert_close(drawn.mean(0), placed[0, 0, :3], atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.std(0), placed[0, 0, 3:].exp(), atol=0.01, rtol=0)


def test_the_world_gets_controls_in_their_units_and_within_their_range() -> None:
    actions = torch.zeros(1, 5, 5)
    actions[0, 0] = torch.tensor([3.0, 2.0, 1.0, 0.5, 9.0])  # pointer, gear, lamp, then two speeds
    actions[0, 2, :3] = torch.tensor([-9.0, 0.0, 0.25])
    sent = to_world(CONTRACT, COUNTS, actions)
    assert sent[0, 0].tolist() == [3.0, 2.0, 1.0, 3.0, 4.0]  # 0.5 of [0, 4] m/s, and clipped
    assert sent[0, 2, :3].tolist() == [-1.0, 0.0, 0.25]


def test_who_has_a_real_choice() -> None:
    senses = draw_senses(batch=1)
    masks = {name: torch.zeros_like(kind.mask) for name, kind in senses.kinds.items()}
    for name, mask in masks.items():
        mask[..., CONTRACT.kinds[name].firsts] = True
    masks["lamp"][0, 1, 2] = True
    alive = torch.ones(1, 5, dtype=torch.bool)
    assert may_choose(CONTRACT, masks, alive)[0].tolist() == [True, True, True, False, True]
    alive[0, 2] = False
    assert may_choose(CONTRACT, masks, alive)[0].tolist() == [True, True, False, False, True]


def test_worlds_split_over_processes_draw_the_same() -> None:
    whole = Chance(7, "cpu").uniform((6, 3))
    parts = [Chance(7, "cpu", slice(start, start + 2), 6).uniform((2, 3)) for start in (0, 2, 4)]
    assert torch.equal(whole, torch.cat(parts))
