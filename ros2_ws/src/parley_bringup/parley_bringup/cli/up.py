"""`parley up`: start a fleet, or one robot's part of it, and keep it up until Ctrl-C."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.domain import hold_domain
from parley_bringup.nodes import node_list
from parley_bringup.run_choices import choose_fleet, choose_options, new_run_dir, read_plan, write_run
from parley_bringup.session import run_fleet
from policy_core.contract import read_contract

INTERRUPTED = 130


def up(
    fleet: Annotated[Path | None, typer.Option(help="Fleet manifest. Default: config/fleets/demo.yaml.")] = None,
    host: Annotated[str, typer.Option(help="Only this host's agents, as on one robot. Default: everything.")] = "",
    map_file: Annotated[Path | None, typer.Option("--map", help="Floor plan or map of a known format.")] = None,
    orders: Annotated[Path | None, typer.Option(help="CSV file or folder of order lines.")] = None,
    policy: Annotated[str | None, typer.Option(help="greedy, contract-net, random, or bundle:FOLDER.")] = None,
    inference: Annotated[str, typer.Option(help="onboard or server.")] = "onboard",
    database: Annotated[
        str, typer.Option(help="SQLAlchemy URL of the ledger. Default: SQLite in the run folder.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of all chance.")] = 1,
    run_dir: Annotated[Path | None, typer.Option(help="Folder for all that is written.")] = None,
    view: Annotated[bool, typer.Option("--view/--headless", " /--no-view", help="Live view.")] = True,
    record: Annotated[bool, typer.Option(help="Record the topics.")] = True,
    domain_id: Annotated[int | None, typer.Option(help="ROS domain. Default: ROS_DOMAIN_ID.")] = None,
    params_file: Annotated[Path | None, typer.Option(help="ROS parameters of your own, on top.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warn or error.")] = "info",
    json_file: JsonFile = None,
) -> None:
    """Start a fleet, or one robot's part of it, until Ctrl-C.

    A fleet whose bodies are all simulated stays on this machine. One with real robots uses the network as ROS 2 is
    set up to (ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE, ROS_STATIC_PEERS) and the wall clock.
    """
    fleet_file, members = choose_fleet(fleet)
    is_local = members.is_simulated and not host
    folder = new_run_dir(run_dir, "up")
    plan = read_plan(map_file)
    shared = choose_options(
        folder,
        fleet_file,
        policy=policy,
        inference=inference,
        orders=orders,
        params_file=params_file,
        log_level=log_level,
    )
    options = replace(
        shared,
        clock="lockstep" if members.is_simulated else "paced",
        seed=seed,
        minutes=0.0,
        database=database,
        record=record,
        use_sim_time=members.is_simulated,
        only_host=host,
    )
    specs = node_list(members, options)
    if domain_id is None and not is_local:
        domain_id = int(os.environ.get("ROS_DOMAIN_ID") or 0)  # where the other machines are
    domain, lock = hold_domain(domain_id, part=host)
    write_run(members, options, plan, str(map_file or ""))
    console = open_console()
    console.print(f"{members.name}: {len(specs)} processes, ROS domain {domain}, run folder {folder}", soft_wrap=True)
    outcome = run_fleet(
        specs,
        members,
        folder,
        domain,
        lock,
        is_local=is_local,
        console=console,
        minutes=0.0,
        rounds=read_contract(options.contract).rounds,
        is_shown=view,
    )
    write_json(json_file, {"run_dir": folder, **outcome._asdict()})
    if outcome.message:
        typer.echo(f"parley up: {outcome.message}", err=True)
    raise typer.Exit(0 if outcome.exit_code == INTERRUPTED else outcome.exit_code)
