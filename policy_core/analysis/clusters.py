"""Groups of messages: k-means, the number of groups by silhouette, held against messages without joint structure.

k-means++ (Arthur and Vassilvitskii 2007), silhouette (Rousseeuw 1987), adjusted Rand index (Hubert and Arabie 1985).
By chance, the principal components of the messages are exchanged between worlds independently of each other: that
keeps every component's own spread and drift, and no grouping that needs several of them at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from policy_core.analysis.settings import ClusterSettings

LEAST_SPREAD = 1e-6  # of messages, below which all say the same
COMPONENTS = 6  # principal components that are grouped


class Grouping(NamedTuple):
    """The groups of one kind's messages."""

    number: int  # of groups; 0: the messages do not differ
    silhouettes: np.ndarray  # [B + 1] the best over the numbers of groups tried; row 0 as observed
    groups: np.ndarray  # [E, S] of every message; -1 where not valid
    stability: np.ndarray  # adjusted Rand index under bootstrap draws of worlds
    plane: np.ndarray  # [E, S, 2] first two principal components
    points: int  # messages that the silhouettes were worked out on


def group_messages(messages: np.ndarray, valid: np.ndarray, settings: ClusterSettings, seed: int) -> Grouping:
    """Group what one kind said [E, S, D], where it is valid [E, S]."""
    worlds, places, _ = messages.shape
    scores = _components(messages, valid)
    nobody = np.full((worlds, places), -1)
    plane = np.zeros((worlds, places, 2))
    plane[..., : min(2, scores.shape[-1])] = scores[..., :2]
    if scores.shape[-1] == 0 or valid.sum() < 4 * settings.most:
        return Grouping(0, np.zeros(settings.nulls + 1), nobody, np.zeros(0), plane, 0)
    chance = np.random.default_rng((seed, 31))
    each = max(1, settings.points // worlds)
    best = np.empty(settings.nulls + 1)
    count, centres, points = 0, np.empty(0), 0
    for draw in range(settings.nulls + 1):
        keep = np.sort(chance.choice(places, min(each, places), replace=False))
        part = scores[:, keep].copy()
        if draw:
            for column in range(part.shape[-1]):
                part[..., column] = part[chance.permutation(worlds)][..., column]
        rows = part[valid[:, keep]] if not draw else part.reshape(-1, part.shape[-1])
        best[draw], found, centred = _best_number(rows, settings.most, int(chance.integers(2**31)))
        if not draw:
            count, centres, points = found, centred, len(rows)
    groups = np.where(valid, _nearest(scores.reshape(-1, scores.shape[-1]), centres).reshape(worlds, places), -1)
    stability = np.array([_stability(scores, valid, groups, count, chance) for _ in range(settings.stability)])
    return Grouping(count, best, groups, stability, plane, points)


def silhouette(rows: np.ndarray, groups: np.ndarray) -> float:
    """Mean silhouette of rows [n, C] in groups [n] (Rousseeuw 1987); 0 for a group of one."""
    apart = cdist(rows, rows)
    names = np.unique(groups)
    if len(names) < 2:
        return 0.0
    marks = (groups[:, None] == names).astype(float)
    counts = marks.sum(0)
    sums = apart @ marks
    own = marks.argmax(1)
    place = np.arange(len(rows))
    inside = sums[place, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[place, own] = np.inf
    outside = means.min(1)
    value = np.where(counts[own] > 1, (outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12), 0.0)
    return float(value.mean())


def adjusted_rand(one: np.ndarray, other: np.ndarray) -> float:
    """Agreement of two groupings [n]; 1 for the same, 0 in the mean by chance (Hubert and Arabie 1985)."""
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one, other), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, first, second = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    by_chance = first * second / max(len(one) * (len(one) - 1) / 2, 1.0)
    most = (first + second) / 2
    return 1.0 if most == by_chance else (both - by_chance) / (most - by_chance)


def _components(messages: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Principal components [E, S, C] in the messages' own scale, at most COMPONENTS."""
    rows = messages[valid].astype(float)
    if not len(rows):
        return np.zeros((*messages.shape[:2], 0))
    middle = rows.mean(0)
    power, axes = np.linalg.eigh(np.cov((rows - middle).T).reshape(rows.shape[1], -1))
    keep = [place for place in np.argsort(-power)[:COMPONENTS] if power[place] > LEAST_SPREAD**2]
    return np.where(valid[..., None], (messages - middle) @ axes[:, keep], 0.0)


def _best_number(rows: np.ndarray, most: int, seed: int) -> tuple[float, int, np.ndarray]:
    """The best silhouette over 2 to `most` groups, at how many, and their centres."""
    found: tuple[float, int, np.ndarray] = (-1.0, 0, np.empty(0))
    for count in range(2, most + 1):
        centres, groups = kmeans2(rows, count, minit="++", rng=np.random.default_rng((seed, count)), iter=15)
        value = silhouette(rows, groups)
        if value > found[0]:
            found = (value, count, centres)
    return found


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.asarray(cdist(rows, centres).argmin(1))


def _stability(
    scores: np.ndarray, valid: np.ndarray, groups: np.ndarray, count: int, chance: np.random.Generator
) -> float:
    drawn = chance.integers(len(scores), size=len(scores))
    rows = scores[drawn][valid[drawn]]
    rows = rows[chance.choice(len(rows), min(len(rows), 2000), replace=False)]
    centres, _ = kmeans2(rows, count, minit="++", rng=chance, iter=15)
    return adjusted_rand(groups[valid], _nearest(scores[valid], centres))
