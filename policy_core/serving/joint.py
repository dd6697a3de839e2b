"""A bundle for the fleets of E worlds at once: what each agent would decide by itself, in one batched forward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from policy_core.agents.actions import Answer
from policy_core.agents.senses import sense
from policy_core.comm.channel import Links
from policy_core.comm.graph import connect
from policy_core.comm.rounding import quantise
from policy_core.comm.wire import UNROUNDED
from policy_core.environment import Observations
from policy_core.export.bundle import Bundle
from policy_core.serving.choice import Judgement, draw_decision
from policy_core.serving.policy import Observation


class JointPolicy:
    """Decides as one `OnboardPolicy` for each agent would, up to the order in which floats are added."""

    def __init__(self, bundle: Bundle, kinds: Sequence[str], bits: int = UNROUNDED) -> None:
        """Begin with nothing remembered, and keep torch to one thread in this process.

        Args:
            bundle: the policy.
            kinds: of the agents [N], grouped in the contract's order.
            bits: each number of a message is rounded to so many on its way; 32: as the bundle itself says.
        """
        torch.set_num_threads(1)
        self._policy = bundle.policy
        self._contract = bundle.manifest.contract
        self._temperature = bundle.manifest.temperature
        self._kinds = tuple(kinds)
        self._bits = bits
        self._memory: Tensor | None = None

    @torch.inference_mode()
    def decide(self, observations: Observations, heard: np.ndarray, age: np.ndarray) -> np.ndarray:
        """One tick's decisions [E, N, P] float32, drawn as `draw_decision` does.

        Args:
            observations: of E worlds.
            heard: whose message gets through to whom [E, K, receiver, sender] bool; the channel's graph may take less.
            age: of what each agent reads in each round [E, K, receiver] (s).
        """
        senses = sense(observations)
        told = torch.from_numpy(heard)
        old = torch.from_numpy(age).float().unsqueeze(-1) * told
        links = Links(self._permitted(senses.position, told), old)
        answer = self._policy(senses, links, self._memory, wire=self._send)
        self._memory = answer.hidden
        return self._draw(answer, observations)

    def forget(self) -> None:
        """Begin anew with nothing remembered, as at the start of an episode."""
        self._memory = None

    def _permitted(self, position: Tensor, heard: Tensor) -> Tensor:
        """Which of the heard the graph lets each agent read [E, K, N, N], as far as that agent can know.

        Each receiver and round becomes a fleet of its own: the receiver, and whom it has heard.
        """
        worlds, rounds, agents, _ = heard.shape
        channel = self._policy.channel
        present = heard | torch.eye(agents, dtype=torch.bool)
        places = position.view(worlds, 1, 1, agents, 3).expand(worlds, rounds, agents, agents, 3)
        graph = connect(
            channel.graph,
            places.reshape(-1, agents, 3),
            present.view(-1, agents),
            self._kinds,
            channel.radio_range,
        )
        rows = graph.spread().view(worlds, rounds, agents, agents, agents)
        return rows.diagonal(dim1=2, dim2=3).transpose(2, 3)

    def _send(self, messages: Tensor) -> Tensor:
        """What arrives of messages [E, N, M]; zeros all through are no message, and stay."""
        if self._bits >= UNROUNDED:
            return messages
        return torch.where(messages.any(-1, keepdim=True), quantise(messages, self._bits), messages)

    def _draw(self, answer: Answer, observations: Observations) -> np.ndarray:
        """Decisions [E, N, P]; only who has a choice draws."""
        decided = np.zeros((len(observations.alive), len(self._kinds), self._contract.action_size), np.float32)
        first = 0
        for name, logits in answer.logits.items():
            kind, sensed, rows = self._contract.kind(name), observations.kinds[name], logits.numpy()
            ends = np.cumsum(kind.blocks)
            own = decided[:, first : first + rows.shape[1]]
            for part, (size, end) in enumerate(zip(kind.blocks, ends, strict=True)):
                own[..., part] = rows[..., end - size : end].argmax(-1)  # the only one, where one alone is legal
            first += rows.shape[1]
            controls = answer.controls.get(name, logits.new_empty(*logits.shape[:2], 0)).numpy()
            has_choice = sensed.mask.sum(-1) > len(kind.blocks)
            for world, agent in np.argwhere(has_choice | bool(kind.controls)):
                vector, candidates, mask = (part[world, agent] for part in sensed)
                seen = Observation(vector, candidates, mask, (0.0, 0.0, 0.0))
                judged = Judgement(rows[world, agent], controls[world, agent])
                own[world, agent, : kind.action_size] = draw_decision(kind, judged, seen, self._temperature)
        return decided
