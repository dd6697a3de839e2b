"""Scaling what is sensed to about [-1, 1]: by the contract's ranges, or by what was seen in training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from policy_core.contract import Field, scale_of

RANGE_LIMIT = 3.0  # numbers scaled by the contract are clipped here
SPREAD_LIMIT = 5.0  # numbers scaled by their running spread are clipped here

Reduce = Callable[[Tensor], Tensor]  # sums a tensor over all processes of a run


class Scale(nn.Module):
    """Scales raw values by the contract's ranges to about [-1, 1]."""

    offset: Tensor
    factor: Tensor

    def __init__(self, fields: tuple[Field, ...]) -> None:
        """Take centre and half-width of every field from the contract."""
        super().__init__()
        centre, half = scale_of(fields)
        self.register_buffer("offset", torch.from_numpy(-centre / half), persistent=False)
        self.register_buffer("factor", torch.from_numpy(1 / half), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        """Scaled values, same shape."""
        return torch.addcmul(self.offset, raw, self.factor).clamp_(-RANGE_LIMIT, RANGE_LIMIT)

    def watch(self, raw: Tensor, reduce: Reduce) -> None:
        """Nothing to learn: the contract knows."""


class RunningScale(nn.Module):
    """Scales raw values by their running mean and spread, for worlds that state no ranges.

    The statistics are part of the weights, so they travel in checkpoint and bundle. They change between iterations
    only: while a rollout is collected and replayed they stand still, so that the ratio of unchanged weights is 1.
    All that was ever seen counts alike; sums are kept in float64.
    """

    count: Tensor
    mean: Tensor  # [O]
    square: Tensor  # [O] mean of squares

    def __init__(self, fields: tuple[Field, ...]) -> None:
        """Start as the identity."""
        super().__init__()
        size = sum(field.size for field in fields)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.ones(size, dtype=torch.float64))

    def forward(self, raw: Tensor) -> Tensor:
        """Scaled values, same shape."""
        spread = (self.square - self.mean.square()).clamp(min=1e-6).sqrt()
        return ((raw - self.mean.to(raw.dtype)) / spread.to(raw.dtype)).clamp(-SPREAD_LIMIT, SPREAD_LIMIT)

    @torch.no_grad()
    def watch(self, raw: Tensor, reduce: Reduce) -> None:
        """Take in values [..., O] of all processes."""
        rows = raw.flatten(0, -2).double()
        own = torch.cat((rows.sum(0), rows.square().sum(0), rows.new_full((1,), len(rows))))
        total = reduce(own)
        fresh = total[-1]
        if fresh == 0:
            return
        first, second = (total[:-1] / fresh).chunk(2)
        share = fresh / (self.count + fresh)
        self.mean.lerp_(first, share)
        self.square.lerp_(second, share)
        self.count.add_(fresh)


def make_scale(fields: tuple[Field, ...], *, running: bool) -> Scale | RunningScale:
    """The scale of these fields."""
    return RunningScale(fields) if running else Scale(fields)
