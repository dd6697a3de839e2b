"""HetNet: weights and attention per pair of kinds (Seraj et al. 2022, AAMAS, section 4.2, eq. 3 to 5)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer, masked_softmax

SLOPE = 0.2  # of the leaky ReLU


class ClassTypedLayer(MessageLayer):
    """h' = relu(W_k h + sum over sender kinds of attention-weighted W_(kind, k) m), with attention within each kind.

    For the paper's binary messages set the channel's bits to 1 and its rounding to gumbel.
    """

    def __init__(self, sizes: LayerSizes) -> None:
        """Build one matrix per kind and per pair of kinds."""
        super().__init__(sizes)
        kinds, hidden, message = sizes.kinds, sizes.hidden, sizes.message
        self.own = nn.Parameter(torch.randn(kinds, hidden, hidden) / hidden**0.5)
        self.typed = nn.Parameter(torch.randn(kinds, kinds, message, hidden) / message**0.5)  # receiver, sender kind
        self.ask = nn.Parameter(torch.randn(kinds, kinds, hidden) / hidden**0.5)
        self.offer = nn.Parameter(torch.randn(kinds, kinds, hidden) / hidden**0.5)
        self.norm = nn.LayerNorm(hidden)

    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """See `MessageLayer.read`."""
        own = torch.zeros_like(hidden)
        for to in range(self.sizes.kinds):
            own = own + (hidden @ self.own[to]) * (incoming.receiver_kind == to).unsqueeze(-1)
        total = own
        for to, kind in itertools.product(range(self.sizes.kinds), repeat=2):
            links = (incoming.receiver_kind == to).unsqueeze(-1) & (incoming.sender_kind == kind).unsqueeze(-2)
            value = incoming.messages @ self.typed[to, kind]
            asked, offered = own @ self.ask[to, kind], value @ self.offer[to, kind]
            score = leaky_relu(asked.unsqueeze(-1) + offered.unsqueeze(-2), SLOPE)
            total = total + masked_softmax(score, incoming.heard & links) @ value
        return self.norm(torch.relu(total))
