"""What was heard, told again: each agent foretells what the kinds of its fleet sense, from its state after messages.

A decision in which a message matters is rare, a fact that only others sense is there at every tick. So this loss
teaches senders to tell and receivers to understand long before rewards do; after Lin et al. 2021, Learning to ground
multi-agent communication with autoencoders, arXiv:2110.15349, where the sender decodes its own message. Only training
has it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.agents.senses import Senses


class Retelling(nn.Module):
    """One linear head for each kind of listener."""

    def __init__(self, policy: FleetPolicy) -> None:
        """Build for the kinds of a policy's contract."""
        super().__init__()
        self.sizes = {name: kind.observation_size for name, kind in policy.contract.kinds.items()}
        hidden, size = policy.architecture.hidden, sum(self.sizes.values())
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, size) for name in self.sizes})

    def forward(self, policy: FleetPolicy, hidden: Tensor, senses: Senses) -> Tensor:
        """Mean squared error of what each agent retells [B, N], in units of half the fields' ranges.

        Args:
            policy: whose scales are used.
            hidden: after the last round [B, N, H].
            senses: what the fleets sensed; of each kind the mean over its living agents is to be told.
        """
        counts = senses.counts()
        alive = dict(zip(counts, senses.alive.split(list(counts.values()), dim=-1), strict=True))
        facts = torch.cat([self._fact(policy, name, senses, alive) for name in self.sizes], dim=-1)
        told = [
            self.heads[name](part) for name, part in zip(counts, hidden.split(list(counts.values()), 1), strict=True)
        ]
        return (torch.cat(told, dim=1) - facts.unsqueeze(1)).square().mean(-1)

    @torch.no_grad()
    def _fact(self, policy: FleetPolicy, name: str, senses: Senses, alive: dict[str, Tensor]) -> Tensor:
        """Mean over the living of a kind [B, O]; zeros where a fleet has none."""
        if name not in alive:
            return senses.position.new_zeros(len(senses.position), self.sizes[name])
        scaled = policy.actor(name).encoder.scale_vector(senses.kinds[name].vector)
        weight = alive[name].unsqueeze(-1).to(scaled.dtype)
        return (scaled * weight).sum(1) / weight.sum(1).clamp(min=1)
