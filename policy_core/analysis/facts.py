"""What an agent knows at a tick, as named numbers: every field it senses, and what its candidates have in common."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from policy_core.contract import Field, Kind

RARE = 0.99  # a fact with one value in more than this share of the decisions is too rare to speak of
FEW_WORLDS = 6  # a fact must change in at least so many worlds


def name_facts(kind: Kind) -> list[str]:
    """Names of a kind's facts, in the order of `read_facts`; parts of a longer field carry their place, from 0."""
    names = [name for field in kind.observation for name in _parts(field)]
    if kind.candidates:
        names.append("candidates: number")
        for field in kind.candidate:
            what = "number of" if _is_class(field) else "highest"
            names += [f"candidates: {what} {name}" for name in _parts(field)]
    return names


def field_of(fact: str) -> str:
    """The contract field behind a fact's name; of a candidate's field with `candidates: ` before it."""
    name = fact.partition("[")[0]
    for what in ("number of ", "highest "):
        name = name.replace(f"candidates: {what}", "candidates: ")
    return name


def read_facts(kind: Kind, vector: np.ndarray, candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The facts [..., F] of observations [..., O], candidates [..., C, F'] and masks [..., L].

    Of the legal candidates, a class is counted, and of a quantity the highest is taken; 0 where none is legal.
    """
    parts = [vector]
    if kind.candidates:
        legal = mask[..., : kind.candidates, None]
        parts.append(legal.sum(-2))
        start = 0
        for field in kind.candidate:
            values = candidates[..., start : start + field.size]
            start += field.size
            if _is_class(field):
                parts.append(np.where(legal, values, 0.0).sum(-2))
            else:
                highest = np.where(legal, values, -np.inf).max(-2)
                parts.append(np.where(np.isfinite(highest), highest, 0.0))
    return np.concatenate(parts, axis=-1).astype(np.float32)


def differing(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Which columns of [E, S, F] differ enough, at the places that are valid [E, S], to ask about them: [F] bool."""
    columns = values.shape[-1]
    if not valid.any():
        return np.zeros(columns, bool)
    rows = values[valid]
    keep = np.empty(columns, bool)
    for column in range(columns):
        _, counts = np.unique(rows[:, column], return_counts=True)
        keep[column] = counts.max() <= RARE * len(rows)
    first = np.where(valid[..., None], values, np.nan)
    with np.errstate(all="ignore"):
        changes = (np.nanmax(first, axis=1, initial=-np.inf) > np.nanmin(first, axis=1, initial=np.inf)).sum(0)
    # a fact may also be fixed within a world, as long as worlds differ
    means = np.array([len(np.unique(np.round(first[:, 0, column], 9))) for column in range(columns)])
    return keep & ((changes >= FEW_WORLDS) | (means >= FEW_WORLDS))


def gaussian_ranks(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Every column [E, S, F] by the normal scores of its ranks, ties shared; 0 at places that are not valid [E, S].

    The margins of a Gaussian copula: what is measured on them does not depend on units or monotone scales.
    """
    out = np.zeros(values.shape)
    rows = values[valid]
    if len(rows):
        out[valid] = ndtri((rankdata(rows, axis=0) - 0.5) / len(rows))
    return out


def centre(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Less the mean over the worlds at every place: what all worlds share at a tick tells nothing of one of them."""
    counts = np.maximum(valid.sum(0), 1)[None, :, None]
    shown = np.where(valid[..., None], values, 0.0)
    return np.where(valid[..., None], shown - shown.sum(0, keepdims=True) / counts, 0.0)


def bend(scores: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The second Hermite polynomial of normal scores: what rises at both ends. Zeros where a column has two values."""
    bent = np.where(valid[..., None], (scores**2 - 1) / np.sqrt(2), 0.0)
    if valid.any():
        two = np.array([len(np.unique(column)) <= 2 for column in scores[valid].T], bool)  # also of no column
        bent[..., two] = 0.0
    return bent


def _is_class(field: Field) -> bool:
    return field.unit.startswith("one-hot")


def _parts(field: Field) -> list[str]:
    return [field.name] if field.size == 1 else [f"{field.name}[{place}]" for place in range(field.size)]
