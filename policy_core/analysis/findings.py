"""The analysis as a whole: play, record, judge every family of tests, and gather figures as plain data.

Every figure carries its interval, its chance level, the chance of it in its family and the number of worlds behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from policy_core.analysis.clusters import Grouping, group_messages
from policy_core.analysis.facts import field_of, gaussian_ranks
from policy_core.analysis.listening import Heard, Influence, chance_of_no_influence, listen
from policy_core.analysis.meddling import Fleet, Meddler, Pair, possible_pairs
from policy_core.analysis.news import News, explain_news, jackknife_interval, nats_of
from policy_core.analysis.nulls import Family, draw_worlds, exchange_worlds, holm, interval_of_mean, judge_family
from policy_core.analysis.recording import Recorder, Recording, Speech
from policy_core.analysis.rollouts import Played, play
from policy_core.analysis.settings import AnalysisSettings
from policy_core.analysis.signalling import (
    correlate_by_world,
    decode,
    decode_choices,
    explain_by_numbers,
    explain_choices,
    explain_facts,
    split_family,
)
from policy_core.analysis.topography import compare_distances
from policy_core.analysis.worth import compare_rollouts
from policy_core.config import ConfigError
from policy_core.environment import BatchEnvironment

FIGURES = ("reward", "orders_per_hour")  # what messages are worth, where the world counts it
LISTED_NUMBERS = 24  # pairs of a message's number and a fact that are listed, of each kind

Stage = Callable[[str, float], None]  # what is being done, and the share of all work that is done
Lines = list[dict[str, Any]]


class Findings(NamedTuple):
    """What was found, as plain data, and what pictures are made from."""

    figures: dict[str, Any]  # by family: lists of lines; see `analyse`
    recording: Recording
    groupings: dict[str, Grouping]
    real: Played


class Judge:
    """The worlds' orders and draws that all families of one analysis share."""

    def __init__(self, settings: AnalysisSettings) -> None:
        """Draw them from the settings' seed."""
        self.settings = settings
        self.orders = exchange_worlds(settings.worlds, settings.permutations, settings.seed)
        self.drawn = draw_worlds(settings.worlds, settings.bootstraps, settings.seed)

    def mean(self, values: np.ndarray, weights: np.ndarray | None = None) -> dict[str, Any]:
        """A mean over worlds [E] with its interval."""
        counts = np.ones(len(values)) if weights is None else weights
        if not counts.sum():
            return {"value": 0.0, "interval": (0.0, 0.0)}  # its numbers of decisions and worlds say that it is empty
        value = float((values * counts).sum() / counts.sum())
        return {"value": value, "interval": interval_of_mean(values, counts, self.drawn, self.settings.confidence)}

    def verdict(self, p: float) -> dict[str, Any]:
        """The chance in the family, and whether that is little enough to speak of."""
        return {"p": float(p), "found": bool(p <= self.settings.false_alarm)}


def analyse(
    fleet: Fleet, environment: BatchEnvironment, settings: AnalysisSettings, temperature: float, stage: Stage
) -> Findings:
    """Play and measure everything.

    Args:
        fleet: the policy.
        environment: E worlds, as many as the settings say.
        settings: config/analysis.yaml.
        temperature: that decisions are drawn at.
        stage: is told what is being done.

    Returns:
        Findings, whose figures hold the lists `signalling`, `consistency`, `numbers`, `news`, `listening`, `fields`,
        `worth`, `topography`, `clusters`, and `control`, the nats of messages replaced by themselves.

    Raises:
        ConfigError: the fleet has no message rounds, or the worlds are not as many as wanted.
    """
    if not fleet.contract.rounds:
        raise ConfigError("the bundle exchanges no messages (rounds: 0), so there is nothing to analyse; give another")
    if environment.worlds != settings.worlds:
        raise ConfigError(f"{environment.worlds} worlds for an analysis of {settings.worlds}; make as many as wanted")
    judge = Judge(settings)
    recorder = Recorder(
        fleet, environment.kinds, ticks=settings.ticks, every=settings.every, moments=settings.listening.ticks
    )
    trials = _trials(environment.kinds, settings)
    share = 0.55 / (len(trials) + 1)  # of all work, that one rollout is
    at = {"ticks": settings.ticks, "seed": settings.seed, "temperature": temperature}
    real = play(fleet, environment, **at, watch=recorder, tell=lambda part: stage("messages as they are", share * part))  # type: ignore[arg-type]
    recording = recorder.done()
    others = []
    for number, (mode, pair) in enumerate(trials, 1):
        meddler = Meddler(mode, pair, list(environment.kinds), settings.seed)
        name = f"{mode} {pair}"
        others.append(
            play(
                fleet,
                environment,
                **at,  # type: ignore[arg-type]
                meddler=meddler,
                tell=lambda part, number=number, name=name: stage(name, share * (number + part)),  # type: ignore[misc]
            )
        )
    heard = listen(
        fleet,
        recording.moments,
        temperature=temperature,
        donors=settings.listening.donors,
        seed=settings.seed,
        tell=lambda part: stage("who minds", 0.55 + 0.2 * part),
    )
    figures: dict[str, Any] = _listening_lines(heard, judge)
    figures["worth"] = _worth_lines(real, others, trials, judge)
    stage("who tells what", 0.76)
    figures["signalling"] = _signalling_lines(recording, judge)
    figures["consistency"] = _consistency_lines(recording, judge)
    stage("numbers of messages", 0.82)
    figures["numbers"] = _number_lines(recording, fleet.contract.message_size, judge)
    stage("what is news to whom", 0.85)
    figures["news"] = _news_lines(recording, figures["signalling"], judge)
    stage("likeness and groups", 0.92)
    figures["topography"] = _topography_lines(recording, judge)
    groupings = {
        name: group_messages(speech.messages, speech.valid, settings.clusters, settings.seed)
        for name, speech in recording.speech.items()
    }
    figures["clusters"] = _cluster_lines(recording, groupings, judge)
    stage("done", 1.0)
    return Findings(figures, recording, groupings, real)


def _trials(kinds: tuple[str, ...], settings: AnalysisSettings) -> list[tuple[Any, Pair]]:
    """Every way of meddling, with everybody's messages and with those of each pair of kinds that can be a link."""
    return [(mode, Pair()) for mode in settings.worth.modes] + [
        (mode, pair) for mode in settings.worth.pair_modes for pair in possible_pairs(kinds)
    ]


def _signalling_lines(recording: Recording, judge: Judge) -> Lines:
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
                "share": {"value": float(each.share[0, place]), **_null(family, place)},
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


def _consistency_lines(recording: Recording, judge: Judge) -> Lines:
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


def _number_lines(recording: Recording, size: int, judge: Judge) -> Lines:
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
                    "r2": {"value": float(observed[place]), **_null(family, place)},
                    **judge.verdict(family.p[place]),
                    "worlds": len(speech.facts),
                }
            )
    return lines


def _news_lines(recording: Recording, signalling: Lines, judge: Judge) -> Lines:
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


def _listening_lines(heard: Heard, judge: Judge) -> dict[str, Any]:
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


def _worth_lines(real: Played, others: list[Played], trials: list[tuple[Any, Pair]], judge: Judge) -> Lines:
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


def _topography_lines(recording: Recording, judge: Judge) -> Lines:
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


def _cluster_lines(recording: Recording, groupings: dict[str, Grouping], judge: Judge) -> Lines:
    family = judge_family(np.stack([np.maximum(each.silhouettes, 0.0) for each in groupings.values()], axis=1))
    edges = ((1 - judge.settings.confidence) / 2, (1 + judge.settings.confidence) / 2)
    lines: Lines = []
    for place, (name, each) in enumerate(groupings.items()):
        stable = each.stability if len(each.stability) else np.zeros(1)
        lines.append(
            {
                "sender": name,
                "groups": each.number,
                "silhouette": {"value": float(each.silhouettes[0]), **_null(family, place)},
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


def _null(family: Family, place: int) -> dict[str, float]:
    return {"null": float(family.null[place]), "null_95": float(family.high[place])}
