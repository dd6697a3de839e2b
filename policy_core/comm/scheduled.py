"""MAGIC: a learned graph says whose messages count (Niu, Paleja and Gombolay 2021, AAMAS, sections 4.2 and 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, leaky_relu

from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer, masked_softmax, threshold

SLOPE = 0.2  # of the leaky ReLU in graph attention (Velickovic et al. 2018, arXiv:1710.10903, section 2.1)


class ScheduledLayer(MessageLayer):
    """A scheduler cuts links, a graph attention layer reads the rest, and the state takes the result in.

    The paper's scheduler sees all hidden states at one place and draws its cuts (Gumbel); here every receiver
    schedules its own inbox, from its state and the message, by a threshold with a straight-through gradient. What it
    read is added to its state and normalised: a tanh in that place saturated, and left 3 of 12 seeds untaught.
    """

    def __init__(self, sizes: LayerSizes) -> None:
        """Build scheduler, graph attention and update; the schedule starts with all links."""
        super().__init__(sizes)
        width = sizes.attention
        self.pair_receiver = nn.Linear(sizes.hidden, width)
        self.pair_sender = nn.Linear(sizes.message, width, bias=False)
        self.schedule = nn.Linear(width, 1)
        self.receiver = nn.Linear(sizes.hidden, width, bias=False)
        self.sender = nn.Linear(sizes.message, width, bias=False)
        self.attend = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.update = nn.Linear(sizes.hidden + width, sizes.hidden)
        self.norm = nn.LayerNorm(sizes.hidden)
        nn.init.ones_(self.schedule.bias)

    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """See `MessageLayer.read`."""
        pair = torch.relu(self.pair_receiver(hidden).unsqueeze(-2) + self.pair_sender(incoming.messages).unsqueeze(-3))
        link = threshold(self.schedule(pair).squeeze(-1))  # [B, R, S]
        receiver, sender = self.receiver(hidden), self.sender(incoming.messages)
        score = leaky_relu((receiver @ self.attend[0]).unsqueeze(-1) + (sender @ self.attend[1]).unsqueeze(-2), SLOPE)
        # The cut multiplies the weights, so that gradient reaches the scheduler through every link that is heard.
        weight = masked_softmax(score, incoming.heard & (link > 0.5))
        weight = weight + masked_softmax(score, incoming.heard) * (link - link.detach())
        read = elu(torch.matmul(weight, sender))
        return self.norm(hidden + self.update(torch.cat((hidden, read), dim=-1)))
