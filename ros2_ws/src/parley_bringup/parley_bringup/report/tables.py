"""Tables for the terminal: runs side by side, and what each process used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from parley_bringup.report.statistics import ProcessUse, RunSummary


class _Line(NamedTuple):
    label: str
    value: Callable[[RunSummary], float | None]
    digits: int = 0
    better: int = 0  # 1: more is better, -1: less is better, 0: neither
    is_share: bool = False


def _kpi(name: str) -> Callable[[RunSummary], float | None]:
    return lambda run: run.kpis.get(name)


_LINES = (
    _Line("orders per hour", _kpi("orders_per_hour"), 1, 1),
    _Line("orders done", _kpi("orders_done"), 0, 1),
    _Line("lines shipped", _kpi("lines_shipped"), 0, 1),
    _Line("orders on time", _kpi("on_time_share"), 0, 1, is_share=True),
    _Line("pallets received", _kpi("pallets_received"), 0, 1),
    _Line("inspections", _kpi("inspections")),
    _Line("defects shipped", _kpi("defects_shipped"), 0, -1),
    _Line("false rejects", _kpi("false_rejects"), 0, -1),
    _Line("stock-outs", _kpi("stock_outs"), 0, -1),
    _Line("over-orders", _kpi("over_orders"), 0, -1),
    _Line("pallets in vain", _kpi("pallets_in_vain"), 0, -1),
    _Line("claim conflicts", _kpi("claim_conflicts"), 0, -1),
    _Line("contacts", _kpi("contacts"), 0, -1),
    _Line("near misses", _kpi("near_misses"), 0, -1),
    _Line("blocked (s)", _kpi("blocked_s"), 0, -1),
    _Line("distance (m)", _kpi("distance_m")),
    _Line("energy (Wh)", _kpi("energy_wh"), 0, -1),
    _Line("charging (s)", _kpi("charging_s")),
    _Line("battery empty (s)", _kpi("flat_s"), 0, -1),
    _Line("messages per simulated s", lambda run: run.talk.messages_per_simulated_second, 1),
    _Line("messages per s", lambda run: run.talk.messages_per_second, 0),
    _Line("rounds complete", lambda run: run.talk.rounds_complete_share, 1, is_share=True),
    _Line("simulated time (s)", lambda run: run.simulated_s),
    _Line("real-time factor", lambda run: run.real_time_factor, 1),
)


def kpi_table(rows: Sequence[RunSummary], title: str = "") -> Table:
    """Compare runs: one column a run, one line a figure; the best of several runs is bold.

    Figures no run has are left out; a dash stands where one run has none.
    """
    table = Table(title=title or None, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    table.add_column("")
    for run in rows:
        table.add_column(run.name, justify="right", overflow="fold")
    for line in _LINES:
        values = [line.value(run) for run in rows]
        known = [value for value in values if value is not None]
        if not known:
            continue
        best = (max if line.better > 0 else min)(known)
        is_contest = line.better != 0 and len(set(known)) > 1
        cells = [
            f"[bold green]{_spell(line, value)}[/]" if is_contest and value == best else _spell(line, value)
            for value in values
        ]
        table.add_row(line.label, *cells)
    return table


def process_table(processes: Sequence[ProcessUse]) -> Table:
    """What each process of the fleet used: processor share (100 % is one core), peak memory, restarts."""
    table = Table(title="processes", title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    table.add_column("process")
    for heading in ("CPU", "peak memory", "restarts"):
        table.add_column(heading, justify="right")
    for use in processes:
        table.add_row(use.name, f"{use.cpu_share:.0%}", f"{use.peak_rss_mb:.0f} MB", str(use.restarts))
    total_share = sum(use.cpu_share for use in processes)
    total_memory = sum(use.peak_rss_mb for use in processes)
    table.add_section()
    table.add_row("all", f"{total_share:.0%}", f"{total_memory:.0f} MB", str(sum(use.restarts for use in processes)))
    return table


def _spell(line: _Line, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.{line.digits}%}" if line.is_share else f"{value:,.{line.digits}f}"
