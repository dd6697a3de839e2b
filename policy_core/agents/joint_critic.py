"""The plain critic of MAPPO (Yu et al. 2022, arXiv:2103.01955): one network over all agents' observations in a row.

It knows neither candidates nor a changing team; a baseline for worlds with a fixed team, and the critic with which we
compare speed on equal networks. `Critic` is the default.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_core.agents.actor import make_body
from policy_core.agents.fleet_policy import Architecture
from policy_core.agents.scale import Reduce, make_scale
from policy_core.agents.senses import Senses
from policy_core.config import ConfigError
from policy_core.contract import Contract


class JointCritic(nn.Module):
    """One value for the whole team."""

    def __init__(self, contract: Contract, architecture: Architecture, counts: dict[str, int], state_size: int) -> None:
        """Build for so many agents of each kind and a state of size G.

        Raises:
            ConfigError: a kind has candidates.
        """
        super().__init__()
        for name in counts:
            if contract.kinds[name].candidates:
                raise ConfigError(f"architecture.critic: 'joint' cannot read the candidates of {name}; use 'attention'")
        kinds = {name: contract.kinds[name] for name in counts}
        running = architecture.normaliser == "running"
        self.scales = nn.ModuleDict(
            {name: make_scale(kind.observation, running=running) for name, kind in kinds.items()}
        )
        size = state_size + sum(counts[name] * kind.observation_size for name, kind in kinds.items())
        self.body = make_body(size, architecture.hidden, architecture.encoder)
        self.value = nn.Linear(architecture.hidden, 1)

    def forward(self, senses: Senses) -> Tensor:
        """Normalised value of every agent [B, N], the same for all of a team; the dead are seen as zeros."""
        counts = list(senses.counts().values())
        seen = [
            (self.scales[name](kind.vector) * alive.unsqueeze(-1)).flatten(1)
            for (name, kind), alive in zip(senses.kinds.items(), senses.alive.split(counts, dim=1), strict=True)
        ]
        value = self.value(self.body(torch.cat((*seen, senses.state.clamp(-3, 3)), dim=-1)))
        return value.expand_as(senses.alive)

    def watch(self, senses: Senses, reduce: Reduce) -> None:
        """Let running scales take in what the living sensed; `reduce` sums over a run's processes."""
        for name, kind in senses.living().items():
            self.scales[name].watch(kind.vector, reduce)  # type: ignore[operator]
