"""Draws of different article families for one order, such that every family keeps its fitted share of all lines."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=16)
def draw_weights(popularity: tuple[float, ...], lines_per_order: tuple[float, ...]) -> np.ndarray:
    """Weights [SKUS] for draws without replacement that give each family its share of lines.

    An order's families differ, so drawing by the shares themselves would favour the rare ones. Fixed-point
    iteration on the exact probability that a family is drawn.
    """
    share = np.asarray(popularity) / sum(popularity)
    size = np.asarray(lines_per_order) / sum(lines_per_order)
    weight = share.copy()
    for _ in range(60):
        drawn = line_shares(weight, size)
        weight *= np.divide(share, drawn, out=np.zeros_like(share), where=drawn > 0)
        weight /= weight.sum()
    return weight


def line_shares(weight: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Share of lines of each family [S] when orders of 1, 2, ... lines come in shares `size`, exactly."""
    families = len(weight)
    sets = np.arange(2**families)
    member = (sets[:, None] >> np.arange(families)) & 1
    left = np.maximum(1.0 - member @ weight, 1e-12)
    chance = np.zeros(len(sets))
    chance[0] = 1.0
    expected = np.zeros(families)
    at_least = size[::-1].cumsum()[::-1]
    for line in range(len(size)):
        after = np.zeros(len(sets))
        for family in range(families):
            could = (member[:, family] == 0) & (chance > 0)
            step = chance[could] * weight[family] / left[could]
            after[sets[could] | (1 << family)] += step
            expected[family] += at_least[line] * step.sum()
        chance = after
    return np.asarray(expected / expected.sum())
