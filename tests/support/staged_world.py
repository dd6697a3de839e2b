"""The tiny world in variants, for stages of a curriculum; it writes down every start."""

from __future__ import annotations

from policy_core.environment import Observations
from tests.support.tiny_world import CONTRACT, TinyWorld

STARTS: list[tuple[int, int, int, int]] = []  # variant, worlds, seed and first world of every start in this process


def make(worlds: int, variant: int = 0, actors: int = 2, rounds: int = 2, state: int = 4) -> StagedWorld:
    """Build a batch in which a variant draws its own numbers."""
    return StagedWorld(worlds, actors, rounds, variant, state)


class StagedWorld(TinyWorld):
    """A variant of the tiny world."""

    def __init__(self, worlds: int, actors: int, rounds: int, variant: int, state: int) -> None:
        super().__init__(worlds, actors, CONTRACT.model_copy(update={"rounds": rounds}))
        self.variant = variant
        self.state = state

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start anew, and write it down."""
        STARTS.append((self.variant, self.worlds, seed, first_world))
        return super().reset(seed, first_world)

    def _hash(self, salt: int, columns: int):
        return super()._hash(salt + 17 * self.variant, columns)

    def _observe(self) -> Observations:
        seen = super()._observe()
        return seen._replace(state=seen.state[:, : self.state])
