"""What a batch of fleets senses, as tensors: the same fields as the environment's observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from policy_core.environment import Observations


class KindSenses(NamedTuple):
    """Raw senses of all agents of one kind."""

    vector: Tensor  # [B, N_kind, O] float32
    candidates: Tensor  # [B, N_kind, C, F] float32
    mask: Tensor  # [B, N_kind, L] bool


class Senses(NamedTuple):
    """Raw senses of B fleets; the agent axis of `position` and `alive` is the kinds' agents one kind after another."""

    kinds: dict[str, KindSenses]
    position: Tensor  # [B, N, 3] float32: x (m), y (m), yaw (rad) in map
    alive: Tensor  # [B, N] bool
    state: Tensor  # [B, G] float32, for the critic only

    def map(self, change: Callable[[Tensor], Tensor]) -> Senses:
        """The same change applied to every tensor."""
        kinds = {name: KindSenses(*(change(part) for part in kind)) for name, kind in self.kinds.items()}
        return Senses(kinds, change(self.position), change(self.alive), change(self.state))

    def living(self) -> dict[str, KindSenses]:
        """What the living agents of each kind sense, one after another [A, ...]."""
        parts = zip(self.kinds.items(), self.alive.split(list(self.counts().values()), dim=-1), strict=True)
        return {name: KindSenses(*(part[alive] for part in kind)) for (name, kind), alive in parts}

    def counts(self) -> dict[str, int]:
        """Agents of each kind, in the order of the agent axis."""
        return {name: kind.vector.shape[-2] for name, kind in self.kinds.items()}

    def select(self, rows: Tensor | slice) -> Senses:
        """The fleets at these places of the first axis."""
        if isinstance(rows, slice):
            return self.map(lambda part: part[rows])
        return self.map(lambda part: part.index_select(0, rows))  # copies whole rows, faster than part[rows]


def sense(observations: Observations, device: torch.device | str = "cpu") -> Senses:
    """Observations of E worlds as tensors; on the CPU they share the arrays' memory."""
    kinds = {
        name: KindSenses(*(torch.from_numpy(part).to(device) for part in kind))
        for name, kind in observations.kinds.items()
    }
    position, alive, state = (
        torch.from_numpy(part).to(device) for part in (observations.position, observations.alive, observations.state)
    )
    return Senses(kinds, position, alive, state)
