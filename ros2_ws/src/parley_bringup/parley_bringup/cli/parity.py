"""`parley parity`: the same decisions in the fast and in the PyBullet warehouse, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.progress import track
from rich.table import Table

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from parley_bringup.report.context import checked_out_commit
from parley_bringup.run_choices import read_plan
from policy_core.contract import read_contract
from sim.bullet.env import BulletWarehouse
from sim.bullet.parity import compare, read_limits, summary
from sim.fast.env import FastWarehouse, order_streams
from sim.warehouse.bodies import read_bodies
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse


def parity(
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Traces, seeds 0 to N - 1.")] = 5,
    minutes: Annotated[float, typer.Option(min=0.5, max=240, help="Simulated minutes of each trace.")] = 10.0,
    forklifts: Annotated[int, typer.Option(min=1, max=32, help="Robots.")] = 4,
    map_file: Annotated[Path | None, typer.Option("--map", help="Floor plan or map of any form; default ours.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Play recorded decisions in the fast and in the PyBullet warehouse, and compare what came of them.

    Jobs are those that were released for orders, whatever jobs.offered says, so that both worlds do the same work.

    The limits are those of config/parity.yaml; exit code 1 where one of them does not hold.
    """
    config = home() / "config"
    plan, limits = read_plan(map_file), read_limits(config / "parity.yaml")
    settings, contract = read_warehouse(config / "warehouse.yaml"), read_contract(config / "contract.yaml")
    released = settings.jobs.model_copy(update={"offered": "released"})  # a claim on stock depends on what came before
    settings = settings.model_copy(update={"jobs": released})
    streams, popularity = order_streams(str(config / "orders.yaml"), (1.0, 1.0))
    tables, bodies, length = [build_tables(plan)], read_bodies(config / "bodies.yaml"), 60.0 * minutes
    world = (1, forklifts, length + 2.0 * contract.tick, tables, settings, bodies, contract, streams, popularity)
    fast, bullet = FastWarehouse(*world), BulletWarehouse(*world, plan)
    console = open_console()
    try:
        rows = list(
            track(
                compare(fast, bullet, range(seeds), minutes, limits),
                "traces",
                total=seeds,
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
        )
    finally:
        bullet.close()
    figures = summary(rows, limits)
    console.print(_table(figures))
    missed = [line["figure"] for line in figures if not line["holds"]]
    console.print(f"beyond their limits: {', '.join(missed)}" if missed else "all within their limits", soft_wrap=True)
    write_json(
        json_file,
        {
            "map": str(map_file or "config/floorplans/small_dc.yaml"),
            "minutes": minutes,
            "forklifts": forklifts,
            "fitted": settings.fitted.model_dump(),
            "limits": limits.model_dump(),
            "commit": checked_out_commit(home()),
            "figures": figures,
            "traces": rows,
        },
    )
    if missed:
        raise typer.Exit(1)


def _table(figures: list[dict[str, Any]]) -> Table:
    """One line a figure; what lies beyond its limit is marked."""
    table = Table("", "fast", "PyBullet", "apart", "limit", "legs", box=SIMPLE_HEAD, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in figures:
        apart = f"{100 * line['apart']:.1f} %" if "apart" in line else ""
        limit = f"{line['limit']:g}" + ("" if line["holds"] else " [bold red]missed[/]")
        pairs = f"{line['pairs']}, {line['apart_median']:.1f} s, {line['apart_90']:.1f} s" if "pairs" in line else ""
        table.add_row(line["figure"], f"{line['fast']:.2f}", f"{line['bullet']:.2f}", apart, limit, pairs)
    table.caption = "legs: pairs; their difference in the median and in nine of ten"
    return table
