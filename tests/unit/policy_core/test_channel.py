"""The channel: loss alone and in bursts, waiting, noise and bits, against answers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from policy_core.chance import Chance
from policy_core.comm.channel import Bursts, ChannelSettings, carry, count_bits, draw_noise, receive, transmit
from policy_core.comm.graph import GraphSettings, Neighbours, connect

BURSTY = ChannelSettings(radio_range=10.0, loss=0.2, burst=5.0)


def links_of(lost: list[tuple[int, int, int]], delay: dict[tuple[int, int, int], float], agents: int, rounds: int):
    adjacency = ~torch.eye(agents, dtype=torch.bool).unsqueeze(0)
    is_lost = torch.zeros(1, rounds, agents, agents, dtype=torch.bool)
    late = torch.zeros(1, rounds, agents, agents)
    for place in lost:
        is_lost[(0, *place)] = True
    for place, seconds in delay.items():
        late[(0, *place)] = seconds
    return receive(adjacency, is_lost, late, deadline=0.2)


def test_a_receiver_reads_when_the_last_expected_message_is_there() -> None:
    links = links_of([], {(0, 0, 1): 0.05, (0, 0, 2): 0.15}, agents=3, rounds=1)
    assert links.heard[0, 0].tolist() == (~torch.eye(3, dtype=torch.bool)).tolist()
    torch.testing.assert_close(links.age[0, 0, 0], torch.tensor([0.0, 0.15, 0.15]))
    assert links.age[0, 0, 1].tolist() == [0.0, 0.0, 0.0]


def test_a_lost_message_makes_its_receiver_wait_for_the_deadline_and_speak_late() -> None:
    links = links_of([(0, 0, 1)], {}, agents=3, rounds=2)
    assert links.heard[0, 0, 0].tolist() == [False, False, True]
    torch.testing.assert_close(links.age[0, 0, 0], torch.tensor([0.0, 0.0, 0.2]))
    # in round 2 the others hear agent 0 at 0.2 s only, and it still is within their deadline of 0.4 s
    assert links.heard[0, 1, 1].tolist() == [True, False, True]
    torch.testing.assert_close(links.age[0, 1, 1], torch.tensor([0.2, 0.0, 0.2]))


def test_a_message_after_the_deadline_is_absent() -> None:
    links = links_of([], {(0, 0, 1): 0.21}, agents=2, rounds=1)
    assert links.heard[0, 0].tolist() == [[False, False], [True, False]]
    assert links.age[0, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_loss_has_the_asked_rate_and_the_generator_decides_alone() -> None:
    settings = ChannelSettings(radio_range=10.0, loss=0.3)
    position, alive = torch.zeros(200, 8, 3), torch.ones(200, 8, dtype=torch.bool)
    first, second = (transmit(settings, position, alive, 2, Chance(5, "cpu")) for _ in range(2))
    assert torch.equal(first.heard, second.heard)
    share = first.heard.float().sum() / (200 * 2 * 8 * 7)
    assert abs(share.item() - 0.7) < 0.01
    perfect = transmit(settings, position, alive, 2, None)
    assert perfect.heard.float().sum() == 200 * 2 * 8 * 7


def everybody(worlds: int = 4, agents: int = 5) -> tuple[Tensor, Tensor]:
    return torch.zeros(worlds, agents, 3), torch.ones(worlds, agents, dtype=torch.bool)


def play(settings: ChannelSettings, ticks: int, bursts: Bursts, seed: int = 5, worlds: int = 60) -> Tensor:
    """Which messages are lost on every link, one after another [messages, links]."""
    air = Chance(seed, "cpu")
    heard = [
        transmit(settings, *everybody(worlds), 2, air, bursts=bursts).heard.transpose(0, 1).flatten(1)
        for _ in range(ticks)
    ]
    is_link = (~torch.eye(5, dtype=torch.bool)).flatten().repeat(worlds)
    return ~torch.cat(heard)[:, is_link]


def test_bursts_have_the_asked_loss_and_length_over_ticks_and_from_the_first_message() -> None:
    lost = play(BURSTY, 200, Bursts())
    assert abs(lost.float().mean().item() - 0.2) < 0.01
    assert abs(lost[0].float().mean().item() - 0.2) < 0.03  # it starts from the stationary share
    begins = lost[1:] & ~lost[:-1]
    assert abs(lost[1:].sum().item() / begins.sum().item() - 5.0) < 0.2
    assert abs(begins.sum().item() / (~lost[:-1]).sum().item() - 0.2 / 0.8 / 5) < 0.003


def test_without_bursts_losses_are_independent_and_drawn_as_ever() -> None:
    settings = BURSTY.model_copy(update={"burst": 1.0})
    lost = play(settings, 200, Bursts())
    begins = lost[1:] & ~lost[:-1]
    assert abs(lost[1:].sum().item() / begins.sum().item() - 1 / 0.8) < 0.02
    by_hand = Chance(5, "cpu")
    seen = transmit(settings, *everybody(), 2, Chance(5, "cpu"), bursts=Bursts())
    assert torch.equal(~seen.heard, (by_hand.uniform((4, 2, 5, 5)) < 0.2) | torch.eye(5, dtype=torch.bool))


def test_a_new_episode_forgets_the_links_of_its_world_alone() -> None:
    heavy = ChannelSettings(radio_range=10.0, loss=0.5, burst=1e4)
    bursts = Bursts()
    first = play(heavy, 1, bursts, worlds=80)[-1].view(80, -1)
    bursts.restart(torch.arange(80) < 40)
    second = play(heavy, 1, bursts, seed=6, worlds=80)[0].view(80, -1)
    assert (first[40:] == second[40:]).float().mean() > 0.99  # a bad spell goes on
    assert 0.4 < (first[:40] == second[:40]).float().mean() < 0.6


def test_a_link_moves_on_with_its_messages_only() -> None:
    bursts = Bursts()
    nobody = Neighbours(torch.zeros(4, 5, 5, dtype=torch.bool))
    carry(BURSTY, nobody, 3, Chance(0, "cpu"), bursts=bursts)
    assert bursts.state is not None
    assert (bursts.state == Bursts.UNKNOWN).all()
    lists = Neighbours(torch.tensor([[[True, False], [True, True]]]), torch.tensor([[[1, 0], [0, 1]]]))
    bursts = Bursts()
    carry(BURSTY, lists, 3, Chance(0, "cpu"), bursts=bursts)
    assert bursts.state is not None
    assert (bursts.state != Bursts.UNKNOWN).tolist() == [[[False, True], [True, True]]]


def test_worlds_split_over_processes_draw_the_same_bursts_and_noise() -> None:
    settings = BURSTY.model_copy(update={"noise": 0.1, "delay": 0.05})

    def run(worlds: int, rows: slice | None) -> list[Tensor]:
        air, bursts, told = Chance(3, "cpu", rows, 6), Bursts(), []
        for _ in range(4):
            links = transmit(settings, *everybody(worlds), 2, air, numbers=3, bursts=bursts)
            assert links.noise is not None
            told += [links.heard, links.age, links.noise]
        return told

    whole, first, second = run(6, None), run(2, slice(0, 2)), run(4, slice(2, 6))
    assert all(torch.equal(w, torch.cat((f, s))) for w, f, s in zip(whole, first, second, strict=True))


def test_listed_senders_are_waited_for_as_the_same_senders_in_order() -> None:
    chance = torch.Generator().manual_seed(2)
    position = torch.rand(30, 6, 3, generator=chance) * 10
    lists = connect(GraphSettings(kind="nearest", neighbours=3), position, torch.ones(30, 6, dtype=torch.bool), (), 6.0)
    assert lists.senders is not None
    lost = torch.rand(30, 3, 6, 6, generator=chance) < 0.1
    delay = torch.empty(30, 3, 6, 6).exponential_(20.0, generator=chance)
    index = lists.senders.unsqueeze(1).expand(-1, 3, -1, -1)
    dense = receive(lists.spread(), lost, delay, 0.2)
    listed = receive(lists.may_hear, lost.gather(-1, index), delay.gather(-1, index), 0.2, lists.senders)
    assert torch.equal(listed.heard, dense.heard.gather(-1, index))
    assert torch.equal(listed.age, dense.age.gather(-1, index))
    assert listed.heard.sum() == dense.heard.sum()
    assert torch.equal(listed.senders, lists.senders)


def test_a_star_passes_through_the_air_with_its_kinds() -> None:
    settings = ChannelSettings(radio_range=10.0, graph=GraphSettings(kind="star", hub="b"))
    heard = transmit(settings, *everybody(1, 3), 1, None, kinds=("a", "a", "b")).heard
    assert heard[0, 0].int().tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_noise_is_normal_or_logistic_by_what_the_rounding_needs() -> None:
    air = ChannelSettings(radio_range=1.0, noise=0.3)
    drawn = draw_noise(air, (50, 2, 10), 8, Chance(0, "cpu"))
    assert drawn is not None
    assert drawn.shape == (50, 2, 10, 8)
    assert abs(drawn.std().item() - 0.3) < 0.01
    gumbel = ChannelSettings(radio_range=1.0, bits=4, rounding="gumbel")
    drawn = draw_noise(gumbel, (50, 2, 10), 8, Chance(0, "cpu"))
    assert drawn is not None
    assert drawn.shape == (50, 2, 10, 32)
    assert abs(drawn.std().item() - math.pi / 3**0.5) < 0.02
    assert draw_noise(ChannelSettings(radio_range=1.0), (50, 2, 10), 8, Chance(0, "cpu")) is None


def test_bits_are_counted_once_for_all_receivers_and_not_for_silence() -> None:
    settings = ChannelSettings(radio_range=10.0, bits=5)
    alive = torch.tensor([[True, True, True, True, False]])
    position = torch.zeros(1, 5, 3)
    position[0, 3, 0] = 50.0  # out of everybody's range
    neighbours = connect(settings.graph, position, alive, (), 10.0)
    messages = [torch.full((1, 5, 6), 0.5), torch.full((1, 5, 6), 0.5)]
    messages[1][0, 1] = 0.0  # its gate is closed in round 2
    assert count_bits(settings, neighbours, messages).tolist() == [[60, 30, 60, 0, 0]]
    assert count_bits(settings, neighbours, []).tolist() == [[0] * 5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"bits": 17}, "wanted 1 to 16, or 32"),
        ({"bits": 0}, "greater than or equal to 1"),
        ({"rounding": "gumbel"}, "wanted 1 to 16 bits and noise 0"),
        ({"rounding": "gumbel", "bits": 4, "noise": 0.1}, "wanted 1 to 16 bits and noise 0"),
        ({"loss": 0.9, "burst": 2.0}, "wanted bursts of at least 9"),
        ({"burst": 0.5}, "greater than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_in_words(content: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ChannelSettings.model_validate({"radio_range": 1.0, **content})
