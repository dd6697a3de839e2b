"""False alarms and power of every family of tests, counted on drifting series that have nothing to do with each other.

Each family promises at most 1 % of reports with any false finding, and works at half of that. A count is held to what
chance allows at the promise; the naive test that exchanges single ticks is the negative control.
"""

from __future__ import annotations

import numpy as np
import pytest

from policy_core.analysis.clusters import group_messages
from policy_core.analysis.listening import Influence, chance_of_no_influence
from policy_core.analysis.news import explain_news
from policy_core.analysis.nulls import draw_worlds, exchange_worlds, flip_worlds, holm, judge_family
from policy_core.analysis.settings import AnalysisSettings, ClusterSettings
from policy_core.analysis.signalling import explain_by_numbers, explain_choices, explain_facts, judge_told
from policy_core.analysis.topography import compare_distances
from policy_core.analysis.worth import judge_signs
from tests.support.planted import drift

WORLDS, PLACES, DRAWS = 16, 24, 199
FALSE_ALARM = AnalysisSettings().false_alarm
REPORTS = 400
MOST = 9  # of 400 reports: at a true rate of 1 %, more than this come in one of a hundred such counts
VALID = np.ones((WORLDS, PLACES), bool)


def series(columns: int, chance: np.random.Generator) -> np.ndarray:
    """Slow drifts [E, S, C]: ticks hang together over the whole episode."""
    return drift(WORLDS, PLACES, columns, chance, keep=0.97)


def alarms(statistics: list[np.ndarray]) -> int:
    return sum(bool(judge_family(each).found(FALSE_ALARM).any()) for each in statistics)


def test_signalling_is_silent_on_noise() -> None:
    count = 0
    for seed in range(REPORTS):
        chance = np.random.default_rng(seed)
        orders = exchange_worlds(WORLDS, DRAWS, seed)
        told = [
            explain_facts(series(4, chance), series(6, chance), VALID, orders, components=12) for _ in ("one", "other")
        ]
        count += any(family.found(FALSE_ALARM).any() for family in judge_told(told))
    assert count <= MOST


def test_exchanging_single_ticks_would_be_fooled_by_drift() -> None:
    fooled = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        said, known = series(1, chance)[..., 0], series(1, chance)[..., 0]
        said, known = said - said.mean(0), known - known.mean(0)
        draws = [chance.permutation(known.ravel()) for _ in range(DRAWS)]
        statistics = np.array([[(said.ravel() @ other) ** 2] for other in (known.ravel(), *draws)])
        fooled += alarms([statistics])
    assert fooled >= 8


def test_numbers_of_messages_are_silent_on_noise() -> None:
    statistics = []
    for seed in range(REPORTS):
        chance = np.random.default_rng(1000 + seed)
        told = explain_by_numbers(series(4, chance), series(6, chance), VALID, exchange_worlds(WORLDS, DRAWS, seed))
        statistics.append(told.share.reshape(DRAWS + 1, -1))
    assert alarms(statistics) <= MOST


def test_consistency_is_silent_on_noise_also_where_agents_die() -> None:
    statistics = []
    for seed in range(REPORTS):
        chance = np.random.default_rng(2000 + seed)
        choices = (series(1, chance)[..., 0] > 0.5).astype(int)
        lived = np.arange(PLACES) < chance.integers(4, 2 * PLACES, (WORLDS, 1))  # half the worlds' agents die
        orders = exchange_worlds(WORLDS, DRAWS, seed)
        statistics.append(explain_choices(series(3, chance), choices, lived, orders, components=12)[:, None])
    assert alarms(statistics) <= MOST


def test_news_is_silent_where_message_and_fact_only_share_what_the_receiver_sees() -> None:
    statistics = []
    for seed in range(200):
        chance = np.random.default_rng(3000 + seed)
        seen = series(3, chance)
        messages = np.concatenate([np.tanh(seen[..., :1]), series(1, chance)], -1)
        facts = seen[..., :1] + series(2, chance)
        news = explain_news(
            messages,
            facts,
            seen,
            VALID,
            exchange_worlds(WORLDS, DRAWS, seed),
            components=12,
            most_seen=0.98,
        )
        assert news.tested.all()
        statistics.append(news.share)
    assert alarms(statistics) <= 6  # of 200, as above


def test_topography_is_silent_on_noise() -> None:
    statistics = []
    for seed in range(REPORTS):
        chance = np.random.default_rng(4000 + seed)
        orders, drawn = exchange_worlds(WORLDS, DRAWS, seed), draw_worlds(WORLDS, 2, seed)
        found = compare_distances(series(3, chance), series(3, chance), VALID, orders, drawn, places=6)
        statistics.append(np.maximum(found.draws, 0.0)[:, None])
    assert alarms(statistics) <= MOST


def test_worth_is_silent_on_differences_without_a_sign() -> None:
    statistics = 0
    for seed in range(REPORTS):
        chance = np.random.default_rng(5000 + seed)
        differences = chance.standard_t(3, (WORLDS, 1)) + chance.standard_t(3, (WORLDS, 5))
        statistics += bool(judge_signs(differences, flip_worlds(WORLDS, DRAWS, seed)).found(FALSE_ALARM).any())
    assert statistics <= MOST


def test_listening_is_silent_on_influence_that_does_not_count() -> None:
    """Nats of nine pairs whose mean is just the least that counts, as skewed between worlds as real ones are."""
    count, hits = 0, 0
    for seed in range(REPORTS):
        chance = np.random.default_rng(8000 + seed)
        small = [Influence(0.01 * chance.exponential(size=48), np.ones(48)) for _ in range(9)]
        chances = holm(np.array([chance_of_no_influence(each, 0.01) for each in small]))
        count += bool((chances <= FALSE_ALARM).any())
        great = Influence(0.04 * chance.exponential(size=48), np.ones(48))
        more = holm(np.array([chance_of_no_influence(each, 0.01) for each in (great, *small[1:])]))
        hits += (more <= FALSE_ALARM).tolist() == [True] + [False] * 8
    assert count <= MOST
    assert hits >= 0.95 * REPORTS


@pytest.mark.timeout(300)
def test_groups_are_not_found_in_one_drifting_cloud() -> None:
    settings = ClusterSettings(most=2, points=50, nulls=199, stability=5)
    mixing = np.random.default_rng(6).normal(size=(4, 4))
    statistics = []
    for seed in range(200):
        chance = np.random.default_rng(6000 + seed)
        found = group_messages(series(4, chance) @ mixing, VALID, settings, seed)
        statistics.append(np.maximum(found.silhouettes, 0.0)[:, None])
    assert alarms(statistics) <= 6


@pytest.mark.parametrize("family", ["signalling", "numbers", "news", "topography", "worth"])
def test_power_is_at_least_nineteen_of_twenty(family: str) -> None:
    """A modest effect: messages that follow one of four facts with as much noise as signal."""
    hits = 0
    for seed in range(60):
        chance = np.random.default_rng(7000 + seed)
        facts = drift(WORLDS, PLACES, 4, chance, keep=0.9)
        messages = drift(WORLDS, PLACES, 3, chance, keep=0.9)
        messages[..., 0] += facts[..., 2]
        orders = exchange_worlds(WORLDS, DRAWS, seed)
        if family == "signalling":
            told = explain_facts(messages, facts, VALID, orders, components=12)
            hits += np.flatnonzero(judge_family(told.share).found(FALSE_ALARM)).tolist() == [2]
        elif family == "numbers":
            numbers = explain_by_numbers(messages, facts, VALID, orders)
            best = judge_family(numbers.share.reshape(DRAWS + 1, -1)).found(FALSE_ALARM)
            hits += np.flatnonzero(best).tolist() == [2]
        elif family == "news":
            senses = facts[..., :2] + 0.1 * facts[..., 3:]
            news = explain_news(messages, facts, senses, VALID, orders, components=12, most_seen=0.98)
            hits += np.flatnonzero(judge_family(news.share).found(FALSE_ALARM)).tolist() == [2]
        elif family == "topography":
            found = compare_distances(facts[..., 2:], messages[..., :1], VALID, orders, draw_worlds(WORLDS, 2, 0), 24)
            hits += bool(judge_family(np.maximum(found.draws, 0.0)[:, None]).found(FALSE_ALARM)[0])
        else:
            gains = chance.normal(2.0, 1.0, (WORLDS, 1))
            blanks = chance.normal(0.0, 1.0, (WORLDS, 3))
            family_of = judge_signs(np.concatenate([gains, blanks], 1), flip_worlds(WORLDS, 999, seed))
            hits += np.flatnonzero(family_of.found(FALSE_ALARM)).tolist() == [0]
    assert hits >= 57


def test_planted_groups_are_found_again_and_stable() -> None:
    chance = np.random.default_rng(8)
    corner = chance.integers(0, 3, (WORLDS, PLACES))
    centres = np.array([[0.0, 0.0, 0.0], [3.0, 3.0, 0.0], [0.0, 3.0, 3.0]])
    messages = centres[corner] + 0.3 * chance.normal(size=(WORLDS, PLACES, 3))
    found = group_messages(messages, VALID, ClusterSettings(points=200, nulls=199, stability=10), 0)
    assert found.number == 3
    assert judge_family(np.maximum(found.silhouettes, 0.0)[:, None]).found(FALSE_ALARM)[0]
    assert found.stability.mean() > 0.95
