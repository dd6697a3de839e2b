"""From file names to a world that can be worked in: begun anew, or taken up from its ledger."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from parley_tasks.dispatcher import Crew, Dispatcher
from parley_tasks.history import Names
from parley_tasks.ledger import Identity, Ledger
from policy_core.config import ConfigError
from policy_core.contract import read_contract
from sim.warehouse.floorplan import FloorPlan, read_floorplan
from sim.warehouse.order_replay import replay
from sim.warehouse.orders import OrderSettings, OrderStream, generate, read_order_settings
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import WarehouseSettings, read_warehouse
from sim.warehouse.state import INSPECTION, SLOT, State, make_state, open_world

ENDLESS = 24 * 60.0  # simulated minutes for which an endless run has orders


class Told(NamedTuple):
    """What a run is told; paths as given."""

    floorplan: str
    warehouse: str
    contract: str
    order_settings: str
    orders: str  # CSV file or folder; empty: the seeded generator
    order_speed: float  # real seconds of a replay in one simulated second; 0: the speed that gives lines_per_hour
    database: str  # SQLAlchemy URL
    seed: int
    minutes: float  # simulated; 0: endless


class Opened(NamedTuple):
    """A world to work in."""

    dispatcher: Dispatcher
    ledger: Ledger
    tick: float  # s
    notes: tuple[str, ...]  # what a person should know about it


def open_dispatcher(told: Told, crew: Crew) -> Opened:
    """Read all files, then take the world up from the ledger, or begin it if the ledger is empty.

    Raises:
        ConfigError: a file that cannot be used, or a fleet that does not fit the floor plan.
        LedgerError: a database that cannot be used, or belongs to another run.
    """
    plan = read_floorplan(told.floorplan)
    tables = build_tables(plan)
    settings, contract = read_warehouse(told.warehouse), read_contract(told.contract)
    order_settings = read_order_settings(told.order_settings)
    notes = _unserved(plan, tables, crew)
    duration = (told.minutes or ENDLESS) * 60.0
    identity = Identity(
        seed=told.seed,
        duration=duration,
        tick=contract.tick,
        floorplan=f"{plan.name} {_digest(plan)}",
        settings=f"{_digest(settings)} {_digest(order_settings)}",
        orders=f"{told.orders} at speed {told.order_speed or 'auto'}" if told.orders else "generator",
        fleet=", ".join(crew.names),
    )
    names = Names(tuple(place.name for place in plan.places), crew.robots)
    ledger = Ledger(told.database, identity, tables, names, crew.counters())
    try:
        state = ledger.load()
        if state is not None:
            notes.append(f"taken up from the ledger after tick {ledger.tick}")
        else:
            state, about = begin(told, tables, settings, order_settings, duration)
            ledger.create(state)
            notes.append(about)
    except BaseException:
        ledger.close()
        raise
    dispatcher = Dispatcher(crew, tables, settings.rules(), contract.tick, settings.jobs.abandon_after, ledger, state)
    return Opened(dispatcher, ledger, contract.tick, tuple(notes))


def begin(
    told: Told, tables: Tables, settings: WarehouseSettings, order_settings: OrderSettings, duration: float
) -> tuple[State, str]:
    """A new world with orders for `duration` (s), and in words where they come from; all chance from the seed."""
    rng = np.random.default_rng(told.seed)
    stream: OrderStream
    if told.orders:
        stream, summary = replay(told.orders, order_settings, told.order_speed or "auto", duration)
        popularity, about = np.asarray(summary.popularity), summary.text()
    else:
        stream = generate(order_settings, int(rng.integers(2**31)), duration)
        popularity = np.asarray(order_settings.popularity)
        about = f"{len(stream.time)} orders with {int(stream.n_lines.sum())} lines drawn for {duration / 60:g} minutes"
    state = make_state(1, tables, orders_held=max(1, len(stream.time)))
    open_world(state, 0, tables, settings, stream, popularity, rng)
    return state, about


def _unserved(plan: FloorPlan, tables: Tables, crew: Crew) -> list[str]:
    """Zones and stations without an agent, in words.

    Raises:
        ConfigError: an agent without a zone or a station, or nobody to drive.
    """
    notes = []
    if not crew.robots:
        raise ConfigError("the fleet has no forklift, so no pallet would ever move; add one to the fleet manifest.")
    for kind, place_type, group in (("inventory", SLOT, "zone"), ("quality", INSPECTION, "station")):
        groups = int(tables.place_group[tables.place_type == place_type].max()) + 1
        agents = len(crew.of_kind(kind))
        if agents > groups:
            raise ConfigError(
                f"the fleet has {agents} {kind} agents, floor plan '{plan.name}' has {groups} {group}(s); take agents "
                f"out of the fleet manifest, or give places another group."
            )
        if agents < groups:
            notes.append(f"{groups - agents} of {groups} {group}s have no {kind} agent; nobody works there")
    return notes


def _digest(model: BaseModel) -> str:
    content = json.dumps(model.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def sqlite_url(run_dir: str) -> str:
    """Where the ledger lies if nobody names another place."""
    return f"sqlite:///{Path(run_dir).resolve() / 'ledger.sqlite'}"
