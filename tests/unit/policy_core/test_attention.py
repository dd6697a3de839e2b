"""The default layer: relative poses and attention by hand, silence that is zero."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from policy_core.comm.attention import AttentionLayer, describe_edges, relate
from policy_core.comm.layer import EDGE_SIZE, Incoming, LayerSizes, masked_softmax


def test_a_sender_ahead_and_to_the_left_is_so_in_the_receivers_base_link() -> None:
    receiver = torch.tensor([[[2.0, 1.0, math.pi / 2]]])  # looks along +y
    sender = torch.tensor([[[0.0, 4.0, math.pi]]])  # 3 m ahead, 2 m to the left, turned 90 degrees left of us
    pose = relate(receiver, sender.unsqueeze(1), 10.0)[0, 0, 0]
    torch.testing.assert_close(pose, torch.tensor([0.3, 0.2, 0.0, 1.0]), atol=1e-6, rtol=0)
    edges = describe_edges(pose.view(1, 1, 1, 4), torch.full((1, 1, 1), 0.5), tick=2.0)
    assert edges.shape[-1] == EDGE_SIZE
    assert edges[0, 0, 0, 4] == 0.25


def test_masked_softmax_is_softmax_of_what_counts_and_zero_where_nothing_counts() -> None:
    score = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)) * 30
    mask = torch.tensor([[True, False, True, True, False], [False] * 5])
    weight = masked_softmax(score, mask)
    torch.testing.assert_close(weight[0, mask[0]], torch.softmax(score[0, mask[0]], 0))
    assert weight[0, ~mask[0]].tolist() == [0.0, 0.0]
    assert weight[1].tolist() == [0.0] * 5


def test_the_summary_is_zero_where_nobody_is_heard_and_attention_by_hand_elsewhere() -> None:
    torch.manual_seed(0)
    layer = AttentionLayer(LayerSizes(hidden=16, heads=4, attention=8, message=6, kinds=2, bits=32))
    hidden, messages, edges = torch.randn(1, 2, 16), torch.randn(1, 3, 6), torch.randn(1, 2, 3, EDGE_SIZE)
    kinds = torch.tensor([0, 1, 1])
    heard = torch.tensor([[[False, False, False], [True, False, True]]])
    summary = layer.summarise(hidden, Incoming(messages, kinds, torch.tensor([0, 1]), edges, heard))[0]
    assert summary[0].abs().max() == 0
    key_value = layer.key_value(messages[0]) + layer.sender(kinds)
    keys, values = key_value.view(3, 8, 2)[:, :4], key_value.view(3, 8, 2)[:, 4:]
    for head in range(4):
        query = layer.query(hidden[0, 1]).view(4, 2)[head]
        edge_query = layer.edge_query(hidden[0, 1]).view(4, EDGE_SIZE)[head]
        scores = [keys[j, head] @ query / math.sqrt(2) + edge_query @ edges[0, 1, j] for j in (0, 2)]
        weight = torch.softmax(torch.stack(scores), 0)
        value = weight[0] * values[0, head] + weight[1] * values[2, head]
        edge = weight[0] * edges[0, 1, 0] + weight[1] * edges[0, 1, 2]
        torch.testing.assert_close(summary[1, 2 * head : 2 * head + 2], value)
        torch.testing.assert_close(summary[1, 8 + EDGE_SIZE * head : 8 + EDGE_SIZE * (head + 1)], edge)


@pytest.mark.parametrize("seed", range(5))
def test_with_copied_weights_it_is_torchs_multi_head_attention(seed: int) -> None:
    torch.manual_seed(seed)
    hidden_size, message_size, heads = 16, 6, 4
    sizes = LayerSizes(hidden=hidden_size, heads=heads, attention=hidden_size, message=message_size, kinds=2, bits=32)
    layer = AttentionLayer(sizes).double()
    reference = nn.MultiheadAttention(
        hidden_size, heads, kdim=message_size, vdim=message_size, batch_first=True
    ).double()
    with torch.no_grad():  # torch's has neither link features nor kinds
        for weight in (layer.edge_query.weight, layer.edge_query.bias, layer.sender.weight):
            weight.zero_()
        reference.q_proj_weight.copy_(layer.query.weight)
        reference.k_proj_weight.copy_(layer.key_value.weight[:hidden_size])
        reference.v_proj_weight.copy_(layer.key_value.weight[hidden_size:])
        reference.in_proj_bias.zero_()
        reference.in_proj_bias[:hidden_size] = layer.query.bias
        reference.out_proj.weight.copy_(torch.eye(hidden_size))
        reference.out_proj.bias.zero_()
    batch, receivers, senders = 3, 4, 5
    hidden = torch.randn(batch, receivers, hidden_size, dtype=torch.float64)
    messages = torch.randn(batch, senders, message_size, dtype=torch.float64)
    heard = torch.rand(batch, receivers, senders) < 0.6
    heard[..., 0] = True  # torch's gives NaN where nobody is heard
    edges = torch.randn(batch, receivers, senders, EDGE_SIZE, dtype=torch.float64)
    kinds = torch.zeros(senders, dtype=torch.int64)
    seen = layer.summarise(hidden, Incoming(messages, kinds, kinds[:receivers], edges, heard))[..., :hidden_size]
    mask = ~heard.repeat_interleave(heads, dim=0)
    wanted = reference(hidden, messages, messages, attn_mask=mask, need_weights=False)[0]
    torch.testing.assert_close(seen, wanted, atol=1e-12, rtol=1e-10)


def test_the_told_weights_are_those_of_the_summary() -> None:
    torch.manual_seed(1)
    layer = AttentionLayer(LayerSizes(hidden=16, heads=4, attention=8, message=6, kinds=2, bits=32))
    hidden, messages, edges = torch.randn(2, 3, 16), torch.randn(2, 5, 6), torch.randn(2, 3, 5, EDGE_SIZE)
    kinds, heard = torch.tensor([0, 1, 1, 0, 1]), torch.rand(2, 3, 5) < 0.6
    heard[0, 0] = False
    incoming = Incoming(messages, kinds, torch.tensor([0, 1, 0]), edges, heard)
    weights = layer.weigh(hidden, incoming)
    assert weights.shape == (2, 3, 4, 5)
    assert (weights[~heard.unsqueeze(2).expand_as(weights)] == 0).all()
    torch.testing.assert_close(weights.sum(-1), heard.any(-1, keepdim=True).float().expand(-1, -1, 4))
    value = (layer.key_value(messages) + layer.sender(kinds))[..., 8:].unflatten(-1, (4, 2))
    values = torch.einsum("brhs,bshd->brhd", weights, value).flatten(2)
    seen = torch.einsum("brhs,brsf->brhf", weights, edges).flatten(2)
    torch.testing.assert_close(torch.cat((values, seen), -1), layer.summarise(hidden, incoming))
