"""Random numbers for a batch of worlds that come out the same however the worlds are split over processes."""

from __future__ import annotations

import torch
from torch import Tensor


class Chance:
    """Draws for all worlds of a run and keeps the rows of this process's own.

    Args:
        seed: of the generator, the same in all processes.
        device: to draw on.
        rows: own worlds; None: all.
        worlds: of all processes together; only needed with `rows`.
    """

    def __init__(self, seed: int, device: torch.device | str, rows: slice | None = None, worlds: int = 0) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)
        self.rows = rows
        self.worlds = worlds

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Numbers from [0, 1) of this shape, whose first axis is own worlds."""
        return self._own(self._empty(shape).uniform_(generator=self.generator))

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers."""
        return self._own(self._empty(shape).normal_(generator=self.generator))

    def exponential(self, shape: tuple[int, ...]) -> Tensor:
        """Exponential numbers of mean 1."""
        return self._own(self._empty(shape).exponential_(1.0, generator=self.generator))

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        worlds = shape[0] if self.rows is None else self.worlds
        return torch.empty((worlds, *shape[1:]), device=self.generator.device)

    def _own(self, drawn: Tensor) -> Tensor:
        return drawn if self.rows is None else drawn[self.rows]
