"""One kind of agent: senses to a hidden state, and from that state the heads of every part of its decision."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from policy_core.agents.scale import Reduce, make_scale
from policy_core.contract import Kind

BodyName = Literal["relu_norm", "tanh"]
INITIAL_LOG_SPREAD = -0.5  # of controls, in units of half their range


class Legal(NamedTuple):
    """The legal candidates of A agents, packed one after another: most are illegal most of the time."""

    row: Tensor  # [L] place of each in the flat [A * C]
    agent: Tensor  # [L] whose candidate it is
    counts: Tensor  # [A] legal candidates of each agent
    shape: torch.Size  # [..., C] of the mask

    @staticmethod
    def of(mask: Tensor) -> Legal:
        """Pack a mask [..., C]."""
        row = mask.flatten().nonzero().squeeze(-1)
        agent = torch.div(row, max(1, mask.shape[-1]), rounding_mode="floor")
        return Legal(row, agent, mask.sum(-1).flatten(), mask.shape)

    def pack(self, candidates: Tensor) -> Tensor:
        """The legal rows [L, F] of candidates [..., C, F]."""
        return candidates.reshape(-1, candidates.shape[-1]).index_select(0, self.row)

    def unpack(self, scores: Tensor) -> Tensor:
        """Scores [L] in their places [..., C]; -inf where illegal."""
        flat = scores.new_full((self.shape.numel(),), -torch.inf)
        return flat.index_copy(0, self.row, scores).view(self.shape)


class Encoder(nn.Module):
    """Senses of one kind to one vector per agent and one embedding per legal candidate."""

    def __init__(
        self, kind: Kind, *, hidden: int, candidate: int, running: bool = False, body: BodyName = "relu_norm"
    ) -> None:
        """Build for hidden states [..., H] and candidate embeddings [L, D]; `running`: see `RunningScale`."""
        super().__init__()
        self.scale_vector = make_scale(kind.observation, running=running)
        self.has_candidates = kind.candidates > 0
        if self.has_candidates:
            self.scale_candidates = make_scale(kind.candidate, running=running)
            self.candidate = nn.Linear(kind.candidate_size, candidate)
        size = kind.observation_size + (2 * candidate if self.has_candidates else 0)
        self.body = make_body(size, hidden, body)

    def forward(self, vector: Tensor, candidates: Tensor, legal: Legal) -> tuple[Tensor, Tensor]:
        """Encode raw senses.

        Args:
            vector: [..., O].
            candidates: [..., C, F]; only legal rows are read.
            legal: the packed mask.

        Returns:
            Hidden state [..., H] and embeddings of the legal candidates [L, D] (empty for a kind without any).
        """
        scaled = self.scale_vector(vector)
        if not self.has_candidates:
            return self.body(scaled), scaled.new_empty(0)
        embedded = torch.relu(self.candidate(self.scale_candidates(legal.pack(candidates))))
        total = embedded.new_zeros(legal.counts.shape[0], embedded.shape[-1]).index_add(0, legal.agent, embedded)
        mean = total / legal.counts.unsqueeze(-1).clamp(min=1)
        greatest = torch.segment_reduce(embedded, "max", lengths=legal.counts, initial=0.0)
        pooled = torch.cat((mean, greatest), dim=-1).view(*vector.shape[:-1], -1)
        return self.body(torch.cat((scaled, pooled), dim=-1)), embedded

    def watch(self, vector: Tensor, candidates: Tensor, legal: Legal, reduce: Reduce) -> None:
        """Let running scales take in what was sensed."""
        self.scale_vector.watch(vector, reduce)
        if self.has_candidates:
            self.scale_candidates.watch(legal.pack(candidates), reduce)


class PointerHead(nn.Module):
    """Scores every legal candidate against its agent's state: additive (Bahdanau) plus scaled dot product."""

    def __init__(self, *, hidden: int, candidate: int) -> None:
        """Build for hidden states [..., H] and candidate embeddings [L, D]."""
        super().__init__()
        self.of_agent = nn.Linear(hidden, 2 * candidate)  # the dot product's query, and the additive part
        self.of_candidate = nn.Linear(candidate, candidate, bias=False)
        self.score = nn.Linear(candidate, 1, bias=False)
        self.factor = 1 / math.sqrt(candidate)
        for weight in (self.of_agent.weight[:candidate], self.score.weight):
            nn.init.orthogonal_(weight, gain=0.1)  # begin close to uniform, so that exploration starts unbiased

    def forward(self, hidden: Tensor, embedded: Tensor, legal: Legal) -> Tensor:
        """Logits [..., C]; -inf where illegal."""
        asked = self.of_agent(hidden).flatten(0, -2).index_select(0, legal.agent)
        query, added = asked.chunk(2, dim=-1)
        joint = torch.relu(self.of_candidate(embedded) + added)
        dot = (embedded * query).sum(-1) * self.factor
        return legal.unpack(self.score(joint).squeeze(-1) + dot)


class Actor(nn.Module):
    """What is special to one kind: its encoder, and a head for each part of its decision."""

    def __init__(
        self, kind: Kind, *, hidden: int, candidate: int, running: bool = False, body: BodyName = "relu_norm"
    ) -> None:
        """Build for one kind of the contract."""
        super().__init__()
        self.candidates = kind.candidates
        self.encoder = Encoder(kind, hidden=hidden, candidate=candidate, running=running, body=body)
        options = sum(choice.options for choice in kind.choices)
        self.pointer = PointerHead(hidden=hidden, candidate=candidate) if kind.candidates else None
        self.options = _small_head(hidden, options) if options else None
        self.control = _small_head(hidden, kind.control_size) if kind.control_size else None
        if self.control is not None:
            self.log_spread = nn.Parameter(torch.full((kind.control_size,), INITIAL_LOG_SPREAD))

    def legal(self, mask: Tensor) -> Legal:
        """The legal candidates of a mask [..., L]."""
        return Legal.of(mask[..., : self.candidates])

    def judge(self, hidden: Tensor, embedded: Tensor, legal: Legal, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Judge every option, and place every control.

        Returns:
            Logits [..., L], -inf where masked, and mean and log spread of the controls [..., 2U] in units of half
            their range about its centre; None for a kind without controls.
        """
        parts = [] if self.pointer is None else [self.pointer(hidden, embedded, legal)]
        if self.options is not None:
            parts.append(self.options(hidden).masked_fill(~mask[..., self.candidates :], -torch.inf))
        logits = parts[0] if len(parts) == 1 else torch.cat([hidden.new_empty(*hidden.shape[:-1], 0), *parts], dim=-1)
        if self.control is None:
            return logits, None
        mean = self.control(hidden)
        return logits, torch.cat((mean, self.log_spread.expand_as(mean)), dim=-1)


def make_body(size: int, hidden: int, name: BodyName) -> nn.Sequential:
    """Two layers from `size` numbers to H."""
    first, second = nn.Linear(size, hidden), nn.Linear(hidden, hidden)
    if name == "tanh":
        return nn.Sequential(first, nn.Tanh(), second, nn.Tanh())
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.LayerNorm(hidden))


def _small_head(hidden: int, size: int) -> nn.Linear:
    """A head that begins close to uniform, or to zero."""
    head = nn.Linear(hidden, size)
    nn.init.orthogonal_(head.weight, gain=0.01)
    nn.init.zeros_(head.bias)
    return head
