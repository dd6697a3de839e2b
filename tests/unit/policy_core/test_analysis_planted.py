"""The analyser on planted protocols: it must find what was planted, name it rightly, and find nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from policy_core.analysis.findings import Findings, analyse
from policy_core.analysis.settings import AnalysisSettings
from policy_core.analysis.verdict import judge_pairs, say
from policy_core.config import ConfigError
from tests.support.planted import CONTRACT, PlantedFleet, PlantedWorld

TICKS = 48
SETTINGS = AnalysisSettings.model_validate(
    {
        "worlds": 24,
        "ticks": TICKS,
        "every": 2,
        "permutations": 199,
        "bootstraps": 200,
        "listening": {"ticks": 6},
        "worth": {"modes": ["silence", "shuffle", "swap", "freeze"]},
        "clusters": {"points": 100},
    }
)


def analysed(
    says: str, heeds: float, seed: int = 1, presence: bool = False
) -> tuple[Findings, dict[tuple[str, str], Any]]:
    settings = SETTINGS.model_copy(update={"seed": 100 * seed})
    fleet = PlantedFleet(says, heeds, seed, presence=presence)
    world = PlantedWorld(settings.worlds, TICKS, bias=1.0 if presence else 0.0)
    findings = analyse(fleet, world, settings, 1.0, lambda *_: None)
    pairs = judge_pairs(findings.figures, settings.listening.least_influence)
    return findings, {(pair["sender"], pair["receiver"]): pair for pair in pairs}


def found(findings: Findings, family: str) -> list[dict[str, Any]]:
    return [line for line in findings.figures[family] if line["found"]]


@pytest.fixture(scope="module")
def honest() -> tuple[Findings, dict[tuple[str, str], Any]]:
    return analysed("secret", 2.0)


def test_a_planted_signal_is_found_and_the_right_fact_is_named(honest: Any) -> None:
    findings, pairs = honest
    assert [(line["sender"], line["fact"]) for line in found(findings, "signalling")] == [("speaker", "secret")]
    assert [(line["number"], line["fact"]) for line in found(findings, "numbers")] == [(0, "secret")]
    pair = pairs["speaker", "listener"]
    assert pair["news"] == ["secret"] and pair["acted_on"] == ["secret"]
    assert pair["verdict"] == "tells something new, is heard"
    assert pairs["listener", "speaker"]["verdict"] == "tells nothing that could be found, nobody listens"


def test_nats_of_a_signal_that_says_everything_are_near_the_entropy(honest: Any) -> None:
    nats = found(honest[0], "signalling")[0]["nats"]
    assert nats["entropy"] == pytest.approx(1.386, abs=0.01)  # four even classes
    assert 0.7 * nats["entropy"] < nats["value"] <= nats["entropy"]
    assert nats["interval"][0] <= nats["value"] <= nats["interval"][1]
    assert nats["null"] < 0.1


def test_what_a_heeded_signal_is_worth_is_found_by_every_way_of_meddling(honest: Any) -> None:
    lines = [line for line in honest[0].figures["worth"] if line["figure"] == "reward"]
    costs = {(line["mode"], line["sender"]): line for line in lines}
    for mode in ("silence", "swap", "freeze"):
        assert costs[mode, ""]["found"] and costs[mode, ""]["cost"]["interval"][0] > 0, mode
    assert costs["silence", "speaker"]["cost"]["value"] == pytest.approx(costs["silence", ""]["cost"]["value"])
    # one speaker has nobody to be shuffled with: nothing changes, and the pairing by seed shows it exactly
    assert costs["shuffle", ""]["cost"]["value"] == 0.0 and not costs["shuffle", ""]["found"]
    assert costs["silence", "listener"]["cost"]["value"] == 0.0


def test_three_sentences_name_the_talk_and_its_worth(honest: Any) -> None:
    findings, pairs = honest
    who, worth, rest = say(findings.figures, list(pairs.values()))
    assert "speaker tells listener about secret" in who
    assert worth.startswith("Silencing everybody costs") and "so what they say of this world matters" in worth
    assert "listener to speaker" in rest


def test_presence_is_not_taken_for_what_is_said() -> None:
    """A fleet that only needs to hear somebody: silence costs it, another world's messages do not."""
    findings, pairs = analysed("noise", 2.0, presence=True)
    costs = {
        line["mode"]: line for line in findings.figures["worth"] if line["figure"] == "reward" and not line["sender"]
    }
    assert costs["silence"]["found"] and not costs["swap"]["found"]
    assert costs["swap"]["cost"]["value"] == 0.0
    worth = say(findings.figures, list(pairs.values()))[1]
    assert "Silencing everybody costs" in worth and "rather than in hearing anybody at all" in worth
    assert found(findings, "listening") == []


def test_signalling_without_listening_is_told_apart() -> None:
    findings, pairs = analysed("secret", 0.0)
    assert [line["fact"] for line in found(findings, "signalling")] == ["secret"]
    assert found(findings, "listening") == [] and found(findings, "fields") == [] and found(findings, "worth") == []
    assert pairs["speaker", "listener"]["verdict"] == "tells something new, nobody listens"
    assert all(line["nats"]["value"] == 0.0 for line in findings.figures["listening"])


def test_listening_to_noise_is_said_to_be_that() -> None:
    findings, pairs = analysed("noise", 2.0)
    assert found(findings, "signalling") == []
    assert [(line["sender"], line["receiver"]) for line in found(findings, "listening")] == [("speaker", "listener")]
    assert found(findings, "fields") == []
    assert pairs["speaker", "listener"]["verdict"] == "tells nothing that could be found, is heard"


def test_an_echo_of_what_the_receiver_sees_is_no_news() -> None:
    findings, pairs = analysed("public", 2.0)
    assert [line["fact"] for line in found(findings, "signalling")] == ["public"]
    assert found(findings, "news") == []
    assert pairs["speaker", "listener"]["verdict"] == ("tells nothing that the receiver could not see itself, is heard")
    assert next(line for line in findings.figures["news"])["seen_by_receiver"] == pytest.approx(1.0)


def test_a_message_replaced_by_itself_changes_nothing_at_all(honest: Any) -> None:
    assert honest[0].figures["control"] == 0.0
    assert max(line["nats"]["value"] for line in honest[0].figures["listening"]) > 0.1


def test_a_fleet_that_does_not_talk_is_refused() -> None:
    fleet = PlantedFleet("secret", 1.0)
    fleet.contract = CONTRACT.model_copy(update={"rounds": 0})
    with pytest.raises(ConfigError, match="exchanges no messages"):
        analyse(fleet, PlantedWorld(24, TICKS), SETTINGS, 1.0, lambda *_: None)
    with pytest.raises(ConfigError, match="23 worlds for an analysis of 24"):
        analyse(PlantedFleet("secret", 1.0), PlantedWorld(23, TICKS), SETTINGS, 1.0, lambda *_: None)
