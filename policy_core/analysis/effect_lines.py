"""What messages change, as plain data: the receivers' choices, and what whole rollouts earn."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_core.analysis.judging import Judge, Lines
from policy_core.analysis.listening import Heard, Influence, chance_of_no_influence
from policy_core.analysis.meddling import Pair
from policy_core.analysis.nulls import holm
from policy_core.analysis.rollouts import Played
from policy_core.analysis.settings import Mode
from policy_core.analysis.worth import compare_rollouts

FIGURES = ("reward", "orders_per_hour")  # what messages are worth, where the world counts it


def listening_lines(heard: Heard, judge: Judge) -> dict[str, Any]:
    """Influence by pair and by field, each a family of its own."""
    least = judge.settings.listening.least_influence

    def lines(found: list[tuple[Pair, str, Influence]]) -> Lines:
        chances = holm(np.array([chance_of_no_influence(each, least) for _, _, each in found]))
        made: Lines = [
            {
                "sender": pair.sender,
                "receiver": pair.receiver,
                **({"field": field} if field else {}),
                "nats": {**judge.mean(each.nats, each.counts), "null": heard.control},
                **judge.verdict(chance),
                "decisions": int(each.counts.sum()),
                "worlds": int((each.counts > 0).sum()),
            }
            for (pair, field, each), chance in zip(found, chances, strict=True)
        ]
        return sorted(made, key=lambda line: -line["nats"]["value"])

    return {
        "control": heard.control,
        "listening": lines([(pair, "", each) for pair, each in heard.pairs.items()]),
        "fields": lines([(pair, field, each) for (pair, field), each in heard.fields.items()]),
    }


def worth_lines(real: Played, others: list[Played], trials: list[tuple[Mode, Pair]], judge: Judge) -> Lines:
    """What each way of meddling costs in each figure; a figure is a family."""
    lines: Lines = []
    for figure in FIGURES:
        mine = _figure(real, figure)
        if mine is None or not np.isfinite(mine).any():
            continue
        theirs = [_figure(other, figure) for other in others]
        usable = [(trial, other) for trial, other in zip(trials, theirs, strict=True) if other is not None]
        settings = judge.settings
        costs = compare_rollouts(
            mine,
            [other for _, other in usable],
            judge.drawn,
            permutations=settings.permutations,
            seed=settings.seed,
            level=settings.confidence,
        )
        for ((mode, pair), other), cost in zip(usable, costs, strict=True):
            lines.append(
                {
                    "figure": figure,
                    "mode": mode,
                    "sender": pair.sender,
                    "receiver": pair.receiver,
                    "with": float(np.nanmean(mine)),
                    "without": float(np.nanmean(other)),
                    "cost": {"value": cost.value, "interval": cost.interval, "null": 0.0},
                    **judge.verdict(cost.p),
                    "worlds": cost.worlds,
                }
            )
    return lines


def _figure(played: Played, name: str) -> np.ndarray | None:
    return played.reward if name == "reward" else played.kpis.get(name)
