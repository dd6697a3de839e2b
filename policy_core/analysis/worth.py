"""What messages are worth: whole rollouts with and without them, world by world on the same seeds.

Silencing, shuffling and swapping are the causal tests that Lowe et al. 2019 (section 5) ask for besides any measure of
information. Differences are paired by world; by chance, each world's difference may as well have the other sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policy_core.analysis.nulls import Family, flip_worlds, interval_of_mean, judge_family


class Cost(NamedTuple):
    """What meddling cost in one figure: figure with messages as they are, less the one with meddling."""

    value: float  # mean over the worlds
    interval: tuple[float, float]
    p: float  # of the family
    worlds: int  # in which both were measured


def compare_rollouts(
    real: np.ndarray, others: list[np.ndarray], drawn: np.ndarray, *, permutations: int, seed: int, level: float
) -> list[Cost]:
    """Costs of several ways of meddling in one figure, judged as one family.

    Args:
        real: the figure of each world, messages as they are [E]; NaN where it was not measured.
        others: the same with each way of meddling.
        drawn: see `draw_worlds` [R, E].
        permutations: draws of signs.
        seed: of these.
        level: of the intervals.
    """
    if not others:
        return []
    apart = np.stack([real - other for other in others], axis=1)  # [E, H]
    measured = np.isfinite(apart)
    differences = np.where(measured, apart, 0.0)
    family = judge_signs(differences, flip_worlds(len(real), permutations, seed))
    costs = []
    for place in range(len(others)):
        own, counts = differences[:, place], measured[:, place].astype(float)
        value = float(own.sum() / counts.sum()) if counts.any() else float("nan")
        interval = interval_of_mean(own, counts, drawn, level)
        costs.append(Cost(value, interval, float(family.p[place]), int(counts.sum())))
    return costs


def judge_signs(differences: np.ndarray, signs: np.ndarray) -> Family:
    """Judge mean differences of worlds [E, H] as one family, under flips of whole worlds [B + 1, E]."""
    length = np.sqrt((differences**2).sum(0))
    scaled = differences / np.where(length > 0, length, 1.0)
    return judge_family(np.asarray(signs @ scaled) ** 2)
