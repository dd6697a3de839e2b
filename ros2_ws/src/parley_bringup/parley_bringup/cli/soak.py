"""`parley soak`: hours of one world under checks, in the fast or in the PyBullet warehouse."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from parley_bringup.cli.contenders import WORLDS, close_world, make_world, policy_maker
from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from parley_bringup.report.context import checked_out_commit
from parley_bringup.run_choices import choose_one, read_plan
from policy_core.contract import read_contract
from sim.fast.env import ORDERS_HELD, order_streams
from sim.soak.limits import read_soak_limits
from sim.soak.run import HOUR
from sim.soak.run import soak as play_on
from sim.warehouse.bodies import read_bodies
from sim.warehouse.guard import read_guard
from sim.warehouse.orders import read_order_settings
from sim.warehouse.settings import read_warehouse

LARGE_PLAN = Path("floorplans") / "large_dc.yaml"


def soak(
    hours: Annotated[float, typer.Option(min=0.01, max=1000, help="Simulated hours.")] = 10.0,
    robots: Annotated[int, typer.Option(min=1, max=32, help="Forklifts.")] = 16,
    world_name: Annotated[str, typer.Option("--world", help="fast, or bullet: bodies with mass, slower.")] = "bullet",
    policy: Annotated[
        str, typer.Option(help="random, greedy, contract-net, planner or bundle:FOLDER.")
    ] = "contract-net",
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Floor plan or map of any form; default our larger one.")
    ] = None,
    load: Annotated[float, typer.Option(min=0.05, max=10, help="Order lines, as a multiple of orders.yaml.")] = 1.0,
    loss: Annotated[float, typer.Option(min=0, max=1, help="Chance that a message to one receiver is lost.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of the world and of the channel.")] = 0,
    guard: Annotated[
        bool, typer.Option("--guard", help="Let every robot's guard judge its commands; PyBullet only.")
    ] = False,
    twice: Annotated[bool, typer.Option("--twice", help="Play it again, and compare the digests.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Let a fleet work for hours under a full order stream, and look at every tick whether all is as it must be.

    Positions are finite and on the floor, nobody passes through a wall or rack, no body is left behind in PyBullet,
    goods add up, orders flow, memory stays flat. The limits are those of config/soak.yaml; exit code 1 where one does
    not hold, or where the same seed gave another digest.
    """
    config = home() / "config"
    plan, limits = read_plan(map_file or config / LARGE_PLAN), read_soak_limits(config / "soak.yaml")
    settings, bodies = read_warehouse(config / "warehouse.yaml"), read_bodies(config / "bodies.yaml")
    contract = read_contract(config / "contract.yaml")
    streams, popularity = order_streams(str(config / "orders.yaml"), (load, load))
    length = hours * HOUR + 2.0 * contract.tick
    expected = load * read_order_settings(config / "orders.yaml").lines_per_hour * length / HOUR
    held = ORDERS_HELD + math.ceil(expected + 6.0 * math.sqrt(expected))  # an order has one line at least
    choose_one("--world", world_name, WORLDS)
    judge = read_guard(config / "guard.yaml") if guard else None
    world = make_world(world_name, [plan], robots, length, settings, streams, popularity, orders_held=held, guard=judge)
    make, console = policy_maker(policy, world)(seed), open_console()
    head = {"map": plan.name, "world": world_name, "policy": policy, "robots": robots, "hours": hours, "load": load}
    head |= {
        "guard": guard,
        "loss": loss,
        "seed": seed,
        "commit": checked_out_commit(home()),
        "limits": limits.model_dump(),
    }
    results: list[dict[str, Any]] = []

    def after_an_hour(result: dict[str, Any]) -> None:
        """What there is so far goes to the file, and into a log that nobody watches."""
        write_json(json_file, head | {"finished": False, "holds": result["holds"], "runs": [*results, result]})
        if not console.is_terminal:
            console.print(_one_line(result), soft_wrap=True)

    for attempt in range(1 + twice):
        with _bar(console) as bar:
            task = bar.add_task("again" if attempt else f"{hours:g} h", total=hours * HOUR)
            results.append(
                play_on(
                    world,
                    make,
                    plan,
                    bodies,
                    limits,
                    seed,
                    hours,
                    reach=settings.radio.range,
                    loss=loss,
                    on_tick=partial(_advance, bar, task),
                    on_hour=after_an_hour,
                )
            )
    close_world(world)
    result, is_same = results[0], len({each["digest"] for each in results}) == 1
    console.print(_table(result))
    if result["by_hour"]:
        console.print(_flow(result))
    console.print(_one_line(result), soft_wrap=True)
    if world_name != "fast":
        console.print(_touched(result, guard), soft_wrap=True)
    again = "" if not twice else ", the same twice" if is_same else ", ANOTHER the second time"
    console.print(f"digest {result['digest']}{again}", soft_wrap=True)
    holds = is_same and all(each["holds"] for each in results)
    failed = sorted({name for each in results for name in each["failed"]} | ({"digest"} if not is_same else set()))
    console.print("all holds" if holds else f"did not hold: {', '.join(failed)}", soft_wrap=True)
    end = {"finished": True, "holds": holds, "is_same": is_same if twice else None, "runs": results}
    write_json(json_file, head | end)
    if not holds:
        raise typer.Exit(1)


def _advance(bar: Progress, task: TaskID, seconds: float) -> None:
    bar.update(task, completed=seconds)


def _one_line(result: dict[str, Any]) -> str:
    hours, minutes = result["simulated_s"] / HOUR, result["wall_s"] / 60.0
    return (
        f"{hours:.2f} h in {minutes:.1f} min, {result['real_time_factor']:.1f} times real time; "
        f"{result['kpis']['lines_shipped']:.0f} lines shipped; memory at most {result['memory']['most']:.0f} MB; "
        f"faults: {', '.join(result['failed']) or 'none'}"
    )


def _touched(result: dict[str, Any], is_guarded: bool) -> str:
    """What robots and their loads have touched, and what their guards did."""
    found = sorted(result["touched"].items())
    words = f"contacts {'with' if is_guarded else 'without'} the guard: "
    words += ", ".join(f"{kind} {count}" for kind, count in found) or "none"
    if is_guarded:
        steps = sorted(result["judged"].items())
        words += "; commands changed: " + (", ".join(f"{reason} {count}" for reason, count in steps) or "none")
    return words


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)


def _table(result: dict[str, Any]) -> Table:
    """One line a check."""
    table = Table("check", "looks", "faults", "worst", "limit", "first", box=SIMPLE_HEAD, header_style="bold")
    for column in table.columns[1:5]:
        column.justify = "right"
    for row in result["checks"]:
        worst, limit = ("", "") if row["limit"] is None else (f"{row['worst']:.3g}", f"{row['limit']:g}")
        faults = f"[bold red]{row['faults']}[/]" if row["faults"] else "0"
        table.add_row(row["check"], str(row["looked"]), faults, worst, limit, row["first"])
    return table


def _flow(result: dict[str, Any]) -> Table:
    """One line an hour."""
    names = list(result["by_hour"][0]) if result["by_hour"] else []
    table = Table("hour", *names, box=SIMPLE_HEAD, header_style="bold")
    for column in table.columns:
        column.justify = "right"
    for hour, figures in enumerate(result["by_hour"]):
        table.add_row(str(hour + 1), *(f"{figures[name]:.0f}" for name in names))
    return table
