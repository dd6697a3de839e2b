"""What the air does to messages: who is in range, what is lost, how late the rest is, how finely it is rounded.

Deployment does the same with wire, DDS and inbox: a message belongs to one (tick, round), a receiver reads a
round as soon as it has heard everyone it expects, or at the round's deadline, and what is missing then is masked.
All chance is drawn when experience is collected and kept, so that the replay inside the loss hears the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor

from policy_core.chance import Chance
from policy_core.comm.graph import GraphSettings, Neighbours, connect
from policy_core.comm.rounding import Rounding
from policy_core.comm.wire import MOST_BITS, UNROUNDED
from policy_core.config import Settings


class ChannelSettings(Settings):
    """The radio and the network between agents."""

    radio_range: float = Field(gt=0, le=1e6)  # m
    loss: float = Field(0.0, ge=0, lt=1)  # probability that one message to one receiver is lost
    burst: float = Field(1.0, ge=1, le=1e4)  # messages lost in a row, mean; 1: each is lost independently
    delay: float = Field(0.0, ge=0, le=10)  # s, mean of the exponential transport time
    deadline: float = Field(0.2, gt=0, le=10)  # s, how long a receiver waits in each round
    noise: float = Field(0.0, ge=0, le=10)  # standard deviation, see `draw_noise`
    bits: int = Field(UNROUNDED, ge=1, le=UNROUNDED)  # of one message number, 1 to 16; 32: sent unrounded
    rounding: Rounding = "straight_through"  # how the network learns through the rounding, see rounding.py
    gumbel_temperature: float = Field(1.0, gt=0, le=10)  # of the gradient that `gumbel` gives its bits
    graph: GraphSettings = GraphSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> ChannelSettings:
        if MOST_BITS < self.bits < UNROUNDED:
            raise ValueError(f"bits is {self.bits}; wanted 1 to {MOST_BITS}, or {UNROUNDED} for unrounded numbers")
        if self.rounding == "gumbel" and (self.bits == UNROUNDED or self.noise):
            raise ValueError(
                f"rounding is gumbel with {self.bits} bits and noise {self.noise:g}; wanted 1 to {MOST_BITS} bits and "
                "noise 0, for gumbel draws its bits by noise of its own"
            )
        if self.burst > 1 and self.loss / (1 - self.loss) > self.burst:
            raise ValueError(
                f"loss {self.loss:g} cannot come in bursts of {self.burst:g} messages; "
                f"wanted bursts of at least {self.loss / (1 - self.loss):.3g}, or a smaller loss"
            )
        return self


class Links(NamedTuple):
    """Who hears whom in every round of a decision, and how old the message then is."""

    heard: Tensor  # [B, K, receiver, J] bool
    age: Tensor  # [B, K, receiver, J] float32 (s); 0 where nothing is heard
    senders: Tensor | None = None  # [B, receiver, J] int64: who a receiver's j-th sender is; None: all N in order
    noise: Tensor | None = None  # [B, K, sender, X] float32, see `draw_noise`; None: there is none

    def map(self, change: Callable[[Tensor], Tensor]) -> Links:
        """The same change applied to every tensor."""
        return Links(*(None if part is None else change(part) for part in self))  # type: ignore[arg-type]


class Bursts:
    """Which links are in a bad spell: loss that comes in bursts (Gilbert 1960; Elliott 1963).

    Every ordered pair of agents has a state of its own. In the bad one every message is lost, in the good one none;
    a spell ends after each message with probability 1 / burst, and begins so often that the share lost is `loss`.
    The state moves on with every message that is sent on the link, and stays as it is between them.
    """

    GOOD, BAD, UNKNOWN = 0, 1, 2

    def __init__(self) -> None:
        self.state: Tensor | None = None  # [B, receiver, sender] int8; None: all unknown

    def restart(self, began: Tensor) -> None:
        """Forget the links of the fleets whose episode begins [B] bool; they start from the stationary shares."""
        if self.state is not None:
            self.state = self.state.masked_fill(began.view(-1, 1, 1), self.UNKNOWN)

    def lose(self, settings: ChannelSettings, drawn: Tensor, neighbours: Neighbours) -> Tensor:
        """Send one message per round on every link; gives which are lost [B, K, N, J] bool.

        Args:
            settings: loss and burst.
            drawn: even numbers from [0, 1) [B, K, N, J].
            neighbours: the links.
        """
        may_hear, senders = neighbours
        if self.state is None:
            batch, agents, _ = may_hear.shape
            self.state = torch.full((batch, agents, agents), self.UNKNOWN, dtype=torch.int8, device=may_hear.device)
        before = self.state if senders is None else self.state.gather(-1, senders)
        begins = settings.loss / (1 - settings.loss) / settings.burst
        chances = drawn.new_tensor([begins, 1 - 1 / settings.burst, settings.loss])  # of being bad after each state
        lost = torch.empty_like(drawn, dtype=torch.bool)
        now = before.int()
        for r in range(drawn.shape[1]):
            lost[:, r] = drawn[:, r] < chances[now]
            now = lost[:, r].int()
        after = torch.where(may_hear, now.to(torch.int8), before)
        self.state = after if senders is None else self.state.scatter(-1, senders, after)
        return lost


def receive(adjacency: Tensor, lost: Tensor, delay: Tensor, deadline: float, senders: Tensor | None = None) -> Links:
    """Play K rounds of messages through the air, with every agent waiting as an agent node waits.

    An agent sends its message of round r when it has read round r-1. It reads round r when all it expects
    (its neighbours) have been heard, or `deadline` after the previous round's deadline. Age counts from the
    observation, which all messages of a decision share, to the moment of reading.

    Args:
        adjacency: who is expected by whom [B, N, J] bool.
        lost: [B, K, N, J] bool.
        delay: transport time [B, K, N, J] (s).
        deadline: waiting time per round (s).
        senders: who a receiver's j-th sender is [B, N, J]; None: all N in order.

    Returns:
        Links over the K rounds.
    """
    rounds = lost.shape[1]
    sent = delay.new_zeros(adjacency.shape[:-1])  # [B, N] s since the observation
    heard, age = [], []
    for r in range(rounds):
        limit = (r + 1) * deadline
        departed = sent.unsqueeze(-2) if senders is None else sent.gather(1, senders.flatten(1)).view_as(delay[:, r])
        arrival = departed + delay[:, r]
        present = adjacency & ~lost[:, r] & (arrival <= limit)
        is_complete = (present | ~adjacency).all(-1)
        last = torch.where(present, arrival, 0.0).amax(-1)
        reading = torch.where(is_complete, torch.maximum(last, sent), limit)
        heard.append(present)
        age.append(torch.where(present, reading.unsqueeze(-1), 0.0))
        sent = reading
    if not heard:
        return Links(lost, delay, senders)
    return Links(torch.stack(heard, 1), torch.stack(age, 1), senders)


def transmit(
    settings: ChannelSettings,
    position: Tensor,
    alive: Tensor,
    rounds: int,
    chance: Chance | None,
    *,
    kinds: Sequence[str] = (),
    numbers: int = 0,
    bursts: Bursts | None = None,
) -> Links:
    """Connect agents at these positions [B, N, 3], alive [B, N], and carry their messages; see `connect`, `carry`."""
    neighbours = connect(settings.graph, position, alive, kinds, settings.radio_range)
    return carry(settings, neighbours, rounds, chance, numbers=numbers, bursts=bursts)


def carry(
    settings: ChannelSettings,
    neighbours: Neighbours,
    rounds: int,
    chance: Chance | None,
    *,
    numbers: int = 0,
    bursts: Bursts | None = None,
) -> Links:
    """Draw loss, delay and noise for K rounds of messages between neighbours.

    Args:
        settings: of the channel.
        neighbours: who may hear whom.
        rounds: K.
        chance: None: nothing is lost, late or noisy; only the graph decides.
        numbers: M of a message; 0: no noise is drawn.
        bursts: what the links remember; None: nothing, so a burst ends with the tick.
    """
    may_hear, senders = neighbours
    batch, agents, links = may_hear.shape
    shape = (batch, rounds, agents, links)
    if chance is None or not links or (settings.loss == 0 and settings.delay == 0):
        told = Links(may_hear.unsqueeze(1).expand(shape), torch.zeros(shape, device=may_hear.device), senders)
    else:
        drawn = chance.uniform(shape)
        is_bursty = settings.burst > 1
        lost = (bursts or Bursts()).lose(settings, drawn, neighbours) if is_bursty else drawn < settings.loss
        delay = chance.exponential(shape) * settings.delay
        told = receive(may_hear, lost, delay, settings.deadline, senders)
    if chance is None:
        return told
    return told._replace(noise=draw_noise(settings, (batch, rounds, agents), numbers, chance))


def draw_noise(settings: ChannelSettings, shape: tuple[int, int, int], numbers: int, chance: Chance) -> Tensor | None:
    """The noise of all messages [B, K, N, X], or None where there is none.

    For `straight_through` it is the air's, as of an analog sender: added to each of the X = M numbers after rounding,
    in [-1, 1] units, the same for all receivers. For `dru` it is added to the X = M numbers before squashing, and
    only in training. For `gumbel` it is the standard logistic noise of X = M * bits bits, and only in training.
    """
    if not numbers:
        return None
    if settings.rounding == "gumbel":
        return torch.logit(chance.uniform((*shape, numbers * settings.bits)), eps=1e-6)
    return chance.normal((*shape, numbers)) * settings.noise if settings.noise else None


def count_bits(settings: ChannelSettings, neighbours: Neighbours, messages: Sequence[Tensor]) -> Tensor:
    """Bits that every agent sends in one tick [B, N] int64: M numbers a round, once for all receivers.

    Who has nobody that may hear it sends nothing, and a message of nothing but zeros (a closed gate) is not sent.

    Args:
        settings: bits of a number.
        neighbours: who may hear whom.
        messages: of each round [B, N, M].
    """
    audible = neighbours.audible()
    if not messages:
        return torch.zeros_like(audible, dtype=torch.int64)
    spoken = torch.stack([message.any(-1) for message in messages]).sum(0)
    return spoken * audible * (messages[0].shape[-1] * settings.bits)
