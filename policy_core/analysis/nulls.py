"""Chance levels and intervals whose unit is the world, never the tick.

Messages and facts drift slowly, so the ticks of one world say nearly the same thing many times over; a test that
exchanges single ticks finds "meaning" in any two drifting series. Worlds are drawn independently of each other, so
what was said in one may be paired with what was sensed in another at the same tick: that keeps every drift and every
course of the day, and breaks nothing but the tie between saying and sensing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Family(NamedTuple):
    """A family of H tests on the same exchanged worlds."""

    p: np.ndarray  # [H] chance of a statistic as great in any test of the family, if none of them had an effect
    null: np.ndarray  # [H] mean of each statistic by chance
    high: np.ndarray  # [H] 95 % of each statistic by chance lies below

    def found(self, false_alarm: float) -> np.ndarray:
        """Which tests may be spoken of [H] bool."""
        return self.p <= false_alarm


def exchange_worlds(worlds: int, count: int, seed: int) -> np.ndarray:
    """Orders of the worlds [count + 1, E]; the first leaves them where they are."""
    chance = np.random.default_rng((seed, 11))
    return np.stack([np.arange(worlds), *(chance.permutation(worlds) for _ in range(count))])


def flip_worlds(worlds: int, count: int, seed: int) -> np.ndarray:
    """Signs of the worlds [count + 1, E]; the first row is all +1."""
    signs = np.random.default_rng((seed, 12)).choice((-1.0, 1.0), (count + 1, worlds))
    signs[0] = 1.0
    return np.asarray(signs)


def judge_family(statistics: np.ndarray) -> Family:
    """Chances of a family by the greatest of its statistics, step by step down (Westfall and Young 1993, alg. 4.1).

    Every statistic is made comparable first: its cube root (Wilson and Hilferty 1931), less its mean over all rows, by
    its spread. The observed row is one of the draws, so no chance is zero (Phipson and Smyth 2010).

    Args:
        statistics: not negative, greater means more effect [B + 1, H]; row 0 is what was observed.
    """
    tests = statistics.shape[1]
    if not tests:
        return Family(np.empty(0), np.empty(0), np.empty(0))
    rooted = np.cbrt(statistics)
    spread = rooted.std(0)
    # what differs by rounding only has no spread: it is not a finding
    is_flat = spread <= 1e-7 * np.maximum(np.abs(rooted).max(0), 1e-12)
    score = np.where(is_flat, 0.0, (rooted - rooted.mean(0)) / np.where(is_flat, 1.0, spread))
    order = np.argsort(-score[0])
    ranked = score[:, order]
    greatest = np.maximum.accumulate(ranked[:, ::-1], axis=1)[:, ::-1]  # of each test and all weaker ones
    chance = np.maximum.accumulate((greatest >= ranked[0] - 1e-12).mean(0))
    p = np.empty(tests)
    p[order] = chance
    return Family(p, statistics[1:].mean(0), np.quantile(statistics[1:], 0.95, axis=0))


def holm(chances: np.ndarray) -> np.ndarray:
    """Chances [H] held to a family (Holm 1979)."""
    order = np.argsort(chances)
    steps = np.arange(len(chances), 0, -1)
    adjusted = np.empty(len(chances))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(chances[order] * steps))
    return adjusted


def draw_worlds(worlds: int, count: int, seed: int) -> np.ndarray:
    """How often each bootstrap draw holds each world [count, E]."""
    even = np.full(worlds, 1.0 / worlds)
    return np.random.default_rng((seed, 13)).multinomial(worlds, even, size=count).astype(float)


def interval_of_mean(values: np.ndarray, weights: np.ndarray, drawn: np.ndarray, level: float) -> tuple[float, float]:
    """Bootstrap interval of a mean over worlds.

    Args:
        values: mean of each world [E]; read where its weight is above 0.
        weights: of the worlds [E], such as their numbers of decisions.
        drawn: see `draw_worlds`.
        level: of the interval.

    Returns:
        Low and high; NaN where no world has weight.
    """
    total = drawn @ weights
    if not weights.sum():
        return float("nan"), float("nan")
    means = (drawn @ np.where(weights > 0, values * weights, 0.0))[total > 0] / total[total > 0]
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
