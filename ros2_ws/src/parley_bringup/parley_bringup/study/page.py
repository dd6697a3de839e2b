"""A study as a page of Markdown: the goal table first, then who finished how much where, then the sweeps."""

from __future__ import annotations

import math
from collections.abc import Iterable

from parley_bringup.study.intervals import Interval
from parley_bringup.study.result import Outcome, compare, rate, sweep_conditions, sweep_rates
from parley_bringup.study.settings import POLICIES, Policy

PER = {"fleet": "orders/h", "robot": "orders/h per robot", "robot_alive": "orders/h per robot alive"}


def goal_rows(outcome: Outcome) -> list[tuple[str, str, str, str, str]]:
    """What was wanted, how much of it, what was found, in how many pairs of episodes, and whether it held."""
    return [
        (
            judged.goal.about,
            f">= {judged.goal.least:.2f}",
            show(judged.figure) if judged.figure else "",
            judged.episodes,
            f"{judged.verdict}: {judged.why}" if judged.why else judged.verdict,
        )
        for judged in outcome.goals
    ]


def show(figure: Interval, digits: int = 2) -> str:
    """A figure and its interval."""
    value, low, high = ("none" if math.isnan(each) else f"{each:.{digits}f}" for each in figure)
    return f"{value} [{low}, {high}]"


def write_page(outcome: Outcome, head: Iterable[str], picture: str) -> str:
    """The page.

    Args:
        outcome: the study.
        head: lines of what was measured.
        picture: the sweeps' picture, beside the page; empty: none.
    """
    lines = ["# Study", "", *head, "", "## Goals", ""]
    lines += [
        "Ratios of sums over all bundles and episodes, paired by seed, with 95 % bootstrap intervals (episodes drawn "
        "anew, and bundles where there are several).",
        "",
        *_table(("figure", "goal", "measured", "bundles x seeds", "verdict"), goal_rows(outcome)),
        "",
    ]
    lines += _conditions(outcome)
    if outcome.settings.sweeps:
        lines += ["## Sweeps", ""] + ([f"![sweeps]({picture})", ""] if picture else []) + _sweeps(outcome)
    if outcome.skipped:
        lines += ["## Not measured", "", *(f"- {name}: {reason}" for name, reason in outcome.skipped.items()), ""]
    return "\n".join(lines)


def _conditions(outcome: Outcome) -> list[str]:
    lines = ["## Orders/h by condition", ""]
    swept = {
        condition.name
        for sweep in outcome.settings.sweeps
        for _, condition in sweep_conditions(outcome.settings, sweep)
    } - {condition.name for condition in outcome.settings.conditions}
    known = outcome.settings.every_condition()
    for name, tables in outcome.tables.items():
        if name in swept:
            continue
        learned = tables.get("learned")
        rows = []
        for policy in _ordered(tables):
            table = tables[policy]
            gain = compare(learned, table, "fleet") if learned and policy != "learned" else None
            episodes = f"{len(table.bundles)} x {len(table.seeds)}"
            rows.append((policy, show(rate(table, "fleet"), 1), show(gain) if gain else "", episodes))
        lines += [f"### {name}", "", *([known[name].about, ""] if known[name].about else [])]
        lines += [*_table(("policy", "orders/h", "learned / this", "bundles x seeds"), rows), ""]
    return lines


def _sweeps(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    for sweep in outcome.settings.sweeps:
        rates = sweep_rates(outcome, sweep)
        policies = _ordered(rates)
        rows = []
        for value, _ in sweep_conditions(outcome.settings, sweep):
            at = {policy: dict(points).get(value) for policy, points in rates.items()}
            cells = [show(figure, 1) if figure else "" for figure in (at[policy] for policy in policies)]
            if any(cells):
                rows.append((f"{value:g}", *cells))
        if rows:
            lines += [f"### {sweep.over}, from {sweep.of}: {PER[sweep.per]}", ""]
            lines += [*_table((sweep.over, *policies), rows), ""]
    return lines


def _ordered(policies: Iterable[Policy]) -> list[Policy]:
    return sorted(policies, key=POLICIES.index)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(each)} |" for each in (header, ("---",) * len(header), *rows)]
