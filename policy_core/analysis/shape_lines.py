"""How messages lie to each other, as plain data: likeness and groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_core.analysis.clusters import Grouping
from policy_core.analysis.facts import gaussian_ranks
from policy_core.analysis.judging import Judge, Lines, null_of
from policy_core.analysis.nulls import judge_family
from policy_core.analysis.recording import Recording, Speech
from policy_core.analysis.topography import compare_distances


def topography_lines(recording: Recording, judge: Judge) -> Lines:
    """Whether agents that know alike say alike; all kinds are one family."""
    found = {
        name: compare_distances(
            speech.facts,
            speech.messages,
            speech.valid,
            judge.orders,
            judge.drawn[:200],
            judge.settings.topography.ticks * speech.agents,
        )
        for name, speech in recording.speech.items()
    }
    family = judge_family(np.stack([np.maximum(each.draws, 0.0) for each in found.values()], axis=1))
    edges = ((1 - judge.settings.confidence) / 2, (1 + judge.settings.confidence) / 2)
    return [
        {
            "sender": name,
            "spearman": {
                "value": each.value,
                "interval": tuple(np.quantile(each.resampled, edges).tolist()),
                "null": float(each.draws[1:].mean()),
            },
            **judge.verdict(family.p[place]),
            "worlds": judge.settings.worlds,
        }
        for place, (name, each) in enumerate(found.items())
    ]


def cluster_lines(recording: Recording, groupings: dict[str, Grouping], judge: Judge) -> Lines:
    """How each kind's messages group, and what is special to a group; all kinds are one family."""
    family = judge_family(np.stack([np.maximum(each.silhouettes, 0.0) for each in groupings.values()], axis=1))
    edges = ((1 - judge.settings.confidence) / 2, (1 + judge.settings.confidence) / 2)
    lines: Lines = []
    for place, (name, each) in enumerate(groupings.items()):
        stable = each.stability if len(each.stability) else np.zeros(1)
        lines.append(
            {
                "sender": name,
                "groups": each.number,
                "silhouette": {"value": float(each.silhouettes[0]), **null_of(family, place)},
                "stability": {
                    "value": float(stable.mean()),
                    "interval": tuple(np.quantile(stable, edges).tolist()),
                    "null": 0.0,
                },
                **judge.verdict(family.p[place]),
                "messages": each.points,
                "worlds": judge.settings.worlds,
                "about": _describe_groups(recording.speech[name], each),
            }
        )
    return lines


def _describe_groups(speech: Speech, grouping: Grouping) -> list[dict[str, Any]]:
    """Share of the messages in each group, and the facts that are most unlike the others' there (in spreads)."""
    ranks = gaussian_ranks(speech.facts, speech.valid)
    made = []
    for group in range(grouping.number):
        own = grouping.groups == group
        if not own.any():
            continue
        apart = ranks[own].mean(0)
        best = np.argsort(-np.abs(apart))[:3]
        made.append(
            {
                "share": float(own.sum() / max(1, speech.valid.sum())),
                "facts": [{"fact": speech.names[place], "spreads": float(apart[place])} for place in best],
            }
        )
    return made
