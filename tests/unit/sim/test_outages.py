"""Robots that stop dead, come back, join late, or are not there at all."""

from __future__ import annotations

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.fast.env import FastWarehouse
from sim.fast.senses import observe_world
from sim.warehouse.kpis import KPI
from sim.warehouse.laser import LASER_RANGE
from sim.warehouse.settings import read_warehouse
from sim.warehouse.skill import PHASE, has_lifted
from sim.warehouse.state import CARRYING, GRANTED, NO_JOB
from tests.unit.sim.warehouse_world import CONFIG, changed, decided, orders, sensed, settings, world

STREAM = orders(*[(1.0, 900.0, k % 2, [k % 12, (k + 5) % 12]) for k in range(10)])
ABANDON = settings().jobs.abandon_after
ALL = {"share": 1.0, "after": (20.0, 20.0), "back_after": (40.0, 40.0)}


def outages(**numbers):
    return changed(outages={**ALL, **numbers})


def play(env: FastWarehouse, seen, ticks: int):
    for _ in range(ticks):
        seen = env.step(decided(env, seen)[None]).observations
    return seen


def hold(env: FastWarehouse, robot: int, seconds: float = np.inf):
    """Stop one robot dead from now on."""
    env.robots.down_at[0, robot] = env.state.time[0]
    env.robots.up_at[0, robot] = env.state.time[0] + seconds


def working(phase, seed=1, offered="released"):
    """A world in which robot 0 has a job in that phase."""
    env = world(STREAM, episode=900.0, its=changed(jobs={"offered": offered}))
    seen = env.reset(seed)
    for _ in range(120):
        seen = env.step(decided(env, seen)[None]).observations
        slot = int(env.robots.pallet[0, 0])
        if (
            slot >= 0
            and env.state.job_phase[0, slot] == phase
            and (phase == CARRYING or env.robots.pose[0, 0, 3] > 1.0)
        ):
            return env, seen, slot
    raise AssertionError("robot 0 found no work")


def test_a_dead_robot_stands_silent_and_comes_back():
    env = world(STREAM, its=outages())
    seen = play(env, env.reset(1), 19)
    assert seen.alive.all()
    seen = play(env, seen, 1)
    assert not seen.alive[0, :4].any() and seen.alive[0, 4:].all(), "agents without wheels live on"
    assert (seen.kinds["forklift"].mask[0].sum(1) == 1).all() and not seen.kinds["forklift"].vector[0].any()
    seen = play(env, seen, 2)  # brakes take about a second
    stood, used = env.robots.pose.copy(), env.robots.energy.copy()
    seen = play(env, seen, 37)
    assert (env.robots.pose == stood).all() and (env.robots.energy == used).all()
    seen = play(env, seen, 1)
    assert seen.alive.all()
    play(env, seen, 30)
    assert (env.robots.pose[..., :2] != stood[..., :2]).any(axis=-1).any(), "they work again"


def test_a_dead_robot_is_an_obstacle_that_others_see():
    env = world(STREAM)
    env.reset(1)
    env.robots.pose[0, 1, :2] = env.robots.pose[0, 0, :2] + np.array((1.5, 0.0))
    for robot in (1, 2, 3):
        hold(env, robot)
    seen = env.step(np.zeros((1, len(env.kinds)), np.int64)).observations
    neighbours = sensed(env, seen, "forklift", "neighbours").reshape(3, 6)
    assert neighbours[:, 5].tolist() == [1, 1, 1]
    assert sensed(env, seen, "forklift", "clearance").min() < 1.5


@pytest.mark.parametrize(("offered", "shipped"), [("released", 8), ("stock", 5)])  # greedy trucks only guess from stock
def test_a_granted_job_of_a_dead_robot_is_offered_again_and_another_does_it(offered, shipped):
    env, seen, slot = working(GRANTED, offered=offered)
    serial = env.state.job_serial[0, slot]
    hold(env, 0)
    began = env.state.time[0]
    while env.state.job_robot[0, slot] == 0:
        seen = env.step(np.zeros((1, len(env.kinds)), np.int64)).observations
        assert env.state.time[0] - began < 30.0
    assert env.state.time[0] - began == pytest.approx(ABANDON + 1, abs=1)
    seen = play(env, seen, 500)
    assert env.state.kpi[0, KPI["lines_shipped"]] >= shipped, "it stands in a lane, and the others drive round it"
    is_over = env.state.job_type[0, slot] == NO_JOB or env.state.job_serial[0, slot] != serial
    assert is_over or env.state.job_robot[0, slot] > 0, "somebody else has taken it"
    assert not seen.alive[0, 0]


def test_a_robot_that_comes_back_soon_goes_on_and_one_that_comes_back_late_lets_go():
    for seconds, is_kept in ((ABANDON - 3.0, True), (ABANDON + 5.0, False)):
        env, seen, slot = working(GRANTED)
        hold(env, 0, seconds)
        nothing = np.zeros((1, len(env.kinds)), np.int64)
        for _ in range(int(seconds) + 3):
            seen = env.step(nothing).observations
        assert seen.alive[0, 0]
        assert (env.state.job_robot[0, slot] == 0) == is_kept and (env.robots.pallet[0, 0] == slot) == is_kept
        seen = play(env, seen, 200)
        assert env.state.kpi[0, KPI["lines_shipped"]] >= 4, "the fleet works on"


def test_a_load_stays_with_the_robot_that_carries_it():
    env, seen, slot = working(CARRYING)
    assert has_lifted(env.robots.skill[0, 0])
    hold(env, 0, 60.0)
    nothing = np.zeros((1, len(env.kinds)), np.int64)
    for _ in range(50):
        seen = env.step(nothing).observations
    assert env.state.job_robot[0, slot] == 0 and env.state.job_phase[0, slot] == CARRYING
    before = env.robots.skill[0, 0, PHASE]
    play(env, seen, 60)
    assert env.robots.skill[0, 0, PHASE] != before


def test_a_robot_can_join_late():
    env = world(STREAM, its=outages(after=(0.0, 0.0), back_after=(30.0, 30.0)))
    seen = env.reset(2)
    assert not seen.alive[0, :4].any()
    seen = play(env, seen, 30)
    assert seen.alive.all()
    assert play(env, seen, 40) is not None and env.state.kpi[0, KPI["distance_m"]] > 10.0


def test_who_never_comes_back_is_never_alive_again_and_no_outage_is_the_default():
    env = world(STREAM, its=outages(back_after=None))
    seen = play(env, env.reset(1), 100)
    assert not seen.alive[0, :4].any()
    env = world(STREAM)
    env.reset(1)
    assert settings().outages.share == 0.0 and np.isinf(env.robots.down_at).all()


def test_robots_that_are_not_there_are_seen_by_nobody():
    """Two of four robots absent: the others sense exactly what they would in a fleet of two."""
    few, many = world(STREAM, forklifts=2), world(STREAM, forklifts=4)
    few.reset(3)
    many.reset(3)
    many.robots.pose[0, 2:], many.robots.alive[0, 2:] = np.nan, False
    many.robots.energy[0, :2] = few.robots.energy[0]
    observe_world(many.parts, 0)
    for _ in range(60):
        step = few.step(decided(few, few.observe())[None])
        choices = decided(many, many.observe())
        other = many.step(choices[None])
        assert choices[2:4].tolist() == [0, 0]
    seen, its = step.observations, other.observations
    assert its.alive[0].tolist() == [True, True, False, False, True, True, True, True]
    assert (its.kinds["forklift"].vector[0, :2] == seen.kinds["forklift"].vector[0]).all()
    assert (its.kinds["inventory"].vector == seen.kinds["inventory"].vector).all()
    assert (sensed(many, its, "forklift", "clearance") <= LASER_RANGE).all()
    assert np.isfinite(its.position).all() and np.isfinite(its.state).all()
    assert (few.state.kpi == many.state.kpi).all(), "nobody runs into them, nobody waits for them"
    whole = world(STREAM, forklifts=4)
    whole.reset(3)
    assert not (whole.observe().kinds["forklift"].vector[0, :2] == few.reset(3).kinds["forklift"].vector[0]).all()


def test_bad_ranges_are_refused(tmp_path):
    path = tmp_path / "warehouse.yaml"
    path.write_text(
        (CONFIG / "warehouse.yaml").read_text().replace("after: [60.0, 600.0]       # s i", "after: [9.0, 6.0]  # s i")
    )
    with pytest.raises(ConfigError, match="after must be a range"):
        read_warehouse(path)


def test_a_robot_that_dies_in_the_tick_in_which_it_lifts_keeps_its_load():
    env = world(STREAM, episode=900.0)
    seen = env.reset(1)
    for _ in range(200):
        seen = env.step(decided(env, seen)[None]).observations
        slot = int(env.robots.pallet[0, 0])
        if slot >= 0 and env.state.job_phase[0, slot] == GRANTED and has_lifted(env.robots.skill[0, 0]):
            break
    else:
        raise AssertionError("robot 0 never lifted between two reports")
    hold(env, 0)
    nothing = np.zeros((1, len(env.kinds)), np.int64)
    for _ in range(int(ABANDON) + 3):
        env.step(nothing)
    state = env.state
    assert (state.job_phase[0, slot], state.job_robot[0, slot], state.pallet_place[0, slot]) == (CARRYING, 0, -1)
    assert not (state.place_pallet[0] == slot).any(), "and it is on no place any more"
