"""Reads the files of a run and builds the world they describe, or says in words what does not fit. No ROS in here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from parley_agents.fleet import Fleet, read_fleet
from parley_agents.managed_node import RunSettings
from parley_sim.batteries import Batteries
from policy_core.config import ConfigError
from policy_core.contract import read_contract
from sim.bullet.world import BulletWorld
from sim.warehouse.bodies import Bodies, read_bodies
from sim.warehouse.floorplan import FloorPlan, Place, read_floorplan
from sim.warehouse.settings import Motion, check_limits, read_warehouse

BATTERY_CHANCE = 24  # names the stream of chance that the batteries' first charge is drawn from


class WorldSetup(NamedTuple):
    """A world and the clockwork it runs by."""

    world: BulletWorld
    plan: FloorPlan
    bodies: Bodies
    motion: Motion
    steps_per_tick: int  # move steps in one decision tick
    batteries: Batteries


def set_up_world(run: RunSettings, bodies_file: str) -> WorldSetup:
    """Build the world of a run; forklifts stand on the plan's parking places, in fleet order.

    Args:
        run: what every node is told.
        bodies_file: path of the body settings; empty: bodies.yaml beside the warehouse settings.

    Raises:
        ConfigError: a file is bad, or two of them do not fit together.
    """
    plan = read_floorplan(run.floorplan)
    settings = read_warehouse(run.warehouse)
    motion = settings.motion
    contract = read_contract(run.contract)
    bodies_path = Path(bodies_file) if bodies_file else Path(run.warehouse).with_name("bodies.yaml")
    bodies = read_bodies(bodies_path)
    check_limits(motion, bodies, str(bodies_path))
    steps = round(contract.tick / motion.step)
    if steps < 1 or abs(steps * motion.step - contract.tick) > 1e-9:
        raise ConfigError(
            f"{run.contract}: tick {contract.tick} s is no whole multiple of motion.step {motion.step} s in "
            f"{run.warehouse}; change one of them."
        )
    homes = _homes(read_fleet(run.fleet, contract), plan, run)
    robots = [(name, *place.before(motion.dock_reach)) for name, place in homes.items()]
    world = BulletWorld(plan, robots, bodies, run.seed, motion.step, motion.dock_reach)
    rng = np.random.default_rng((run.seed, BATTERY_CHANCE))
    shares = rng.uniform(*settings.battery.initial_share, len(robots))
    batteries = Batteries(shares, list(homes.values()), settings.battery_numbers(bodies), motion)
    return WorldSetup(world, plan, bodies, motion, steps, batteries)


def _homes(fleet: Fleet, plan: FloorPlan, run: RunSettings) -> dict[str, Place]:
    """Where each simulated forklift parks: forklift number n of the whole fleet at parking place n, as agents know."""
    forklifts = [agent for agent in fleet.agents if agent.kind == "forklift"]
    parking = [plan.places[index] for index in plan.of_type("parking")]
    if len(parking) < len(forklifts):
        raise ConfigError(
            f"{run.floorplan} has {len(parking)} parking places, {run.fleet} has {len(forklifts)} forklifts; "
            "add parking places or take forklifts out of the fleet."
        )
    return {agent.name: place for agent, place in zip(forklifts, parking, strict=False) if agent.backend == "sim"}
