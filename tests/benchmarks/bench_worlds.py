"""How fast the two simulators are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from sim.bullet.world import BulletWorld
from sim.fast.env import FastWarehouse, make
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.settings import read_warehouse
from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import seconds_of

REPEATS = 5
TICKS = {1: 400, 16: 60, 128: 15}  # in one repeat, by worlds
STEPS = 200  # of 0.1 s, in one repeat of the PyBullet world
PALLETS = 40
CROWD = 8  # robots asked for beside other simulators; the shipped plan parks fewer, and then has as many as it parks
TURNS = 5
CPU_TIME = 0.6  # s for one turn of one simulator


def legal_choices(world: FastWarehouse, rng: np.random.Generator) -> np.ndarray:
    """Any legal candidate for every agent [E, N]."""
    masks = [board.mask for board in world.boards.values()]
    return np.concatenate([np.argmax(mask * rng.random(mask.shape), axis=2) for mask in masks], axis=1)


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


def fill_time(step: Callable[[], float]) -> float:
    """Robot motion steps per CPU second of a simulator whose `step` tells how many it made."""
    made, began = 0.0, time.process_time()
    while (spent := time.process_time() - began) < CPU_TIME:
        made += step()
    return made / spent


def our_step(worlds: int) -> tuple[int, Callable[[], float]]:
    """Robots of a world, and one tick of all worlds with full task logic and every agent's observation and choice."""
    plan = read_floorplan("config/floorplans/small_dc.yaml")
    robots = min(CROWD, len(plan.of_type("parking")))
    world, rng = make(worlds, robots), np.random.default_rng(worlds)
    world.reset(1)
    steps = round(world.contract.tick / world.settings.motion.step)

    def step() -> float:
        world.step(legal_choices(world, rng))  # ends episodes, so that no world runs out of orders
        return float(worlds * robots * steps)

    return robots, step


def vmas_step(worlds: int) -> Callable[[], float]:
    """One step of 0.1 s of VMAS navigation, as its users run it."""
    import vmas

    env = vmas.make_env("navigation", num_envs=worlds, n_agents=CROWD, continuous_actions=True, seed=0)
    env.reset()
    actions = [torch.rand(worlds, 2) * 2 - 1 for _ in range(CROWD)]

    def step() -> float:
        env.step(actions)
        return float(worlds * CROWD)

    return step


def rware_step() -> Callable[[], float]:
    """One step of RWARE, four robots on a small grid: one cell or a quarter turn each."""
    import gymnasium
    import rware  # noqa: F401  registers its worlds

    env: Any = gymnasium.make("rware-small-4ag-v2", max_episode_steps=100_000)
    env.reset(seed=0)
    actions = [tuple(row) for row in np.random.default_rng(0).integers(5, size=(997, 4)).tolist()]
    count = 0

    def step() -> float:
        nonlocal count
        count += 1
        if any(env.step(actions[count % len(actions)])[2:4]):
            env.reset()
        return 4.0

    return step


def test_motion_steps_beside_other_simulators(record: Record) -> None:
    missing = [name for name in ("vmas", "rware") if find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed; they come with the worlds extra")
    torch.set_num_threads(1)
    robots, rows, rware = 0, [], rware_step()
    for worlds in (1, 64, 1024):
        robots, ours = our_step(worlds)
        sides = {"ours": ours, "vmas": vmas_step(worlds), "rware": rware}
        for step in sides.values():
            step()
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(TURNS):
            for name, step in sides.items():
                speeds[name].append(fill_time(step))
        figure = {name: median(each) for name, each in speeds.items()}
        rows.append(
            {
                "worlds": worlds,
                "robot_motion_steps_per_cpu_s": figure["ours"],
                "vmas_navigation": figure["vmas"],
                "to_vmas": figure["ours"] / figure["vmas"],
                "rware_one_world": figure["rware"],
                "to_rware": figure["ours"] / figure["rware"],
            }
        )
    config = {"robots": robots, "robots_of_vmas": CROWD, "robots_of_rware": 4, "threads": 1, "turns": TURNS}
    record("robot motion steps", {**config, "clock": "process CPU time, drawing our choices included"}, rows)


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
