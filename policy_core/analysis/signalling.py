"""Positive signalling: what a sender's messages tell of what it alone senses, and of what it then does.

Lowe et al. 2019 (arXiv:1903.05168) name positive signalling and speaker consistency and warn that neither shows that
anybody listens; Jaques et al. 2019 (arXiv:1810.08647) and Bogin et al. 2018 (arXiv:1809.00549) measure consistency.
A fact counts as told if the messages explain more of it than they explain of other worlds' (coupling.py, nulls.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policy_core.analysis.coupling import (
    explained,
    explained_singly,
    overlap,
    prepare_known,
    prepare_said,
    unit_columns,
)
from policy_core.analysis.facts import centre, differing, gaussian_ranks
from policy_core.analysis.nulls import Family, judge_family
from policy_core.analysis.probes import Reading, classify, read_by_probe
from policy_core.analysis.settings import SignallingSettings


class Told(NamedTuple):
    """What messages explain of facts, before the family is judged."""

    facts: np.ndarray  # places of the facts that differ enough [F]
    share: np.ndarray  # explained of a fact's rise and bend, in every order of the worlds [B + 1, F]


class Numbers(NamedTuple):
    """Which number of a message goes with which fact."""

    facts: np.ndarray  # places [F]
    numbers: np.ndarray  # places of the numbers that differ [D]
    share: np.ndarray  # squared correlation [B + 1, D, F]
    sign: np.ndarray  # of the correlation [D, F]


class Decoded(NamedTuple):
    """Nats that a probe reads of facts."""

    gain: np.ndarray  # [E, F] in each world
    entropy: np.ndarray  # [F]
    null: np.ndarray  # [F] nats that it reads of another world's facts


def explain_facts(
    messages: np.ndarray, facts: np.ndarray, valid: np.ndarray, orders: np.ndarray, components: int
) -> Told:
    """Share of every fact that the messages explain, in every order of the worlds.

    Args:
        messages: what one kind said [E, S, D], places S are (tick, agent).
        facts: what it knew [E, S, F].
        valid: where it lived [E, S] bool.
        orders: see `exchange_worlds` [B + 1, E].
        components: of the messages that are used.
    """
    places = np.flatnonzero(differing(facts, valid))
    said = prepare_said(messages, valid, components)
    known = prepare_known(facts[..., places], valid)
    share = explained(said.features, known.reshape(*known.shape[:2], -1), orders) * overlap(valid, orders)
    parts = ((known**2).sum((0, 1)) > 0.5).sum(-1)  # a fact of two values has no bend
    return Told(places, share.reshape(len(orders), len(places), 2).sum(-1) / np.maximum(parts, 1))


def explain_choices(
    messages: np.ndarray, classes: np.ndarray, valid: np.ndarray, orders: np.ndarray, components: int
) -> np.ndarray:
    """Speaker consistency, as a test: share of the sender's own choice that its messages explain [B + 1].

    Args:
        messages: [E, S, D].
        classes: what it chose [E, S] int.
        valid: [E, S] bool.
        orders: see `exchange_worlds` [B + 1, E].
        components: of the messages that are used.
    """
    said = prepare_said(messages, valid, components)
    names = np.unique(classes[valid])
    marks = np.stack([classes == name for name in names], -1).astype(float)
    columns = unit_columns(centre(marks, valid))
    return (explained(said.features, columns, orders) * overlap(valid, orders)).sum(-1)


def correlate_by_world(
    messages: np.ndarray, facts: np.ndarray, valid: np.ndarray, drawn: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank correlation of pairs of columns, read again in worlds that were left out.

    Args:
        messages: one number for each pair [E, S, P].
        facts: one fact for each pair [E, S, P].
        valid: [E, S] bool.
        drawn: see `draw_worlds` [R, E].
        level: of the interval.

    Returns:
        Correlation [P]; its bootstrap interval [2, P]; cross-validated R^2 of a linear probe, learned without the world
        that it is asked in [P].
    """
    x, y = (centre(gaussian_ranks(part, valid), valid) for part in (messages, facts))
    both, one, other = (x * y).sum(1), (x * x).sum(1), (y * y).sum(1)  # [E, P]

    def correlation(weights: np.ndarray) -> np.ndarray:
        return (weights @ both) / np.sqrt(np.maximum((weights @ one) * (weights @ other), 1e-12))

    interval = np.quantile(correlation(drawn), ((1 - level) / 2, (1 + level) / 2), axis=0)
    slope = (both.sum(0) - both) / np.maximum(one.sum(0) - one, 1e-12)
    error = other - 2 * slope * both + slope**2 * one
    return correlation(np.ones(len(x))), interval, 1 - error.sum(0) / np.maximum(other.sum(0), 1e-12)


def explain_by_numbers(messages: np.ndarray, facts: np.ndarray, valid: np.ndarray, orders: np.ndarray) -> Numbers:
    """Squared rank correlation of every number of a message with every fact, in every order of the worlds."""
    places, numbers = (np.flatnonzero(differing(part, valid)) for part in (facts, messages))
    known, said = (
        unit_columns(centre(gaussian_ranks(part[..., chosen], valid), valid))
        for part, chosen in ((facts, places), (messages, numbers))
    )
    sign = np.sign(np.einsum("esd,esf->df", said, known))
    share = explained_singly(said, known, orders) * overlap(valid, orders)[..., None]
    return Numbers(places, numbers, share, sign)


def decode(
    messages: np.ndarray, facts: np.ndarray, valid: np.ndarray, settings: SignallingSettings, seed: int
) -> Decoded:
    """Nats of every fact [E, S, F] that a probe reads off the messages [E, S, D] in worlds it has not seen."""
    return _decoded(messages, classify(facts, valid, settings.bins), valid, settings, seed)


def decode_choices(
    messages: np.ndarray, classes: np.ndarray, valid: np.ndarray, settings: SignallingSettings, seed: int
) -> Decoded:
    """The same of what the sender chose [E, S]."""
    known = np.unique(classes[valid])
    places = np.searchsorted(known, classes).clip(max=len(known) - 1)
    return _decoded(messages, places[..., None], valid, settings, seed)


def judge_told(told: list[Told]) -> list[Family]:
    """All kinds' facts as one family."""
    return split_family([each.share for each in told])


def split_family(statistics: list[np.ndarray]) -> list[Family]:
    """Judge several blocks of tests [B + 1, H] as one family, and give each block its part."""
    together = judge_family(np.concatenate(statistics, axis=1))
    ends = np.cumsum([part.shape[1] for part in statistics])
    return [
        Family(*(part[end - block.shape[1] : end] for part in together))
        for block, end in zip(statistics, ends, strict=True)
    ]


def _decoded(
    messages: np.ndarray, classes: np.ndarray, valid: np.ndarray, settings: SignallingSettings, seed: int
) -> Decoded:
    scores = gaussian_ranks(messages, valid)
    features = np.concatenate([scores, np.where(valid[..., None], (scores**2 - 1) / np.sqrt(2), 0.0)], -1)
    if not classes.shape[-1]:
        return Decoded(np.zeros((len(messages), 0)), np.zeros(0), np.zeros(0))
    other = np.roll(np.arange(len(messages)), 1 + seed % (len(messages) - 1))  # nobody's own
    own, null = (
        read_by_probe(
            features, classes, valid, folds=settings.folds, ridge=settings.ridge, rows=settings.rows, order=order
        )
        for order in (None, other)
    )
    assert isinstance(own, Reading)
    return Decoded(own.gain, own.entropy, null.gain.mean(0))
