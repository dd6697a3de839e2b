"""Critics: changing teams, the dead, and order, as each of them promises."""

from __future__ import annotations

import pytest
import torch

from policy_core.agents.critic import Critic
from policy_core.agents.fleet_policy import Architecture
from policy_core.agents.joint_critic import JointCritic
from policy_core.agents.senses import KindSenses, Senses
from policy_core.config import ConfigError
from policy_core.contract import Contract
from tests.support.small_fleets import COUNTS, draw_senses, make_contract

FIELD = {"name": "view", "size": 3, "unit": "1", "low": -1, "high": 1}
SIZES = Architecture(hidden=16, heads=4, attention=8, candidate=8)
PLAIN = Contract.model_validate(
    {
        "version": 1,
        "message_size": 2,
        "rounds": 0,
        "tick": 1.0,
        "kinds": {
            "a": {"observation": [FIELD], "controls": [FIELD]},
            "b": {"observation": [FIELD], "controls": [FIELD]},
        },
    }
)


def draw_plain(counts: dict[str, int], batch: int = 4) -> Senses:
    chance = torch.Generator().manual_seed(0)
    kinds = {
        name: KindSenses(
            torch.randn(batch, count, 3, generator=chance),
            torch.zeros(batch, count, 0, 0),
            torch.ones(batch, count, 0, dtype=torch.bool),
        )
        for name, count in counts.items()
    }
    agents = sum(counts.values())
    alive = torch.ones(batch, agents, dtype=torch.bool)
    return Senses(kinds, torch.zeros(batch, agents, 3), alive, torch.randn(batch, 2, generator=chance))


def test_attention_judges_teams_of_any_size_and_mix_each_agent_for_itself() -> None:
    torch.manual_seed(0)
    critic = Critic(make_contract(), SIZES, 3)
    for counts in (COUNTS, {"scout": 1}, {"lifter": 6}):
        assert critic(draw_senses(counts=counts)).shape == (3, sum(counts.values()))
    value = critic(draw_senses())
    assert (value[:, 0] - value[:, 1]).abs().max() > 1e-4


def test_to_attention_the_dead_are_as_if_they_were_not_there() -> None:
    torch.manual_seed(0)
    critic, senses = Critic(make_contract(), SIZES, 3), draw_senses()
    alive = senses.alive.clone()
    alive[:, 1] = False
    scouts = senses.kinds["scout"]
    spoiled = scouts._replace(vector=scouts.vector.clone())
    spoiled.vector[:, 1] = 1e3
    kept = [0, 2, 3, 4]
    seen = critic(senses._replace(alive=alive, kinds=senses.kinds | {"scout": spoiled}))[:, kept]
    without = senses.kinds | {"scout": KindSenses(*(part[:, [0, 2]] for part in scouts))}
    small = Senses(without, senses.position[:, kept], senses.alive[:, kept], senses.state)
    torch.testing.assert_close(seen, critic(small))


def test_the_joint_critic_gives_the_team_one_value_and_sees_the_dead_as_zeros() -> None:
    torch.manual_seed(0)
    senses = draw_plain({"a": 2, "b": 1})
    critic = JointCritic(PLAIN, SIZES.model_copy(update={"encoder": "tanh"}), senses.counts(), 2)
    value = critic(senses)
    assert value.shape == (4, 3) and (value == value[:, :1]).all()
    alive = senses.alive.clone()
    alive[:, 2] = False
    zeros = senses.kinds | {"b": senses.kinds["b"]._replace(vector=torch.zeros(4, 1, 3))}
    torch.testing.assert_close(critic(senses._replace(alive=alive)), critic(senses._replace(kinds=zeros)))


def test_the_joint_critic_refuses_candidates() -> None:
    with pytest.raises(ConfigError, match="cannot read the candidates of scout; use 'attention'"):
        JointCritic(make_contract(), SIZES, COUNTS, 3)
