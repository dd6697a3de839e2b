"""The channel: range, loss, waiting and rounding, against answers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from policy_core.chance import Chance
from policy_core.comm.channel import ChannelSettings, choose_neighbours, quantise, receive, transmit


def test_neighbours_are_alive_within_range_and_never_oneself() -> None:
    position = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 1.0], [3.0, 4.1, 0.0], [1.0, 0.0, 2.0]])
    alive = torch.tensor([True, True, True, False])
    adjacency = choose_neighbours(position, alive, 5.0)
    assert adjacency.tolist() == [
        [False, True, False, False],  # 5.0 m is heard, 5.08 m is not; the fourth is dead
        [True, False, True, False],
        [False, True, False, False],
        [False, False, False, False],
    ]


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


@pytest.mark.parametrize(
    ("bits", "expected"), [(1, [-1.0, 1.0, 1.0]), (2, [-1.0, 1 / 3, 1.0]), (32, [-0.9, 0.2, 0.95])]
)
def test_rounding_to_bits_with_a_straight_through_gradient(bits: int, expected: list[float]) -> None:
    message = torch.tensor([-0.9, 0.2, 0.95], requires_grad=True)
    rounded = quantise(message, bits)
    torch.testing.assert_close(rounded, torch.tensor(expected))
    (rounded * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert message.grad is not None
    assert message.grad.tolist() == [1.0, 2.0, 3.0]
