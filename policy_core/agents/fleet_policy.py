"""The joint policy: every kind's actor, and K rounds of messages between all agents of a fleet.

All weights are shared by the agents of a kind, and the message layers by all; so a fleet may grow, shrink or mix
kinds otherwise than in training. Gradient crosses agents: nothing is detached between sender and receiver.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from policy_core.agents.actor import Actor, Legal
from policy_core.agents.senses import Senses
from policy_core.comm.attention import describe_edges, relate
from policy_core.comm.channel import ChannelSettings, Links
from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer
from policy_core.comm.layers import LayerName, make_layer
from policy_core.config import Settings
from policy_core.contract import Contract


class Architecture(Settings):
    """Message layer and sizes of the fleet policy's network."""

    layer: LayerName = "attention"
    hidden: int = Field(64, ge=4, le=1024)
    heads: int = Field(4, ge=1, le=32)
    attention: int = Field(32, ge=1, le=1024)  # queries, keys and values of all heads together
    candidate: int = Field(32, ge=4, le=512)  # embedding of one candidate

    @model_validator(mode="after")
    def _heads_divide(self) -> Architecture:
        for name, size in (("hidden", self.hidden), ("attention", self.attention)):
            if size % self.heads:
                raise ValueError(f"{name} size {size} cannot be split into {self.heads} heads; make it a multiple")
        return self


class Answer(NamedTuple):
    """What the fleet says and how it judges its candidates."""

    logits: dict[str, Tensor]  # kind: [B, N_kind, C], -inf where masked
    messages: list[Tensor]  # of each round [B, N, M]


class FleetPolicy(nn.Module):
    """Actors per kind and message layers per round."""

    def __init__(self, contract: Contract, architecture: Architecture, channel: ChannelSettings) -> None:
        """Build with fresh weights for every kind of the contract."""
        super().__init__()
        self.contract = contract
        self.architecture = architecture
        self.channel = channel
        sizes = architecture
        self.actors = nn.ModuleDict(
            {name: Actor(kind, hidden=sizes.hidden, candidate=sizes.candidate) for name, kind in contract.kinds.items()}
        )
        layer_sizes = LayerSizes(
            hidden=sizes.hidden,
            heads=sizes.heads,
            attention=sizes.attention,
            message=contract.message_size,
            kinds=len(contract.kinds),
            bits=channel.bits,
        )
        self.comm = nn.ModuleList(make_layer(sizes.layer, layer_sizes) for _ in range(contract.rounds))
        self.kind_index = {name: index for index, name in enumerate(contract.kinds)}

    def forward(self, senses: Senses, links: Links, *, detach_messages: bool = False, silence: bool = False) -> Answer:
        """Encode, exchange K rounds of messages, judge the candidates.

        Args:
            senses: what B fleets sense; agents are grouped by kind in the contract's order.
            links: who hears whom in each of the K rounds.
            detach_messages: cut the gradient between agents (negative control in training).
            silence: nobody hears anybody (negative control in evaluation).
        """
        legal = {name: Legal.of(kind.mask) for name, kind in senses.kinds.items()}
        hidden, embedded, counts = [], {}, []
        for name, kind in senses.kinds.items():
            state, embedded[name] = self.actor(name).encoder(kind.vector, kind.candidates, legal[name])
            hidden.append(state)
            counts.append(state.shape[1])
        joint = torch.cat(hidden, dim=1)
        kinds = self.kind_indices(list(senses.kinds), counts, joint.device)
        pose = relate(senses.position, senses.position, self.channel.radio_range)
        heard = torch.zeros_like(links.heard) if silence else links.heard
        messages = []
        for r in range(len(self.comm)):
            layer = self.layer(r)
            message = layer.speak(joint)
            messages.append(message)
            edges = describe_edges(pose, links.age[:, r], self.contract.tick)
            said = message.detach() if detach_messages else message
            joint = layer.read(joint, Incoming(said, kinds, kinds, edges, heard[:, r]))
        logits = {
            name: self.actor(name).pointer(state, embedded[name], legal[name])
            for name, state in zip(senses.kinds, joint.split(counts, dim=1), strict=True)
        }
        return Answer(logits, messages)

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


def sample(logits: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """Candidates drawn from the policy [B, N] (Gumbel-max)."""
    chosen = []
    for judged in logits.values():
        noise = torch.empty_like(judged).exponential_(1.0, generator=generator).clamp_(min=1e-20).log_()
        chosen.append((judged - noise).argmax(-1))
    return torch.cat(chosen, dim=-1)


def judge(logits: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of the chosen candidates and entropy of the choice, both [B, N]."""
    counts = [judged.shape[1] for judged in logits.values()]
    log_probabilities, entropies = [], []
    for judged, chosen in zip(logits.values(), actions.split(counts, dim=1), strict=True):
        logs = torch.log_softmax(judged, dim=-1)
        log_probabilities.append(logs.gather(-1, chosen.unsqueeze(-1)).squeeze(-1))
        entropies.append(-(logs.exp() * logs.masked_fill(judged == -torch.inf, 0.0)).sum(-1))
    return torch.cat(log_probabilities, dim=-1), torch.cat(entropies, dim=-1)
