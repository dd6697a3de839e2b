"""Topographic similarity: whether agents that know alike say alike.

Spearman's correlation of the distances between facts and between messages (Brighton and Kirby 2006; the measure of
EGG), here between agents of different worlds at the same tick, so that no tick is compared with its own neighbour; by
chance, worlds are exchanged as in Mantel's test (1967).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from policy_core.analysis.facts import differing


class Similarity(NamedTuple):
    """Of one kind."""

    value: float  # Spearman's correlation
    draws: np.ndarray  # [B + 1] in every order of the worlds; the first is `value`
    resampled: np.ndarray  # under bootstrap draws of worlds


def compare_distances(
    facts: np.ndarray, messages: np.ndarray, valid: np.ndarray, orders: np.ndarray, drawn: np.ndarray, places: int
) -> Similarity:
    """Correlate distances in facts with distances in messages.

    Args:
        facts: [E, S, F], each scaled by its own spread.
        messages: [E, S, D], as they are.
        valid: [E, S] bool; a place counts where all worlds are valid.
        orders: see `exchange_worlds` [B + 1, E].
        drawn: see `draw_worlds` [R, E].
        places: that are compared at most, spread evenly.
    """
    whole = np.flatnonzero(valid.all(0))
    keep = whole[np.unique(np.linspace(0, max(0, len(whole) - 1), places).round().astype(int))] if len(whole) else whole
    columns, numbers = differing(facts, valid), differing(messages, valid)
    if not len(keep) or not columns.any() or not numbers.any():
        return Similarity(0.0, np.zeros(len(orders)), np.zeros(len(drawn)))
    known = facts[:, keep][..., columns]
    known = known / known.std((0, 1)).clip(min=1e-9)
    apart = _ranked(_distances(known))
    spoken = _ranked(_distances(messages[:, keep][..., numbers]))
    scale = np.sqrt((apart**2).sum() * (spoken**2).sum())
    draws = np.array([np.einsum("sef,sef->", apart[:, order][:, :, order], spoken) for order in orders]) / scale
    resampled = np.empty(len(drawn))
    for row, counts in enumerate(drawn):
        weight = np.outer(counts, counts)
        resampled[row] = _weighted(apart, spoken, weight)
    return Similarity(float(draws[0]), draws, resampled)


def _distances(values: np.ndarray) -> np.ndarray:
    """Between worlds at every place [S, E, E] of values [E, S, C]."""
    rows = values.transpose(1, 0, 2).astype(float)
    squares = (rows**2).sum(-1)
    inner = rows @ rows.transpose(0, 2, 1)
    return np.asarray(np.sqrt(np.maximum(squares[:, :, None] + squares[:, None, :] - 2 * inner, 0.0)))


def _ranked(distances: np.ndarray) -> np.ndarray:
    """Ranks within each place, less their mean; zeros on the diagonal."""
    worlds = distances.shape[1]
    upper = np.triu_indices(worlds, 1)
    ranks = rankdata(distances[:, upper[0], upper[1]], axis=1)
    out = np.zeros(distances.shape)
    out[:, upper[0], upper[1]] = ranks - ranks.mean(1, keepdims=True)
    return np.asarray(out + out.transpose(0, 2, 1))


def _weighted(apart: np.ndarray, spoken: np.ndarray, weight: np.ndarray) -> float:
    total = np.sqrt(np.einsum("sef,ef->", apart**2, weight) * np.einsum("sef,ef->", spoken**2, weight))
    return float(np.einsum("sef,sef,ef->", apart, spoken, weight, optimize=True) / max(total, 1e-12))
