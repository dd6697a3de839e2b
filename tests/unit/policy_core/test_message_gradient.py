"""The receiver's loss reaches the sender's weights: autograd against finite differences, and a detached control."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policy_core.agents.actions import judge
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.agents.senses import Senses
from policy_core.comm.channel import Links
from policy_core.comm.layers import LAYERS, LayerName
from tests.support.small_fleets import draw_senses, in_double, make_policy, perfect_links

STEP = 1e-6
SMOOTH = ["attention", "residual", "mean", "signature", "class_typed"]  # the others cut links by a threshold


def make_relay(rounds: int, layer: LayerName = "attention") -> tuple[FleetPolicy, Senses, Links]:
    """Scouts and lifters; a loss of the lifters depends on the scouts' weights through messages only."""
    policy = make_policy(rounds, layer=layer).double()
    senses = in_double(draw_senses(batch=2))
    links = perfect_links(senses, rounds)
    return policy, senses, Links(links.heard, links.age.double())


def lifter_loss(policy: FleetPolicy, senses: Senses, links: Links, *, detach: bool = False) -> Tensor:
    answer = policy(senses, links, detach_messages=detach)
    log_probability, _ = judge(policy.contract, answer, torch.zeros(2, 5, 1))
    return -log_probability[:, 3:].sum()


def scout_weights(policy: FleetPolicy) -> list[Tensor]:
    encoder = policy.actors["scout"].encoder
    return [encoder.body[0].weight, encoder.body[2].bias, encoder.candidate.weight]


@pytest.mark.parametrize(
    "layer", ["attention", "residual", "mean", "signature", "class_typed"]
)  # the others cut by a threshold
@pytest.mark.parametrize("rounds", [1, 2, 3, 4])
def test_the_gradient_of_the_senders_weights_equals_finite_differences(rounds: int, layer: LayerName) -> None:
    policy, senses, links = make_relay(rounds, layer)
    weights = [*scout_weights(policy), policy.comm[0].head.weight]
    gradients = torch.autograd.grad(lifter_loss(policy, senses, links), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        places = gradient.abs().flatten().topk(4).indices  # the largest entries: relative error means something
        assert gradient.abs().max() > 1e-6
        for place in places.tolist():
            flat = weight.data.view(-1)
            kept = flat[place].item()
            with torch.no_grad():
                flat[place] = kept + STEP
                above = lifter_loss(policy, senses, links)
                flat[place] = kept - STEP
                below = lifter_loss(policy, senses, links)
                flat[place] = kept
            numeric = (above - below).item() / (2 * STEP)
            exact = gradient.view(-1)[place].item()
            assert abs(numeric - exact) / abs(exact) < 1e-4


@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("rounds", [1, 2, 3, 4])
def test_with_detached_messages_the_senders_gradient_is_exactly_zero(rounds: int, layer: LayerName) -> None:
    policy, senses, links = make_relay(rounds, layer)
    loss = lifter_loss(policy, senses, links, detach=True)
    gradients = torch.autograd.grad(loss, scout_weights(policy), allow_unused=True)
    assert all(gradient is None or gradient.abs().max() == 0 for gradient in gradients)


def test_every_round_carries_gradient() -> None:
    policy, senses, links = make_relay(3)
    answer = policy(senses, links)
    for message in answer.messages:
        message.retain_grad()
    judge(policy.contract, answer, torch.zeros(2, 5, 1))[0].sum().backward()
    assert all(message.grad is not None and message.grad.norm() > 0 for message in answer.messages)
