"""One round of talking: what an agent says from its hidden state, and how it reads what the others said.

Multi-head attention with the query from the receiver's state (Das et al. 2019, arXiv:1810.11187) and edge
features (relative pose and message age) in keys and values; class embeddings tell kinds of senders apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from policy_core.comm.channel import quantise

EDGE_SIZE = 5  # dx, dy (of the radio range), cos and sin of relative yaw, age (of a tick)


class MessageLayer(nn.Module):
    """Message head, attention over the inbox, and the residual update of the hidden state."""

    def __init__(self, *, hidden: int, heads: int, attention: int, message_size: int, kinds: int, bits: int) -> None:
        """Build for hidden states [.., H], messages [.., M], so many kinds of senders, and heads of A / heads each."""
        super().__init__()
        self.heads = heads
        self.bits = bits
        self.head = nn.Linear(hidden, message_size)
        self.query = nn.Linear(hidden, attention)
        self.edge_query = nn.Linear(hidden, heads * EDGE_SIZE)
        self.key_value = nn.Linear(message_size, 2 * attention, bias=False)
        self.sender = nn.Embedding(kinds, 2 * attention)
        self.mix_hidden = nn.Linear(hidden, hidden)
        self.mix_summary = nn.Linear(attention + heads * EDGE_SIZE, hidden, bias=False)
        self.update = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        nn.init.normal_(self.sender.weight, std=0.5)

    def speak(self, hidden: Tensor) -> Tensor:
        """The message [.., M] in [-1, 1] of an agent in this hidden state [.., H]."""
        return quantise(torch.tanh(self.head(hidden)), self.bits)

    def read(self, hidden: Tensor, messages: Tensor, sender_kind: Tensor, edges: Tensor, heard: Tensor) -> Tensor:
        """The receivers' next hidden state.

        Args:
            hidden: receivers [B, R, H].
            messages: what the senders said [B, S, M].
            sender_kind: kind index of every sender [S].
            edges: edge features [B, R, S, 5], see `describe_edges`.
            heard: [B, R, S] bool.

        Returns:
            Hidden state [B, R, H]; independent of every sender that is not heard.
        """
        summary = self.summarise(hidden, messages, sender_kind, edges, heard)
        mixed = torch.relu(self.mix_hidden(hidden) + self.mix_summary(summary))
        return self.norm(hidden + self.update(mixed))

    def summarise(self, hidden: Tensor, messages: Tensor, sender_kind: Tensor, edges: Tensor, heard: Tensor) -> Tensor:
        """Attention over the inbox: weighted values and edges [B, R, A + 5 heads]; zeros where nobody is heard."""
        batch, receivers, _ = hidden.shape
        senders, heads = messages.shape[1], self.heads
        query = self.query(hidden).view(batch, receivers, heads, -1).transpose(1, 2)
        key_value = self.key_value(messages) + self.sender(sender_kind)
        key, value = key_value.view(batch, senders, 2 * heads, -1).transpose(1, 2).chunk(2, dim=1)
        edge_query = self.edge_query(hidden).view(batch, receivers, heads, EDGE_SIZE)
        # edges enter linearly, so they are summed by themselves instead of widening every link's key and value
        score = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
        score = score + torch.matmul(edge_query, edges.transpose(-1, -2)).transpose(1, 2)
        weight = masked_softmax(score, heard.unsqueeze(1))
        values = torch.matmul(weight, value).transpose(1, 2).reshape(batch, receivers, -1)
        edge_values = torch.matmul(weight.transpose(1, 2), edges).reshape(batch, receivers, -1)
        return torch.cat((values, edge_values), dim=-1)


def masked_softmax(score: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the entries that count; exact zeros elsewhere, also if none counts.

    Written out, because torch's own is several times slower on short axes on the CPU.
    """
    score = score.masked_fill(~mask, -1e9)
    risen = (score - score.detach().amax(-1, keepdim=True)).exp() * mask
    return risen / risen.sum(-1, keepdim=True).clamp(min=1e-9)


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
