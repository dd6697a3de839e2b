"""`parley demo`: a simulated fleet on a floor plan with an order stream, from nothing to the KPI table."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from parley_agents.fleet import Fleet
from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.domain import hold_domain
from parley_bringup.nodes import RunOptions, node_list
from parley_bringup.run_choices import (
    choose_fleet,
    choose_options,
    choose_speed,
    in_folder,
    new_run_dir,
    read_plan,
    write_run,
)
from parley_bringup.session import Outcome, run_fleet
from policy_core.config import ConfigError
from policy_core.contract import read_contract
from sim.warehouse.floorplan import FloorPlan


def demo(
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Floor plan, or map of a known format to import. Default: our own.")
    ] = None,
    orders: Annotated[
        Path | None, typer.Option(help="CSV file or folder of order lines to replay. Default: seeded generator.")
    ] = None,
    order_speed: Annotated[
        str, typer.Option(help="Real seconds per simulated second in a replay; auto: as busy as the generator.")
    ] = "auto",
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="Simulated minutes.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of all chance.")] = 1,
    policy: Annotated[
        str | None, typer.Option(help="greedy, contract-net, random, or bundle:FOLDER. Default: the shipped bundle.")
    ] = None,
    inference: Annotated[
        str, typer.Option(help="onboard: in each agent's process; server: batched, one node.")
    ] = "onboard",
    paced: Annotated[bool, typer.Option("--paced", help="Follow the wall clock instead of waiting for all.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Then the same seed with greedy and contract-net.")
    ] = False,
    against: Annotated[
        int, typer.Option(min=0, max=1000, help="Episodes in which a bundle's rivals play, too; 0: none.")
    ] = 5,
    fleet: Annotated[Path | None, typer.Option(help="Fleet manifest. Default: config/fleets/demo.yaml.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="New folder for all that is written.")] = None,
    view: Annotated[bool, typer.Option("--view/--headless", " /--no-view", help="Live view.")] = True,
    record: Annotated[bool, typer.Option(help="Record the topics; without it there is no report.")] = True,
    domain_id: Annotated[int | None, typer.Option(help="ROS domain. Default: ROS_DOMAIN_ID, else a free one.")] = None,
    params_file: Annotated[Path | None, typer.Option(help="ROS parameters of your own, on top.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warn or error.")] = "info",
    json_file: JsonFile = None,
) -> None:
    """Run a simulated fleet, watch it, and see what it achieved.

    Physics, tasks and every robot are processes of their own that talk over DDS. The run folder takes everything:
    kpis.json, run.mcap, fleet.png, fleet.mp4, messages.png, logs/. The same seed gives the same run at any speed,
    unless --paced. A bundle is then shown beside itself silenced, greedy, contract-net and a central planner, on the
    same map and orders in the batched world.
    """
    console = open_console()
    fleet_file, members = choose_fleet(fleet)
    if not members.is_simulated:
        raise ConfigError(f"{fleet_file}: the demo's bodies are all simulated; use `parley up` for real robots.")
    plan = read_plan(map_file)
    shared = choose_options(
        new_run_dir(run_dir, "demo"),
        fleet_file,
        policy=policy,
        inference=inference,
        orders=orders,
        params_file=params_file,
        log_level=log_level,
    )
    options = replace(
        shared,
        clock="paced" if paced else "lockstep",
        seed=seed,
        minutes=minutes,
        order_speed=choose_speed(order_speed),
        record=record,
    )
    if compare and not record:
        raise ConfigError("--compare reads the recordings; leave out --no-record.")
    runs = [options]
    if compare:
        policies = dict.fromkeys([options.policy, "greedy", "contract-net"])
        runs = [in_folder(replace(options, policy=each), options.run_dir / each.split(":")[0]) for each in policies]
    for each in runs:
        outcome = _run(console, each, members, plan, str(map_file or ""), view, domain_id)
        _leave_unless_done(console, outcome, each.run_dir, json_file)
    if not record:
        write_json(json_file, {"run_dir": options.run_dir, "started_in_s": outcome.started_in})
        return
    # Not before the fleet has run: the figures' imports would hold up its start by more than a second.
    from parley_bringup.cli.report import show_comparison, show_report

    if compare:
        show_comparison(
            console, [each.run_dir for each in runs], f"seed {seed}, {minutes:g} simulated minutes", json_file
        )
    else:
        show_report(
            console, options.run_dir, json_file, partial(_play_rivals, console, options, members, plan, against)
        )


def _run(
    console: Console,
    options: RunOptions,
    fleet: Fleet,
    plan: FloorPlan,
    map_name: str,
    is_shown: bool,
    domain_id: int | None,
) -> Outcome:
    """One run from an empty folder to its end."""
    specs = node_list(fleet, options)
    domain, lock = hold_domain(domain_id)
    write_run(fleet, options, plan, map_name)
    console.print(
        f"{fleet.name}: {len(fleet.agents)} agents, {len(specs)} processes, {options.policy.split('/')[-1]}, "
        f"seed {options.seed}, {options.minutes:g} simulated minutes on '{plan.name}', ROS domain {domain}",
        soft_wrap=True,
        highlight=False,
    )
    return run_fleet(
        specs,
        fleet,
        options.run_dir,
        domain,
        lock,
        is_local=True,
        console=console,
        minutes=options.minutes,
        rounds=read_contract(options.contract).rounds,
        is_shown=is_shown,
    )


def _play_rivals(console: Console, options: RunOptions, fleet: Fleet, plan: FloorPlan, episodes: int) -> None:
    if episodes and options.policy.startswith("bundle:"):
        from parley_bringup.cli.rivals import play_rivals

        play_rivals(console, options, fleet, plan, episodes)


def _leave_unless_done(console: Console, outcome: Outcome, run_dir: Path, json_file: Path | None) -> None:
    if outcome.exit_code == 0:
        if outcome.started_in is not None:
            console.print(f"every node was active after {outcome.started_in:.1f} s", highlight=False)
        return
    result: dict[str, Any] = {"run_dir": run_dir, "exit_code": outcome.exit_code, "error": outcome.message}
    write_json(json_file, result)
    if outcome.message:
        typer.echo(f"parley demo: {outcome.message}", err=True)
    else:
        console.print(f"stopped; what there is: parley report {run_dir}", soft_wrap=True, highlight=False)
    raise typer.Exit(outcome.exit_code)
