"""A one-world warehouse on the shipped floor plan, with orders written by hand: answers known in advance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from policy_core.contract import read_contract
from policy_core.environment import Observations
from policy_core.serving.policy import Observation
from sim.fast.env import FastWarehouse
from sim.warehouse.baselines import make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.orders import OrderStream
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import SKUS, WarehouseSettings, read_warehouse

CONFIG = Path(__file__).parents[3] / "config"


def tables() -> Tables:
    """Tables of the embedded floor plan."""
    return build_tables(read_floorplan(CONFIG / "floorplans" / "small_dc.yaml"))


def settings() -> WarehouseSettings:
    """The shipped numbers."""
    return read_warehouse(CONFIG / "warehouse.yaml")


def orders(*rows: tuple[float, float, int, list[int]]) -> OrderStream:
    """An order stream from (time, due, dock, families)."""
    sku = np.full((len(rows), 4), -1, np.int32)
    for row, (_, _, _, families) in enumerate(rows):
        sku[row, : len(families)] = families
    return OrderStream(
        np.array([row[0] for row in rows], float),
        np.array([row[1] for row in rows], float),
        np.array([row[2] for row in rows], np.int32),
        np.array([len(row[3]) for row in rows], np.int32),
        sku,
    )


def world(
    stream: OrderStream,
    *,
    worlds: int = 1,
    forklifts: int = 4,
    episode: float = 300.0,
    its: WarehouseSettings | None = None,
    **options: Any,
) -> FastWarehouse:
    """A fast world that plays `stream` in every episode, with equal stock of all families."""
    return FastWarehouse(
        worlds,
        forklifts,
        episode,
        [tables()],
        settings() if its is None else its,
        read_bodies(CONFIG / "bodies.yaml"),
        read_contract(CONFIG / "contract.yaml"),
        lambda rng, duration, draw: stream,
        np.ones(SKUS),
        **options,
    )


def changed(**sections: dict[str, Any]) -> WarehouseSettings:
    """The shipped numbers, with some of them changed: changed(battery={"capacity": 100.0})."""
    its = settings()
    return its.model_copy(
        update={name: getattr(its, name).model_copy(update=numbers) for name, numbers in sections.items()}
    )


def decided(env: FastWarehouse, seen: Observations, name: str = "greedy", world: int = 0) -> np.ndarray:
    """What a baseline that hears nothing chooses in one world [N]."""
    choices = []
    for agent, kind in enumerate(env.kinds):
        member, of_kind = env.kinds[:agent].count(kind), seen.kinds[kind]
        policy = make_baseline(name, env.contract, kind, member)
        policy.begin(
            Observation(
                of_kind.vector[world, member], of_kind.candidates[world, member], of_kind.mask[world, member], (0, 0, 0)
            )
        )
        choices.append(policy.choose())
    return np.array(choices, np.int64)


def sensed(env: FastWarehouse, seen: Observations, kind: str, name: str, agent: int = 0, world: int = 0) -> np.ndarray:
    """One named field of one agent's observation."""
    return seen.kinds[kind].vector[world, agent, env.contract.kind(kind).place(name)]
