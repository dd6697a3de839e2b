"""A run's bundle beside its rivals, as `parley demo` leaves the figures in the run folder: to read and to print."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from parley_bringup.cli.kpi_intervals import interval_table
from policy_core.config import ConfigError, Settings, parse_settings

RIVALS_FILE = "rivals.json"
SILENCED = "silenced"  # the bundle, when nobody hears anything
SHOWN = {
    "orders_per_hour": "orders/h",
    "lines_per_hour": "lines/h",
    "on_time_share": "on time",
    "contacts": "contacts",
    "late_s": "late (s)",
}


class Rivals(Settings):
    """What `play_rivals` found, as it lies in the run folder."""

    minutes: float  # simulated, of an episode
    first_seed: int  # that of the run: its orders and stock are the run's own; further episodes count on from it
    runs: dict[str, list[dict[str, float]]]  # by policy: KPIs of each episode


def read_rivals(run_dir: Path) -> Rivals | None:
    """What was played beside a run; None if nothing was.

    Raises:
        ConfigError: the file is damaged.
    """
    path = run_dir / RIVALS_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); delete it.") from None
    return parse_settings(Rivals, content, source=str(path))


def show_rivals(console: Console, found: Rivals) -> None:
    """Print the table, with 95 % bootstrap intervals over the episodes."""
    count = len(next(iter(found.runs.values())))
    last = found.first_seed + count - 1
    console.print(
        interval_table(
            {SILENCED if name.endswith(f", {SILENCED}") else name: runs for name, runs in found.runs.items()},
            SHOWN,
            f"the same map, orders and minutes in the batched world, {count} episode{'s' * (count > 1)}\n"
            f"(seeds {found.first_seed} to {last}; {found.first_seed} is this run's)",
        )
    )
