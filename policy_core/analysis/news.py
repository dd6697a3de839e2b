"""Information for the receiver: what a message tells beyond what the receiver senses itself.

The conditional form of signalling, I(message; sender's fact | receiver's senses and the sender's pose), in a Gaussian
copula: -1/2 log(1 - partial R^2). Messages that only repeat what the receiver sees come out at nothing. The chance
level exchanges the worlds of what is left of the fact, and clears it of the receiver's senses again (Freedman and Lane
1983), so that senses of many numbers do not pass for a message.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policy_core.analysis.coupling import (
    clear_of,
    explained,
    overlap,
    prepare_known,
    prepare_said,
    unit_columns,
    whiten_all,
)
from policy_core.analysis.facts import differing


class News(NamedTuple):
    """What messages explain of facts beyond the receiver's senses, before the family is judged."""

    tested: np.ndarray  # [F] bool: something of the fact is not seen by the receiver
    seen: np.ndarray  # [F] share of the fact that the receiver's senses explain
    share: np.ndarray  # partial R^2 in every order of the worlds [B + 1, F]; 0 where not tested
    world_nats: np.ndarray  # [E, F] each world left out: nats without it (for an interval by the jackknife)


def explain_news(
    messages: np.ndarray,
    facts: np.ndarray,
    senses: np.ndarray,
    valid: np.ndarray,
    orders: np.ndarray,
    *,
    components: int,
    most_seen: float,
) -> News:
    """Partial R^2 of facts given the receiver's senses.

    Args:
        messages: [E, S, D]; places S are (tick, sender, receiver).
        facts: of the sender [E, S, F].
        senses: of the receiver, and the sender's pose [E, S, O].
        valid: [E, S] bool.
        orders: see `exchange_worlds` [B + 1, E].
        components: of the messages that are used.
        most_seen: share of a fact explained by the senses from which it is no news.
    """
    count = facts.shape[-1]
    senses = senses[..., differing(senses, valid)]
    # rises and bends of every sense: what the receiver can see may enter a message in any such form
    columns = prepare_known(senses, valid)
    basis = whiten_all(columns.reshape(*columns.shape[:2], -1))
    said = prepare_said(messages, valid, components)
    said_left = whiten_all(_unless_nothing(clear_of(said.features, basis)))
    known = prepare_known(facts, valid)[..., 0]
    left = clear_of(known, basis)
    seen = 1.0 - np.clip((left**2).sum((0, 1)), 0.0, 1.0)
    tested = (seen < most_seen) & ((known**2).sum((0, 1)) > 0.5)
    share = np.zeros((len(orders), count))
    nats = np.zeros((len(messages), count))
    if tested.any() and said_left.shape[-1]:
        rest = unit_columns(left[..., tested])
        top = explained(said_left, rest, orders)
        lost = explained(basis, rest, orders) if basis.shape[-1] else np.zeros_like(top)
        lost[0] = 0.0  # the observed one is clear already
        top = top * overlap(valid, orders)
        share[:, tested] = np.clip(top / np.maximum(1.0 - lost, 1e-6), 0.0, 1.0 - 1e-9)
        nats[:, tested] = _leave_out(said_left, rest)
    return News(tested, seen, share, nats)


def nats_of(share: np.ndarray) -> np.ndarray:
    """Mutual information (nats) of a Gaussian copula with this R^2."""
    return np.asarray(-0.5 * np.log1p(-np.clip(share, 0.0, 1.0 - 1e-12)))


def jackknife_interval(value: np.ndarray, without: np.ndarray, level: float) -> np.ndarray:
    """Interval [2, F] of figures [F] from those with each world left out [E, F] (Efron and Tibshirani 1993, ch. 11)."""
    from scipy.special import ndtri

    worlds = len(without)
    spread = np.sqrt((worlds - 1) / worlds * ((without - without.mean(0)) ** 2).sum(0))
    reach = ndtri((1 + level) / 2) * spread
    return np.stack([value - reach, value + reach])


def _leave_out(said: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Nats with each world left out [E, F]."""
    products = np.einsum("esd,esf->edf", said, rest)
    grams = np.einsum("esd,esc->edc", said, said)
    lengths = (rest**2).sum(1)
    total, gram, length = products.sum(0), grams.sum(0), lengths.sum(0)
    out = np.empty((len(said), rest.shape[-1]))
    for world in range(len(said)):
        part = total - products[world]
        solved = np.linalg.solve(gram - grams[world] + 1e-9 * np.eye(gram.shape[0]), part)
        out[world] = nats_of((part * solved).sum(0) / np.maximum(length - lengths[world], 1e-12))
    return out


def _unless_nothing(left: np.ndarray) -> np.ndarray:
    """Columns of which the senses leave something; what is left of an echo is rounding."""
    return left[..., (left**2).sum((0, 1)) > 1e-6]
