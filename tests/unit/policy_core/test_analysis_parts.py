"""The analysis's parts, each against an answer worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policy_core.agents.actions import Answer
from policy_core.analysis.clusters import adjusted_rand, silhouette
from policy_core.analysis.facts import centre, differing, field_of, gaussian_ranks, name_facts, read_facts
from policy_core.analysis.listening import Influence, chance_of_no_influence, change_field, divergence
from policy_core.analysis.meddling import Meddler, Pair, replace, silence
from policy_core.analysis.news import explain_news, jackknife_interval, nats_of
from policy_core.analysis.nulls import draw_worlds, exchange_worlds, holm, interval_of_mean, judge_family
from policy_core.analysis.probes import classify, read_by_probe
from policy_core.analysis.settings import AnalysisSettings
from policy_core.analysis.signalling import correlate_by_world, explain_facts
from policy_core.analysis.topography import compare_distances
from policy_core.comm.channel import Links
from policy_core.comm.graph import GraphSettings, connect
from policy_core.config import ConfigError, parse_settings, read_settings
from tests.support.planted import CONTRACT, drift
from tests.support.small_fleets import draw_senses, make_contract, make_policy, perfect_links

TOP = Path(__file__).resolve().parents[3]
KINDS = ["scout"] * 3 + ["lifter"] * 2


def test_the_settings_file_has_every_number_and_the_model_the_same_ones() -> None:
    settings = read_settings(AnalysisSettings, TOP / "config" / "analysis.yaml")
    assert settings == AnalysisSettings()  # the file is the owner; the model's defaults are for tests


def test_settings_that_could_never_find_anything_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"permutations is 199 at false_alarm 0\.001"):
        parse_settings(AnalysisSettings, {"permutations": 199, "false_alarm": 0.001}, source="here")
    with pytest.raises(ConfigError, match="at least 4 kept"):
        parse_settings(AnalysisSettings, {"ticks": 16, "every": 5}, source="here")


def test_facts_are_named_after_the_contract_and_read_from_legal_candidates_only() -> None:
    kind = make_contract().kinds["lifter"]
    names = name_facts(kind)
    assert names[:3] == ["load[0]", "load[1]", "candidates: number"]
    assert names[3] == "candidates: highest job[0]" and field_of(names[3]) == "candidates: job"
    candidates = np.arange(24, dtype=np.float32).reshape(1, 6, 4)
    mask = np.array([[True, True, False, False, False, False]])
    facts = read_facts(kind, np.array([[7.0, 8.0]], np.float32), candidates, mask)
    assert facts.tolist() == [[7, 8, 2, 4, 5, 6, 7]]


def test_ranks_do_not_depend_on_units_and_dead_places_stay_zero() -> None:
    values = np.random.default_rng(0).normal(size=(6, 5, 1))
    valid = np.ones((6, 5), bool)
    valid[2, 3] = False
    scores = gaussian_ranks(values, valid)
    assert np.allclose(scores, gaussian_ranks(np.exp(3 * values), valid))
    assert scores[2, 3] == 0.0 and abs(scores.sum()) < 1e-9
    middle = centre(scores, valid)
    assert np.allclose(middle.sum(0), 0.0) and middle[2, 3] == 0.0


def test_what_hardly_differs_is_not_asked_about() -> None:
    values = np.zeros((12, 50, 3))
    values[..., 1] = np.random.default_rng(0).normal(size=(12, 50))
    values[0, :5, 2] = 1.0  # 5 of 600
    assert differing(values, np.ones((12, 50), bool)).tolist() == [False, True, False]


def test_the_greatest_of_a_family_decides_by_counting() -> None:
    statistics = np.array([[9.0, 1.0], [1.0, 9.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    family = judge_family(statistics)
    # the greatest statistic of two of the five rows is as great as the observed one: its own row's and row 1's
    assert family.p[0] == pytest.approx(2 / 5)
    assert family.p[1] >= family.p[0]
    flat = judge_family(np.ones((10, 2)))
    assert flat.p.tolist() == [1.0, 1.0]  # what no exchange changes is never a finding


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_the_first_order_leaves_worlds_where_they_are() -> None:
    orders = exchange_worlds(5, 3, 0)
    assert orders[0].tolist() == [0, 1, 2, 3, 4] and orders.shape == (4, 5)
    drawn = draw_worlds(5, 7, 0)
    assert drawn.sum(1).tolist() == [5.0] * 7


def test_the_interval_of_a_mean_holds_it_nineteen_times_of_twenty() -> None:
    chance, hits = np.random.default_rng(0), 0
    for seed in range(300):
        values = chance.normal(1.0, 1.0, 30)
        low, high = interval_of_mean(values, np.ones(30), draw_worlds(30, 400, seed), 0.95)
        hits += low <= 1.0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_explained_share_is_the_r2_of_a_regression() -> None:
    chance = np.random.default_rng(1)
    messages, noise = drift(20, 30, 2, chance, 0.5), drift(20, 30, 1, chance, 0.5)
    facts = (messages[..., :1] + noise > 0).astype(float)  # two values: no bend
    valid = np.ones((20, 30), bool)
    told = explain_facts(messages, facts, valid, exchange_worlds(20, 3, 0), components=2)
    x, y = (centre(gaussian_ranks(part, valid), valid).reshape(600, -1) for part in (messages, facts))
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    by_hand = 1 - (left**2).sum() / (y**2).sum()
    assert told.share[0, 0] == pytest.approx(by_hand, abs=0.02)  # squares explain little
    assert told.share[1:, 0].max() < 0.1


def test_nats_of_a_gaussian_channel_are_half_the_log_of_signal_to_noise() -> None:
    assert nats_of(np.array(0.75)) == pytest.approx(0.5 * np.log(4.0))
    chance = np.random.default_rng(2)
    facts, senses, noise = (drift(30, 40, 1, chance, 0.2) for _ in range(3))
    valid = np.ones((30, 40), bool)
    news = explain_news(
        facts + noise, facts + senses, senses, valid, exchange_worlds(30, 20, 0), components=4, most_seen=0.98
    )
    # given the senses, the fact is known up to itself; a message with as much noise has R^2 = 1/2
    value = nats_of(news.share[0])
    assert value[0] == pytest.approx(0.5 * np.log(2.0), abs=0.06)
    low, high = jackknife_interval(value, news.world_nats, 0.95)
    assert low[0] < 0.5 * np.log(2.0) < high[0]
    assert news.seen[0] == pytest.approx(0.5, abs=0.1)


def test_a_probe_reads_the_entropy_of_what_is_said_outright_and_nothing_of_what_is_not() -> None:
    chance = np.random.default_rng(3)
    coin = (chance.random((20, 60, 1)) < 0.5).astype(float)
    other = (chance.random((20, 60, 1)) < 0.5).astype(float)
    valid = np.ones((20, 60), bool)
    classes = classify(np.concatenate([coin, other], -1), valid, 4)
    read = read_by_probe(2 * coin - 1, classes, valid, folds=4, ridge=0.1, rows=4000)
    assert read.gain[:, 0].mean() == pytest.approx(np.log(2), abs=0.03)
    assert abs(read.gain[:, 1].mean()) < 0.01
    assert read.entropy[0] == pytest.approx(np.log(2), abs=0.01)


def test_a_number_is_read_again_in_worlds_left_out() -> None:
    chance = np.random.default_rng(4)
    facts, noise = drift(24, 20, 1, chance, 0.3), drift(24, 20, 1, chance, 0.3)
    valid = np.ones((24, 20), bool)
    value, interval, out = correlate_by_world(-facts, facts, valid, draw_worlds(24, 100, 0), 0.95)
    assert value[0] == pytest.approx(-1.0) and out[0] == pytest.approx(1.0, abs=1e-3)
    value, interval, out = correlate_by_world(noise, facts, valid, draw_worlds(24, 100, 0), 0.95)
    assert interval[0, 0] < 0 < interval[1, 0] and out[0] < 0.02


def test_likeness_of_the_same_thing_is_one() -> None:
    facts = drift(14, 10, 3, np.random.default_rng(5), 0.5)
    valid = np.ones((14, 10), bool)
    orders, drawn = exchange_worlds(14, 50, 0), draw_worlds(14, 50, 0)
    spread = facts / facts.std((0, 1))
    found = compare_distances(facts, spread, valid, orders, drawn, 10)
    assert found.value == pytest.approx(1.0) and found.draws[1:].max() < 0.6


def test_agreement_of_groupings_by_hand() -> None:
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])) == 1.0
    # table [[2, 1], [0, 3]]: pairs 1 + 3 = 4, rows 3 + 3, columns 1 + 6, by chance 6 * 7 / 15 = 2.8, most 6.5
    seen = adjusted_rand(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1]))
    assert seen == pytest.approx((4 - 2.8) / (6.5 - 2.8))


def test_silhouette_by_hand() -> None:
    rows = np.array([[0.0], [1.0], [10.0], [11.0]])
    # of the first: 1 to its own, 10.5 to the others; of the second: 1 and 9.5
    assert silhouette(rows, np.array([0, 0, 1, 1])) == pytest.approx((9.5 / 10.5 + 8.5 / 9.5) / 2)
    assert silhouette(rows, np.array([0, 0, 0, 0])) == 0.0


def test_divergence_by_hand_at_a_temperature() -> None:
    real, other = ([0.0, 0.0], [0.0, 1.0])
    answers = [
        Answer(
            {
                "speaker": torch.zeros(1, 1, 2),
                "listener": torch.tensor([[logits]]),
            },
            {},
            [],
            torch.zeros(1, 2, 1),
        )
        for logits in (real, other)
    ]
    nats = divergence(CONTRACT, answers[0], answers[1], temperature=0.5)
    share = np.exp([0.0, 2.0]) / np.exp([0.0, 2.0]).sum()
    assert nats[0].tolist() == pytest.approx([0.0, (0.5 * np.log(0.5 / share)).sum()])
    assert divergence(CONTRACT, answers[0], answers[0], 0.5).abs().max() == 0.0


def test_an_illegal_option_adds_no_nats() -> None:
    logits = torch.tensor([[[0.3, -torch.inf]]])
    answer = Answer({"speaker": logits, "listener": logits}, {}, [], torch.zeros(1, 2, 1))
    assert divergence(CONTRACT, answer, answer, 1.0).tolist() == [[0.0, 0.0]]


def test_influence_below_the_least_is_not_shown() -> None:
    worlds = np.full(12, 0.02) + np.linspace(-0.005, 0.005, 12)
    counts = np.ones(12)
    assert chance_of_no_influence(Influence(worlds, counts), 0.01) < 1e-4
    assert chance_of_no_influence(Influence(worlds, counts), 0.03) > 0.99
    assert chance_of_no_influence(Influence(worlds, np.zeros(12)), 0.01) == 1.0
    assert chance_of_no_influence(Influence(np.zeros(12), counts), 0.0) == 1.0


def test_silencing_a_pair_leaves_all_other_links() -> None:
    senses = draw_senses()
    links = perfect_links(senses)
    quiet = silence(Pair("scout", "lifter"), KINDS, links)
    assert not quiet.heard[:, :, 3:, :3].any()
    assert torch.equal(quiet.heard[:, :, :3], links.heard[:, :, :3])
    assert torch.equal(quiet.heard[:, :, 3:, 3:], links.heard[:, :, 3:, 3:])
    assert not silence(Pair(), KINDS, links).heard.any()


def test_silencing_everybody_is_what_the_policy_calls_silence() -> None:
    policy, senses = make_policy().eval(), draw_senses()
    links = perfect_links(senses)
    with torch.no_grad():
        one, other = policy(senses, silence(Pair(), KINDS, links)), policy(senses, links, silence=True)
        loud = policy(senses, links)
    assert torch.equal(one.hidden, other.hidden)
    assert not torch.allclose(one.hidden, loud.hidden)


@pytest.mark.parametrize("graph", ["radius", "nearest"])
def test_replaced_messages_reach_only_the_pairs_receivers(graph: str) -> None:
    """Also where receivers have lists of senders."""
    policy, senses = make_policy(rounds=1).eval(), draw_senses()
    settings = GraphSettings(kind=graph, neighbours=3)  # type: ignore[arg-type]
    may_hear, senders = connect(settings, senses.position, senses.alive, KINDS, 10.0)
    heard = may_hear.unsqueeze(1)
    links = Links(heard, torch.zeros(heard.shape), senders)
    with torch.no_grad():
        real = policy(senses, links, tap=lambda _, said, __: said)
        same = policy(senses, links, tap=replace(Pair("scout", "lifter"), KINDS, links, real.messages))
        swapped = [said.roll(1, 0) for said in real.messages]
        other = policy(senses, links, tap=replace(Pair("scout", "lifter"), KINDS, links, swapped))
    assert torch.equal(real.hidden, same.hidden)
    assert torch.equal(real.hidden[:, :3], other.hidden[:, :3])
    assert not torch.allclose(real.hidden[:, 3:], other.hidden[:, 3:])


def test_every_way_of_meddling_does_what_it_says() -> None:
    policy, senses = make_policy(rounds=1).eval(), draw_senses()
    links = perfect_links(senses, rounds=1)
    later = draw_senses(seed=9)
    with torch.no_grad():
        said = policy(senses, links).messages[0]
        said_later = policy(later, links).messages[0]
    began = torch.ones(3, dtype=torch.bool)

    def heard_by_first(mode: str, again: bool = False) -> torch.Tensor:
        """What receiver 0 hears of all, with the meddler's hands on it."""
        meddler = Meddler(mode, Pair(), KINDS, seed=1)  # type: ignore[arg-type]
        caught: list[torch.Tensor] = []
        for sensed, fresh in ((senses, began), (later, ~began))[: 2 if again else 1]:
            meddler.begin(fresh)
            inner = meddler.tap(links)
            assert inner is not None

            def tap(number: int, real: torch.Tensor, incoming: object, inner=inner) -> torch.Tensor:  # type: ignore[no-untyped-def]
                caught.append(inner(number, real, incoming))
                return caught[-1]

            with torch.no_grad():
                policy(sensed, links, tap=tap)
        return caught[-1][:, 0]

    swapped = heard_by_first("swap")
    assert any(torch.equal(swapped, said.roll(shift, 0)) for shift in (1, 2))
    shuffled = heard_by_first("shuffle")
    assert torch.equal(shuffled[:, 3], said[:, 4]) and torch.equal(shuffled[:, 4], said[:, 3])
    assert not torch.equal(shuffled[:, 0], said[:, 0])
    assert torch.equal(heard_by_first("freeze"), said)
    frozen = heard_by_first("freeze", again=True)
    assert torch.equal(frozen, said) and not torch.equal(frozen, said_later)


def test_one_changed_field_is_another_worlds_and_nothing_else_changes() -> None:
    senses = draw_senses()
    changed = change_field(senses, "scout", slice(1, 3), False, 1)
    old, new = senses.kinds["scout"].vector, changed.kinds["scout"].vector
    assert torch.equal(new[..., 1:3], old.roll(1, 0)[..., 1:3])
    assert torch.equal(new[..., 3:], old[..., 3:]) and torch.equal(new[..., :1], old[..., :1])
    assert changed.kinds["lifter"] is senses.kinds["lifter"]
    offered = change_field(senses, "lifter", slice(0, 1), True, 1).kinds["lifter"]
    own = senses.kinds["lifter"]
    both = own.mask & own.mask.roll(1, 0)
    assert torch.equal(offered.candidates[..., 0][both], own.candidates.roll(1, 0)[..., 0][both])
    assert torch.equal(offered.candidates[..., 0][~both], own.candidates[..., 0][~both])
