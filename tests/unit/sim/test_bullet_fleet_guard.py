"""The PyBullet warehouse with every robot's guard in its loop: nothing is touched, and goods still flow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parley_bringup.cli.contenders import make_world
from policy_core.config import ConfigError
from sim.bullet.env import make
from sim.bullet.floor import build_boxes
from sim.fast.env import order_streams
from sim.fast.evaluate import play
from sim.warehouse.baselines import make_baseline
from sim.warehouse.floorplan import Box, FloorPlan
from sim.warehouse.guard import STOPPED, read_guard
from sim.warehouse.kpis import BLOCKED_S
from sim.warehouse.skill import SPEED
from tests.unit.sim import warehouse_world
from tests.unit.sim.test_bullet_env import BODIES, PLAN, world
from tests.unit.sim.test_fast_world import STREAM
from tests.unit.sim.warehouse_world import CONFIG, orders

GUARD = read_guard(CONFIG / "guard.yaml")
TIPS = BODIES.forklift.front + BODIES.forks.length  # m from the middle of the axle
STANDING = {  # what is driven into: start of the first truck, where the second one stands, way to what is touched (m)
    "wall": ((15.0, 4.0, -math.pi / 2), None, 3.9),
    "rack": ((10.6, 7.0, math.pi), None, 10.6 - 8.05),
    "robot": ((14.0, 17.5, 0.0), (18.0, 17.5, math.pi / 2), 4.0 - 0.5 * BODIES.forklift.width),
}


def told_to_drive(monkeypatch, start, other=None, *, guard, v=1.4, ticks=8, change=lambda env: None):
    """A world whose first truck is told to drive straight on and nothing else, whatever its skill wants."""

    def drive_on(command, *rest):
        command[:], command[0] = 0.0, (v, 0.0, 0.15)

    monkeypatch.setattr("sim.bullet.env.command_robots", drive_on)
    env = world(orders(), forklifts=2, guard=guard)
    env.reset(0)
    for row, place in enumerate((start, other)):
        if place is not None:
            env.world(0)._robots[env.agents[row]].place(*place, 0.0, 0.0)
            env.robots.pose[0, row] = (*place, 0.0)
    change(env)
    for _ in range(ticks):
        env.step(np.zeros((1, len(env.kinds)), np.int64))
    env.close()
    return env


@pytest.mark.parametrize("kind", list(STANDING))
@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_truck_told_to_drive_into_something_stops_before_it_and_without_the_guard_touches_it(
    monkeypatch, kind, is_guarded
):
    start, other, way = STANDING[kind]
    env = told_to_drive(monkeypatch, start, other, guard=GUARD if is_guarded else None)
    if not is_guarded:
        assert env.touched[0][kind] == (2 if kind == "robot" else 1), "each of two trucks has touched the other"
        return
    assert env.touched[0] == {}
    came = math.dist(env.robots.pose[0, 0, :2], start[:2])
    assert way - TIPS - 0.6 < came < way - TIPS, "it came near"
    assert abs(env.robots.pose[0, 0, 3]) < 0.02 and env.robots.skill[0, 0, SPEED] == 0.0


def test_a_truck_without_power_is_not_judged(monkeypatch):
    start = STANDING["wall"][0]

    def empty(env):
        env.robots.energy[0, 0] = 0.0
        judged.append(env._hall(0).guard.reasons)

    judged = []
    env = told_to_drive(monkeypatch, start, guard=GUARD, change=empty)
    assert judged == [{}] and math.dist(env.robots.pose[0, 0, :2], start[:2]) < 0.02


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_truck_before_a_box_that_no_plan_has_waits_and_its_skill_counts_as_blocked(is_guarded):
    env = world(forklifts=1, guard=GUARD if is_guarded else None)
    env.reset(0)
    hall, (x, y, yaw, _) = env.world(0), env.robots.pose[0, 0]
    behind = 0.5 - BODIES.forklift.rear + 0.2
    box = Box(kind="obstacle", x=x - behind * math.cos(yaw), y=y - behind * math.sin(yaw), length=0.4, width=0.4)
    hall._names.update(build_boxes(hall._client, FloorPlan(name="box", size=(40.0, 40.0), boxes=(box,), places=())))
    for _ in range(12):
        choices = np.zeros((1, len(env.kinds)), np.int64)
        choices[0, 0] = np.flatnonzero(env.boards["forklift"].mask[0, 0])[-1]
        zones = env.boards["inventory"]
        choices[0, 1 : 1 + zones.mask.shape[1]] = [np.flatnonzero(mask)[-1] for mask in zones.mask[0]]
        env.step(choices)
    assert env.touched[0] == ({} if is_guarded else {"obstacle": 1})
    assert (STOPPED in env.judged(0)) == (env.state.kpi[0, BLOCKED_S] > 2.0) == is_guarded
    env.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["greedy", "planner"])
def test_a_guarded_fleet_carries_pallets_and_touches_no_robot_wall_or_rack(name):
    env = world(STREAM, episode=300.0, guard=GUARD)
    maker = None if name == "planner" else lambda kind, number: make_baseline(name, env.contract, kind, number)
    kpis = play(env, maker, 1, reach=30.0)
    env.close()
    assert kpis["lines_shipped"] + kpis["pallets_received"] > 3
    assert kpis["contacts"] == 0.0


def test_a_guarded_world_is_restored_bit_for_bit():
    wary = {"margin": 0.5, "docking_margin": 0.3, "robot_margin": 1.0}  # so that it has something to do from the start
    guard = GUARD.model_copy(update={"stopping": GUARD.stopping.model_copy(update=wary)})
    env, other = world(episode=40.0, guard=guard), world(episode=40.0, guard=guard)
    env.reset(4)
    choices = np.random.default_rng(2).integers(0, 2, (50, 1, len(env.kinds)))
    for choice in choices[:30]:
        env.step(choice)
    assert env.judged(0)
    saved = env.snapshot()
    went_on = [env.step(choice) for choice in choices[30:]]
    other.reset(99)
    other.restore(saved)
    for step, again in zip(went_on, [other.step(choice) for choice in choices[30:]], strict=True):
        assert (step.observations.position == again.observations.position).all()
    assert (env.robots.pose == other.robots.pose).all() and env.judged(0) == other.judged(0)
    without = world(episode=40.0)
    without.reset(4)
    with pytest.raises(ValueError, match="saved with guards, here robots are without them"):
        without.restore(saved)
    without.close()
    env.close()
    other.close()


def test_the_guard_is_built_by_name_and_refused_where_it_cannot_be(monkeypatch):
    monkeypatch.chdir(CONFIG.parent)
    env = make(1, forklifts=2, episode=10.0, guard="config/guard.yaml")
    env.reset(0)
    env.step(np.zeros((1, len(env.kinds)), np.int64))
    assert env._hall(0).guard is not None
    env.close()
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        make(1, guard="nowhere.yaml")
    streams, popularity = order_streams("config/orders.yaml", (1.0, 1.0))
    with pytest.raises(ConfigError, match="wanted --world bullet"):
        make_world("fast", [PLAN], 2, 60.0, warehouse_world.settings(), streams, popularity, guard=GUARD)
