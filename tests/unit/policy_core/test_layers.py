"""Every message layer against its paper's equations, and what all of them owe: masks, order, gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from policy_core.comm.class_typed import ClassTypedLayer
from policy_core.comm.gated import GatedLayer
from policy_core.comm.layer import EDGE_SIZE, Incoming, LayerSizes, MessageLayer
from policy_core.comm.layers import LAYERS, LayerName, make_layer
from policy_core.comm.mean import MeanLayer
from policy_core.comm.residual import ResidualLayer
from policy_core.comm.scheduled import ScheduledLayer
from policy_core.comm.signature import SignatureLayer

SIZES = LayerSizes(hidden=8, heads=4, attention=8, message=8, kinds=2, bits=32)
RECEIVERS, SENDERS = 3, 4
SENDER_KIND = torch.tensor([0, 1, 1, 0])
RECEIVER_KIND = torch.tensor([0, 0, 1])
HEARD = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]]).bool()
every_layer = pytest.mark.parametrize("name", list(LAYERS))


def fresh(name: LayerName, seed: int = 0) -> MessageLayer:
    torch.manual_seed(seed)
    layer = make_layer(name, SIZES).double()
    if isinstance(layer, ScheduledLayer):  # so that it cuts about half of the links
        torch.nn.init.zeros_(layer.schedule.bias)
    return layer


def draw(seed: int = 1, batch: int = 2) -> tuple[Tensor, Incoming]:
    chance = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    messages = torch.tanh(randn(batch, SENDERS, SIZES.message))
    edges = randn(batch, RECEIVERS, SENDERS, EDGE_SIZE)
    heard = HEARD.expand(batch, -1, -1)
    return randn(batch, RECEIVERS, SIZES.hidden), Incoming(messages, SENDER_KIND, RECEIVER_KIND, edges, heard)


def senders_of(receiver: int) -> list[int]:
    return [int(sender) for sender in HEARD[receiver].nonzero()]


def check(layer: MessageLayer, by_hand: object) -> None:
    """Hold the layer against `by_hand(h, messages, receiver)` for every receiver of the batch."""
    hidden, incoming = draw()
    seen = layer.read(hidden, incoming)
    for fleet in range(len(hidden)):
        for receiver in range(RECEIVERS):
            wanted = by_hand(hidden[fleet, receiver], incoming.messages[fleet], receiver)  # type: ignore[operator]
            torch.testing.assert_close(seen[fleet, receiver], wanted, rtol=0, atol=1e-12)


def test_residual_is_the_articles_layer_in_its_right_form() -> None:
    layer = fresh("residual")
    assert isinstance(layer, ResidualLayer)

    def by_hand(h: Tensor, m: Tensor, receiver: int) -> Tensor:
        others = senders_of(receiver)
        c = sum((torch.relu(layer.decoder(m[j])) for j in others), torch.zeros_like(h)) / max(len(others), 1)
        return layer.norm(h + layer.update(torch.relu(layer.mix(torch.cat((h, c))))))

    check(layer, by_hand)


def test_mean_is_commnets_equation() -> None:
    layer = fresh("mean")
    assert isinstance(layer, MeanLayer)

    def by_hand(h: Tensor, m: Tensor, receiver: int) -> Tensor:
        others = senders_of(receiver)
        c = sum((m[j] for j in others), torch.zeros_like(m[0])) / max(len(others), 1)
        return torch.tanh(layer.own.weight @ h + layer.own.bias + layer.others.weight @ c)

    check(layer, by_hand)


def test_a_closed_gate_sends_exact_zeros_and_an_open_one_the_message() -> None:
    layer = fresh("gated")
    assert isinstance(layer, GatedLayer)
    torch.nn.init.zeros_(layer.gate.bias)
    hidden = torch.randn(50, SIZES.hidden, dtype=torch.float64)
    is_open = (hidden @ layer.gate.weight[0]) > 0
    said = layer.speak(hidden)
    assert 5 < int(is_open.sum()) < 45
    assert said[~is_open].abs().max() == 0
    torch.testing.assert_close(said[is_open], torch.tanh(layer.head(hidden[is_open])))


def test_signature_is_tarmacs_equation() -> None:
    layer = fresh("signature")
    assert isinstance(layer, SignatureLayer)
    d = SIZES.message // 4

    def by_hand(h: Tensor, m: Tensor, receiver: int) -> Tensor:
        others = senders_of(receiver)
        c = torch.zeros(SIZES.message - d, dtype=torch.float64)
        if others:
            scores = torch.stack([layer.query(h) @ m[j, :d] / math.sqrt(d) for j in others])
            c = sum(a * m[j, d:] for a, j in zip(torch.softmax(scores, 0), others, strict=True))
        return torch.tanh(layer.update.weight @ torch.cat((c, h)) + layer.update.bias)

    check(layer, by_hand)


def test_scheduled_is_magics_equation_over_the_links_its_scheduler_leaves() -> None:
    layer = fresh("scheduled")
    assert isinstance(layer, ScheduledLayer)
    left = []

    def by_hand(h: Tensor, m: Tensor, receiver: int) -> Tensor:
        others = []
        for j in senders_of(receiver):
            pair = torch.relu(layer.pair_receiver(h) + layer.pair_sender(m[j]))
            if layer.schedule(pair) > 0:
                others.append(j)
        left.append(len(others))
        summary = torch.zeros(SIZES.attention, dtype=torch.float64)
        if others:
            scores = [
                torch.nn.functional.leaky_relu(
                    layer.attend.flatten() @ torch.cat((layer.receiver(h), layer.sender(m[j]))), 0.2
                )
                for j in others
            ]
            weights = torch.softmax(torch.stack(scores), 0)
            summary = sum(a * layer.sender(m[j]) for a, j in zip(weights, others, strict=True))
        return layer.norm(h + layer.update(torch.cat((h, torch.nn.functional.elu(summary)))))

    check(layer, by_hand)
    assert 0 < sum(left) < 2 * int(HEARD.sum())  # the schedule kept some links and cut some


def test_class_typed_is_hetnets_equation() -> None:
    layer = fresh("class_typed")
    assert isinstance(layer, ClassTypedLayer)

    def by_hand(h: Tensor, m: Tensor, receiver: int) -> Tensor:
        mine = int(RECEIVER_KIND[receiver])
        total = own = h @ layer.own[mine]
        for kind in range(SIZES.kinds):
            others = [j for j in senders_of(receiver) if SENDER_KIND[j] == kind]
            if not others:
                continue
            values = [m[j] @ layer.typed[mine, kind] for j in others]
            scores = [own @ layer.ask[mine, kind] + value @ layer.offer[mine, kind] for value in values]
            weights = torch.softmax(torch.nn.functional.leaky_relu(torch.stack(scores), 0.2), 0)
            total = total + sum(a * value for a, value in zip(weights, values, strict=True))
        return layer.norm(torch.relu(total))

    check(layer, by_hand)


@every_layer
@pytest.mark.parametrize("change", ["message", "edge", "kind"])
def test_a_sender_that_is_not_heard_has_exactly_no_influence(name: LayerName, change: str) -> None:
    layer = fresh(name)
    hidden, incoming = draw()
    heard = incoming.heard.clone()
    heard[..., 1] = False
    incoming = incoming._replace(heard=heard)
    before = layer.read(hidden, incoming)
    messages, edges, kinds = incoming.messages.clone(), incoming.edges.clone(), SENDER_KIND.clone()
    if change == "message":
        messages[:, 1] = 1e6
    elif change == "edge":
        edges[:, :, 1] = -1e6
    else:
        kinds[1] = 0
    after = layer.read(hidden, incoming._replace(messages=messages, edges=edges, sender_kind=kinds))
    assert torch.equal(before, after)


@every_layer
def test_the_order_of_the_senders_does_not_matter(name: LayerName) -> None:
    layer = fresh(name)
    hidden, incoming = draw()
    order = torch.tensor([2, 0, 3, 1])
    moved = Incoming(
        incoming.messages[:, order],
        SENDER_KIND[order],
        RECEIVER_KIND,
        incoming.edges[:, :, order],
        incoming.heard[..., order],
    )
    torch.testing.assert_close(layer.read(hidden, moved), layer.read(hidden, incoming), rtol=0, atol=1e-12)


@every_layer
def test_the_receivers_loss_reaches_the_senders_head_and_only_through_what_is_heard(name: LayerName) -> None:
    layer = fresh(name)
    hidden, incoming = draw()
    senders = torch.randn(2, SENDERS, SIZES.hidden, dtype=torch.float64, requires_grad=True)
    if isinstance(layer, GatedLayer):
        torch.nn.init.constant_(layer.gate.bias, 10.0)
    if isinstance(layer, ScheduledLayer):
        torch.nn.init.constant_(layer.schedule.bias, 10.0)
    heard = incoming.heard.clone()
    heard[..., 1] = False
    out = layer.read(hidden, incoming._replace(messages=layer.speak(senders), heard=heard))
    (gradient,) = torch.autograd.grad((out * torch.randn_like(out)).sum(), senders)
    assert gradient[:, 1].abs().max() == 0
    assert all(gradient[:, sender].abs().max() > 0 for sender in (0, 2, 3))
