"""The analysis as a whole: play, record, judge every family of tests, and gather figures as plain data.

Every figure carries its interval, its chance level, the chance of it in its family and the number of worlds behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from policy_core.analysis.clusters import Grouping, group_messages
from policy_core.analysis.effect_lines import listening_lines, worth_lines
from policy_core.analysis.judging import Judge
from policy_core.analysis.listening import listen
from policy_core.analysis.meddling import Fleet, Meddler, Pair, possible_pairs
from policy_core.analysis.recording import Recorder, Recording
from policy_core.analysis.rollouts import Played, Watch, play
from policy_core.analysis.settings import AnalysisSettings, Mode
from policy_core.analysis.shape_lines import cluster_lines, topography_lines
from policy_core.analysis.signalling_lines import consistency_lines, news_lines, number_lines, signalling_lines
from policy_core.config import ConfigError
from policy_core.environment import BatchEnvironment

Stage = Callable[[str, float], None]  # what is being done, and the share of all work that is done


class Findings(NamedTuple):
    """What was found, as plain data, and what pictures are made from."""

    figures: dict[str, Any]  # by family: lists of lines; see `analyse`
    recording: Recording
    groupings: dict[str, Grouping]
    real: Played


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

    def rollout(number: int, name: str, meddler: Meddler | None = None, watch: Watch | None = None) -> Played:
        return play(
            fleet,
            environment,
            ticks=settings.ticks,
            seed=settings.seed,
            temperature=temperature,
            meddler=meddler,
            watch=watch,
            tell=lambda part: stage(name, share * (number + part)),
        )

    real = rollout(0, "messages as they are", watch=recorder)
    recording = recorder.done()
    others = [
        rollout(number, f"{mode} {pair}", Meddler(mode, pair, list(environment.kinds), settings.seed))
        for number, (mode, pair) in enumerate(trials, 1)
    ]
    heard = listen(
        fleet,
        recording.moments,
        temperature=temperature,
        donors=settings.listening.donors,
        seed=settings.seed,
        tell=lambda part: stage("who minds", 0.55 + 0.2 * part),
    )
    figures: dict[str, Any] = listening_lines(heard, judge)
    figures["worth"] = worth_lines(real, others, trials, judge)
    stage("who tells what", 0.76)
    figures["signalling"] = signalling_lines(recording, judge)
    figures["consistency"] = consistency_lines(recording, judge)
    stage("numbers of messages", 0.82)
    figures["numbers"] = number_lines(recording, fleet.contract.message_size, judge)
    stage("what is news to whom", 0.85)
    figures["news"] = news_lines(recording, figures["signalling"], judge)
    stage("likeness and groups", 0.92)
    figures["topography"] = topography_lines(recording, judge)
    groupings = {
        name: group_messages(speech.messages, speech.valid, settings.clusters, settings.seed)
        for name, speech in recording.speech.items()
    }
    figures["clusters"] = cluster_lines(recording, groupings, judge)
    stage("done", 1.0)
    return Findings(figures, recording, groupings, real)


def _trials(kinds: tuple[str, ...], settings: AnalysisSettings) -> list[tuple[Mode, Pair]]:
    """Every way of meddling, with everybody's messages and with those of each pair of kinds that can be a link."""
    return [(mode, Pair()) for mode in settings.worth.modes] + [
        (mode, pair) for mode in settings.worth.pair_modes for pair in possible_pairs(kinds)
    ]
