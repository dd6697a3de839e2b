"""The default layer: relative poses and attention by hand, silence that is zero."""

from __future__ import annotations

import math

import torch

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
