"""The compiled worlds agree with plain numpy (tests/reference), and with themselves however they are split."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from sim.fast.driving import command_robots, drive
from sim.fast.env import FastWarehouse, make
from sim.fast.robots import goals_of, make_notes
from sim.warehouse.kpis import BLOCKED_S, CONTACTS, DISTANCE_M, ENERGY_WH, KPIS, NEAR_MISSES
from sim.warehouse.laser import sectors_of_map
from sim.warehouse.skill import HOME, has_lifted, parked_pose
from tests.reference import robots as reference
from tests.unit.sim.warehouse_world import CONFIG

WORLDS, ROBOTS, TOLERANCE, SHARE = 400, 6, 1e-4, 0.998
JITTER = 1e-6  # m, rad: what moves a ray past a corner or a pair over a threshold, and nothing else by 1e-4


def build(worlds: int, **options: Any) -> FastWarehouse:
    files = {name: str(CONFIG / f"{name}.yaml") for name in ("warehouse", "contract", "orders", "bodies")}
    plan = str(CONFIG / "floorplans" / "small_dc.yaml")
    return make(worlds, ROBOTS, episode=240.0, floorplan=plan, load=(2.0, 4.0), **files, **options)


def choose(world: FastWarehouse, chance: list[np.random.Generator]) -> np.ndarray:
    """A legal choice of every agent, each world by its own chance [E, N]."""
    rows = []
    for number, rng in enumerate(chance):
        masks = [board.mask[number] for board in world.boards.values()]
        rows.append(np.concatenate([np.argmax(mask * rng.random(mask.shape), axis=1) for mask in masks]))
    return np.array(rows)


@pytest.fixture(scope="module")
def scattered() -> FastWarehouse:
    """Worlds in the middle of their work, whose robots were then put somewhere else at random, many beside another."""
    world, rng = build(WORLDS), np.random.default_rng(3)
    world.reset(5)
    chance = [np.random.default_rng(number) for number in range(WORLDS)]
    for _ in range(40):
        world.advance(choose(world, chance))
    bodies, tables = world.robots, world.tables
    node = rng.integers(len(tables.node_x), size=(WORLDS, ROBOTS))
    near = rng.random((WORLDS, ROBOTS)) < 0.5
    node[:, 1:] = np.where(near[:, 1:], node[:, :1], node[:, 1:])
    moved = rng.random((WORLDS, ROBOTS)) < 0.8
    spot = np.stack([tables.node_x[node], tables.node_y[node]], -1) + rng.uniform(-1.2, 1.2, (WORLDS, ROBOTS, 2))
    bodies.pose[..., :2][moved] = spot[moved]
    bodies.pose[..., 2][moved] = rng.uniform(-np.pi, np.pi, moved.sum())
    bodies.pose[..., 3] += rng.normal(0.0, 0.5, moved.shape)
    docked = rng.random(moved.shape) < 0.1
    bodies.pose[docked] = np.append(docks(world)[docked], np.zeros((docked.sum(), 1)), axis=1)
    bodies.pose[docked] += rng.normal(0.0, 0.05, (docked.sum(), 4))
    bodies.turning[...] = rng.normal(0.0, 0.5, moved.shape)
    bodies.fork[...] = rng.uniform(0.03, 0.15, moved.shape)
    bodies.energy[...] = rng.choice([0.0, 0.001, 20.0, 150.0, 239.999], moved.shape, p=[0.05, 0.05, 0.1, 0.7, 0.1])
    bodies.near[...] = bodies.touching[...] = False
    return world


@pytest.fixture(scope="module")
def stepped(scattered: FastWarehouse) -> tuple[reference.Bodies, np.ndarray, dict[str, np.ndarray]]:
    """Robots before one motion step, their commands [W, R, 3], and what the kernels made of them."""
    world, bodies, step = scattered, scattered.robots, scattered.settings.motion.step
    before = reference.Bodies(*(getattr(bodies, name).copy() for name in reference.Bodies._fields))
    skill, kpi = bodies.skill.copy(), world.state.kpi.copy()
    command = np.zeros((WORLDS, ROBOTS, 3))
    for number in range(WORLDS):
        goals = goals_of(world.state, number, bodies)
        now = float(world.state.time[number])
        command_robots(command[number], world.state, number, bodies, goals, now, world.tables, world.numbers)
    bodies.skill[...] = skill  # the skill has looked once, and shall look once
    notes = make_notes(len(world.agents), ROBOTS, world.state.job_type.shape[1])
    for number in range(WORLDS):
        drive(world.state, number, bodies, world.tables, world.numbers, step, notes)
    sectors = np.zeros((WORLDS, ROBOTS, reference.SECTORS))
    for number in range(WORLDS):
        for robot in range(ROBOTS):
            sectors_of_map(bodies.pose[number, robot], bodies.pose[number], robot, world.tables, sectors[number, robot])
    made = {name: getattr(bodies, name) for name in (*reference.Bodies._fields, "near", "touching")}
    return before, command, {**made, "sectors": sectors, "kpi": world.state.kpi - kpi}


def docks(world: FastWarehouse) -> np.ndarray:
    """Where each robot stands to be charged [W, R, 3]."""
    motion, homes = world.settings.motion_numbers(), world.robots.skill[..., HOME].astype(int)
    return np.array([[parked_pose(home, world.tables, motion)[:3] for home in row] for row in homes])


def expected(
    world: FastWarehouse, before: reference.Bodies, command: np.ndarray, **changes: float
) -> dict[str, np.ndarray]:
    """What numpy makes of a motion step; `changes` of the motion numbers make it wrong on purpose."""
    motion = world.settings.motion_numbers()._replace(**changes)
    battery, tables = world.settings.battery_numbers(world._bodies), world.tables
    after = reference.drive(before, command, motion)
    loaded = np.array([[has_lifted(skill) for skill in row] for row in world.robots.skill])
    after = reference.spend(before, after, loaded, docks(world), motion, battery)
    gap = reference.gaps(after.pose)
    origin = tables.grid_origin.astype(float)
    seen = {
        "near": gap < reference.NEAR_MISS,
        "touching": gap <= 0,
        "sectors": reference.scan(after.pose, tables.clearance, origin, tables.cell),
    }
    return {**after._asdict(), **seen}


def per_robot(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> np.ndarray:
    """The largest difference of anything about a robot [W, R]; yaws are compared as angles."""
    worst = np.zeros((WORLDS, ROBOTS))
    for name in ("pose", "turning", "fork", "energy", "near", "touching", "sectors"):
        away = one[name].astype(float) - other[name].astype(float)
        if name == "pose":
            away[..., 2] = reference.wrapped(away[..., 2])
        worst = np.maximum(worst, np.abs(away).reshape(WORLDS, ROBOTS, -1).max(-1))
    return worst


def unexplained(
    world: FastWarehouse, before: reference.Bodies, command: np.ndarray, made: dict[str, np.ndarray]
) -> np.ndarray:
    """Robots that differ from numpy's and not by a hair's breadth: numpy differs, too, for every pose beside theirs."""
    differs = per_robot(made, expected(world, before, command)) > TOLERANCE
    rng = np.random.default_rng(0)
    for _ in range(24):
        if not differs.any():
            break
        moved = before.pose + JITTER * rng.uniform(-1, 1, before.pose.shape) * (1, 1, 1, 0)
        differs &= per_robot(made, expected(world, before._replace(pose=moved), command)) > TOLERANCE
    return differs


def test_one_motion_step_agrees_with_numpy_and_what_does_not_is_a_threshold(
    scattered: FastWarehouse, stepped: Any
) -> None:
    before, command, made = stepped
    away = per_robot(made, expected(scattered, before, command))
    assert (away <= TOLERANCE).mean() >= SHARE
    left = unexplained(scattered, before, command, made)
    assert not left.any(), f"robots {np.argwhere(left)[:5].tolist()} differ, and nothing explains it"


def test_one_robot_that_differs_without_a_reason_is_found(scattered: FastWarehouse, stepped: Any) -> None:
    before, command, made = stepped
    spoiled = {**made, "sectors": made["sectors"].copy(), "touching": made["touching"].copy()}
    spoiled["sectors"][3, 2, 5] -= 3 * TOLERANCE
    spoiled["touching"][7, 1] ^= True
    assert np.argwhere(unexplained(scattered, before, command, spoiled)).tolist() == [[3, 2], [7, 1]]


def test_the_states_compared_are_worth_comparing(scattered: FastWarehouse, stepped: Any) -> None:
    before, command, made = stepped
    assert made["touching"].mean() > 0.05 and (made["near"] & ~made["touching"]).mean() > 0.01
    assert (np.abs(command[..., 0]) > 0.1).mean() > 0.1 and (np.abs(command[..., 1]) > 0.1).mean() > 0.1
    assert (made["energy"] > before.energy).any() and (made["energy"] == 0).any()
    assert (made["sectors"] < reference.LASER_RANGE).mean() > 0.5
    home = (reference.outlines(np.zeros((1, 1, 4)))[0, 0]).round(6)
    assert home.max(0).tolist() == [0.76, 0.33] and home.min(0).tolist() == [-0.67, -0.33]


@pytest.mark.parametrize(
    "changes", [{"drive_lag": 0.1}, {"drive_acceleration": 1.0}, {"turn_acceleration": 2.5}, {"fork_speed": 0.2}]
)
def test_a_wrong_number_of_the_drive_would_be_seen(
    scattered: FastWarehouse, stepped: Any, changes: dict[str, float]
) -> None:
    before, command, made = stepped
    assert (per_robot(made, expected(scattered, before, command, **changes)) <= TOLERANCE).mean() < SHARE


def test_a_laser_that_misses_robots_and_a_larger_body_would_be_seen(
    scattered: FastWarehouse, stepped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, command, made = stepped
    blind, tables = expected(scattered, before, command), scattered.tables
    alone = blind["pose"].reshape(-1, 1, 4)
    seen = reference.scan(alone, tables.clearance, tables.grid_origin.astype(float), tables.cell)
    blind["sectors"] = seen.reshape(made["sectors"].shape)
    assert (per_robot(made, blind) <= TOLERANCE).mean() < SHARE
    monkeypatch.setattr(reference, "HALF_WIDTH", 0.36)
    assert (per_robot(made, expected(scattered, before, command)) <= TOLERANCE).mean() < SHARE


def test_kpis_of_a_motion_step_are_those_of_its_robots(scattered: FastWarehouse, stepped: Any) -> None:
    before, command, made = stepped
    wanted = expected(scattered, before, command)
    counts = made["kpi"]
    acting = scattered.robots.alive & (before.energy > 0)
    assert counts[:, CONTACTS].sum() == pytest.approx(wanted["touching"].sum(), abs=3)
    assert counts[:, NEAR_MISSES].sum() == pytest.approx(wanted["near"].sum(), abs=3)
    step = scattered.settings.motion.step
    np.testing.assert_allclose(
        counts[:, DISTANCE_M], (np.abs(before.pose[..., 3]) * step * acting).sum(1), atol=TOLERANCE
    )
    battery = scattered.settings.battery_numbers(scattered._bodies)
    after = reference.Bodies(*(made[name] for name in reference.Bodies._fields))
    given = np.where(reference.is_docked(after, docks(scattered)), battery.charge_power * step / reference.HOUR, 0.0)
    taken = before.energy + given - made["energy"]
    whole = ((made["energy"] > 0) & (made["energy"] < battery.capacity)).all(1)  # where nothing was cut off
    np.testing.assert_allclose(counts[whole, ENERGY_WH], taken[whole].sum(1), atol=TOLERANCE)
    assert whole.sum() > 20


def test_the_teams_reward_is_the_weighted_change_of_its_kpis() -> None:
    world = build(16)
    world.reset(2)
    chance = [np.random.default_rng(number) for number in range(16)]
    seen = set()
    for _ in range(60):
        before = world.state.kpi.copy()
        earned = world.advance(choose(world, chance))
        wanted = reference.team_reward(before, world.state.kpi, world.settings.reward, KPIS)
        np.testing.assert_allclose(earned, wanted, atol=1e-9)
        seen |= {KPIS[place] for place in np.flatnonzero((world.state.kpi != before).any(0))}
    assert len(seen & set(world.settings.reward)) >= 5, "few of the reward's KPIs ever changed"
    without = {name: weight for name, weight in world.settings.reward.items() if name != "blocked_s"}
    assert world.state.kpi[:, BLOCKED_S].any()
    none = np.zeros_like(world.state.kpi)
    assert not np.allclose(
        reference.team_reward(none, world.state.kpi, without, KPIS),
        reference.team_reward(none, world.state.kpi, world.settings.reward, KPIS),
    )


def play(first_world: int, worlds: int, ticks: int = 70) -> list[np.ndarray]:
    """Everything that worlds `first_world` and on are at the end, and their rewards on the way."""
    world = build(worlds, stagger=False)
    world.reset(8, first_world)
    chance = [np.random.default_rng((9, first_world + number)) for number in range(worlds)]
    earned = [world.advance(choose(world, chance)) for _ in range(ticks)]
    groups = (world.state, world.robots, *world.boards.values())
    return [np.stack(earned, axis=1), *(array.copy() for group in groups for array in group)]


def split(parts: list[tuple[int, int]], run: Callable[..., Any]) -> list[np.ndarray]:
    pieces = list(run(play, *zip(*parts, strict=True)))
    return [np.concatenate(arrays) for arrays in zip(*pieces, strict=True)]


def test_worlds_are_the_same_bit_for_bit_in_one_batch_in_threads_and_in_processes() -> None:
    whole = play(0, 6)
    halves, each = [(0, 3), (3, 3)], [(number, 1) for number in range(6)]
    with ThreadPoolExecutor(3) as threads:
        results = [split(halves, threads.map), split(each, threads.map)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        results += [split(halves, processes.map), split(each, processes.map)]
    for result in results:
        for one, other in zip(whole, result, strict=True):
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    shifted = split([(1, 3), (4, 3)], map)  # other worlds: what was compared could have differed
    assert not np.array_equal(whole[0], shifted[0])
