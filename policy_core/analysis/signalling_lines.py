"""What each kind's messages tell of what it knows and does, as plain data: signalling, consistency, numbers, news."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_core.analysis.facts import field_of
from policy_core.analysis.judging import Judge, Lines, null_of
from policy_core.analysis.meddling import Pair
from policy_core.analysis.news import News, explain_news, jackknife_interval, nats_of
from policy_core.analysis.nulls import judge_family
from policy_core.analysis.recording import Recording, Speech
from policy_core.analysis.signalling import (
    correlate_by_world,
    decode,
    decode_choices,
    explain_by_numbers,
    explain_choices,
    explain_facts,
    split_family,
)

LISTED_NUMBERS = 24  # pairs of a message's number and a fact that are listed, of each kind


def signalling_lines(recording: Recording, judge: Judge) -> Lines:
    """What each kind's messages tell of its own facts; all kinds are one family."""
    settings = judge.settings.signalling
    told = {
        name: explain_facts(speech.messages, speech.facts, speech.valid, judge.orders, settings.components)
        for name, speech in recording.speech.items()
    }
    families = split_family([each.share for each in told.values()])
    lines: Lines = []
    for (name, each), family in zip(told.items(), families, strict=True):
        speech = recording.speech[name]
        found = family.found(judge.settings.false_alarm)
        read = decode(
            speech.messages, speech.facts[..., each.facts[found]], speech.valid, settings, judge.settings.seed
        )
        place_read = np.cumsum(found) - 1
        for place, fact in enumerate(each.facts):
            line: dict[str, Any] = {
                "sender": name,
                "fact": speech.names[fact],
                "field": field_of(speech.names[fact]),
                "share": {"value": float(each.share[0, place]), **null_of(family, place)},
                **judge.verdict(family.p[place]),
                "worlds": len(speech.facts),
            }
            if found[place]:
                column = place_read[place]
                line["nats"] = {
                    **judge.mean(read.gain[:, column]),
                    "null": float(read.null[column]),
                    "entropy": float(read.entropy[column]),
                }
            lines.append(line)
    return sorted(lines, key=lambda line: (line["sender"], -line["share"]["value"] + line["share"]["null"]))


def consistency_lines(recording: Recording, judge: Judge) -> Lines:
    """Speaker consistency of each kind."""
    settings = judge.settings.signalling
    statistics = [
        explain_choices(speech.messages, speech.choices, speech.valid, judge.orders, settings.components)
        for speech in recording.speech.values()
    ]
    family = judge_family(np.stack(statistics, axis=1))
    lines: Lines = []
    for place, (name, speech) in enumerate(recording.speech.items()):
        read = decode_choices(speech.messages, speech.choices, speech.valid, settings, judge.settings.seed)
        entropy = max(float(read.entropy[0]), 1e-9)
        counts = speech.valid.sum(1).astype(float)
        lines.append(
            {
                "sender": name,
                "nats": {**judge.mean(read.gain[:, 0], counts), "null": float(read.null[0])},
                "entropy": float(read.entropy[0]),
                "consistency": float(np.clip((read.gain[:, 0] * counts).sum() / max(counts.sum(), 1) / entropy, 0, 1)),
                **judge.verdict(family.p[place]),
                "decisions": int(counts.sum()),
                "worlds": len(counts),
            }
        )
    return lines


def number_lines(recording: Recording, size: int, judge: Judge) -> Lines:
    """Which number of a message goes with which fact; all kinds, numbers and facts are one family."""
    told = {
        name: explain_by_numbers(speech.messages, speech.facts, speech.valid, judge.orders)
        for name, speech in recording.speech.items()
    }
    families = split_family([each.share.reshape(len(judge.orders), -1) for each in told.values()])
    lines: Lines = []
    for (name, each), family in zip(told.items(), families, strict=True):
        speech = recording.speech[name]
        observed = each.share[0].ravel()
        best = np.argsort(-observed)[:LISTED_NUMBERS]
        number, fact = np.divmod(best, max(1, len(each.facts)))
        value, interval, out = correlate_by_world(
            speech.messages[..., each.numbers[number]],
            speech.facts[..., each.facts[fact]],
            speech.valid,
            judge.drawn,
            judge.settings.confidence,
        )
        for row, place in enumerate(best):
            turn, own = divmod(int(each.numbers[number[row]]), size)
            lines.append(
                {
                    "sender": name,
                    "round": turn + 1,
                    "number": own,
                    "fact": speech.names[each.facts[fact[row]]],
                    "correlation": {"value": float(value[row]), "interval": tuple(interval[:, row].tolist())},
                    "r2_in_other_worlds": float(out[row]),
                    "r2": {"value": float(observed[place]), **null_of(family, place)},
                    **judge.verdict(family.p[place]),
                    "worlds": len(speech.facts),
                }
            )
    return lines


def news_lines(recording: Recording, signalling: Lines, judge: Judge) -> Lines:
    """Which of the told facts the receiver could not see itself; all pairs are one family."""
    settings = judge.settings.signalling
    found: list[tuple[Pair, list[str], News]] = []
    for sender, speech in recording.speech.items():
        told = [line["fact"] for line in signalling if line["sender"] == sender and line["found"]][: settings.listed]
        if not told:
            continue
        places = [speech.names.index(fact) for fact in told]
        for receiver, other in recording.speech.items():
            messages, facts, senses, valid = _face(speech, other, sender == receiver, settings.strata)
            if not valid.size:
                continue
            news = explain_news(
                messages,
                facts[..., places],
                senses,
                valid,
                judge.orders,
                components=settings.components,
                most_seen=settings.seen,
            )
            found.append((Pair(sender, receiver), told, news))
    if not found:
        return []
    families = split_family([news.share for _, _, news in found])
    lines: Lines = []
    for (pair, told, news), family in zip(found, families, strict=True):
        nats = nats_of(news.share)
        null = nats[1:].mean(0)
        interval = jackknife_interval(nats[0] - null, news.world_nats - null, judge.settings.confidence)
        for place, fact in enumerate(told):
            lines.append(
                {
                    "sender": pair.sender,
                    "receiver": pair.receiver,
                    "fact": fact,
                    "field": field_of(fact),
                    "seen_by_receiver": float(news.seen[place]),
                    "nats": {
                        "value": float(max(0.0, nats[0, place] - null[place])),
                        "interval": tuple(np.maximum(interval[:, place], 0.0).tolist()),
                        "null": float(null[place]),
                    },
                    **judge.verdict(family.p[place] if news.tested[place] else 1.0),
                    "worlds": len(news.world_nats),
                }
            )
    return sorted(lines, key=lambda line: -line["nats"]["value"])


def _face(
    sender: Speech, receiver: Speech, is_same: bool, strata: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Messages, facts, receiver's senses (and the sender's pose), valid [E, S, ..] over (tick, sender, receiver)."""
    pairs = [(i, j) for i in range(sender.agents) for j in range(receiver.agents) if not (is_same and i == j)]
    ticks = sender.valid.shape[1] // sender.agents
    keep = np.unique(np.linspace(0, ticks - 1, max(2, strata // max(1, len(pairs)))).round().astype(int))
    says = np.array([tick * sender.agents + i for tick in keep for i, _ in pairs], int)
    hears = np.array([tick * receiver.agents + j for tick in keep for _, j in pairs], int)
    there, here = sender.pose[:, says], receiver.pose[:, hears]
    apart, turn = there[..., :2] - here[..., :2], there[..., 2] - here[..., 2]
    cos, sin = np.cos(here[..., 2]), np.sin(here[..., 2])
    ahead, aside = cos * apart[..., 0] + sin * apart[..., 1], cos * apart[..., 1] - sin * apart[..., 0]
    pose = [there, np.stack([np.hypot(ahead, aside), ahead, aside, np.cos(turn), np.sin(turn)], -1)]
    heading = [np.cos(there[..., 2:]), np.sin(there[..., 2:])]
    senses = np.concatenate([receiver.facts[:, hears], *pose, *heading], -1)
    valid = sender.valid[:, says] & receiver.valid[:, hears]
    return sender.messages[:, says], sender.facts[:, says], senses, valid
