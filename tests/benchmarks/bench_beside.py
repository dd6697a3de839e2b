"""The batched world beside VMAS and RWARE, all in one run and in turns, at equal numbers of robots.

What a step is differs, so it is counted twice. A **decision step** is one choice of one robot: of ours it is a tick of
1 s with the whole task (routes, traffic, batteries, orders, inspection, observations and masks of all agents); of VMAS
a step of 0.1 s of round bodies with a force each; of RWARE a move of one cell or a quarter turn on a grid. A **motion
step** is 0.1 s of one robot's motion: ten in a tick of ours, one in a step of VMAS, none in RWARE, which has no time.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from sim.fast.env import FastWarehouse, make
from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import legal_choices, table

ROBOTS = 6  # as many as the shipped plan parks
WORLDS = (1, 64, 1024, 8192)
TURNS = 3
TURN = 0.4  # s of CPU time, or one step
WARM_UP = 12  # ticks, after which robots drive
BUSY = 0.15  # of a core that others use, above which two processes are not timed


class Side(NamedTuple):
    """A simulator to time: `play` makes one step of all its worlds and gives the CPU seconds of that step."""

    name: str
    worlds: int
    robots: int
    motion_steps: int  # of 0.1 s in one step
    play: Callable[[], float]


@pytest.mark.timeout(600)  # a minute and a half where nothing else runs
def test_beside_other_simulators_on_one_core(record: Record) -> None:
    missing = [name for name in ("vmas", "rware") if find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed; they come with the worlds extra")
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for worlds in WORLDS:
        sides = [*ours(worlds), vmas(worlds, ROBOTS), vmas(worlds, 8)]
        if worlds == 1:
            sides.append(rware())
        spent: dict[str, list[float]] = {side.name: [] for side in sides}
        for _ in range(TURNS):
            for side in sides:
                spent[side.name].append(turn(side))
        rows += rows_of(sides, {name: median(each) for name, each in spent.items()})
    config = {"threads": 1, "turns": TURNS, "clock": "process CPU time of step alone", "choices": "random, legal"}
    if find_spec("pybullet_fleet") is None:
        print("\nPyBulletFleet is left out: no package 'pybullet_fleet' here; it is no dependency of this project")
    record("worlds beside others, one core", config, rows)


def turn(side: Side) -> float:
    """CPU seconds of one step, the mean over a turn."""
    spent, steps = 0.0, 0
    while spent < TURN:
        spent += side.play()
        steps += 1
    return spent / steps


def rows_of(sides: list[Side], seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Decision and motion steps of robots per CPU second, and how many times those of VMAS they are."""
    rate = {side.name: side.worlds * side.robots / seconds[side.name] for side in sides}
    motion = {side.name: rate[side.name] * side.motion_steps for side in sides}
    peer = next(side.name for side in sides if side.name.startswith("VMAS"))
    return [
        {
            "simulator": side.name,
            "worlds": side.worlds,
            "robots": side.robots,
            "decision_steps_per_s": rate[side.name],
            "motion_steps_per_s": motion[side.name] or "-",
            "decisions_to_vmas": rate[side.name] / rate[peer],
            "motion_to_vmas": motion[side.name] / motion[peer] if motion[side.name] else "-",
        }
        for side in sides
    ]


def opened(worlds: int) -> tuple[FastWarehouse, np.random.Generator]:
    """Worlds whose robots drive, and chance."""
    world, rng = make(worlds, ROBOTS), np.random.default_rng(worlds)
    world.reset(1)
    for _ in range(WARM_UP):
        world.advance(legal_choices(world, rng))
    return world, rng


def ours(worlds: int) -> list[Side]:
    """The same worlds with and without the forklifts' laser."""
    world, rng = opened(worlds)
    steps = round(world.contract.tick / world.settings.motion.step)

    def play(has_laser: bool) -> float:
        world.numbers.has_laser[:] = has_laser
        choices = legal_choices(world, rng)
        began = time.process_time()
        world.step(choices)  # ends episodes, too, so that no world runs out of orders
        return time.process_time() - began

    return [
        Side("Parley", worlds, ROBOTS, steps, lambda: play(True)),
        Side("Parley, no laser", worlds, ROBOTS, steps, lambda: play(False)),
    ]


def vmas(worlds: int, robots: int) -> Side:
    """VMAS navigation with its laser of 12 rays, as its users run it."""
    import vmas

    env = vmas.make_env("navigation", num_envs=worlds, n_agents=robots, continuous_actions=True, seed=0)
    env.reset()
    actions = [torch.rand(worlds, 2) * 2 - 1 for _ in range(robots)]

    def play() -> float:
        began = time.process_time()
        env.step(actions)
        return time.process_time() - began

    play()
    return Side(f"VMAS navigation-{robots}", worlds, robots, 1, play)


def rware() -> Side:
    """One world of RWARE; it has no batches."""
    import gymnasium
    import rware  # noqa: F401  registers its worlds

    env: Any = gymnasium.make(f"rware-small-{ROBOTS}ag-v2", max_episode_steps=100_000)
    env.reset(seed=0)
    actions = [tuple(row) for row in np.random.default_rng(0).integers(5, size=(997, ROBOTS)).tolist()]
    count = 0

    def play() -> float:
        nonlocal count
        count += 1
        began = time.process_time()
        *_, terminated, truncated, _ = env.step(actions[count % len(actions)])
        spent = time.process_time() - began
        if terminated or truncated:
            env.reset()
        return spent

    return Side(f"RWARE small-{ROBOTS}ag", 1, ROBOTS, 0, play)


@pytest.mark.timeout(600)
def test_two_processes_on_two_cores(record: Record) -> None:
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        pytest.skip(f"two processes want two cores, this one may use {cores}")
    others = used_by_others()
    if others > BUSY:
        pytest.skip(f"other programs use {others:.2f} of a core; two processes would time them, too")
    rows: list[dict[str, Any]] = []
    for worlds in WORLDS[1:]:
        alone = in_processes(1, worlds // 2)
        both = in_processes(2, worlds // 2)
        rows.append(
            {
                "worlds": worlds,
                "decision_steps_per_s": both,
                "motion_steps_per_s": 10 * both,
                "one_process_with_half_of_them": alone,
                "times_one_process": both / alone,
            }
        )
    record("worlds in two processes", {"robots": ROBOTS, "clock": "wall", "laser": True}, rows)


def in_processes(count: int, worlds: int) -> float:
    """Decision steps of robots per wall second of all processes together, each with its own worlds."""
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(count), context.Queue()
    members = [context.Process(target=_play_apart, args=(worlds, start, rates)) for _ in range(count)]
    for member in members:
        member.start()
    total = sum(rates.get(timeout=180) for _ in members)
    for member in members:
        member.join(timeout=30)
    return float(total)


def _play_apart(worlds: int, start: Barrier, rates: Any) -> None:
    world, rng = opened(worlds)
    start.wait(timeout=150)
    spent, steps = 0.0, 0
    while spent < 4 * TURN:
        choices = legal_choices(world, rng)
        began = time.perf_counter()
        world.step(choices)
        spent += time.perf_counter() - began
        steps += 1
    rates.put(worlds * ROBOTS * steps / spent)


def used_by_others(seconds: float = 0.5) -> float:
    """Cores that all other programs together use just now."""

    def busy() -> float:
        with open("/proc/stat", encoding="utf-8") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    was, began = busy(), time.perf_counter()
    time.sleep(seconds)
    return (busy() - was) / (time.perf_counter() - began)


def test_rows_tell_a_slow_side_from_a_fast_one() -> None:
    sides = [Side("Parley", 2, 6, 10, lambda: 0.0), Side("VMAS navigation-6", 2, 6, 1, lambda: 0.0)]
    rows = rows_of(sides, {"Parley": 0.5, "VMAS navigation-6": 0.1})
    assert [row["decision_steps_per_s"] for row in rows] == [24.0, 120.0]
    assert rows[0]["decisions_to_vmas"] == pytest.approx(0.2) and rows[0]["motion_to_vmas"] == pytest.approx(2.0)
    assert "Parley" in table("", rows)
