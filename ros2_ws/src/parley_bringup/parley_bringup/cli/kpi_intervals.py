"""Tables of measured policies: a column a policy, a line a figure, each with its interval over the episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from parley_bringup.study.intervals import mean_interval

Results = Mapping[str, Sequence[Mapping[str, float]]]  # by policy: the KPIs of each episode


def interval_table(results: Results, shown: Mapping[str, str], title: str = "") -> Table:
    """Of each KPI in `shown`, under its words there, the mean and its 95 % bootstrap interval."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", title=title or None, title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in headings(list(results)):
        table.add_column(heading, justify="right", overflow="fold")
    for key, label in shown.items():
        cells = []
        for runs in results.values():
            mean, low, high = mean_interval(np.array([run[key] for run in runs]))
            digits = 2 if key == "on_time_share" else 1
            cells.append(f"{mean:.{digits}f} [dim]{low:.{digits}f}..{high:.{digits}f}[/]")
        table.add_row(label, *cells)
    return table


def headings(names: list[str]) -> list[str]:
    """The policies in a few letters: a bundle by its folder's name, unless two bundles share one."""
    short = []
    for name in names:
        folder, comma, silenced = name.removeprefix("bundle:").partition(", ")
        short.append(f"bundle:{Path(folder).name}{comma}{silenced}" if name.startswith("bundle:") else name)
    return short if len(set(short)) == len(names) else names
