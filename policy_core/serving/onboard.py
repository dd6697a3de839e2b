"""A bundle on one agent: the modules of training, for a batch of one receiver and its J neighbours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from policy_core.comm.attention import describe_edges, relate
from policy_core.comm.graph import connect
from policy_core.comm.layer import Incoming
from policy_core.contract import ContractError, Kind
from policy_core.export.bundle import Bundle
from policy_core.serving.choice import Judgement, draw_decision
from policy_core.serving.policy import Heard, Observation


class OnboardPolicy:
    """Implements AgentPolicy for one agent; the same observation and messages always give the same choice.

    It reads whom the channel's graph lets it hear, as far as it can know: the nearest are those among whom it has
    heard in that round, so where a message of a near one is lost, it may read one from farther away than in training.
    """

    def __init__(self, bundle: Bundle, kind: str, number: int = 1) -> None:
        """Take the part of a bundle that this kind of agent needs, and keep torch to one thread in this process.

        Args:
            bundle: the policy.
            kind: of this agent.
            number: which of its kind it is in the fleet's order, from 1; only a graph of edges asks for it.

        Raises:
            ContractError: the bundle knows no such kind.
        """
        torch.set_num_threads(1)
        self.protocol_id = bundle.protocol_id
        self._policy = bundle.policy
        self._contract = bundle.manifest.contract
        self._temperature = bundle.manifest.temperature
        self._kind = self._contract.kind(kind)
        self._label = kind
        self._number = number
        self._own_kind = torch.tensor([self._policy.kind_index[kind]])
        self._actor = self._policy.actor(kind)
        self._silence = np.zeros(self._contract.message_size, np.float32)
        self._sender_kinds: tuple[tuple[str, ...], Tensor] = ((), torch.empty(0, dtype=torch.int64))
        self._memory: Tensor | None = None
        self._round = 0

    @torch.inference_mode()
    def begin(self, observation: Observation) -> np.ndarray:
        """Encode what is sensed; the message of round 1 [M].

        Raises:
            ContractError: a shape differs from the contract, a value is not finite, or no candidate is legal.
        """
        check_observation(self._kind, observation, self._label)
        self._observation = observation
        vector, candidates, mask = (torch.from_numpy(np.asarray(part)).unsqueeze(0) for part in observation[:3])
        self._mask = mask.unsqueeze(0)
        self._legal = self._actor.legal(self._mask)
        self._position = torch.tensor([[observation.position]], dtype=torch.float32)
        encoded, self._embedded = self._actor.encoder(
            vector.unsqueeze(0).float(), candidates.unsqueeze(0).float(), self._legal
        )
        self._hidden = self._policy.recall(encoded, self._memory)
        self._round = 0
        return self._speak() if self._contract.rounds else self._silence

    @torch.inference_mode()
    def hear(self, heard: Heard) -> np.ndarray | None:
        """Read a round; the message of the next [M], or None after the last."""
        self._hidden = self._policy.layer(self._round).read(self._hidden, self._incoming(heard))
        self._round += 1
        return self._speak() if self._round < self._contract.rounds else None

    def choose(self) -> int:
        """The first part of `decide`: a legal candidate, or an option of the first choice."""
        return int(self.decide()[0])

    def decide(self) -> np.ndarray:
        """The decision [P], drawn from the judgement; see `draw_decision`. Ends the tick: what was heard is kept."""
        self._memory = self._hidden
        return draw_decision(self._kind, self.judge(), self._observation, self._temperature)

    @torch.inference_mode()
    def judge(self) -> Judgement:
        """How all options and controls are judged."""
        logits, controls = self._actor.judge(self._hidden, self._embedded, self._legal, self._mask)
        placed = torch.empty(0) if controls is None else controls.view(-1)
        return Judgement(logits.view(-1).numpy(), placed.numpy())

    def forget(self) -> None:
        """Begin anew with nothing remembered, as at the start of an episode."""
        self._memory = None

    def _incoming(self, heard: Heard) -> Incoming:
        """What is heard as the layers of training take it."""
        position = torch.from_numpy(np.ascontiguousarray(heard.position, np.float32)).unsqueeze(0)
        present = torch.from_numpy(np.asarray(heard.present)).view(1, -1)
        pose = relate(self._position, position.unsqueeze(1), self._policy.channel.radio_range)
        age = torch.from_numpy(np.ascontiguousarray(heard.age, np.float32)).view(1, 1, -1)
        return Incoming(
            messages=torch.from_numpy(np.ascontiguousarray(heard.messages, np.float32)).unsqueeze(0),
            sender_kind=self._indices(heard.kind),
            receiver_kind=self._own_kind,
            edges=describe_edges(pose, age, self._contract.tick),
            heard=self._may_hear(heard.kind, position, present),
        )

    def _may_hear(self, kinds: tuple[str, ...], position: Tensor, present: Tensor) -> Tensor:
        """Which of the J present neighbours the graph lets this agent hear [1, 1, J]."""
        channel = self._policy.channel
        peers = [place for place, kind in enumerate(kinds) if kind == self._label]
        own = peers[self._number - 1] if self._number <= len(peers) else len(kinds)  # place in the whole fleet
        graph = connect(
            channel.graph,
            torch.cat((position[:, :own], self._position, position[:, own:]), dim=1),
            torch.cat((present[:, :own], torch.ones(1, 1, dtype=torch.bool), present[:, own:]), dim=1),
            (*kinds[:own], self._label, *kinds[own:]),
            channel.radio_range,
        )
        row = graph.spread()[:, own : own + 1]
        return torch.cat((row[..., :own], row[..., own + 1 :]), dim=-1)

    def _speak(self) -> np.ndarray:
        return self._policy.layer(self._round).speak(self._hidden).view(-1).numpy()

    def _indices(self, kinds: tuple[str, ...]) -> Tensor:
        if kinds != self._sender_kinds[0]:
            self._sender_kinds = (kinds, torch.tensor([self._policy.kind_index[name] for name in kinds]))
        return self._sender_kinds[1]


def check_observation(kind: Kind, observation: Observation, label: str) -> None:
    """Hold an observation against the contract.

    Raises:
        ContractError: a shape differs, a value is not finite (the text names the field), or nothing is legal.
    """
    wanted = {
        "vector": (kind.observation_size,),
        "candidates": (kind.candidates, kind.candidate_size),
        "mask": (sum(kind.blocks),),
    }
    for name, shape in wanted.items():
        seen = getattr(observation, name).shape
        if seen != shape:
            raise ContractError(f"{label}.{name}: shape {seen}; the contract wants {shape}")
    for first, size in zip(kind.firsts, kind.blocks, strict=True):
        if not observation.mask[first : first + size].any():
            raise ContractError(f"{label}.mask: no candidate of {size} is legal; the first (carry on) always is")
    if not np.isfinite(observation.position).all():
        raise ContractError(f"{label}.position: saw {observation.position}; wanted finite numbers")
    legal = observation.candidates[observation.mask[: kind.candidates]]
    for fields, values in ((kind.observation, observation.vector[None]), (kind.candidate, legal)):
        if np.isfinite(values).all():
            continue
        start = 0
        for field in fields:
            part = values[:, start : start + field.size]
            if not np.isfinite(part).all():
                raise ContractError(f"{label}: field '{field.name}' is {part.tolist()} ({field.unit}); wanted finite")
            start += field.size
