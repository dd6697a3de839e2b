"""How closely what was said follows what was known, and how closely it would by chance: R^2 under exchanged worlds.

Both sides are centred over the worlds at every place (tick, agent) and stay whole within a world. With X what was
said, made orthonormal, and Y what was known, the product X_e' Y_f is worked out once for all pairs of worlds; an
exchange of worlds then only adds other products up, so a thousand exchanges cost less than the first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policy_core.analysis.facts import bend, centre, gaussian_ranks

PIECE = 2**27  # bytes of products that are held at a time


class Said(NamedTuple):
    """Messages as features that a test can use."""

    features: np.ndarray  # [E, S, D], orthonormal over all worlds and places
    valid: np.ndarray  # [E, S] bool


def prepare_said(messages: np.ndarray, valid: np.ndarray, components: int) -> Said:
    """Messages [E, S, M] as orthonormal features: their principal components, and the squares of these.

    Only what was said is looked at here, so whatever is chosen favours no fact.
    """
    scores = centre(gaussian_ranks(messages, valid), valid)
    main = _whiten(scores, components)
    wide = [main]
    if main.shape[-1]:
        unit = main * np.sqrt(max(1, valid.sum()))
        wide.append(centre(np.where(valid[..., None], unit**2 - 1, 0.0), valid))
    return Said(_whiten(np.concatenate(wide, -1), 2 * components), valid)


def prepare_known(facts: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Facts [E, S, F] as columns [E, S, F, 2] of length 1 (or 0): what rises with the fact, and what bends with it."""
    scores = gaussian_ranks(facts, valid)
    parts = [centre(scores, valid), centre(bend(scores, valid), valid)]
    first, second = (part / np.maximum(_length(part), 1e-12) for part in parts)
    second = second - first * (first * second).sum((0, 1))  # orthogonal, so that shares explained add up
    left = _length(second)
    second = np.where(left > 1e-6, second / np.maximum(left, 1e-12), 0.0)
    return np.stack([first, second], -1)


def explained(said: np.ndarray, known: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Share of every column that what was said explains, in every order of the worlds [B, F].

    Args:
        said: orthonormal features [E, S, D].
        known: columns of length 1 [E, S, F].
        orders: whose facts stand beside whose messages [B, E].
    """
    worlds, _, features = said.shape
    columns = known.shape[-1]
    out = np.empty((len(orders), columns))
    step = max(1, PIECE // max(1, worlds * worlds * features * 4))
    mine = np.arange(worlds)
    for start in range(0, columns, step):
        products = _products(said, known[..., start : start + step])  # [E, E', D, f]
        for row, order in enumerate(orders):
            out[row, start : start + step] = (products[mine, order].sum(0) ** 2).sum(0)
    return out


def explained_singly(said: np.ndarray, known: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """The same for every column of what was said by itself, each of length 1: squared correlations [B, D, F]."""
    products = _products(said, known)
    mine = np.arange(len(said))
    return np.stack([products[mine, order].sum(0) ** 2 for order in orders])


def overlap(valid: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """By how much more places stand beside each other in the worlds' own order than in each order [B, 1].

    Where some places are not valid [E, S], exchanged worlds share fewer of them, and explain less by that alone.
    """
    both = valid.astype(float) @ valid.T.astype(float)
    counts = both[np.arange(len(valid)), orders].sum(1)
    return np.asarray(counts[:1] / np.maximum(counts, 1.0))[..., None]


def clear_of(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What is left of columns [E, S, C] without an orthonormal basis [E, S, Q]."""
    flat, other = values.reshape(-1, values.shape[-1]), basis.reshape(-1, basis.shape[-1])
    return (flat - other @ (other.T @ flat)).reshape(values.shape)


def whiten_all(values: np.ndarray) -> np.ndarray:
    """An orthonormal basis [E, S, Q] of the columns [E, S, C]."""
    return _whiten(values, values.shape[-1])


def unit_columns(values: np.ndarray) -> np.ndarray:
    """Columns [E, S, C] at length 1; zeros where nothing is left."""
    length = _length(values)
    return np.where(length > 1e-6, values / np.maximum(length, 1e-12), 0.0)


def _products(said: np.ndarray, known: np.ndarray) -> np.ndarray:
    """X_e' Y_f of every pair of worlds [E, E', D, F] float32."""
    worlds, places, features = said.shape
    columns = known.shape[-1]
    left = said.transpose(0, 2, 1).reshape(worlds * features, places).astype(np.float32)
    right = known.transpose(1, 0, 2).reshape(places, worlds * columns).astype(np.float32)
    found = (left @ right).reshape(worlds, features, worlds, columns)
    return np.ascontiguousarray(found.transpose(0, 2, 1, 3))


def _whiten(values: np.ndarray, most: int) -> np.ndarray:
    """At most so many orthonormal columns that span the widest directions of [E, S, C]."""
    if not values.shape[-1]:
        return values
    flat = values.reshape(-1, values.shape[-1])
    gram = flat.T @ flat
    power, axes = np.linalg.eigh(gram)
    keep = np.flatnonzero(power > max(power.max(initial=0.0) * 1e-6, 1e-12))[::-1][:most]
    return np.asarray((flat @ (axes[:, keep] / np.sqrt(power[keep]))).reshape(*values.shape[:2], len(keep)))


def _length(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((values**2).sum((0, 1))))
