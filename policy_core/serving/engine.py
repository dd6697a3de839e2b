"""A bundle for a whole fleet: all agents' observations through all K rounds in one batched forward."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from policy_core.agents.actions import Answer
from policy_core.agents.senses import KindSenses, Senses
from policy_core.comm.channel import Links
from policy_core.comm.graph import connect
from policy_core.export.bundle import Bundle
from policy_core.serving.choice import Judgement, draw_decision
from policy_core.serving.onboard import check_observation
from policy_core.serving.policy import Observation


class FleetAnswer(NamedTuple):
    """One tick's decisions; agents without an observation are absent."""

    decisions: dict[str, np.ndarray]  # [P] by agent name
    messages: np.ndarray  # [K, N, M] in fleet order; zeros where absent
    seconds: float  # from observations to answer
    judged: dict[str, Judgement]  # by agent name

    @property
    def choices(self) -> dict[str, int]:
        """The first part of each decision: a candidate, or an option of the first choice."""
        return {name: int(decision[0]) for name, decision in self.decisions.items()}


class FleetEngine:
    """Runs one fleet policy for named agents.

    Args:
        bundle: the policy.
        agents: kind of every agent by name, in fleet order.
        device: cpu, cuda, or auto (CUDA where there is one).

    Raises:
        ContractError: an agent's kind is not in the bundle's contract.
    """

    def __init__(self, bundle: Bundle, agents: Mapping[str, str], device: str = "auto") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.protocol_id = bundle.protocol_id
        self.bits = bundle.manifest.channel.bits  # of one message number, on the wire
        self._policy = bundle.policy.to(self.device)
        self._contract = bundle.manifest.contract
        self._temperature = bundle.manifest.temperature
        self._agents = dict(agents)
        for kind in self._agents.values():
            self._contract.kind(kind)
        names = list(self._agents)
        self._members = {
            kind: [name for name in names if self._agents[name] == kind]
            for kind in self._contract.kinds
            if kind in self._agents.values()
        }
        grouped = [name for members in self._members.values() for name in members]
        self._fleet_order = np.array([grouped.index(name) for name in names])  # place in the batch of each agent
        self._batch_order = np.array([names.index(name) for name in grouped])
        self._grouped = grouped
        self._kinds = tuple(self._agents[name] for name in grouped)
        self._memory = torch.zeros(1, len(names), bundle.manifest.architecture.hidden, device=self.device)

    @torch.inference_mode()
    def decide(self, observations: Mapping[str, Observation], heard: np.ndarray | None = None) -> FleetAnswer:
        """Decide for all agents that sent an observation.

        Args:
            observations: by agent name; agents that are missing neither speak nor choose.
            heard: who hears whom [K, receiver, sender] bool in fleet order, where the channel's graph lets them;
                None: everybody whom it lets.

        Raises:
            ContractError: an observation does not fit the contract; the text names agent and field.
        """
        began = time.perf_counter()
        senses = self._gather(observations)
        channel = self._policy.channel
        may_hear, senders = connect(channel.graph, senses.position, senses.alive, self._kinds, channel.radio_range)
        adjacency = may_hear.unsqueeze(1).expand(-1, self._contract.rounds, -1, -1)
        if heard is not None:
            asked = np.ascontiguousarray(heard[:, self._batch_order][:, :, self._batch_order])
            wanted = torch.from_numpy(asked).to(self.device).unsqueeze(0)
            if senders is not None:
                wanted = wanted.gather(-1, senders.unsqueeze(1).expand(adjacency.shape))
            adjacency = adjacency & wanted
        age = torch.zeros(adjacency.shape, device=self.device)
        answer = self._policy(senses, Links(adjacency, age, senders), self._memory)
        self._memory = answer.hidden * senses.alive.unsqueeze(-1)  # who is absent forgets
        judged = self._judgements(answer)
        alive = senses.alive[0].cpu().numpy()
        messages = np.zeros((self._contract.rounds, len(self._agents), self._contract.message_size), np.float32)
        for r, message in enumerate(answer.messages):
            messages[r] = (message[0] * senses.alive[0].unsqueeze(-1)).cpu().numpy()[self._fleet_order]
        known = {name: judged[row] for row, name in enumerate(self._grouped) if alive[row]}
        decisions = {
            name: draw_decision(self._contract.kind(self._agents[name]), each, observations[name], self._temperature)
            for name, each in known.items()
        }
        return FleetAnswer(decisions, messages, time.perf_counter() - began, known)

    def forget(self) -> None:
        """Begin anew with nothing remembered, as at the start of an episode."""
        self._memory = torch.zeros_like(self._memory)

    def _judgements(self, answer: Answer) -> list[Judgement]:
        """Of every agent, in the order of the batch."""
        judged = []
        for name, logits in answer.logits.items():
            rows = logits[0].cpu().numpy()
            controls = answer.controls.get(name, logits.new_empty(1, len(rows), 0))[0].cpu().numpy()
            judged += [Judgement(row, placed) for row, placed in zip(rows, controls, strict=True)]
        return judged

    def _gather(self, observations: Mapping[str, Observation]) -> Senses:
        """One batch of the whole fleet [1, N, ...]; absent agents are dead and may only choose candidate 0."""
        kinds: dict[str, KindSenses] = {}
        for label, members in self._members.items():
            kind = self._contract.kinds[label]
            vector = np.zeros((1, len(members), kind.observation_size), np.float32)
            candidates = np.zeros((1, len(members), kind.candidates, kind.candidate_size), np.float32)
            mask = np.zeros((1, len(members), sum(kind.blocks)), bool)
            mask[..., kind.firsts] = True
            for row, name in enumerate(members):
                observation = observations.get(name)
                if observation is not None:
                    check_observation(kind, observation, name)
                    vector[0, row], candidates[0, row], mask[0, row] = observation[:3]
            kinds[label] = KindSenses(*(torch.from_numpy(part).to(self.device) for part in (vector, candidates, mask)))
        position = np.zeros((1, len(self._grouped), 3), np.float32)
        for row, name in enumerate(self._grouped):
            if name in observations:
                position[0, row] = observations[name].position
        alive = np.array([[name in observations for name in self._grouped]])
        return Senses(
            kinds,
            torch.from_numpy(position).to(self.device),
            torch.from_numpy(alive).to(self.device),
            torch.zeros((1, 0), device=self.device),
        )
