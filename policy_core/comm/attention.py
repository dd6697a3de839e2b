"""The default layer: attention over the inbox, with the query from the receiver and features on every link.

Multi-head attention with the query from the receiver's state (Das et al. 2019, arXiv:1810.11187) and edge
features (relative pose and message age) in keys and values; class embeddings tell kinds of senders apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from policy_core.comm.layer import EDGE_SIZE, Incoming, LayerSizes, MessageLayer, masked_softmax


class AttentionLayer(MessageLayer):
    """Attention over the inbox, and a normalised residual update of the hidden state."""

    def __init__(self, sizes: LayerSizes) -> None:
        """Build heads of A / heads numbers each."""
        super().__init__(sizes)
        hidden, heads, attention, message_size, kinds, _ = sizes
        self.heads = heads
        self.query = nn.Linear(hidden, attention)
        self.edge_query = nn.Linear(hidden, heads * EDGE_SIZE)
        self.key_value = nn.Linear(message_size, 2 * attention, bias=False)
        self.sender = nn.Embedding(kinds, 2 * attention)
        self.mix_hidden = nn.Linear(hidden, hidden)
        self.mix_summary = nn.Linear(attention + heads * EDGE_SIZE, hidden, bias=False)
        self.update = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        nn.init.normal_(self.sender.weight, std=0.5)

    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """See `MessageLayer.read`."""
        mixed = torch.relu(self.mix_hidden(hidden) + self.mix_summary(self.summarise(hidden, incoming)))
        return self.norm(hidden + self.update(mixed))

    def summarise(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """Attention over the inbox: weighted values and edges [B, R, A + 5 heads]; zeros where nobody is heard."""
        batch, receivers, _ = hidden.shape
        senders, heads, edges = incoming.messages.shape[1], self.heads, incoming.edges
        query = self.query(hidden).view(batch, receivers, heads, -1).transpose(1, 2)
        key_value = self.key_value(incoming.messages) + self.sender(incoming.sender_kind)
        key, value = key_value.view(batch, senders, 2 * heads, -1).transpose(1, 2).chunk(2, dim=1)
        edge_query = self.edge_query(hidden).view(batch, receivers, heads, EDGE_SIZE)
        # edges enter linearly, so they are summed by themselves instead of widening every link's key and value
        score = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
        score = score + torch.matmul(edge_query, edges.transpose(-1, -2)).transpose(1, 2)
        weight = masked_softmax(score, incoming.heard.unsqueeze(1))
        values = torch.matmul(weight, value).transpose(1, 2).reshape(batch, receivers, -1)
        edge_values = torch.matmul(weight.transpose(1, 2), edges).reshape(batch, receivers, -1)
        return torch.cat((values, edge_values), dim=-1)


def relate(receiver: Tensor, sender: Tensor, radio_range: float) -> Tensor:
    """Pose of the senders in each receiver's base_link.

    Args:
        receiver: x (m), y (m), yaw (rad) in map [B, R, 3].
        sender: the same [B, S, 3].
        radio_range: scale of the distances (m).

    Returns:
        dx, dy (of the range), cos and sin of the relative yaw [B, R, S, 4].
    """
    r_cos, r_sin = receiver[..., 2].cos().unsqueeze(-1), receiver[..., 2].sin().unsqueeze(-1)
    s_cos, s_sin = sender[..., 2].cos().unsqueeze(-2), sender[..., 2].sin().unsqueeze(-2)
    dx = (sender[..., 0].unsqueeze(-2) - receiver[..., 0].unsqueeze(-1)) / radio_range
    dy = (sender[..., 1].unsqueeze(-2) - receiver[..., 1].unsqueeze(-1)) / radio_range
    ahead, left = r_cos * dx + r_sin * dy, r_cos * dy - r_sin * dx
    turn_cos, turn_sin = r_cos * s_cos + r_sin * s_sin, r_cos * s_sin - r_sin * s_cos
    return torch.stack((ahead, left, turn_cos, turn_sin), dim=-1)


def describe_edges(pose: Tensor, age: Tensor, tick: float) -> Tensor:
    """Edge features [B, R, S, 5] from relative pose [B, R, S, 4] and message age [B, R, S] (s)."""
    return torch.cat((pose, (age / tick).unsqueeze(-1)), dim=-1)
