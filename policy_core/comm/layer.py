"""What every message layer is: it speaks from a hidden state, and reads what others said into the next one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policy_core.comm.channel import quantise

EDGE_SIZE = 5  # dx, dy (of the radio range), cos and sin of relative yaw, age (of a tick)


class LayerSizes(NamedTuple):
    """What a layer is built for."""

    hidden: int  # H, of an agent's state
    heads: int  # of attention, where a layer has several
    attention: int  # A, queries, keys and values of all heads together
    message: int  # M numbers of one message
    kinds: int  # of agents
    bits: int  # of one message number; 32: unrounded


class Incoming(NamedTuple):
    """What R receivers hear of S senders in one round, in B fleets."""

    messages: Tensor  # [B, S, M]
    sender_kind: Tensor  # [S] kind index
    receiver_kind: Tensor  # [R] kind index
    edges: Tensor  # [B, R, S, 5], see `describe_edges`
    heard: Tensor  # [B, R, S] bool


class MessageLayer(nn.Module, ABC):
    """One round of talking. What is not heard has no influence at all; nothing is detached."""

    def __init__(self, sizes: LayerSizes) -> None:
        """Build the head that speaks; subclasses add how they read."""
        super().__init__()
        self.sizes = sizes
        self.head = nn.Linear(sizes.hidden, sizes.message)

    def speak(self, hidden: Tensor) -> Tensor:
        """The message [.., M] in [-1, 1] of an agent in this hidden state [.., H]."""
        return quantise(torch.tanh(self.head(hidden)), self.sizes.bits)

    @abstractmethod
    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """The receivers' next hidden state [B, R, H] from the present one [B, R, H] and what they hear."""


def masked_softmax(score: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the entries that count; exact zeros elsewhere, also if none counts.

    Written out, because torch's own is several times slower on short axes on the CPU.
    """
    score = score.masked_fill(~mask, -1e9)
    risen = (score - score.detach().amax(-1, keepdim=True)).exp() * mask
    return risen / risen.sum(-1, keepdim=True).clamp(min=1e-9)


def threshold(score: Tensor) -> Tensor:
    """1 where the score is positive, else 0; the gradient is the sigmoid's (straight-through, Bengio et al. 2013).

    Nothing is drawn, so the replay of a decision inside the loss makes the same cuts.
    """
    soft = torch.sigmoid(score)
    return soft + ((score > 0).to(score.dtype) - soft).detach()
