"""The default layer: attention over the inbox, with the query from the receiver and features on every link.

Multi-head attention with the query from the receiver's state (Das et al. 2019, arXiv:1810.11187) and edge
features (relative pose and message age) in keys and values; class embeddings tell kinds of senders apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_core.comm.fused import attend, attend_plainly
from policy_core.comm.layer import EDGE_SIZE, Incoming, LayerSizes, MessageLayer


class AttentionLayer(MessageLayer):
    """Attention over the inbox, and a normalised residual update of the hidden state."""

    reads_lists = True

    def __init__(self, sizes: LayerSizes) -> None:
        """Build heads of A / heads numbers each."""
        super().__init__(sizes)
        hidden, heads, attention, message_size, kinds = sizes[:5]
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
        query, edge_query, key, value = self._parts(hidden, incoming)
        # edges enter linearly, so they are summed by themselves instead of widening every link's key and value
        summed = attend(query, key, value, edge_query, incoming.edges, incoming.heard, incoming.senders)
        return torch.cat(summed, dim=-1)

    def weigh(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """The weights of `summarise` [B, R, H, S] when all senders are offered; zeros where nobody is heard."""
        query, edge_query, key, _ = self._parts(hidden, incoming)
        senders = key.shape[1]
        each = torch.eye(senders).view(1, senders, 1, senders).expand(key.shape[0], -1, self.heads, -1)
        weights, _ = attend_plainly(query, key, each, edge_query, incoming.edges, incoming.heard)
        return weights.unflatten(-1, (self.heads, senders))

    def _parts(self, hidden: Tensor, incoming: Incoming) -> list[Tensor]:
        """Query and edge query of the receivers, key and value of the senders, by heads [B, .., H, D]."""
        query, edge_query = self.query(hidden), self.edge_query(hidden)
        key, value = (self.key_value(incoming.messages) + self.sender(incoming.sender_kind)).chunk(2, dim=-1)
        return [part.unflatten(-1, (self.heads, -1)) for part in (query, edge_query, key, value)]


def relate(receiver: Tensor, sender: Tensor, radio_range: float) -> Tensor:
    """Pose of the senders in each receiver's base_link.

    Args:
        receiver: x (m), y (m), yaw (rad) in map [B, R, 3].
        sender: the same, of each receiver's senders [B, R, J, 3]; [B, 1, S, 3] where all have the same.
        radio_range: scale of the distances (m).

    Returns:
        dx, dy (of the range), cos and sin of the relative yaw [B, R, J, 4].
    """
    x, y, yaw = receiver.unsqueeze(-2).unbind(-1)
    to_x, to_y, to_yaw = sender.unbind(-1)
    cos, sin, to_cos, to_sin = yaw.cos(), yaw.sin(), to_yaw.cos(), to_yaw.sin()
    dx, dy = (to_x - x) / radio_range, (to_y - y) / radio_range
    turn_cos, turn_sin = cos * to_cos + sin * to_sin, cos * to_sin - sin * to_cos
    return torch.stack((cos * dx + sin * dy, cos * dy - sin * dx, turn_cos, turn_sin), dim=-1)


def describe_edges(pose: Tensor, age: Tensor, tick: float) -> Tensor:
    """Edge features [B, R, J, 5] from relative pose [B, R, J, 4] and message age [B, R, J] (s)."""
    return torch.cat((pose, (age / tick).unsqueeze(-1)), dim=-1)
