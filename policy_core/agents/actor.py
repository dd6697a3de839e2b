"""One kind of agent: senses to a hidden state, and a pointer over its candidates from that state."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policy_core.contract import Kind

SCALED_LIMIT = 3.0  # contract-scaled numbers are clipped here


class Scale(nn.Module):
    """Scales raw values by the contract's ranges to about [-1, 1] and clips them at 3."""

    offset: Tensor
    factor: Tensor

    def __init__(self, kind: Kind, *, of_candidate: bool) -> None:
        """Take centre and half-width of every field from the contract."""
        super().__init__()
        centre, half = kind.scale(of_candidate=of_candidate)
        self.register_buffer("offset", torch.from_numpy(-centre / half), persistent=False)
        self.register_buffer("factor", torch.from_numpy(1 / half), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        """Scaled values, same shape."""
        return torch.addcmul(self.offset, raw, self.factor).clamp_(-SCALED_LIMIT, SCALED_LIMIT)


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
        agent = torch.div(row, mask.shape[-1], rounding_mode="floor")
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

    def __init__(self, kind: Kind, *, hidden: int, candidate: int) -> None:
        """Build for hidden states [..., H] and candidate embeddings [L, D]."""
        super().__init__()
        self.scale_vector = Scale(kind, of_candidate=False)
        self.scale_candidates = Scale(kind, of_candidate=True)
        self.candidate = nn.Linear(kind.candidate_size, candidate)
        self.body = nn.Sequential(
            nn.Linear(kind.observation_size + 2 * candidate, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
        )

    def forward(self, vector: Tensor, candidates: Tensor, legal: Legal) -> tuple[Tensor, Tensor]:
        """Encode raw senses.

        Args:
            vector: [..., O].
            candidates: [..., C, F]; only legal rows are read.
            legal: the packed mask.

        Returns:
            Hidden state [..., H] and embeddings of the legal candidates [L, D].
        """
        embedded = torch.relu(self.candidate(self.scale_candidates(legal.pack(candidates))))
        total = embedded.new_zeros(legal.counts.shape[0], embedded.shape[-1]).index_add(0, legal.agent, embedded)
        mean = total / legal.counts.unsqueeze(-1).clamp(min=1)
        greatest = torch.segment_reduce(embedded, "max", lengths=legal.counts, initial=0.0)
        pooled = torch.cat((mean, greatest), dim=-1).view(*vector.shape[:-1], -1)
        return self.body(torch.cat((self.scale_vector(vector), pooled), dim=-1)), embedded


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
    """What is special to one kind: its encoder and its pointer."""

    def __init__(self, kind: Kind, *, hidden: int, candidate: int) -> None:
        """Build for one kind of the contract."""
        super().__init__()
        self.encoder = Encoder(kind, hidden=hidden, candidate=candidate)
        self.pointer = PointerHead(hidden=hidden, candidate=candidate)
