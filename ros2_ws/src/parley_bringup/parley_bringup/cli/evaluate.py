"""`parley eval`: policies side by side in the batched or the PyBullet world, on the same seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.progress import track
from rich.table import Table

from parley_bringup.cli.contenders import (
    PLANNER,
    WORLDS,
    close_world,
    generated_orders,
    make_world,
    play_episodes,
    policy_maker,
)
from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.kpi_intervals import headings, interval_table
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from parley_bringup.report.context import checked_out_commit
from parley_bringup.run_choices import checked_orders, choose_one, choose_speed, read_plan
from parley_bringup.study.intervals import mean_interval
from sim.fast.env import Streams
from sim.warehouse.baselines import BASELINES
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.order_replay import replay
from sim.warehouse.orders import read_order_settings
from sim.warehouse.randomisation import read_randomisation
from sim.warehouse.settings import read_warehouse

SHOWN = {
    "orders_per_hour": "orders/h",
    "lines_per_hour": "lines/h",
    "on_time_share": "on time",
    "late_s": "late (s)",
    "defects_shipped": "defects",
    "over_orders": "over-orders",
    "pallets_in_vain": "in vain",
    "claim_conflicts": "conflicts",
    "contacts": "contacts",
    "blocked_s": "blocked (s)",
    "reward": "reward",
}


def evaluate(
    policy: Annotated[
        list[str] | None, typer.Option(help="random, greedy, contract-net, planner or bundle:FOLDER; may be repeated.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Baselines, planner, and the bundle, also silenced.")
    ] = False,
    map_file: Annotated[Path | None, typer.Option("--map", help="Floor plan or map of any form; default ours.")] = None,
    orders: Annotated[Path | None, typer.Option(help="CSV file or folder to replay. Default: the generator.")] = None,
    order_speed: Annotated[str, typer.Option(help="Real seconds per simulated second, or auto.")] = "auto",
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="Simulated minutes of each episode.")] = 10.0,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Episodes, seeds 0 to N - 1.")] = 5,
    forklifts: Annotated[int, typer.Option(min=1, max=32, help="Robots.")] = 4,
    world_name: Annotated[str, typer.Option("--world", help="fast, or bullet: bodies with mass, slower.")] = "fast",
    loss: Annotated[float, typer.Option(min=0, max=1, help="Chance that a message to one receiver is lost.")] = 0.0,
    randomisation: Annotated[
        Path | None, typer.Option(help="Ranges each episode draws its world from. Default: as configured.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure policies in the batched or the PyBullet world over several seeds.

    The same seed gives every policy the same orders, stock, defects and lead times. Figures are means with 95 %
    bootstrap intervals over the seeds; per-seed figures are in the JSON. The second table has what each policy gains
    on the last one that is not silenced, seed by seed. The planner sees everything at once: a mark to come near to.
    """
    names = list(policy or [])
    if compare or not names:
        names += [*BASELINES, PLANNER, "bundle", "bundle, silenced"]
    settings = read_warehouse(home() / "config" / "warehouse.yaml")
    stream, popularity = _orders(orders, order_speed)
    ranges = read_randomisation(randomisation) if randomisation else None
    plans = [read_floorplan(plan) for plan in ranges.floorplans] if ranges else []
    plans = plans or [read_plan(map_file)]
    choose_one("--world", world_name, WORLDS)
    world = make_world(world_name, plans, forklifts, minutes * 60.0, settings, stream, popularity, randomisation=ranges)
    results: dict[str, list[dict[str, float]]] = {}
    console = open_console()
    for name in names:
        policy_maker(name, world)  # what is no policy is refused before any has played
    for name in names:
        played = play_episodes(name, world, range(seeds), reach=settings.radio.range, loss=loss)
        shown = track(played, name.ljust(20), seeds, console=console, transient=True, disable=not console.is_terminal)
        results[name] = list(shown)
    close_world(world)
    console.print(interval_table(results, SHOWN))
    if len(results) > 1:
        console.print(_differences(results))
    write_json(
        json_file,
        {
            "map": str(map_file or "config/floorplans/small_dc.yaml"),
            "world": world_name,
            "orders": str(orders or "generator"),
            "minutes": minutes,
            "forklifts": forklifts,
            "loss": loss,
            "randomisation": str(randomisation or ""),
            "commit": checked_out_commit(home()),
            "runs": results,
        },
    )


def _orders(path: Path | None, speed: str) -> tuple[Streams, np.ndarray]:
    settings = read_order_settings(home() / "config" / "orders.yaml")
    popularity = np.asarray(settings.popularity, float)
    if path is None:
        return generated_orders(settings), popularity
    source = Path(checked_orders(path))
    pace = choose_speed(speed)
    return lambda rng, duration, draw: replay(source, settings, pace or "auto", duration)[0], popularity


def _differences(results: dict[str, list[dict[str, float]]]) -> Table:
    """What each policy gains on one of them, seed by seed: the mean difference and its interval."""
    base = [name for name in results if not name.endswith("silenced")][-1]
    called = dict(zip(results, headings(list(results)), strict=True))
    table = Table(box=SIMPLE_HEAD, header_style="bold", title=f"against {called[base]}, seed by seed")
    table.add_column("", no_wrap=True)
    for heading in called.values():
        table.add_column(heading, justify="right", overflow="fold")
    for key, label in SHOWN.items():
        cells = []
        for name, runs in results.items():
            gained = np.array([run[key] - other[key] for run, other in zip(runs, results[base], strict=True)])
            mean, low, high = mean_interval(gained)
            cells.append("" if name == base else f"{mean:+.2f} [dim]{low:+.2f}..{high:+.2f}[/]")
        table.add_row(label, *cells)
    return table
