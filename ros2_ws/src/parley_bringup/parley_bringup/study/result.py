"""What the episodes of a study say: figures of each condition, sweeps, and the goal table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from parley_bringup.study.intervals import Interval, Work, mean_interval, ratio_interval
from parley_bringup.study.records import Run
from parley_bringup.study.settings import Condition, Goal, Per, Policy, StudySettings, Sweep

HOUR = 3600.0
POOLED = 10_000_000  # between the seeds of two conditions that are pooled; more than any seed
VERDICTS = ("held", "held, but the interval reaches below", "missed, but the interval reaches it", "missed")


class Table(NamedTuple):
    """The episodes of one policy in one condition: those seeds that all its bundles have played."""

    bundles: tuple[str, ...]  # ('',) where the policy is none
    seeds: tuple[int, ...]
    runs: tuple[tuple[Run, ...], ...]  # [B][S]

    def kpi(self, name: str) -> np.ndarray:
        """One KPI [B, S]."""
        return np.array([[run.kpis[name] for run in row] for row in self.runs])

    def of(self, bundles: Iterable[str], seeds: Iterable[int]) -> Table:
        """Those of these bundles and seeds alone."""
        rows = [self.bundles.index(bundle) for bundle in bundles]
        columns = [self.seeds.index(seed) for seed in seeds]
        picked = tuple(tuple(self.runs[row][column] for column in columns) for row in rows)
        return Table(tuple(bundles), tuple(seeds), picked)

    def work(self, per: Per) -> Work:
        """Orders done, and in how many hours of the fleet, of its robots, or of those alive."""
        hours = self.kpi("seconds") / HOUR
        if per == "robot":
            hours = hours * np.array([[run.forklifts for run in row] for row in self.runs])
        elif per == "robot_alive":
            hours = self.kpi("alive_s") / HOUR
        return Work(self.kpi("orders_done"), hours, self.bundles)


class Judged(NamedTuple):
    """One line of the goal table; `figure` is None where it was not measured, and `why` says why not."""

    goal: Goal
    figure: Interval | None
    verdict: str
    why: str = ""
    episodes: str = ""  # bundles x seeds, of either side


class Outcome(NamedTuple):
    """A study, read off its episodes."""

    settings: StudySettings
    tables: dict[str, dict[Policy, Table]]  # by condition
    skipped: dict[str, str]  # condition, policy, or `condition, policy`, and why
    goals: list[Judged]


def read_outcome(
    settings: StudySettings, runs: Iterable[Run], bundles: Mapping[str, Iterable[str]], skipped: dict[str, str]
) -> Outcome:
    """Gather and judge.

    Args:
        settings: the study's.
        runs: episodes, of these settings only.
        bundles: names of the bundles that each learned policy is made of; those of other bundles are left out.
        skipped: what is not measured, and why.
    """
    wanted = {policy: tuple(names) for policy, names in bundles.items()}
    found: dict[tuple[str, str], dict[str, dict[int, Run]]] = {}
    for run in runs:
        if run.bundle in wanted.get(run.policy, ("",)):
            found.setdefault((run.condition, run.policy), {}).setdefault(run.bundle, {})[run.seed] = run
    tables: dict[str, dict[Policy, Table]] = {}
    for name, condition in settings.every_condition().items():
        for policy in settings.policies_of(condition):
            played = found.get((name, policy))
            table = _gather(played, wanted.get(policy, ("",))) if played else None
            if table and table.seeds:
                tables.setdefault(name, {})[policy] = table
    judged = [_judge(goal, settings, tables, skipped) for goal in settings.goals]
    return Outcome(settings, tables, skipped, judged)


def _gather(played: dict[str, dict[int, Run]], order: Iterable[str]) -> Table:
    bundles = tuple(bundle for bundle in order if bundle in played)
    seeds = tuple(sorted(set.intersection(*(set(played[bundle]) for bundle in bundles))))
    return Table(bundles, seeds, tuple(tuple(played[bundle][seed] for seed in seeds) for bundle in bundles))


def _pool(tables: list[Table]) -> Table:
    """Episodes of several conditions side by side, under seeds of their own; of the bundles that played all."""
    bundles = [bundle for bundle in tables[0].bundles if all(bundle in table.bundles for table in tables)]
    parts = [table.of(bundles, table.seeds) for table in tables]
    seeds = [POOLED * place + seed for place, part in enumerate(parts) for seed in part.seeds]
    rows = zip(*(part.runs for part in parts), strict=True)
    return Table(tuple(bundles), tuple(seeds), tuple(tuple(run for part in row for run in part) for row in rows))


def compare(one: Table, other: Table, per: Per) -> Interval | None:
    """Ratio of two rates over the seeds that both have played, with the same bundles where they share any."""
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    if not seeds:
        return None
    shared = [bundle for bundle in one.bundles if bundle in other.bundles]
    one, other = one.of(shared or one.bundles, seeds), other.of(shared or other.bundles, seeds)
    return ratio_interval(one.work(per), other.work(per))


def _judge(
    goal: Goal, settings: StudySettings, tables: dict[str, dict[Policy, Table]], skipped: dict[str, str]
) -> Judged:
    sides = [(settings.members_of(goal.at), goal.policy), (settings.members_of(goal.rival[1]), goal.rival[0])]
    for members, policy in sides:
        for at in members:
            if policy not in tables.get(at, {}):
                reason = skipped.get(at) or skipped.get(f"{at}, {policy}") or skipped.get(policy) or "not played yet"
                return Judged(goal, None, "not measured", f"{at}, {policy}: {reason}")
    one, other = (_pool([tables[at][policy] for at in members]) for members, policy in sides)
    figure = compare(one, other, goal.per)
    if figure is None:
        return Judged(goal, None, "not measured", "no common seed, or the rival finished nothing")
    if figure.value >= goal.least:
        verdict = VERDICTS[0] if figure.low >= goal.least else VERDICTS[1]
    else:
        verdict = VERDICTS[2] if figure.high >= goal.least else VERDICTS[3]
    seeds = len(set(one.seeds) & set(other.seeds))
    sizes = dict.fromkeys(f"{len(table.bundles)} x {seeds}" for table in (one, other))
    return Judged(goal, figure, verdict, episodes=" and ".join(sizes))


def rate(table: Table, per: Per) -> Interval:
    """Orders an hour: a ratio of sums over bundles and episodes, with its interval."""
    work = table.work(per)
    unit = Work(np.ones_like(work.hours), np.ones_like(work.hours), work.bundles)
    return ratio_interval(work, unit) or Interval(math.nan, math.nan, math.nan)


def sweep_conditions(settings: StudySettings, sweep: Sweep) -> list[tuple[float, Condition]]:
    """The values of a sweep and the condition of each."""
    return list(zip(sweep.values, sweep.spread(settings.base_of(sweep)), strict=True))


def sweep_rates(outcome: Outcome, sweep: Sweep) -> dict[Policy, list[tuple[float, Interval]]]:
    """Per policy, at each value of the sweep that was measured, orders an hour per what the sweep counts by."""
    rates: dict[Policy, list[tuple[float, Interval]]] = {}
    asked = sweep.policies or outcome.settings.policies_of(outcome.settings.base_of(sweep))
    for value, condition in sweep_conditions(outcome.settings, sweep):
        for policy, table in outcome.tables.get(condition.name, {}).items():
            if policy in asked:
                rates.setdefault(policy, []).append((value, rate(table, sweep.per)))
    return rates


def plain(outcome: Outcome) -> dict[str, Any]:
    """As plain data, for JSON; what is not finite is null."""
    settings = outcome.settings
    return {
        "config": settings.model_dump(mode="json"),
        "skipped": outcome.skipped,
        "goals": [
            {
                **judged.goal.model_dump(),
                "figure": _plain(judged.figure),
                "verdict": judged.verdict,
                "why": judged.why,
                "episodes": judged.episodes,
            }
            for judged in outcome.goals
        ],
        "conditions": {
            name: {policy: _plain_table(table, policies) for policy, table in policies.items()}
            for name, policies in outcome.tables.items()
        },
        "sweeps": [
            {
                "over": sweep.over,
                "of": sweep.of,
                "per": sweep.per,
                "orders_per_hour": {
                    policy: [{"at": value, **(_plain(figure) or {})} for value, figure in points]
                    for policy, points in sweep_rates(outcome, sweep).items()
                },
            }
            for sweep in settings.sweeps
        ],
    }


def _plain_table(table: Table, beside: Mapping[Policy, Table]) -> dict[str, Any]:
    """Means of all KPIs, orders an hour and a robot-hour alive, and what `learned` finishes for each of its orders."""
    names = sorted(set.intersection(*(set(run.kpis) for row in table.runs for run in row)))
    learned = beside.get("learned")
    return {
        "bundles": list(table.bundles),
        "seeds": list(table.seeds),
        "orders_per_hour": _plain(rate(table, "fleet")),
        "orders_per_robot_hour_alive": _plain(rate(table, "robot_alive")),
        "learned_over_this": _plain(compare(learned, table, "fleet")) if learned else None,
        "means": {name: _plain(mean_interval(table.kpi(name))) for name in names},
    }


def _plain(figure: Interval | None) -> dict[str, float | None] | None:
    if figure is None:
        return None
    return {name: value if math.isfinite(value) else None for name, value in figure._asdict().items()}
