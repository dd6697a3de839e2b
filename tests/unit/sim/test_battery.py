"""Batteries: what work takes, what chargers give, and what a low battery means for a robot."""

from __future__ import annotations

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.warehouse import battery
from sim.warehouse.bodies import read_bodies
from sim.warehouse.kpis import KPI
from sim.warehouse.observe import FORKLIFT_CHOICES
from sim.warehouse.settings import read_warehouse
from sim.warehouse.skill import PARKED, PHASE, RESTING, new_skill, parked_pose
from sim.warehouse.state import GRANTED, OPEN_JOB
from tests.unit.sim.warehouse_world import CONFIG, changed, decided, orders, sensed, settings, tables, world

TABLES, SETTINGS = tables(), settings()
NUMBERS = SETTINGS.battery_numbers(read_bodies(CONFIG / "bodies.yaml"))
MOTION = SETTINGS.motion_numbers()
CHARGE = FORKLIFT_CHOICES - 1  # a forklift's last candidate
STREAM = orders(*[(1.0, 500.0, k % 2, [k % 12, (k + 5) % 12]) for k in range(8)])
HOME = int(np.flatnonzero(TABLES.place_type == 5)[0])


def watts(was=0.0, speed=0.0, turn=0.0, lift=0.0, is_loaded=False, numbers=NUMBERS):
    return battery.power(was, speed, turn, lift, is_loaded, 0.1, numbers)


def test_work_takes_what_hand_calculation_says():
    n = NUMBERS
    assert watts() == n.idle_power
    rolling = n.rolling_resistance * n.truck_mass * 9.81
    assert watts(1.0, 1.0) == pytest.approx(n.idle_power + rolling / n.drive_efficiency)
    kinetic = 0.5 * n.truck_mass * (0.6**2 - 0.5**2) / 0.1
    assert watts(0.5, 0.6) == pytest.approx(n.idle_power + (rolling * 0.6 + kinetic) / n.drive_efficiency)
    lifted = (n.fork_mass + n.load_mass) * 9.81 * 0.1
    assert watts(lift=0.1, is_loaded=True) == pytest.approx(n.idle_power + lifted / n.lift_efficiency)


def test_braking_and_lowering_give_nothing_back_and_a_load_costs_more():
    assert watts(1.0, 0.9) == pytest.approx(watts(0.9, 0.9))
    assert watts(lift=-0.1, is_loaded=True) == watts()
    assert watts(1.0, 1.0, is_loaded=True) > watts(1.0, 1.0) > watts(turn=1.0) > watts()


def test_a_battery_ends_at_zero_and_at_its_capacity():
    energy, used, filling = battery.spend(0.001, 300.0, False, 0.1, NUMBERS)
    assert (energy, used, filling) == (0.0, 0.001, False)
    energy, used, filling = battery.spend(NUMBERS.capacity - 1e-4, 60.0, True, 0.1, NUMBERS)
    assert energy == NUMBERS.capacity and filling
    assert battery.spend(NUMBERS.capacity, 60.0, True, 0.1, NUMBERS) == (NUMBERS.capacity, 60.0 * 0.1 / 3600, False)
    energy, used, _ = battery.spend(100.0, 90.0, False, 0.1, NUMBERS)
    assert energy + used == 100.0 and used == pytest.approx(90.0 * 0.1 / 3600)


@pytest.mark.parametrize(
    ("change", "charges"), [((0, 0, 0, 0), True), ((0.3, 0, 0, 0), False), ((0, 0, 0.4, 0), False)]
)
def test_a_charger_reaches_only_a_truck_that_stands_docked(change, charges):
    pose = parked_pose(HOME, TABLES, MOTION) + np.array(change, float)
    at = (TABLES.place_x[HOME], TABLES.place_y[HOME], TABLES.place_yaw[HOME], MOTION.dock_reach)
    assert battery.is_docked(pose, *at) == charges
    assert not battery.is_docked(pose + np.array((0, 0, 0, 0.5)), *at), "a moving truck"


def idle_world(share, **sections):
    """Robots parked at their chargers with a share of their energy."""
    env = world(STREAM, its=changed(**sections) if sections else None)
    env.reset(1)
    env.robots.energy[:] = share * NUMBERS.capacity
    return env, env.step(np.zeros((1, len(env.kinds)), np.int64)).observations


def test_a_parked_robot_charges_at_the_charger_s_power_and_sees_it():
    env, seen = idle_world(0.5)
    gained = env.robots.energy[0] - 0.5 * NUMBERS.capacity
    assert gained == pytest.approx(np.full(4, (NUMBERS.charge_power - NUMBERS.idle_power) / 3600), rel=1e-6)
    assert sensed(env, seen, "forklift", "charging")[0] == 1.0
    assert sensed(env, seen, "forklift", "battery")[0] == pytest.approx(env.robots.energy[0, 0] / NUMBERS.capacity)
    assert env.state.kpi[0, KPI["charging_s"]] == pytest.approx(4.0)
    env, seen = idle_world(1.0)
    assert sensed(env, seen, "forklift", "charging")[0] == 0.0 and env.state.kpi[0, KPI["charging_s"]] == 0.0


def test_energy_is_neither_made_nor_lost_while_nobody_charges():
    env = world(STREAM)
    seen = env.reset(1)
    env.robots.pose[0, :, 0] += 0.2  # out of the chargers' reach, so every watt comes out of a battery
    before = env.robots.energy.sum()
    for _ in range(5):
        env.step(np.zeros((1, len(env.kinds)), np.int64))
        env.robots.skill[0, :, PHASE] = PARKED
    assert not env.robots.charging.any()
    assert before - env.robots.energy.sum() == pytest.approx(env.state.kpi[0, KPI["energy_wh"]])
    assert env.state.kpi[0, KPI["energy_wh"]] == pytest.approx(4 * NUMBERS.idle_power * 5 / 3600, rel=1e-6)
    assert seen.alive.all()


def test_charge_is_a_choice_of_an_idle_robot_with_a_low_battery_only():
    for share, may in ((SETTINGS.battery.charge_below + 0.05, False), (SETTINGS.battery.charge_below - 0.05, True)):
        env, seen = idle_world(share)
        assert (seen.kinds["forklift"].mask[0, :, CHARGE] == may).all()
        place = env.contract.kind("forklift").place("verb", of_candidate=True)
        assert seen.kinds["forklift"].candidates[0, 0, CHARGE, place].tolist() == [0, 0, 0, 0, 1]


def with_jobs(share, **sections):
    """A world a few seconds on, in which there are jobs to claim."""
    env, seen = idle_world(share, **sections)
    for _ in range(3):
        choices = decided(env, seen)
        choices[:4] = 0
        seen = env.step(choices[None]).observations
    assert seen.kinds["forklift"].mask[0, :, 1].all(), "there are jobs"
    return env, seen


def test_a_robot_that_chose_to_charge_claims_nothing_until_its_battery_holds_enough():
    env, seen = with_jobs(0.3)
    choices = np.zeros((1, len(env.kinds)), np.int64)
    choices[0, 0] = CHARGE
    seen = env.step(choices).observations
    assert seen.kinds["forklift"].mask[0, 0].sum() == 1, "nothing but carrying on"
    assert seen.kinds["forklift"].mask[0, 1, 1], "who did not choose to charge may claim"
    env.robots.energy[0, 0] = (SETTINGS.battery.charge_until - 0.02) * NUMBERS.capacity
    seen = env.step(choices * 0).observations
    assert not seen.kinds["forklift"].mask[0, 0, 1] and env.robots.skill[0, 0, RESTING] == 1
    env.robots.energy[0, 0] = SETTINGS.battery.charge_until * NUMBERS.capacity
    seen = env.step(choices * 0).observations
    assert seen.kinds["forklift"].mask[0, 0, 1] and env.robots.skill[0, 0, RESTING] == 0


def claimed(env, seen):
    choices = decided(env, seen)
    choices[1:] = 0
    seen = env.step(choices[None]).observations
    slot = int(np.flatnonzero(env.state.job_robot[0] == 0)[0])
    return slot, seen


def test_an_empty_robot_stands_still_and_its_job_is_offered_again_after_the_usual_time():
    env, seen = with_jobs(1.0)
    slot, seen = claimed(env, seen)
    for _ in range(4):
        seen = env.step(np.zeros((1, len(env.kinds)), np.int64)).observations
    env.robots.energy[0, 0] = 1e-6
    seen = env.step(np.zeros((1, len(env.kinds)), np.int64)).observations
    stood = env.robots.pose[0, 0].copy()
    assert not seen.alive[0, 0] and seen.alive[0, 1:].all()
    assert seen.kinds["forklift"].mask[0, 0].sum() == 1
    waited = 0
    while env.state.job_phase[0, slot] == GRANTED:
        env.step(np.zeros((1, len(env.kinds)), np.int64))
        waited += 1
        assert waited < 30
    assert waited == pytest.approx(SETTINGS.jobs.abandon_after, abs=1)
    assert env.state.job_phase[0, slot] == OPEN_JOB and env.state.job_robot[0, slot] == -1
    assert env.robots.pose[0, 0, :3] == pytest.approx(stood[:3]) and env.robots.pose[0, 0, 3] == 0.0
    assert env.state.kpi[0, KPI["flat_s"]] == pytest.approx(waited + 1, abs=0.2)


def top_speed(share):
    env, seen = with_jobs(1.0)
    _, seen = claimed(env, seen)
    env.robots.energy[0] = share * NUMBERS.capacity
    fastest = 0.0
    for _ in range(25):
        env.step(np.zeros((1, len(env.kinds)), np.int64))
        fastest = max(fastest, abs(env.robots.pose[0, 0, 3]))
    return fastest


def test_a_weak_battery_drives_at_limping_speed():
    limit = MOTION.cruise_speed * SETTINGS.battery.limp_speed
    assert 0.3 < top_speed(SETTINGS.battery.limp_below - 0.02) <= limit + 1e-9
    assert top_speed(SETTINGS.battery.limp_below + 0.2) > limit + 0.1


def test_baselines_charge_when_low_and_work_when_not():
    env, seen = with_jobs(0.2)
    for name in ("greedy", "contract-net"):
        assert (decided(env, seen, name)[:4] == CHARGE).all()
    env, seen = with_jobs(0.35)
    assert CHARGE not in decided(env, seen)[:4] and (decided(env, seen)[:4] > 0).all()


def test_a_new_job_ends_the_rest():
    skill = new_skill(HOME, parked_pose(HOME, TABLES, MOTION), TABLES)
    skill[RESTING] = 1.0
    assert not battery.may_charge(skill, 0.1, NUMBERS)
    battery.end_rest(skill, NUMBERS.charge_until - 0.01, NUMBERS)
    assert skill[RESTING] == 1.0
    battery.end_rest(skill, NUMBERS.charge_until, NUMBERS)
    assert skill[RESTING] == 0.0 and battery.may_charge(skill, 0.1, NUMBERS)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("charge_until: 0.60", "charge_until: 0.30", "charge without end"),
        ("charge_power: 600.0", "charge_power: 50.0", "nothing charges"),
        ("initial_share: [0.5, 1.0]", "initial_share: [0.9, 0.2]", "initial_share"),
        ("limp_below: 0.15", "limp_below: 0.5", "limp before it may charge"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, old, new, words):
    text = (CONFIG / "warehouse.yaml").read_text()
    assert old in text
    path = tmp_path / "warehouse.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        read_warehouse(path)
