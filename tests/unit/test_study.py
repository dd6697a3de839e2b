"""`parley study`: what it refuses, that it goes on where it was stopped, and that its figures are those planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from parley_bringup.cli.contenders import WORLDS_AT_ONCE
from parley_bringup.cli.main import main
from parley_bringup.cli.study_runs import Player, Task, draw_stops, in_batches, play_all
from parley_bringup.study.intervals import RESAMPLES, Work, mean_interval, ratio_interval
from parley_bringup.study.page import write_page
from parley_bringup.study.picture import draw_sweeps
from parley_bringup.study.records import RUNS_FILE, Key, Records, Run
from parley_bringup.study.result import plain, read_outcome
from parley_bringup.study.settings import Condition, StudySettings, read_study
from parley_bringup.study.sources import digest_of, hindrance, policy_hindrance
from policy_core.config import ConfigError, parse_settings
from sim.warehouse.order_replay import replay
from tests.support.real_data import TOP, real_data

SHIPPED = TOP / "config" / "study.yaml"
SMALL: dict[str, Any] = {
    "minutes": 0.5,
    "seeds": 2,
    "first_seed": 7,
    "policies": ["greedy", "planner"],
    "dies_after": [0.4, 0.6],
    "joins_after": [0.2, 0.5],
    "conditions": [{"name": "home"}, {"name": "afar", "map": "data:maps/nowhere.yaml"}],
    "sweeps": [{"over": "dies", "of": "home", "values": [0, 0.25]}],
    "goals": [{"about": "greedy / planner", "policy": "greedy", "against": "planner", "least": 0.5}],
}


def settings_with(**changes: Any) -> StudySettings:
    return parse_settings(StudySettings, {**SMALL, **changes}, "study.yaml")


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError) as told:
        settings_with(**changes)
    return str(told.value)


def run_of(policy: str, seed: int, done: float, *, bundle: str = "", condition: str = "home", **kpis: float) -> Run:
    figures = {"orders_done": done, "seconds": 3600.0, "alive_s": 4 * 3600.0, **kpis}
    return Run(
        condition=condition, digest="d", policy=policy, bundle=bundle, seed=seed, forklifts=4, commit="c", wall_s=1.0,
        kpis=figures,
    )  # fmt: skip


# What is configured


def test_the_shipped_study_is_sound_and_has_the_goals_of_the_project() -> None:
    settings = read_study(SHIPPED)
    assert [goal.least for goal in settings.goals] == 2 * [1.30, 1.15, 0.95] + [0.90, 0.95, 0.85, 0.85, 0.90]
    assert [goal.at for goal in settings.goals if goal.per == "robot"] == ["team=12", "wide_team=12"]
    known = settings.every_condition()
    for swept, plan in (("team=12", "large_dc"), ("wide_team=12", "wide_dc")):
        assert known[swept].forklifts == 12 and known[swept].load == 3.0 and Path(known[swept].map).stem == plan
    assert [each.name for each in settings.chosen("wide_team")] == ["wide_4", *(f"wide_team={n}" for n in (8, 12, 16))]
    assert all(Path(TOP / known[name].map).is_file() for name in ("team_4", "wide_4", "narrow"))
    assert "loss=0" not in known, "the base of a sweep is not played twice"
    assert known["quarter_dies"].dying == 1 and known["bits=1"].bits == 1


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"los": 0.1}, "unknown key; did you mean 'loss'?"),
        ({"loss": 1.5}, "less than or equal to 1"),
        ({"bits": 24}, "wanted 1 to 16, or 32"),
        ({"dies": 0.1}, "a share of 0.1 of 4 forklifts is none"),
        ({"dies": 0.75, "joins": 0.5}, "at most 1 together"),
        ({"world": "gazebo"}, "'fast' or 'bullet'"),
        ({"policies": ["gredy"]}, "conditions.0.policies.0"),
        ({"name": "Ho me"}, "conditions.0.name"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(condition: dict[str, Any], words: str) -> None:
    assert words in refused(conditions=[{"name": "home", **condition}])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conditions": [{"name": "home"}, {"name": "home"}]}, "a name twice"),
        ({"sweeps": [{"over": "loss", "of": "hoem", "values": [0, 1]}]}, "did you mean 'home'?"),
        ({"sweeps": [{"over": "loss", "of": "home", "values": [0, 2]}]}, "less than or equal to 1"),
        ({"goals": [{"about": "x", "least": 1.0}]}, "compares a figure with itself"),
        ({"goals": [{"about": "x", "at": "loss=0.3", "against_at": "home", "least": 1.0}]}, "which is no condition"),
        (
            {"goals": [{"about": "x", "against": "random", "policy": "greedy", "least": 1.0}]},
            "not measured with 'random'",
        ),
        (
            {"sweeps": [{"over": "loss", "of": of, "values": [0, 0.1]} for of in ("home", "afar")]},
            "two that differ are called loss=0.1; give a sweep a name of its own",
        ),
        ({"dies_after": [0.6, 0.4]}, "wanted a range"),
        ({"minutes": 0}, "minutes"),
    ],
)
def test_a_study_that_does_not_fit_together_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in refused(**changes)


def test_only_takes_conditions_and_sweeps_and_says_what_is_near() -> None:
    settings = settings_with()
    assert [each.name for each in settings.chosen("dies")] == ["home", "dies=0.25"]
    assert [each.name for each in settings.chosen("dies=0.25, afar")] == ["dies=0.25", "afar"]
    assert len(settings.chosen("")) == 3
    with pytest.raises(ConfigError, match="did you mean 'home'"):
        settings.chosen("hom")


def test_what_cannot_be_measured_says_why() -> None:
    assert "set PARLEY_DATA" in hindrance(Condition(name="a", map="data:x.yaml"), None)
    assert "is not there" in hindrance(Condition(name="a", map="data:x.yaml"), TOP)
    assert hindrance(Condition(name="a"), None) == ""
    assert "name jobs" in policy_hindrance(Condition(name="a", bits=8), "contract-net")
    assert policy_hindrance(Condition(name="a"), "contract-net") == ""
    assert policy_hindrance(Condition(name="a", bits=8), "learned") == ""


def test_the_digest_tells_what_an_episode_depends_on_from_what_it_does_not() -> None:
    def of(**changes: Any) -> str:
        return digest_of(settings_with(), Condition(name="home", **changes), None)

    assert of() == of(about="other words", seeds=9) == of(minutes=0.5)
    assert len({of(), of(loss=0.1), of(minutes=1.0), of(map="config/floorplans/large_dc.yaml")}) == 4


# What is recorded


def test_half_a_line_at_the_end_is_dropped_and_the_next_is_whole(tmp_path: Path) -> None:
    with Records(tmp_path) as records:
        records.add(run_of("greedy", 1, 5))
        records.add(run_of("greedy", 2, 6))
    path = tmp_path / RUNS_FILE
    path.write_bytes(path.read_bytes()[:-20])
    with Records(tmp_path) as records:
        assert [key.seed for key in records.runs] == [1]
        records.add(run_of("greedy", 2, 7))
    with Records(tmp_path) as records:
        assert records.runs[Key("home", "greedy", "", 2)].kpis["orders_done"] == 7
    assert len(path.read_text().splitlines()) == 2


def test_a_line_that_is_none_of_ours_and_a_second_writer_are_refused(tmp_path: Path) -> None:
    with Records(tmp_path), pytest.raises(ConfigError, match="another study writes here"):
        Records(tmp_path)
    (tmp_path / RUNS_FILE).write_text('{"condition": "home"}\n')
    with pytest.raises(ConfigError, match="line 1 is no episode"):
        Records(tmp_path)


# What it says


def played(rate: float, bundles: int, seeds: int, spread: float, rng: np.random.Generator) -> Work:
    """Orders of episodes that share their luck over bundles."""
    luck = rng.normal(0.0, 1.0, seeds)
    done = rate + spread * luck + rng.normal(0.0, 1.0, (bundles, seeds))
    return Work(done, np.ones_like(done), tuple(map(str, range(bundles))))


def test_a_planted_ratio_is_found_and_its_interval_covers_it() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        one, other = played(60.0, 1, 20, 0.0, rng), played(50.0, 1, 20, 0.0, rng)
        found = ratio_interval(one, other._replace(bundles=("",)))
        assert found is not None and abs(found.value - 1.2) < 0.05
        covered += found.low <= 1.2 <= found.high
        assert found.low > 1.0, "and it is no chance"
    assert covered >= 50  # of 60; 95 % would be 57


def test_a_null_comparison_holds_one_mostly_and_pairing_makes_it_narrow() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(60):
        luck = rng.normal(0.0, 10.0, 20)
        one, other = (50.0 + luck + rng.normal(0.0, 1.0, (1, 20)) for _ in range(2))
        hours = np.ones((1, 20))
        paired = ratio_interval(Work(one, hours, ("a",)), Work(other, hours, ("b",)))
        shuffled = ratio_interval(Work(one, hours, ("a",)), Work(other[:, ::-1], hours, ("b",)))
        assert paired is not None and shuffled is not None
        held += paired.low <= 1.0 <= paired.high
        assert paired.high - paired.low < 0.6 * (shuffled.high - shuffled.low)
    assert held >= 50


def test_bundles_that_differ_widen_the_interval_and_the_same_bundles_are_drawn_together() -> None:
    hours, base = np.ones((3, 10)), np.full((3, 10), 50.0)
    apart = base + np.array([[-10.0], [0.0], [10.0]])
    one, other = Work(apart, hours, ("a", "b", "c")), Work(base, hours, ("x", "y", "z"))
    wide = ratio_interval(one, other)
    assert wide is not None and wide.high - wide.low > 0.2
    kept = ratio_interval(one._replace(done=0.9 * apart), one)
    assert kept is not None and kept == pytest.approx((0.9, 0.9, 0.9))
    assert mean_interval(apart)[0] == 50.0 and mean_interval(apart).low < 45.0
    assert mean_interval(base) == (50.0, 50.0, 50.0) and RESAMPLES >= 1000


def test_a_rival_that_finishes_nothing_gives_no_ratio() -> None:
    nothing = Work(np.zeros((1, 4)), np.ones((1, 4)), ("",))
    assert ratio_interval(nothing._replace(done=np.ones((1, 4))), nothing) is None


def goal(**changes: Any) -> dict[str, Any]:
    return {"about": "g", "least": 0.9, **changes}


def test_a_group_pools_its_conditions_and_pairs_them_one_by_one() -> None:
    goals = [goal(policy="greedy", against="planner", at="both"), goal(policy="greedy", against="planner", at="all")]
    settings = settings_with(groups={"both": ["home", "dies=0.25"], "all": ["home", "afar"]}, goals=goals)
    rates = {"home": (30.0, 40.0), "dies=0.25": (90.0, 60.0)}
    runs = [
        run_of(policy, seed, rate + 10.0 * seed, condition=name)
        for name, pair in rates.items()
        for policy, rate in zip(("greedy", "planner"), pair, strict=True)
        for seed in range(3)
    ]
    pooled, missing = read_outcome(settings, runs, {}, {}).goals
    wanted = (90 + 30 + 270 + 30) / (120 + 30 + 180 + 30)
    assert pooled.figure is not None and pooled.figure.value == pytest.approx(wanted)
    assert pooled.figure.low < pooled.figure.value < pooled.figure.high and pooled.episodes == "1 x 6"
    assert missing.figure is None and "afar" in missing.why


def test_groups_of_nothing_or_of_what_is_unknown_are_refused() -> None:
    assert "at least one" in refused(groups={"none": []})
    assert "name of its own" in refused(groups={"home": ["home"]})
    assert "nowhere" in refused(groups={"some": ["nowhere"]})


def test_goals_count_per_fleet_per_robot_and_per_robot_alive() -> None:
    settings = settings_with(
        policies=["learned", "without", "greedy"],
        goals=[
            goal(against="greedy", least=1.3),
            goal(at="dies=0.25", against_at="home"),
            goal(at="dies=0.25", against_at="home", per="robot_alive"),
            goal(at="afar", against_at="home"),
            goal(against="without"),
        ],
    )
    runs = [
        run
        for seed in range(5)
        for run in (
            run_of("learned", seed, 60 + seed, bundle="b"),
            run_of("learned", seed, 999, bundle="of another call"),
            run_of("greedy", seed, 40),
            run_of("learned", seed, 48 + 0.8 * seed, bundle="b", condition="dies=0.25", alive_s=3.2 * 3600),
        )
    ]
    outcome = read_outcome(settings, runs, {"learned": ["b"]}, {"afar": "no such map", "without": "none given"})
    figures = [judged.figure.value if judged.figure else None for judged in outcome.goals]
    assert figures == [pytest.approx(62 / 40), pytest.approx(0.8), pytest.approx(1.0), None, None]
    assert [judged.verdict for judged in outcome.goals] == ["held", "missed", "held", *["not measured"] * 2]
    assert "no such map" in outcome.goals[3].why and "none given" in outcome.goals[4].why
    page = write_page(outcome, ["- head"], "study.svg")
    assert "| g | >= 1.30 | 1.55 [" in page and "] | 1 x 5 | held |" in page
    assert "no such map" in page and "### dies, from home" in page
    told = plain(outcome)
    assert told["conditions"]["home"]["greedy"]["learned_over_this"]["value"] == pytest.approx(1.55)
    swept = told["sweeps"][0]["orders_per_hour"]["learned"]
    assert [(point["at"], point["value"]) for point in swept] == [
        (0.0, pytest.approx(15.5)),
        (0.25, pytest.approx(15.5)),
    ]
    json.dumps(told, allow_nan=False)


def test_a_verdict_says_when_the_interval_leaves_it_open() -> None:
    done = np.random.default_rng(3).normal(50.0, 10.0, (2, 8))
    settings = settings_with(
        policies=["learned", "greedy"], goals=[goal(against="greedy", least=f) for f in (0.5, 0.97, 1.03, 2.0)]
    )
    level = done[0].mean() / done[1].mean()
    runs = [run_of(name, seed, done[row, seed]) for row, name in enumerate(("learned", "greedy")) for seed in range(8)]
    runs = [run.model_copy(update={"kpis": run.kpis | ({"seconds": 3600.0 * level} if run.policy == "learned" else {})})
            for run in runs]  # fmt: skip
    outcome = read_outcome(settings, runs, {"learned": [""]}, {})
    open_above, open_below = "held, but the interval reaches below", "missed, but the interval reaches it"
    assert [judged.verdict for judged in outcome.goals] == ["held", open_above, open_below, "missed"]


def test_the_picture_needs_two_points(tmp_path: Path) -> None:
    settings = settings_with(sweeps=[*SMALL["sweeps"], {"over": "bits", "of": "home", "values": [32, 4]}])
    runs = [run_of("greedy", seed, 40 + seed) for seed in range(3)]
    assert not draw_sweeps(read_outcome(settings, runs, {}, {}), tmp_path / "study.svg")
    runs += [run_of("greedy", seed, 30, condition=name) for seed in range(3) for name in ("dies=0.25", "bits=4")]
    assert draw_sweeps(read_outcome(settings, runs, {}, {}), tmp_path / "study.svg")
    assert (tmp_path / "study.svg").read_text().startswith("<?xml")


# What is played


def test_stops_are_as_many_as_said_the_same_for_a_seed_and_in_time() -> None:
    settings, condition = settings_with(), Condition(name="a", dies=0.25, joins=0.5)
    stops = draw_stops(settings, condition, 3)
    assert stops == draw_stops(settings, condition, 3) != draw_stops(settings, condition, 4)
    assert len({stop.robot for stop in stops}) == 3
    assert [stop.until == np.inf for stop in stops] == [True, False, False]
    assert 12.0 <= stops[0].at <= 18.0 and all(stop.at == 0.0 and 6.0 <= stop.until <= 15.0 for stop in stops[1:])
    assert draw_stops(settings, Condition(name="home"), 3) == []


def study(tmp_path: Path, *words: str, code: int = 0, **changes: Any) -> Path:
    path = tmp_path / "study.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    with pytest.raises(SystemExit) as left:
        main(["study", "--config", str(path), "--out", str(tmp_path / "out"), *words])
    assert left.value.code == code
    return tmp_path / "out"


def test_a_killed_study_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    out = study(tmp_path, "--json", str(tmp_path / "result.json"))
    said = capsys.readouterr().out
    assert "skipped: afar: " in said and "is not there" in said
    whole = {run.key: run.kpis for run in read_runs(out)}
    assert len(whole) == 8, "two conditions, two policies, two seeds"
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == json.loads((out / "study.json").read_text()) and "is not there" in result["skipped"]["afar"]
    assert {name for name in whole if name.condition == "afar"} == set()
    lines = (out / RUNS_FILE).read_text().splitlines(keepends=True)
    (out / RUNS_FILE).write_text("".join(lines[:5]) + lines[5][:40])  # killed in the middle of the sixth
    study(tmp_path)
    assert "5 of 8 episodes are there already" in capsys.readouterr().out
    again = read_runs(out)
    assert {run.key: run.kpis for run in again} == whole and len(again) == 8
    assert [run.model_dump_json() + "\n" for run in again[:5]] == lines[:5], "what was done was not played again"
    assert whole[Key("dies=0.25", "greedy", "", 7)]["alive_s"] < whole[Key("home", "greedy", "", 7)]["alive_s"] == 120.0
    study(tmp_path, minutes=0.6, code=2)
    assert "other settings or inputs" in capsys.readouterr().err


def read_runs(folder: Path) -> list[Run]:
    with Records(folder) as records:
        return list(records.runs.values())


def test_processes_play_what_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    alone = study(tmp_path / "1", "--only", "home", "--seeds", "1")
    together = study(tmp_path / "2", "--only", "home", "--seeds", "1", "--jobs", "2")
    assert {run.key: run.kpis for run in read_runs(alone)} == {run.key: run.kpis for run in read_runs(together)}


def task(policy: Any, seed: int, condition: Condition) -> Task:
    folder = str(TOP / "config" / "bundles" / "demo") if policy in ("learned", "silenced") else ""
    return Task(condition, policy, "b" if folder else "", folder, seed, "digest", "commit")


def test_batches_hold_the_seeds_of_a_policy_that_decides_for_many_worlds() -> None:
    home, bullet = Condition(name="home"), Condition(name="heavy", world="bullet")
    tasks = [task(name, seed, home) for seed in range(WORLDS_AT_ONCE + 1) for name in ("learned", "silenced", "greedy")]
    tasks += [task("learned", seed, bullet) for seed in range(2)]
    batches = in_batches(tasks)
    assert sorted(each.key for batch in batches for each in batch) == sorted(each.key for each in tasks)
    sizes = sorted((batch[0].condition.name, batch[0].policy, len(batch)) for batch in batches if len(batch) > 1)
    assert sizes == [("home", "learned", WORLDS_AT_ONCE), ("home", "silenced", WORLDS_AT_ONCE)]
    assert all(len({(each.condition.name, each.policy) for each in batch}) == 1 for batch in batches)
    assert sum(batch[0].condition is bullet for batch in batches) == 2


@pytest.mark.parametrize("policy", ["learned", "planner"])
def test_an_episode_of_a_batch_is_the_one_played_alone(policy: str) -> None:
    condition = Condition(name="home", loss=0.2, joins=0.25, bits=8)
    settings = settings_with(minutes=0.3, conditions=[condition.model_dump()], sweeps=[], goals=[], policies=[policy])
    player = Player(settings, None)
    tasks = [task(policy, seed, condition) for seed in (7, 8)]
    together = player.play(tasks)
    assert [run.key for run in together] == [each.key for each in tasks]
    assert together[0].kpis["reward"] != together[1].kpis["reward"]
    alone = player.play(tasks[1:])[0].kpis
    assert together[1].kpis == pytest.approx(alone, rel=1e-6)


def test_orders_of_a_folder_are_of_one_day_each(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = real_data("orders/online_retail")
    days: list[str] = []
    monkeypatch.setattr(
        "parley_bringup.cli.study_runs.replay",
        lambda path, *others: days.append(path.name) or replay(path, *others),  # type: ignore[func-returns-value]
    )
    condition = Condition(name="retail", orders="data:orders/online_retail", policies=("planner",))
    settings = settings_with(conditions=[condition.model_dump()], sweeps=[], goals=[])
    player = Player(settings, folder.parents[1])
    world = player._enter(condition)
    for seed in (1, 1, 2, 3, 4):
        world.reset(seed)
    assert days[0] == days[1] and len(set(days)) > 1
    assert list(play_all(settings, None, [], 1)) == []
