"""The joint policy: every kind's actor, an optional memory, and K rounds of messages between all agents of a fleet.

All weights are shared by the agents of a kind, and the message layers by all; so a fleet may grow, shrink or mix
kinds otherwise than in training. Gradient crosses agents: nothing is detached between sender and receiver.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from policy_core.agents.actions import Answer
from policy_core.agents.actor import Actor, BodyName
from policy_core.agents.scale import Reduce
from policy_core.agents.senses import Senses
from policy_core.comm.attention import describe_edges, relate
from policy_core.comm.channel import ChannelSettings, Links
from policy_core.comm.graph import check_graph
from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer, at_links, read_links
from policy_core.comm.layers import LayerName, make_layer
from policy_core.config import Settings
from policy_core.contract import Contract, Kind

RoundTap = Callable[[int, Tensor, Incoming], Tensor]
Wire = Callable[[Tensor], Tensor]


class Architecture(Settings):
    """Message layer and sizes of the fleet policy's network."""

    layer: LayerName = "attention"
    hidden: int = Field(64, ge=4, le=1024)
    heads: int = Field(4, ge=1, le=32)
    attention: int = Field(32, ge=1, le=1024)  # queries, keys and values of all heads together
    candidate: int = Field(32, ge=4, le=512)  # embedding of one candidate
    encoder: BodyName = "relu_norm"  # of senses: ReLU and a layer norm, or tanh twice
    critic: Literal["attention", "joint"] = "attention"  # over one token for each agent, or over a fixed team in a row
    memory: bool = False  # a GRU keeps what was sensed and heard from tick to tick
    normaliser: Literal["contract", "running"] = "contract"  # scale senses by the contract's ranges, or as seen

    @model_validator(mode="after")
    def _heads_divide(self) -> Architecture:
        if self.attention % self.heads:
            raise ValueError(f"attention {self.attention} cannot be split into {self.heads} heads; make it a multiple")
        return self


class FleetPolicy(nn.Module):
    """Actors per kind and message layers per round."""

    def __init__(self, contract: Contract, architecture: Architecture, channel: ChannelSettings) -> None:
        """Build with fresh weights for every kind of the contract.

        Raises:
            ConfigError: the channel's graph names a kind that the contract does not have.
        """
        super().__init__()
        check_graph(channel.graph, contract.kinds)
        self.contract = contract
        self.architecture = architecture
        self.channel = channel
        sizes = architecture
        self.actors = nn.ModuleDict({name: self._make_actor(kind) for name, kind in contract.kinds.items()})
        if sizes.memory:
            self.memory = nn.GRUCell(sizes.hidden, sizes.hidden)
        layer_sizes = LayerSizes(
            hidden=sizes.hidden,
            heads=sizes.heads,
            attention=sizes.attention,
            message=contract.message_size,
            kinds=len(contract.kinds),
            bits=channel.bits,
            rounding=channel.rounding,
            temperature=channel.gumbel_temperature,
        )
        self.comm = nn.ModuleList(make_layer(sizes.layer, layer_sizes) for _ in range(contract.rounds))
        self.kind_index = {name: index for index, name in enumerate(contract.kinds)}

    def forward(
        self,
        senses: Senses,
        links: Links,
        memory: Tensor | None = None,
        *,
        detach_messages: bool = False,
        silence: bool = False,
        tap: RoundTap | None = None,
        wire: Wire | None = None,
    ) -> Answer:
        """Encode, exchange K rounds of messages, judge what may be done.

        Args:
            senses: what B fleets sense; agents are grouped by kind in the contract's order.
            links: who hears whom in each of the K rounds.
            memory: `Answer.hidden` of the tick before [B, N, H], zeros at the start of an episode; only read by a
                policy with memory.
            detach_messages: cut the gradient between agents (negative control in training).
            silence: nobody hears anybody (negative control in evaluation).
            tap: called with the round, from 0, and the messages link by link; see `GradientStabiliser`.
            wire: gives what arrives of a round's messages [B, N, M]; None: they arrive as they were said.
        """
        hidden, embedded, counts = [], {}, {}
        legal = {name: self.actor(name).legal(kind.mask) for name, kind in senses.kinds.items()}
        for name, kind in senses.kinds.items():
            state, embedded[name] = self.actor(name).encoder(kind.vector, kind.candidates, legal[name])
            hidden.append(state)
            counts[name] = state.shape[1]
        joint = self.recall(torch.cat(hidden, dim=1), memory)
        joint, messages = self._talk(joint, senses, links, counts, detach_messages, silence, tap, wire)
        logits, controls = {}, {}
        for (name, kind), state in zip(senses.kinds.items(), joint.split(list(counts.values()), dim=1), strict=True):
            logits[name], placed = self.actor(name).judge(state, embedded[name], legal[name], kind.mask)
            if placed is not None:
                controls[name] = placed
        return Answer(logits, controls, messages, joint)

    def recall(self, encoded: Tensor, memory: Tensor | None) -> Tensor:
        """What is sensed now joined with what is remembered [B, N, H]; what is sensed alone without memory."""
        if not self.architecture.memory:
            return encoded
        kept = torch.zeros_like(encoded) if memory is None else memory
        return self.memory(encoded.flatten(0, 1), kept.flatten(0, 1)).view_as(encoded)

    def _talk(
        self,
        joint: Tensor,
        senses: Senses,
        links: Links,
        counts: dict[str, int],
        detach_messages: bool,
        silence: bool,
        tap: RoundTap | None,
        wire: Wire | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Hidden state after K rounds, and what was said."""
        messages: list[Tensor] = []
        if not self.comm:
            return joint, messages
        agents = joint.shape[1]
        kinds = self.kind_indices(list(counts), list(counts.values()), joint.device)
        senders = senses.position.unsqueeze(1)
        if links.senders is not None:
            senders = at_links(senses.position, links.senders, agents)
        pose = relate(senses.position, senders, self.channel.radio_range)
        heard = torch.zeros_like(links.heard) if silence else links.heard
        for r in range(len(self.comm)):
            layer = self.layer(r)
            message = layer.speak(joint, None if links.noise is None else links.noise[:, r])
            if wire is not None:
                message = wire(message)
            messages.append(message)
            edges = describe_edges(pose, links.age[:, r], self.contract.tick)
            said = message.detach() if detach_messages else message
            incoming = Incoming(said, kinds, kinds, edges, heard[:, r], links.senders)
            joint = read_links(layer, joint, incoming, None if tap is None else functools.partial(tap, r))
        return joint, messages

    def watch(self, senses: Senses, reduce: Reduce) -> None:
        """Let running scales take in what the living sensed; `reduce` sums over a run's processes."""
        for name, kind in senses.living().items():
            actor = self.actor(name)
            actor.encoder.watch(kind.vector, kind.candidates, actor.legal(kind.mask), reduce)

    def _make_actor(self, kind: Kind) -> Actor:
        sizes = self.architecture
        running = sizes.normaliser == "running"
        return Actor(kind, hidden=sizes.hidden, candidate=sizes.candidate, running=running, body=sizes.encoder)

    def actor(self, kind: str) -> Actor:
        """What is special to a kind."""
        return cast(Actor, self.actors[kind])

    def layer(self, round_index: int) -> MessageLayer:
        """The message layer of a round, counted from 0."""
        return cast(MessageLayer, self.comm[round_index])

    def kind_indices(self, names: list[str], counts: list[int], device: torch.device) -> Tensor:
        """Kind index of every agent [N], for so many agents of each named kind."""
        indices = torch.tensor([self.kind_index[name] for name in names], device=device)
        return indices.repeat_interleave(torch.tensor(counts, device=device))
