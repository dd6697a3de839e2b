"""How fast the two simulators are. Beside those of others: bench_beside.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

import numpy as np

from sim.bullet.world import BulletWorld
from sim.fast.env import FastWarehouse, make
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.settings import read_warehouse
from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import legal_choices, seconds_of

REPEATS = 5
TICKS = {1: 400, 16: 60, 128: 15}  # in one repeat, by worlds
STEPS = 200  # of 0.1 s, in one repeat of the PyBullet world
PALLETS = 40


def played(world: FastWarehouse, rng: np.random.Generator, ticks: int) -> float:
    """Seconds that these ticks took, without choosing."""
    spent = 0.0
    for _ in range(ticks):
        choices = legal_choices(world, rng)
        spent += seconds_of(lambda choices=choices: world.step(choices))
    return spent


def test_batched_world(record: Record) -> None:
    rng = np.random.default_rng(1)
    worlds = {count: make(count) for count in TICKS}
    for world in worlds.values():
        world.reset(1)
        played(world, rng, 10)
    spent: dict[int, list[float]] = {count: [] for count in worlds}
    for _ in range(REPEATS):
        for count, world in worlds.items():
            spent[count].append(played(world, rng, TICKS[count]) / TICKS[count])
    rows = [
        {
            "worlds": count,
            "env_steps_per_s": count / median(seconds),
            "agent_decisions_per_s": count * len(worlds[count].agents) / median(seconds),
            "ms_per_tick": 1e3 * median(seconds),
        }
        for count, seconds in spent.items()
    ]
    agents = len(worlds[1].agents)
    record("batched world", {"agents": agents, "tick_s": 1.0, "repeats": REPEATS, "choices": "random, legal"}, rows)


def test_pybullet_world(record: Record) -> None:
    plan, motion = read_floorplan("config/floorplans/small_dc.yaml"), read_warehouse("config/warehouse.yaml").motion
    parking = [plan.places[index].before(motion.dock_reach) for index in plan.of_type("parking")][:4]
    robots = [(f"forklift_{number + 1}", *pose) for number, pose in enumerate(parking)]
    world = BulletWorld(plan, robots, read_bodies("config/bodies.yaml"), 1, motion.step, motion.dock_reach)
    for number, index in enumerate(plan.of_type("slot")[:PALLETS]):
        place = plan.places[index]
        world.add_pallet(number, place.x, place.y, place.yaw, number % 12)
    parts: dict[str, Callable[[], object]] = {"physics": world.step, "laser": world.scans, "contacts": world.contacts}
    spent: dict[str, list[float]] = {part: [] for part in parts}
    driven = 0.0  # m, all robots together
    for repeat in range(REPEATS + 1):
        took = dict.fromkeys(parts, 0.0)
        for step in range(STEPS):
            for row, name in enumerate(world.robots):
                world.command(name, 0.8 * math.cos(0.05 * step + row), 0.4 * math.sin(0.03 * step + row), 0.15)
            for part, work in parts.items():
                took[part] += seconds_of(work)
            driven += sum(abs(world.pose(name).v) for name in world.robots) * motion.step
        if repeat:  # the first one warms up
            for part in parts:
                spent[part].append(took[part] / STEPS)
    pallets = len(world.pallets)
    world.close()
    whole = [sum(each) for each in zip(*spent.values(), strict=True)]
    rows = [
        {"part": part, "ms_per_step": 1e3 * median(seconds), "real_time_factor": motion.step / median(seconds)}
        for part, seconds in {**spent, "all": whole}.items()
    ]
    config = {"forklifts": len(robots), "pallets": pallets, "step_s": motion.step, "steps": STEPS, "repeats": REPEATS}
    mean_speed = driven / (len(robots) * (REPEATS + 1) * STEPS * motion.step)
    record("PyBullet world", {**config, "mean_speed_m_per_s": round(mean_speed, 2)}, rows)
