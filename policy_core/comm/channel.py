"""What the air does to messages: who is in range, what is lost, how late the rest is, how finely it is rounded.

Deployment does the same with wire, DDS and inbox: a message belongs to one (tick, round), a receiver reads a
round as soon as it has heard everyone it expects, or at the round's deadline, and what is missing then is masked.
All chance is drawn when experience is collected and kept, so that the replay inside the loss hears the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from policy_core.chance import Chance
from policy_core.config import Settings

UNROUNDED = 32  # bits of a message number that is sent as it is


class ChannelSettings(Settings):
    """The radio and the network between agents."""

    radio_range: float = Field(gt=0, le=1e6)  # m
    loss: float = Field(0.0, ge=0, lt=1)  # probability that one message to one receiver is lost
    delay: float = Field(0.0, ge=0, le=10)  # s, mean of the exponential transport time
    deadline: float = Field(0.2, gt=0, le=10)  # s, how long a receiver waits in each round
    bits: int = Field(UNROUNDED, ge=1, le=UNROUNDED)  # of one message number; 32: sent unrounded


class Links(NamedTuple):
    """Who hears whom in every round of a decision, and how old the message then is."""

    heard: Tensor  # [B, K, receiver, J] bool
    age: Tensor  # [B, K, receiver, J] float32 (s); 0 where nothing is heard
    senders: Tensor | None = None  # [B, receiver, J] int64: who a receiver's j-th sender is; None: all N in order

    def map(self, change: Callable[[Tensor], Tensor]) -> Links:
        """The same change applied to every tensor."""
        return Links(change(self.heard), change(self.age), None if self.senders is None else change(self.senders))


def choose_neighbours(position: Tensor, alive: Tensor, radio_range: float) -> Tensor:
    """Who could hear whom: both alive, not the same agent, and within the radio's range.

    Args:
        position: x (m), y (m), yaw (rad) of every agent [..., N, 3].
        alive: [..., N] bool.
        radio_range: (m), inclusive.

    Returns:
        adjacency [..., receiver, sender] bool; the diagonal is False.
    """
    place = position[..., :2]
    offset = place.unsqueeze(-3) - place.unsqueeze(-2)
    near = offset.square().sum(-1) <= radio_range * radio_range
    others = ~torch.eye(position.shape[-2], dtype=torch.bool, device=position.device)
    return near & others & alive.unsqueeze(-1) & alive.unsqueeze(-2)


def receive(adjacency: Tensor, lost: Tensor, delay: Tensor, deadline: float) -> Links:
    """Play K rounds of messages through the air, with every agent waiting as an agent node waits.

    An agent sends its message of round r when it has read round r-1. It reads round r when all it expects
    (its neighbours) have been heard, or `deadline` after the previous round's deadline. Age counts from the
    observation, which all messages of a decision share, to the moment of reading.

    Args:
        adjacency: who is expected by whom [B, N, N] bool.
        lost: [B, K, N, N] bool.
        delay: transport time [B, K, N, N] (s).
        deadline: waiting time per round (s).

    Returns:
        Links over the K rounds.
    """
    rounds = lost.shape[1]
    sent = delay.new_zeros(adjacency.shape[:-1])  # [B, N] s since the observation
    heard, age = [], []
    for r in range(rounds):
        limit = (r + 1) * deadline
        arrival = sent.unsqueeze(-2) + delay[:, r]
        present = adjacency & ~lost[:, r] & (arrival <= limit)
        is_complete = (present | ~adjacency).all(-1)
        last = torch.where(present, arrival, 0.0).amax(-1)
        reading = torch.where(is_complete, torch.maximum(last, sent), limit)
        heard.append(present)
        age.append(torch.where(present, reading.unsqueeze(-1), 0.0))
        sent = reading
    if not heard:
        return Links(lost, delay)
    return Links(torch.stack(heard, 1), torch.stack(age, 1))


def transmit(settings: ChannelSettings, position: Tensor, alive: Tensor, rounds: int, chance: Chance | None) -> Links:
    """Draw loss and delay for K rounds among agents at these positions [B, N, 3], alive [B, N].

    Without chance nothing is lost and nothing is late: only the range decides.
    """
    adjacency = choose_neighbours(position, alive, settings.radio_range)
    shape = (adjacency.shape[0], rounds, *adjacency.shape[1:])
    if chance is None or (settings.loss == 0 and settings.delay == 0):
        return Links(adjacency.unsqueeze(1).expand(shape), position.new_zeros(shape))
    lost = chance.uniform(shape) < settings.loss
    delay = chance.exponential(shape) * settings.delay
    return receive(adjacency, lost, delay, settings.deadline)


def quantise(message: Tensor, bits: int) -> Tensor:
    """Round numbers in [-1, 1] to 2^bits even steps; the gradient passes straight through (Bengio 2013)."""
    if bits >= UNROUNDED:
        return message
    steps = 2**bits - 1
    rounded = torch.round((message + 1) * (steps / 2)) * (2 / steps) - 1
    return message + (rounded - message).detach()
