"""The joint policy: who may influence whom, and that order and company do not matter."""

from __future__ import annotations

import pytest
import torch

from policy_core.agents.senses import KindSenses, Senses
from policy_core.comm.channel import Links
from tests.support.small_fleets import COUNTS, draw_senses, legal, make_policy, perfect_links

AGENTS = sum(COUNTS.values())


def all_logits(policy, senses: Senses, links: Links, **options: bool) -> dict[str, torch.Tensor]:
    return {name: legal(logits) for name, logits in policy(senses, links, **options).logits.items()}


def change_vector(senses: Senses, kind: str, agent: int) -> Senses:
    vector = senses.kinds[kind].vector.clone()
    vector[:, agent] += 1.0
    return senses._replace(kinds={**senses.kinds, kind: senses.kinds[kind]._replace(vector=vector)})


def test_illegal_candidates_are_never_chosen_and_change_nothing() -> None:
    policy, senses = make_policy(), draw_senses()
    links = perfect_links(senses)
    before = policy(senses, links).logits
    kinds = {}
    for name, kind in senses.kinds.items():
        assert torch.equal(before[name] == -torch.inf, ~kind.mask)
        spoiled = kind.candidates.masked_fill(~kind.mask.unsqueeze(-1), torch.nan)
        kinds[name] = kind._replace(candidates=spoiled)
    after = policy(senses._replace(kinds=kinds), links).logits
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_agent_that_is_heard_by_nobody_influences_nobody() -> None:
    policy, senses = make_policy(), draw_senses()
    links = perfect_links(senses)
    links.heard[:, :, :, 1] = False  # scout 1 falls silent
    before = all_logits(policy, senses, links)
    after = all_logits(policy, change_vector(senses, "scout", 1), links)
    assert torch.equal(before["lifter"], after["lifter"])
    assert torch.equal(before["scout"][:, [0, 2]], after["scout"][:, [0, 2]])
    assert not torch.equal(before["scout"][:, 1], after["scout"][:, 1])


def test_two_rounds_carry_information_over_two_hops_and_one_round_over_one() -> None:
    for rounds, reaches in ((1, False), (2, True)):
        policy, senses = make_policy(rounds), draw_senses()
        heard = torch.zeros(3, rounds, AGENTS, AGENTS, dtype=torch.bool)
        heard[:, :, 1, 0] = heard[:, :, 4, 1] = True  # scout 0 -> scout 1 -> lifter 1
        links = Links(heard, torch.zeros(heard.shape))
        before = all_logits(policy, senses, links)["lifter"][:, 1]
        after = all_logits(policy, change_vector(senses, "scout", 0), links)["lifter"][:, 1]
        assert (not torch.equal(before, after)) is reaches


def test_silence_is_the_same_as_links_without_anybody() -> None:
    policy, senses = make_policy(), draw_senses()
    links = perfect_links(senses)
    nobody = Links(torch.zeros_like(links.heard), links.age)
    silent, alone = all_logits(policy, senses, links, silence=True), all_logits(policy, senses, nobody)
    assert all(torch.equal(silent[name], alone[name]) for name in silent)
    assert not torch.equal(silent["lifter"], all_logits(policy, senses, links)["lifter"])


def test_agents_of_a_kind_may_change_places() -> None:
    policy, senses = make_policy(), draw_senses()
    links = perfect_links(senses, age=0.3)
    links.heard[:, 0, 2, 0] = False
    order = {"scout": torch.tensor([2, 0, 1]), "lifter": torch.tensor([1, 0])}
    joint = torch.cat((order["scout"], order["lifter"] + 3))
    kinds = {name: KindSenses(*(part[:, order[name]] for part in kind)) for name, kind in senses.kinds.items()}
    moved = Senses(kinds, senses.position[:, joint], senses.alive[:, joint], senses.state)
    moved_links = links.map(lambda part: part[:, :, joint][:, :, :, joint])
    before, after = all_logits(policy, senses, links), all_logits(policy, moved, moved_links)
    for name in before:
        torch.testing.assert_close(before[name][:, order[name]], after[name], atol=1e-6, rtol=1e-5)


def test_the_same_weights_run_larger_and_mixed_fleets() -> None:
    policy = make_policy()
    for counts in ({"scout": 7, "lifter": 1}, {"scout": 1}, {"lifter": 4}):
        senses = draw_senses(counts=counts)
        logits = policy(senses, perfect_links(senses)).logits
        assert {name: judged.shape[1] for name, judged in logits.items()} == counts


@pytest.mark.parametrize("bits", [1, 4])
def test_rounded_messages_take_only_so_many_values(bits: int) -> None:
    policy, senses = make_policy(bits=bits), draw_senses(batch=50)
    for message in policy(senses, perfect_links(senses)).messages:
        assert len(message.unique()) <= 2**bits
