"""The PyBullet warehouse as trainer and evaluation meet it, held to the fast one."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pybullet
import pytest

from policy_core.config import ConfigError
from policy_core.ppo.checkpoint import Restorable
from policy_core.serving.policy import Observation
from policy_core.worlds.names import resolve
from sim.bullet.env import BulletWarehouse
from sim.bullet.floor import build_boxes
from sim.fast.evaluate import play
from sim.warehouse.baselines import make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import Box, FloorPlan, read_floorplan
from sim.warehouse.kpis import CONTACTS, DISTANCE_M
from sim.warehouse.randomisation import read_randomisation
from sim.warehouse.skill import has_lifted
from sim.warehouse.state import ABSENT
from tests.unit.sim import warehouse_world
from tests.unit.sim.test_fast_world import STREAM, played
from tests.unit.sim.warehouse_world import CONFIG, orders

PLAN = read_floorplan(CONFIG / "floorplans" / "small_dc.yaml")
BODIES = read_bodies(CONFIG / "bodies.yaml")


def world(stream=STREAM, *, worlds=1, forklifts=4, episode=300.0, bodies=BODIES, guard=None) -> BulletWarehouse:
    fast = warehouse_world.world(stream, worlds=worlds, forklifts=forklifts, episode=episode)
    return BulletWarehouse(
        worlds,
        forklifts,
        episode,
        [fast.tables],
        fast.settings,
        bodies,
        fast.contract,
        lambda rng, duration, draw: stream,
        np.ones(12),
        PLAN,
        guard=guard,
    )


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(CONFIG.parent)


def test_it_is_built_by_name_and_opens_like_the_fast_world():
    built = []
    for name in ("sim.fast.env:make", "sim.bullet.env:make"):
        module, function, settings = resolve(name, {"episode": 60.0, "forklifts": 2})
        built.append(getattr(importlib.import_module(module), function)(2, **settings))
    fast, bullet = built
    assert (bullet.agents, bullet.kinds, bullet.worlds) == (fast.agents, fast.kinds, fast.worlds)
    assert bullet.contract == fast.contract
    first, second = fast.reset(5), bullet.reset(5)
    for kind, sensed in first.kinds.items():
        for mine, theirs in zip(sensed, second.kinds[kind], strict=True):
            assert np.array_equal(mine, theirs)
    assert np.array_equal(first.position, second.position) and np.array_equal(first.state, second.state)
    for mine, theirs in zip(fast.state, bullet.state, strict=True):
        assert np.array_equal(mine, theirs), "goods, orders and all chance are the same"
    bullet.close()


def test_same_seed_same_run_and_worlds_do_not_share_bodies():
    env = world(worlds=2)
    first, second = played(env, 4, ticks=30), played(env, 4, ticks=30)
    for (reward, position), (again, where) in zip(first, second, strict=True):
        assert (reward == again).all() and (position == where).all()
    assert (env.state.kpi[:, DISTANCE_M] > 10).all()
    assert (first[-1][1][0, :4] != first[-1][1][1, :4]).any()
    env.close()


def test_a_restored_world_goes_on_bit_for_bit_also_into_the_next_episode():
    env, other = world(worlds=2, episode=20.0), world(worlds=2, episode=20.0)
    assert isinstance(env, Restorable)
    env.reset(4)
    choices = np.random.default_rng(2).integers(0, 2, (30, 2, len(env.kinds)))
    for choice in choices[:13]:
        env.step(choice)
    saved = env.snapshot()
    went_on = [env.step(choice) for choice in choices[13:]]
    other.reset(99)
    other.restore(saved)
    for step, again in zip(went_on, [other.step(choice) for choice in choices[13:]], strict=True):
        assert (step.reward == again.reward).all()
        assert (step.observations.position == again.observations.position).all()
    assert any(step.truncated.all() for step in went_on)
    assert (env.robots.pose == other.robots.pose).all()
    with pytest.raises(ValueError, match="of the size that was saved"):
        world(worlds=1).restore(saved)
    env.close()
    other.close()


def test_an_episode_ends_by_truncation_and_the_next_one_has_new_bodies():
    env = world(episode=5.0)
    env.reset(0)
    before = env.world(0)
    for tick in range(1, 6):
        step = env.step(np.zeros((1, len(env.kinds)), np.int64))
        assert step.truncated[0] == (tick == 5) and not step.terminated[0]
    assert step.final is not None and step.kpis[0]["seconds"] == 5.0
    assert env.world(0) is not before and env.state.time[0] == 0.0
    env.close()
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros((1, len(env.kinds)), np.int64))
    env.reset(0)
    env.step(np.zeros((1, len(env.kinds)), np.int64))
    env.close()


def test_a_body_that_cannot_do_what_the_skill_wants_is_refused():
    slow = BODIES.model_copy(update={"forklift": BODIES.forklift.model_copy(update={"max_speed": 0.5})})
    with pytest.raises(ConfigError, match=r"cruise_speed is 1.4, but forklift.max_speed"):
        world(bodies=slow)


def test_pallet_bodies_are_where_the_ledger_has_them_and_on_the_forks_that_carry_them():
    env = world()
    seen = {"standing": 0, "carried": 0}

    def look() -> None:
        hall, state = env.world(0), env.state
        for slot in np.flatnonzero(state.pallet_state[0] != ABSENT):
            serial, place = int(state.pallet_serial[0, slot]), int(state.pallet_place[0, slot])
            robot = int(state.job_robot[0, slot])
            if place >= 0 and serial in hall.pallets:
                spot, body = PLAN.places[place], hall.pallet_pose(serial)
                is_under_work = robot >= 0 and env.robots.pallet[0, robot] == slot
                assert math.dist((spot.x, spot.y), body[:2]) < (0.5 if is_under_work else 0.1)
                seen["standing"] += 1
            elif place < 0 and has_lifted(env.robots.skill[0, robot]) and env.robots.skill[0, robot, 0] < 9:
                assert hall.carried_by(env.agents[robot]) == serial
                seen["carried"] += 1

    _play(env, "greedy", 120, look)
    assert env.oddities == [] and env.astray(0) == []
    busy = env.state.pallet_serial[0, env.robots.pallet[0, env.robots.pallet[0] >= 0]]
    serial = next(serial for serial in env.world(0).pallets if serial not in busy)
    env.world(0).remove_pallet(serial)
    assert env.astray(0) == [serial]
    assert seen["standing"] > 1000 and seen["carried"] > 20
    env.close()


def test_a_dead_robot_stands_with_its_load_charges_nothing_and_goes_on_when_it_is_back():
    env = world(episode=600.0)
    dead: list[tuple[int, int, float]] = []  # robot, serial on its forks, when it died

    def look() -> None:
        robots, now = env.robots, float(env.state.time[0])
        if not dead:
            for row, name in enumerate(env.agents[: robots.pose.shape[1]]):
                load = env.world(0).carried_by(name)
                if load is not None and abs(robots.pose[0, row, 3]) > 0.5:
                    robots.down_at[0, row], robots.up_at[0, row] = now, now + 60.0
                    dead.append((row, load, now))
                    return
        elif dead[0][2] + 2.0 < now < dead[0][2] + 60.0:
            row, load, _ = dead[0]
            stood.append(robots.pose[0, row, :2].copy())
            energy.append(float(robots.energy[0, row]))
            assert env.world(0).carried_by(env.agents[row]) == load and not robots.alive[0, row]

    stood: list[np.ndarray] = []
    energy: list[float] = []
    _play(env, "greedy", 140, look)
    assert len(stood) > 40 and math.dist(stood[0], stood[-1]) < 0.02 and len(set(energy)) == 1
    row = dead[0][0]
    assert env.robots.alive[0, row] and math.dist(stood[-1], env.robots.pose[0, row, :2]) > 0.5
    assert not [words for _, words in env.oddities if "stands" in words]
    env.close()


def _play(env, name, ticks, look):
    numbers = [env.kinds[:agent].count(kind) for agent, kind in enumerate(env.kinds)]
    policies = [
        make_baseline(name, env.contract, kind, number) for kind, number in zip(env.kinds, numbers, strict=True)
    ]
    observations = env.reset(3)
    for _ in range(ticks):
        choices = []
        for agent, policy in enumerate(policies):
            kind, row = observations.kinds[env.kinds[agent]], numbers[agent]
            policy.begin(Observation(kind.vector[0, row], kind.candidates[0, row], kind.mask[0, row], (0.0, 0.0, 0.0)))
            choices.append(policy.choose())
        observations = env.step(np.array([choices])).observations
        look()


@pytest.mark.parametrize("is_blocked", [False, True])
def test_contacts_are_those_of_the_bodies(is_blocked):
    env = world(forklifts=1)
    env.reset(0)
    hall, (x, y, yaw, _) = env.world(0), env.robots.pose[0, 0]
    if is_blocked:  # a box that the plan does not know, half a metre behind the parked truck
        behind = 0.5 - BODIES.forklift.rear + 0.2
        box = Box(kind="obstacle", x=x - behind * math.cos(yaw), y=y - behind * math.sin(yaw), length=0.4, width=0.4)
        hall._names.update(build_boxes(hall._client, FloorPlan(name="box", size=(40.0, 40.0), boxes=(box,), places=())))
    for _ in range(12):
        choices = np.zeros((1, len(env.kinds)), np.int64)
        choices[0, 0] = np.flatnonzero(env.boards["forklift"].mask[0, 0])[-1]
        zones = env.boards["inventory"]
        choices[0, 1 : 1 + zones.mask.shape[1]] = [np.flatnonzero(mask)[-1] for mask in zones.mask[0]]
        env.step(choices)
    assert (env.state.kpi[0, CONTACTS] > 0) == is_blocked
    assert env.state.kpi[0, DISTANCE_M] > 0.3
    env.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["greedy", "contract-net"])
def test_ten_minutes_of_a_known_policy_ship_about_what_the_fast_world_ships(name):
    stream = orders(*[(15.0 * k, 15.0 * k + 240, k % 2, [k % 12, (k + 5) % 12]) for k in range(36)])
    runs = []
    for env in (warehouse_world.world(stream, episode=600.0), world(stream, episode=600.0)):
        runs.append(
            play(env, lambda kind, number, env=env: make_baseline(name, env.contract, kind, number), 1, reach=30.0)
        )
    fast, bullet = runs
    kept = ("orders_done", "lines_shipped", "pallets_received", "contacts", "near_misses", "blocked_s", "distance_m")
    print(name, *[f"{key} {fast[key]:.0f} / {bullet[key]:.0f}" for key in kept], sep="; ")
    assert bullet["lines_shipped"] == pytest.approx(fast["lines_shipped"], rel=0.25)
    assert bullet["distance_m"] == pytest.approx(fast["distance_m"], rel=0.2)
    assert bullet["orders_done"] >= 5
    assert bullet["contacts"] <= 30, "brushing walls and racks; without a guard some of it lasts"
    env.close()


def randomised(worlds=2, **changes):
    ranges = read_randomisation(CONFIG / "randomisation.yaml").model_copy(update={"outages": (0.0, 0.0), **changes})
    fast = warehouse_world.world(STREAM, worlds=worlds, randomisation=ranges)
    parts = (fast.tables, fast.settings, BODIES, fast.contract)
    size = (worlds, 4, 300.0, [parts[0]], *parts[1:], lambda rng, duration, draw: STREAM, np.ones(12))
    return fast, BulletWarehouse(*size, [PLAN], randomisation=ranges)


def test_every_world_draws_its_bodies_and_tells_what_it_drew():
    fast, env = randomised(robots=(3, 3))
    fast.reset(7), env.reset(7)
    drew = [env.draws(number) for number in range(2)]
    seen = env.advance(np.zeros((2, len(env.agents)), np.int64))
    assert np.isfinite(seen).all() and np.isnan(env.robots.pose[:, 3]).all()
    masses = []
    for number in range(2):
        drawn, world = drew[number], env.world(number)
        assert drawn == fast.draws(number), "the same seed draws the same in both simulators"
        assert {f"draw {name}": value for name, value in drawn.items()}.items() <= env.kpis(number).items()
        assert world.robots == ("forklift_1", "forklift_2", "forklift_3"), "the fourth is not there"
        serial = world.pallets[0]
        mass, friction = pybullet.getDynamicsInfo(world._pallets.body(serial), -1, physicsClientId=world._client)[:2]
        assert mass == pytest.approx(BODIES.pallet.mass * drawn["mass"])
        assert friction == pytest.approx(BODIES.pallet.friction * drawn["friction"])
        truck = world._bodies
        assert truck.forklift.lag == pytest.approx(BODIES.forklift.lag + drawn["lag"])
        assert truck.laser.noise == max(BODIES.laser.noise, drawn["laser_noise"])
        masses.append(mass)
    assert masses[0] != masses[1]
    env.close()


def test_heavy_slow_trucks_do_less_than_light_quick_ones():
    driven = []
    for draw in ({"speed": (0.4, 0.4), "lag": (0.4, 0.4)}, {"speed": (1.05, 1.05), "lag": (0.0, 0.0)}):
        _, env = randomised(worlds=1, robots=(4, 4), charge=(1.0, 1.0), **draw)
        played(env, 4, ticks=40)
        driven.append(env.state.kpi[0, DISTANCE_M])
        env.close()
    assert driven[0] < 0.7 * driven[1]


def test_a_randomised_world_is_restored_with_what_it_drew():
    _, env = randomised(worlds=1)
    env.reset(9)
    for _ in range(15):
        env.step(np.zeros((1, len(env.agents)), np.int64))
    saved, drawn, pose = env.snapshot(), env.draws(0), env.robots.pose.copy()
    env.reset(10)
    assert env.draws(0) != drawn
    env.restore(saved)
    assert env.draws(0) == drawn and np.array_equal(env.robots.pose, pose, equal_nan=True)
    env.close()
