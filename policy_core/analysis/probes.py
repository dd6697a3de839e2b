"""Reading a fact from a message, in nats: a cross-validated probe, learned in some worlds and asked in others.

The gain of the probe's log-probability over that of the fact's shares alone is a lower bound of the mutual information
(Barber and Agakov 2003, "The IM algorithm"), and is no more than zero in the mean where the message tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch


class Reading(NamedTuple):
    """How well F facts were read in worlds that the probe had not seen."""

    gain: np.ndarray  # [E, F] nats, mean over a world's decisions
    entropy: np.ndarray  # [F] nats of the classes


def classify(values: np.ndarray, valid: np.ndarray, bins: int) -> np.ndarray:
    """Facts [E, S, F] as classes [E, S, F] int64: as they are where they have few values, else even shares."""
    classes = np.zeros(values.shape, np.int64)
    for column in range(values.shape[-1]):
        rows = values[..., column][valid]
        if not len(rows):
            continue
        known = np.unique(rows)
        if len(known) > bins:
            edges = np.unique(np.quantile(rows, np.arange(1, bins) / bins))
            # a share that lies on one value is a class of its own
            classes[..., column] = np.searchsorted(edges, values[..., column], side="left")
        else:
            classes[..., column] = np.searchsorted(known, values[..., column]).clip(max=len(known) - 1)
    return classes


def read_by_probe(
    said: np.ndarray,
    classes: np.ndarray,
    valid: np.ndarray,
    *,
    folds: int,
    ridge: float,
    rows: int,
    order: Sequence[int] | np.ndarray | None = None,
) -> Reading:
    """Let a softmax probe read classes from what was said.

    Args:
        said: features of the messages [E, S, D].
        classes: of each fact [E, S, F].
        valid: [E, S] bool.
        folds: of worlds.
        ridge: weight of the squared coefficients, in decisions.
        rows: decisions to learn from at most, evenly spread.
        order: whose facts stand beside whose messages [E]; None: everyone's own.
    """
    worlds, places, _ = said.shape
    facts = classes.shape[-1]
    if order is not None:
        classes, valid = classes[np.asarray(order)], valid & valid[np.asarray(order)]
    keep = slice(None, None, max(1, -(-worlds * places // rows)))
    said, classes, valid = said[:, keep], classes[:, keep], valid[:, keep]
    width = int(classes.max(initial=0)) + 1
    scale = said[valid].std(0) if valid.any() else np.ones(said.shape[-1])
    features = torch.from_numpy(np.where(scale > 0, said / np.where(scale > 0, scale, 1.0), 0.0)).float()
    target, shown = torch.from_numpy(classes), torch.from_numpy(valid)
    fold = torch.arange(worlds) % folds
    gain = np.zeros((worlds, facts))
    for number in range(folds):
        learn = shown & (fold != number).unsqueeze(-1)
        ask = shown & (fold == number).unsqueeze(-1)
        if not learn.any() or not ask.any():
            continue
        shares = torch.zeros(facts, width).scatter_add_(
            1, target[learn].T, torch.ones(facts, int(learn.sum()))
        )  # half a decision more in every class, so that none is impossible
        base = ((shares + 0.5) / (shares + 0.5).sum(1, keepdim=True)).log()
        weights, bias = _fit(features[learn], target[learn], base, ridge)
        logs = torch.log_softmax(torch.einsum("nd,dfc->nfc", features[ask], weights) + bias, -1)
        own = target[ask].unsqueeze(-1)
        each = logs.gather(-1, own).squeeze(-1) - base.expand(len(own), -1, -1).gather(-1, own).squeeze(-1)
        place = ask.nonzero()[:, 0]
        total = torch.zeros(worlds, facts).index_add_(0, place, each)
        counts = torch.bincount(place, minlength=worlds).clamp(min=1)
        gain += (total / counts.unsqueeze(-1)).numpy()
    entropy = np.zeros(facts)
    for column in range(facts):
        held = np.bincount(classes[..., column][valid])
        share = held[held > 0] / max(1, held.sum())
        entropy[column] = -(share * np.log(share)).sum()
    return Reading(gain, entropy)


def _fit(
    features: torch.Tensor, target: torch.Tensor, base: torch.Tensor, ridge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients [D, F, C] and bias [F, C] of one softmax regression a fact, all at once."""
    facts, width = base.shape
    weights = torch.zeros(features.shape[1], facts, width, requires_grad=True)
    bias = base.clone().requires_grad_(True)
    search = torch.optim.LBFGS([weights, bias], max_iter=40, history_size=8, line_search_fn="strong_wolfe")
    flat = target.unsqueeze(-1)

    def loss() -> torch.Tensor:
        search.zero_grad()
        scores = (features @ weights.flatten(1)).view(-1, facts, width) + bias
        logs = torch.log_softmax(scores, -1).gather(-1, flat)
        value = (0.5 * ridge * weights.square().sum() - logs.sum()) / len(features)
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)
    return weights.detach(), bias.detach()
