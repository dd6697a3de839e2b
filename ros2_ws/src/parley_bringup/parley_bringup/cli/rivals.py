"""A run's bundle beside its rivals: the same map, orders and minutes in the batched world, where they take seconds."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from parley_agents.fleet import Fleet
from parley_bringup.cli.contenders import PLANNER, generated_orders, make_world, play_episodes
from parley_bringup.cli.json_result import write_json
from parley_bringup.cli.rivals_table import RIVALS_FILE, SILENCED, Rivals
from parley_bringup.nodes import RunOptions
from parley_bringup.paths import home
from sim.fast.env import ORDERS_HELD, FastWarehouse
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.order_replay import replay
from sim.warehouse.orders import OrderStream, read_order_settings
from sim.warehouse.settings import read_warehouse

RIVALS = ("greedy", "contract-net", PLANNER)


def play_rivals(console: Console, options: RunOptions, fleet: Fleet, plan: FloorPlan, episodes: int) -> None:
    """Play the run's bundle, the same silenced, and its rivals; leaves RIVALS_FILE in the run folder.

    Ctrl-C ends this, not the command. A fleet that leaves zones or stations without an agent has no equal there.
    """
    world = open_batched(options, fleet, plan)
    if Counter(world.kinds) != Counter(fleet.kinds):
        console.print("no comparison: the batched world has an agent in every zone and station, this fleet has not")
        return
    names = (options.policy, f"{options.policy}, {SILENCED}", *RIVALS)
    reach = read_warehouse(options.warehouse).radio.range
    seeds = range(options.seed, options.seed + episodes)
    console.print(
        f"playing {episodes} x {len(names)} episodes beside it in the batched world; Ctrl-C leaves that out",
        soft_wrap=True,
        highlight=False,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    runs: dict[str, list[dict[str, float]]] = {}
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            shown = bar.add_task("episodes", total=episodes * len(names))
            for name in names:
                bar.update(shown, description=name.rpartition("/")[2].ljust(14))
                runs[name] = []
                for kpis in play_episodes(name, world, seeds, reach=reach):
                    runs[name].append(kpis)
                    bar.advance(shown)
    except KeyboardInterrupt:
        console.print("no comparison: stopped")
        return
    found = Rivals(minutes=options.minutes, first_seed=options.seed, runs=runs)
    write_json(options.run_dir / RIVALS_FILE, found.model_dump())


def open_batched(options: RunOptions, fleet: Fleet, plan: FloorPlan) -> FastWarehouse:
    """The run's warehouse as a batched world; its episode with the run's seed has the run's own orders and stock."""
    seconds = 60.0 * options.minutes
    settings = read_order_settings(home() / "config" / "orders.yaml")
    streams, popularity, held = generated_orders(settings), settings.popularity, ORDERS_HELD
    if options.orders:
        stream, summary = replay(options.orders, settings, options.order_speed or "auto", seconds)
        streams = partial(_the_same, stream)
        popularity, held = summary.popularity, max(held, len(stream.time))
    return make_world(
        "fast",
        [plan],
        len(fleet.of_kind("forklift")),
        seconds,
        read_warehouse(options.warehouse),
        streams,
        np.asarray(popularity, float),
        orders_held=held,
    )


def _the_same(stream: OrderStream, rng: np.random.Generator, duration: float, demand: float) -> OrderStream:
    return stream
