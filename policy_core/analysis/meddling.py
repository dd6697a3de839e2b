"""Laying hands on messages between two kinds: silenced, shuffled, swapped between worlds, frozen, or replaced.

Everything happens on the links, after the sender spoke: the sender's own state and what others hear stay as they were,
so the difference is what these links did (the do-operator of Lowe et al. 2019, section 3.3, on a link).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from policy_core.agents.actions import Answer
from policy_core.agents.senses import Senses
from policy_core.analysis.settings import Mode
from policy_core.comm.channel import ChannelSettings, Links
from policy_core.comm.layer import Incoming, at_links
from policy_core.contract import Contract

Tap = Callable[[int, Tensor, Incoming], Tensor]


class Fleet(Protocol):
    """What is analysed: a FleetPolicy, or anything that answers as one does."""

    contract: Contract
    channel: ChannelSettings

    def __call__(self, senses: Senses, links: Links, memory: Tensor | None = None, *, tap: Tap | None = None) -> Answer:
        """Encode, exchange the contract's rounds of messages through `tap`, judge what may be done."""


class Pair(NamedTuple):
    """From whom to whom, by kind; empty: from, or to, all kinds."""

    sender: str = ""
    receiver: str = ""

    def __str__(self) -> str:
        return f"{self.sender or 'all'} to {self.receiver or 'all'}" if self != ("", "") else "all"


def possible_pairs(kinds: Sequence[str]) -> list[Pair]:
    """Every pair of kinds that has a link in a fleet of these agents."""
    names = list(dict.fromkeys(kinds))
    return [Pair(a, b) for a in names for b in names if a != b or list(kinds).count(a) > 1]


def kinds_of(senses: Senses) -> list[str]:
    """Kind of every agent [N], in the order of the agent axis."""
    return [name for name, count in senses.counts().items() for _ in range(count)]


def select_links(pair: Pair, kinds: list[str], links: Links) -> Tensor:
    """Which links a pair of kinds means [B, receiver, J] or [1, receiver, N] bool."""
    speaks = torch.tensor([pair.sender in ("", kind) for kind in kinds])
    hears = torch.tensor([pair.receiver in ("", kind) for kind in kinds])
    if links.senders is None:
        return (hears.unsqueeze(-1) & speaks).unsqueeze(0)
    return hears.view(1, -1, 1) & speaks[links.senders]


def silence(pair: Pair, kinds: list[str], links: Links) -> Links:
    """The same links without those of the pair."""
    return links._replace(heard=links.heard & ~select_links(pair, kinds, links).unsqueeze(1))


def replace(pair: Pair, kinds: list[str], links: Links, said: list[Tensor]) -> Tap:
    """A tap that puts other messages on the pair's links.

    Args:
        pair: on whose links.
        kinds: of the agents [N].
        links: who hears whom.
        said: for each round the messages [B, N, M] that are heard in place of the real ones.
    """
    where = select_links(pair, kinds, links).unsqueeze(-1)

    def tap(round_index: int, real: Tensor, incoming: Incoming) -> Tensor:
        other = at_links(said[round_index], incoming.senders, real.shape[1])
        return torch.where(where, other, real)

    return tap


class Meddler:
    """One way of meddling with a pair's messages throughout a rollout of E worlds."""

    def __init__(self, mode: Mode, pair: Pair, kinds: list[str], seed: int) -> None:
        """Begin with nothing said yet; `kinds` of the agents [N]."""
        self.mode = mode
        self.pair = pair
        self.kinds = kinds
        self._chance = torch.Generator().manual_seed(seed)
        self._first: dict[int, Tensor] = {}  # of each round, what was said first in the episode [E, N, M]
        self._fresh = torch.empty(0, dtype=torch.bool)  # worlds whose first tick this is

    def begin(self, began: Tensor) -> None:
        """Take note of the worlds whose episode begins at this tick [E] bool."""
        self._fresh = began

    def links(self, links: Links) -> Links:
        """What is heard at all."""
        return silence(self.pair, self.kinds, links) if self.mode == "silence" else links

    def tap(self, links: Links) -> Tap | None:
        """What is heard in place of the real message."""
        if self.mode == "silence":
            return None
        where = select_links(self.pair, self.kinds, links).unsqueeze(-1)
        worlds = links.heard.shape[0]
        shift = int(torch.randint(1, max(2, worlds), (1,), generator=self._chance))
        order = self._shuffled()

        def tap(round_index: int, real: Tensor, incoming: Incoming) -> Tensor:
            said = incoming.messages
            if self.mode == "swap":
                other = said.roll(shift, 0)  # the same agent's, in another world
            elif self.mode == "shuffle":
                other = said[:, order]
            else:
                kept = self._first.get(round_index, said)
                other = torch.where(self._fresh.view(-1, 1, 1), said, kept)
                self._first[round_index] = other.clone()
            return torch.where(where, at_links(other, incoming.senders, real.shape[1]), real)

        return tap

    def _shuffled(self) -> Tensor:
        """Every agent's message goes out under the name of another of its kind, where there is one [N]."""
        order = torch.arange(len(self.kinds))
        for kind in dict.fromkeys(self.kinds):
            own = torch.tensor([place for place, each in enumerate(self.kinds) if each == kind])
            if len(own) > 1:
                shift = int(torch.randint(1, len(own), (1,), generator=self._chance))
                order[own] = own.roll(shift)
        return order
