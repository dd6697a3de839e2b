"""What every message layer is: it speaks from a hidden state, and reads what others said into the next one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policy_core.comm.rounding import Rounding, express

EDGE_SIZE = 5  # dx, dy (of the radio range), cos and sin of relative yaw, age (of a tick)


class LayerSizes(NamedTuple):
    """What a layer is built for."""

    hidden: int  # H, of an agent's state
    heads: int  # of attention, where a layer has several
    attention: int  # A, queries, keys and values of all heads together
    message: int  # M numbers of one message
    kinds: int  # of agents
    bits: int  # of one message number; 32: unrounded
    rounding: Rounding = "straight_through"
    temperature: float = 1.0  # of gumbel's gradient


class Incoming(NamedTuple):
    """What R receivers hear in one round, in B fleets: of all S senders, or of J listed ones each."""

    messages: Tensor  # [B, S, M]
    sender_kind: Tensor  # [S] or [B, S] kind index
    receiver_kind: Tensor  # [R] or [B, R] kind index
    edges: Tensor  # [B, R, J, 5], see `describe_edges`
    heard: Tensor  # [B, R, J] bool
    senders: Tensor | None = None  # [B, R, J] int64: who the j-th sender is; None: all S in order, J = S


Tap = Callable[[Tensor, Incoming], Tensor]


class MessageLayer(nn.Module, ABC):
    """One round of talking. What is not heard has no influence at all; nothing is detached."""

    reads_lists = False  # whether `read` takes listed senders; a layer that does not is given copies, see `read_links`

    def __init__(self, sizes: LayerSizes) -> None:
        """Build the head that speaks; subclasses add how they read."""
        super().__init__()
        self.sizes = sizes
        self.head = nn.Linear(sizes.hidden, sizes.message * (sizes.bits if sizes.rounding == "gumbel" else 1))

    def speak(self, hidden: Tensor, noise: Tensor | None = None) -> Tensor:
        """The message [.., M] of an agent in this hidden state [.., H], in [-1, 1] but for the air's noise [.., X].

        In training mode as the rounding is learned, in evaluation mode as it is deployed; see `express`.
        """
        sizes = self.sizes
        return express(self.head(hidden), sizes.bits, sizes.rounding, sizes.temperature, noise, learning=self.training)

    @abstractmethod
    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """The receivers' next hidden state [B, R, H] from the present one [B, R, H] and what they hear."""


def read_links(layer: MessageLayer, hidden: Tensor, incoming: Incoming, tap: Tap | None = None) -> Tensor:
    """Let a layer read, with a copy of the message on every link where it or the tap needs that.

    Every receiver then becomes a fleet of its own, with one receiver and J senders; so the cost is linear in links.

    Args:
        layer: reads.
        hidden: [B, R, H].
        incoming: of all senders or of listed ones.
        tap: is given the messages link by link [B, R, J, M], and gives them back; see `GradientStabiliser`.
    """
    if tap is None and (incoming.senders is None or layer.reads_lists):
        return layer.read(hidden, incoming)
    batch, receivers, links = incoming.heard.shape
    messages = at_links(incoming.messages, incoming.senders, receivers)
    messages = messages if tap is None else tap(messages, incoming)
    sender_kind = incoming.sender_kind.expand(batch, -1).unsqueeze(-1)
    alone = Incoming(
        messages.reshape(batch * receivers, links, -1),
        at_links(sender_kind, incoming.senders, receivers).reshape(batch * receivers, links),
        incoming.receiver_kind.expand(batch, -1).reshape(batch * receivers, 1),
        incoming.edges.reshape(batch * receivers, 1, links, -1),
        incoming.heard.reshape(batch * receivers, 1, links),
    )
    return layer.read(hidden.reshape(batch * receivers, 1, -1), alone).view_as(hidden)


def at_links(values: Tensor, senders: Tensor | None, receivers: int) -> Tensor:
    """Senders' values [B, S, D] at the links [B, R, J, D] of so many receivers."""
    if senders is None:
        return values.unsqueeze(1).expand(-1, receivers, -1, -1)
    batch, size, width = values.shape
    start = torch.arange(batch, device=senders.device).view(-1, 1, 1) * size
    rows = (senders + start).flatten()
    return values.reshape(batch * size, width).index_select(0, rows).view(*senders.shape, width)


def masked_softmax(score: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the entries that count; exact zeros elsewhere, also if none counts.

    Written out, because torch's own is several times slower on short axes on the CPU.
    """
    if not score.shape[-1]:
        return score  # an empty inbox
    score = score.masked_fill(~mask, -1e9)
    risen = (score - score.detach().amax(-1, keepdim=True)).exp() * mask
    return risen / risen.sum(-1, keepdim=True).clamp(min=1e-9)


def threshold(score: Tensor) -> Tensor:
    """1 where the score is positive, else 0; the gradient is the sigmoid's (straight-through, Bengio et al. 2013).

    Nothing is drawn, so the replay of a decision inside the loss makes the same cuts.
    """
    soft = torch.sigmoid(score)
    return soft + ((score > 0).to(score.dtype) - soft).detach()
