"""The centralised critic: in training only, it sees what every agent senses and the whole world's state.

One token per agent, self-attention over the living, one value per agent; so fleets of mixed kinds and changing
size need no padding and no fixed order. Targets are normalised by running statistics (Yu et al. 2022, MAPPO).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from policy_core.agents.actor import Encoder, Legal
from policy_core.agents.fleet_policy import Architecture
from policy_core.agents.scale import Reduce
from policy_core.agents.senses import KindSenses, Senses
from policy_core.comm.layer import masked_softmax
from policy_core.contract import Contract


class Critic(nn.Module):
    """What each agent may expect from now on, judged from everything there is to know."""

    def __init__(self, contract: Contract, architecture: Architecture, state_size: int) -> None:
        """Build with fresh weights for every kind of the contract and a state of size G."""
        super().__init__()
        hidden, self.heads = architecture.hidden, architecture.heads
        running = architecture.normaliser == "running"
        self.candidates = {name: kind.candidates for name, kind in contract.kinds.items()}
        self.encoders = nn.ModuleDict(
            {
                name: Encoder(
                    kind,
                    hidden=hidden,
                    candidate=architecture.candidate,
                    running=running,
                    body=architecture.encoder,
                )
                for name, kind in contract.kinds.items()
            }
        )
        self.of_state = nn.Linear(state_size, hidden)
        self.query_key_value = nn.Linear(hidden, 3 * architecture.attention)
        self.mix_token = nn.Linear(hidden, hidden)
        self.mix_others = nn.Linear(architecture.attention, hidden, bias=False)
        heads = {name: nn.Linear(hidden, 1) for name in contract.kinds}
        for head in heads.values():
            nn.init.orthogonal_(head.weight, gain=0.1)
            nn.init.zeros_(head.bias)
        self.values = nn.ModuleDict(heads)

    def forward(self, senses: Senses) -> Tensor:
        """Normalised value of every agent [B, N]."""
        encoded = [
            self.encoders[name](kind.vector, kind.candidates, self._legal(name, kind))[0]
            for name, kind in senses.kinds.items()
        ]
        token = torch.relu(torch.cat(encoded, dim=1) + self.of_state(senses.state.clamp(-3, 3)).unsqueeze(1))
        batch, agents, _ = token.shape
        split = self.query_key_value(token).view(batch, agents, 3 * self.heads, -1)
        query, key, value = split.transpose(1, 2).chunk(3, dim=1)
        score = torch.matmul(query, key.transpose(-1, -2)) * query.shape[-1] ** -0.5
        living = senses.alive.view(batch, 1, 1, agents)
        weight = masked_softmax(score, living)
        others = torch.matmul(weight, value).transpose(1, 2).reshape(batch, agents, -1)
        mixed = torch.relu(self.mix_token(token) + self.mix_others(others))
        counts = [part.shape[1] for part in encoded]
        parts = zip(senses.kinds, mixed.split(counts, dim=1), strict=True)
        return torch.cat([self.values[name](part) for name, part in parts], dim=1).squeeze(-1)

    def watch(self, senses: Senses, reduce: Reduce) -> None:
        """Let running scales take in what the living sensed; `reduce` sums over a run's processes."""
        for name, kind in senses.living().items():
            encoder = cast(Encoder, self.encoders[name])
            encoder.watch(kind.vector, kind.candidates, self._legal(name, kind), reduce)

    def _legal(self, name: str, kind: KindSenses) -> Legal:
        return Legal.of(kind.mask[..., : self.candidates[name]])


class ValueScale(nn.Module):
    """Running mean and spread of the returns, so that the critic's targets keep to about one."""

    weight: Tensor  # how much the sums below have taken in, towards 1
    first: Tensor
    second: Tensor

    def __init__(self, memory: float = 0.99) -> None:
        """Old statistics keep this share at every update."""
        super().__init__()
        self.memory = memory
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))
        self.register_buffer("first", torch.zeros((), dtype=torch.float64))
        self.register_buffer("second", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, returns: Tensor, weight: Tensor, reduce: Reduce) -> None:
        """Take in one iteration's returns of all processes, any shape, where the weight is 1; the start is debiased."""
        returns, weight = returns.double(), weight.double()
        sums = torch.stack(((returns * weight).sum(), (returns.square() * weight).sum(), weight.sum()))
        first, second, count = reduce(sums).unbind()
        if count == 0:
            return
        for statistic, fresh in ((self.first, first / count), (self.second, second / count)):
            statistic.mul_(self.memory).add_((1 - self.memory) * fresh)
        self.weight.mul_(self.memory).add_(1 - self.memory)

    def _moments(self) -> tuple[Tensor, Tensor]:
        if self.weight == 0:
            return self.first.float(), self.first.float() + 1
        mean = self.first / self.weight
        spread = (self.second / self.weight - mean.square()).clamp(min=1e-8).sqrt()
        return mean.float(), spread.float()

    def normalise(self, returns: Tensor) -> Tensor:
        """Returns in units of the running spread."""
        mean, spread = self._moments()
        return (returns - mean) / spread

    def restore(self, normalised: Tensor) -> Tensor:
        """Values in the units of the reward."""
        mean, spread = self._moments()
        return normalised * spread + mean
