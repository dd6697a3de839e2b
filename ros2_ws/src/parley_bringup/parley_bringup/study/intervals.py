"""95 % intervals by bootstrap: of means over episodes, and of ratios of sums, paired by episode.

Percentile bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13). Where several bundles
(training seeds) play the same episodes, bundles and episodes are both drawn anew, each by itself (the pigeonhole
bootstrap of Owen 2007, Annals of Applied Statistics 1(2)); with one bundle, the interval holds for that bundle alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
TAILS = (0.025, 0.975)


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Work(NamedTuple):
    """What several bundles did in the same episodes: how much, and in which time."""

    done: np.ndarray  # [B, S]
    hours: np.ndarray  # [B, S]
    bundles: tuple[str, ...]  # [B]


def mean_interval(values: np.ndarray) -> Interval:
    """Of the mean over bundles and episodes [B, S], or over episodes [S]."""
    table = np.atleast_2d(np.asarray(values, float))
    rng = np.random.default_rng(0)
    bundles, episodes = (_drawn(rng, size) for size in table.shape)
    means = _summed(table, bundles, episodes) / table.size
    return Interval(float(table.mean()), *_tails(means))


def ratio_interval(one: Work, other: Work) -> Interval | None:
    """Of one's rate over the other's, each a ratio of sums; both have played the same episodes.

    Where both are of the same bundles, a draw takes the same ones on both sides. None where the other did nothing.
    """
    rng = np.random.default_rng(0)
    assert one.done.shape[1] == other.done.shape[1], "episodes are paired"
    episodes = _drawn(rng, one.done.shape[1])
    own = _drawn(rng, len(one.bundles))
    others = own if one.bundles == other.bundles else _drawn(rng, len(other.bundles))
    value = _over(_over(one.done.sum(), one.hours.sum()), _over(other.done.sum(), other.hours.sum()))
    rate = _over(*(_summed(each, own, episodes) for each in one[:2]))
    drawn = _over(rate, _over(*(_summed(each, others, episodes) for each in other[:2])))
    if not np.isfinite(value):
        return None
    return Interval(float(value), *_tails(np.where(np.isnan(drawn), value, drawn)))


def _drawn(rng: np.random.Generator, size: int) -> np.ndarray:
    """How often each of so many is taken in each draw [RESAMPLES, size]."""
    return rng.multinomial(size, np.full(size, 1.0 / size), RESAMPLES).astype(float)


def _summed(table: np.ndarray, bundles: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """Sums [RESAMPLES] over what was drawn of a table [B, S]."""
    return np.asarray(((bundles @ table) * episodes).sum(axis=1))


def _over(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(top, bottom))


def _tails(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, TAILS, method="inverted_cdf")  # a draw may be infinite: nothing is put between
    return float(low), float(high)
