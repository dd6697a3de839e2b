"""Who may talk to whom: the communication graph of a fleet, made anew at every tick from where the agents are.

Graphs are batched over fleets and made without a loop over agents. The dead neither speak nor hear, and nobody
hears itself. The radio's range holds on top of every graph but `full`, whose agents hear each other at any distance.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from scipy.spatial import cKDTree
from torch import Tensor

from policy_core.config import ConfigError, Settings

PLACE_BITS = 20  # of an agent's place in the key that neighbours are sorted by; so fleets of up to a million
LARGE = 256  # agents of a fleet from which a k-d tree is faster than all distances
PIECE = 2**17  # pairs of agents that are sorted at a time
FAR = torch.iinfo(torch.int32).max - 1  # rank of who is out of range
END = re.compile(r"(?P<kind>[^/]+)(/(?P<number>[1-9][0-9]*))?")


class GraphSettings(Settings):
    """Which pairs of agents the network lets talk.

    An edge names its ends by kind (`forklift`: all of them) or by kind and number (`forklift/2`: the second one, in
    the fleet's order), not by the agents' names: a policy is trained before the fleet that it will serve has names,
    and an organisation of kinds holds in fleets of any size. An end that a smaller fleet lacks is nobody.
    """

    kind: Literal["full", "radius", "nearest", "star", "edges"] = "radius"
    neighbours: int = Field(8, ge=1, le=1024)  # nearest: k, of those in range
    hub: str = ""  # star: the kind that talks to everybody; all others talk to it alone
    edges: tuple[tuple[str, str], ...] = ()  # edges: (sender, receiver), each a kind or kind/number

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> GraphSettings:
        if bool(self.hub) != (self.kind == "star"):
            raise ValueError(
                f"kind '{self.kind}' with hub '{self.hub}'; a star needs the kind of its hubs, no other graph takes one"
            )
        if bool(self.edges) != (self.kind == "edges"):
            raise ValueError(
                f"kind '{self.kind}' with {len(self.edges)} edge(s); a graph of edges needs at least one, "
                "no other graph takes any"
            )
        for end in (end for edge in self.edges for end in edge):
            if END.fullmatch(end) is None:
                raise ValueError(f"edge end '{end}'; wanted a kind, such as forklift, or kind/number, counted from 1")
        return self


class Neighbours(NamedTuple):
    """Who may hear whom at one tick: of all N agents, or of J listed senders each."""

    may_hear: Tensor  # [B, receiver, J] bool
    senders: Tensor | None = None  # [B, receiver, J] int64: who the j-th sender is; None: all N in order, J = N

    def spread(self) -> Tensor:
        """The same as adjacency [B, receiver, sender] bool."""
        if self.senders is None:
            return self.may_hear
        batch, agents, _ = self.may_hear.shape
        return self.may_hear.new_zeros(batch, agents, agents).scatter(-1, self.senders, self.may_hear)

    def audible(self) -> Tensor:
        """Whom at least one agent may hear [B, N] bool."""
        if self.senders is None:
            return self.may_hear.any(-2)
        listeners = self.may_hear.flatten(1).int()
        return listeners.new_zeros(self.may_hear.shape[:2]).scatter_add(1, self.senders.flatten(1), listeners) > 0


def check_graph(settings: GraphSettings, kinds: Iterable[str]) -> None:
    """Hold the kinds that a graph names against those of the contract.

    Raises:
        ConfigError: it names a kind that the contract does not have.
    """
    known = list(kinds)
    named = [settings.hub] if settings.hub else []
    named += [end.partition("/")[0] for edge in settings.edges for end in edge]
    for kind in named:
        if kind not in known:
            near = difflib.get_close_matches(kind, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the contract knows {', '.join(known)}"
            raise ConfigError(f"channel.graph: unknown kind '{kind}'; {hint}")


def connect(
    settings: GraphSettings, position: Tensor, alive: Tensor, kinds: Sequence[str], radio_range: float
) -> Neighbours:
    """The graph of B fleets at one tick.

    Args:
        settings: which graph.
        position: x (m), y (m), yaw (rad) of every agent [B, N, 3].
        alive: [B, N] bool.
        kinds: of the agents [N], in the order of the agent axis; only read by `star` and `edges`.
        radio_range: (m), inclusive.

    Returns:
        Neighbours: lists of J = min(k, N - 1) senders, nearest first, for `nearest`; else all N.
    """
    if settings.kind == "nearest":
        return _nearest(settings.neighbours, position, alive, radio_range)
    if settings.kind == "full":
        return Neighbours(_living_others(alive))
    adjacency = choose_neighbours(position, alive, radio_range)
    if settings.kind != "radius":
        adjacency = adjacency & _permitted(settings, tuple(kinds), adjacency.device)
    return Neighbours(adjacency)


def choose_neighbours(position: Tensor, alive: Tensor, radio_range: float) -> Tensor:
    """Who could hear whom: both alive, not the same agent, and within the radio's range.

    Args:
        position: x (m), y (m), yaw (rad) of every agent [..., N, 3].
        alive: [..., N] bool.
        radio_range: (m), inclusive.

    Returns:
        adjacency [..., receiver, sender] bool; the diagonal is False.
    """
    return (_squared_distance(position, position) <= radio_range * radio_range) & _living_others(alive)


def _squared_distance(receiver: Tensor, sender: Tensor) -> Tensor:
    """Of receivers [..., R, 3] to senders [..., S, 3]: [..., R, S] (m^2)."""
    dx = sender[..., 0].unsqueeze(-2) - receiver[..., 0].unsqueeze(-1)
    dy = sender[..., 1].unsqueeze(-2) - receiver[..., 1].unsqueeze(-1)
    return dx.square_().add_(dy.square_())


def _living_others(alive: Tensor) -> Tensor:
    others = ~torch.eye(alive.shape[-1], dtype=torch.bool, device=alive.device)
    return others & alive.unsqueeze(-1) & alive.unsqueeze(-2)


def _nearest(count: int, position: Tensor, alive: Tensor, radio_range: float) -> Neighbours:
    """The nearest senders of each receiver; of two at the same distance, the earlier one in the fleet.

    Small fleets, and all on a GPU, work out all distances, and sort pairs in pieces, some whole fleets or some
    receivers of one, which stay in the processor's cache. Large fleets on the CPU ask a k-d tree each, so that the
    cost grows with the agents and not with their square; of several at the k-th distance it may list a later one.
    """
    batch, agents = alive.shape
    if position.device.type == "cpu" and agents > LARGE:
        trees = [_ask_tree(count, place, living, radio_range) for place, living in zip(position, alive, strict=True)]
        return Neighbours(torch.stack([each[0] for each in trees]), torch.stack([each[1] for each in trees]))
    fleets = max(1, PIECE // max(1, agents * agents))
    rows = max(1, PIECE // max(1, agents))
    allowed, senders = [], []
    for first in range(0, batch, fleets):
        for start in range(0, agents, rows):
            part = slice(first, first + fleets)
            found = _list_nearest(count, position[part], alive[part], slice(start, start + rows), radio_range)
            allowed.append(found[0].flatten(0, 1))
            senders.append(found[1].flatten(0, 1))
    return Neighbours(torch.cat(allowed).view(batch, agents, -1), torch.cat(senders).view(batch, agents, -1))


def _list_nearest(
    count: int, position: Tensor, alive: Tensor, rows: slice, radio_range: float
) -> tuple[Tensor, Tensor]:
    """Whether in range and who, for some receivers of each fleet, both [B, R, J]."""
    place = torch.arange(alive.shape[1], device=position.device)
    apart = _squared_distance(position[:, rows].float(), position.float())
    is_self = place[rows].unsqueeze(-1) == place
    is_near = (apart <= radio_range * radio_range) & alive[:, rows].unsqueeze(-1) & alive.unsqueeze(-2)
    # The bits of a float that is not negative rise with it. So one whole number sorts by distance and then by place,
    # behind all in range come the others, and the receiver itself comes last.
    rank = apart.view(torch.int32).masked_fill_(~is_near, FAR).masked_fill_(is_self, FAR + 1)
    key = rank.long().mul_(2**PLACE_BITS).add_(place)
    listed = key.topk(min(count, max(0, len(place) - 1)), dim=-1, largest=False, sorted=True).values
    return listed < FAR * 2**PLACE_BITS, listed % 2**PLACE_BITS


def _ask_tree(count: int, position: Tensor, alive: Tensor, radio_range: float) -> tuple[Tensor, Tensor]:
    """Whether in range and who, for all receivers of one fleet [N, 3], both [N, J]."""
    agents = len(alive)
    links = min(count, agents - 1)
    living = alive.nonzero().squeeze(-1)
    if not len(living):
        return torch.zeros(agents, links, dtype=torch.bool), torch.zeros(agents, links, dtype=torch.int64)
    place = position[:, :2].double().numpy()
    _, found = cKDTree(place[living.numpy()]).query(place, k=range(1, links + 2))  # one more: the receiver itself
    row = torch.from_numpy(found)
    is_known = row < len(living)  # the tree fills up with a number beyond the last
    known = living[row.clamp(max=len(living) - 1)]
    senders, order = torch.where(is_known, known, torch.arange(agents).unsqueeze(-1)).sort(dim=-1)  # else oneself
    apart = (position[senders, :2].float() - position[:, None, :2].float()).square().sum(-1)
    is_near = is_known.gather(-1, order) & (senders != torch.arange(agents).unsqueeze(-1)) & alive.unsqueeze(-1)
    is_near &= apart <= radio_range * radio_range
    nearest = apart.masked_fill(~is_near, torch.inf).argsort(dim=-1, stable=True)[:, :links]
    return is_near.gather(-1, nearest), senders.gather(-1, nearest)


@lru_cache(maxsize=64)
def _permitted(settings: GraphSettings, kinds: tuple[str, ...], device: torch.device) -> Tensor:
    """Which pairs a star or given edges allow in a fleet of these kinds [receiver, sender] bool."""
    with torch.inference_mode(False):  # else a graph first made on a robot could not be kept
        if settings.kind == "star":
            is_hub = _members(settings.hub, kinds, device)
            return is_hub.unsqueeze(-1) | is_hub.unsqueeze(-2)
        pairs = [
            _members(receiver, kinds, device).unsqueeze(-1) & _members(sender, kinds, device).unsqueeze(-2)
            for sender, receiver in settings.edges
        ]
        return torch.stack(pairs).any(0)


def _members(end: str, kinds: tuple[str, ...], device: torch.device) -> Tensor:
    """Which agents an edge's end means [N] bool."""
    kind, _, number = end.partition("/")
    is_kind = torch.tensor([each == kind for each in kinds], dtype=torch.bool, device=device)
    return is_kind & (is_kind.cumsum(0) == int(number)) if number else is_kind
