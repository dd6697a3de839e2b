"""The soak's checks: a sound world passes them all, and each kind of mischief is seen by the check that is for it."""

from __future__ import annotations

import math
import re

import numpy as np
import pybullet
import pytest

from sim.bullet.env import BulletWarehouse
from sim.soak.findings import Findings
from sim.soak.limits import read_soak_limits
from sim.soak.memory import flatness
from sim.soak.motion_watch import MotionWatch, crossed
from sim.soak.run import soak
from sim.soak.standing import PHASES, describe
from sim.warehouse import skill
from sim.warehouse.baselines import make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.kpis import DISTANCE_M, LINES_SHIPPED
from sim.warehouse.routes import build_tables
from sim.warehouse.state import SLOT
from tests.unit.sim import warehouse_world
from tests.unit.sim.test_fast_world import STREAM
from tests.unit.sim.warehouse_world import CONFIG

PLAN = read_floorplan(CONFIG / "floorplans" / "small_dc.yaml")
BODIES = read_bodies(CONFIG / "bodies.yaml")
LIMITS = read_soak_limits(CONFIG / "soak.yaml")
HOURS = 60 / 3600


def fast_world():
    return warehouse_world.world(STREAM, episode=900.0)


def bullet_world():
    like = fast_world()
    world = (1, 4, 900.0, [like.tables], like.settings, BODIES, like.contract)
    return BulletWarehouse(*world, lambda rng, duration, draw: STREAM, np.ones(12), PLAN)


def soaked(env, *, hours=HOURS, limits=LIMITS, disturb=lambda tick: None, seed=3, hear=lambda result: None):
    def make(kind, number):
        return make_baseline("greedy", env.contract, kind, number, seed)

    result = soak(
        env, make, PLAN, BODIES, limits, seed, hours, reach=30.0, disturb=disturb, on_hour=hear or (lambda r: 0)
    )
    if isinstance(env, BulletWarehouse):
        env.close()
    return result


def at(tick, mischief):
    """Does it once, before that tick."""
    return lambda now: mischief() if now == tick else None


@pytest.mark.parametrize("build", [fast_world, bullet_world])
def test_a_sound_world_holds_and_the_same_seed_gives_the_same_digest(build):
    first, again, other = (soaked(build(), seed=seed, hours=90 / 3600) for seed in (3, 3, 4))
    assert first["holds"] and first["failed"] == []
    assert first["digest"] == again["digest"] != other["digest"]
    looked = {row["check"]: row["looked"] for row in first["checks"]}
    assert all(count > 0 for count in looked.values())
    assert ("no leaked body" in looked) == (build is bullet_world)
    assert first["kpis"]["distance_m"] > 50.0 and first["simulated_s"] == 90.0


def test_hours_are_told_one_by_one():
    heard = []
    result = soaked(fast_world(), hours=0.2, hear=heard.append)
    assert heard == [] and result["by_hour"] == [], "no hour is over"
    assert result["memory"]["most"] > 50.0 and len(result["memory"]["samples_h_mb"]) == 12


def test_a_position_that_is_no_number_ends_the_run_as_a_fault():
    env = fast_world()
    result = soaked(env, disturb=at(20, lambda: env.robots.pose[0, 1].fill(math.inf)))
    assert "finite" in result["failed"] and result["simulated_s"] < 30.0


def test_a_robot_that_is_moved_by_hand_has_jumped():
    env = bullet_world()

    def move():
        env.world(0)._robots["forklift_2"].place(15.0, 2.5, 0.0, 0.0, 0.0)

    failed = soaked(env, disturb=at(20, move))["failed"]
    assert "no jump" in failed and "no leaked body" not in failed


def test_a_robot_that_is_put_behind_a_rack_has_tunnelled():
    env = fast_world()

    def swap():
        env.robots.pose[0, 0, :2] = (5.0, 10.5)
        env.robots.skill[0, 0] = env.robots.skill[0, 0]

    watch = at(20, swap)
    result = soaked(env, disturb=watch)
    row = next(row for row in result["checks"] if row["check"] == "no way through a box")
    assert row["faults"] >= 1 and "through rack" in row["first"]


@pytest.mark.parametrize("leaked", ["body", "constraint"])
def test_a_body_too_many_and_a_constraint_too_many_are_seen(leaked):
    env = bullet_world()
    leak = _leak_body if leaked == "body" else _leak_constraint
    result = soaked(env, disturb=at(20, lambda: leak(env.world(0))))
    assert result["failed"] == ["no leaked body"]
    row = next(row for row in result["checks"] if row["check"] == "no leaked body")
    assert row["faults"] == 40 and row["first"].startswith("at 21.0 s")
    held, wanted = (
        [int(number) for number in re.findall(r"\d+", part)] for part in row["first"].split(": ")[1].split("wanted")
    )
    assert np.subtract(held, wanted).tolist() == ([1, 0] if leaked == "body" else [0, 1])


def _leak_body(world):
    client = world._client
    shape = pybullet.createCollisionShape(pybullet.GEOM_SPHERE, radius=0.01, physicsClientId=client)
    pybullet.createMultiBody(0, shape, basePosition=(1.0, 1.0, 9.0), physicsClientId=client)


def _leak_constraint(world):
    """A grip on nothing that nobody lets go of: it holds with no force, so that only the count tells."""
    body, nowhere = world._robots["forklift_1"].body, (0.0, 0.0, 0.0)
    grip = pybullet.createConstraint(
        body, -1, -1, -1, pybullet.JOINT_POINT2POINT, nowhere, nowhere, nowhere, physicsClientId=world._client
    )
    pybullet.changeConstraint(grip, maxForce=0.0, physicsClientId=world._client)


def test_a_truck_on_its_side_and_one_in_a_wall_are_seen():
    env = bullet_world()

    def tip():
        world = env.world(0)
        for name, there, turn in (
            ("forklift_1", (15.0, 3.0, 0.6), (1.2, 0.0, 0.0)),
            ("forklift_2", (29.7, 3.0, 0.1), (0, 0, 0)),
        ):
            quaternion = pybullet.getQuaternionFromEuler(turn)
            body = world._robots[name].body
            pybullet.resetBasePositionAndOrientation(body, there, quaternion, physicsClientId=world._client)

    failed = soaked(env, disturb=at(20, tip))["failed"]
    assert {"trucks upright (rad)", "nobody in a wall or rack (m)", "no jump"} <= set(failed)


@pytest.mark.parametrize("mischief", ["pallet", "line", "falling"])
def test_goods_that_do_not_add_up_are_seen(mischief):
    env = fast_world()

    def steal():
        if mischief == "pallet":
            place = np.flatnonzero((env.state.place_pallet[0] >= 0) & (env.tables.place_type == SLOT))[0]
            env.state.place_pallet[0, place] = -1
        elif mischief == "line":
            env.state.kpi[0, LINES_SHIPPED] += 1
        else:
            env.state.kpi[0, DISTANCE_M] -= 50.0

    failed = soaked(env, disturb=at(30, steal))["failed"]
    assert failed == (["no count falls"] if mischief == "falling" else ["the ledger adds up"])


def test_a_fleet_that_stands_is_stuck_and_ships_nothing():
    env = fast_world()
    limits = LIMITS.model_copy(update={"pause": 50.0, "stuck": 20.0})

    def hold(tick):
        if tick == 30:
            env.numbers.motion[0, list(type(env.settings.motion_numbers())._fields).index("cruise_speed")] = 1e-6
            env.numbers.motion[0, list(type(env.settings.motion_numbers())._fields).index("dock_speed")] = 1e-6

    result = soaked(env, hours=0.05, limits=limits, disturb=hold)
    assert {"no robot is stuck (s)", "orders flow (s)"} <= set(result["failed"])
    row = next(row for row in result["checks"] if row["check"] == "no robot is stuck (s)")
    robot = re.search(r"forklift_(\d) at \(([-\d.]+), ([-\d.]+)\), .* degrees, (\w+ing\b[\w ]*)", row["first"])
    assert robot is not None, row["first"]
    at = [float(number) for number in robot.groups()[1:3]]
    assert at == pytest.approx(env.robots.pose[0, int(robot[1]) - 1, :2].tolist(), abs=0.02)


def test_a_robot_that_stands_is_told_with_what_it_is_about_and_whom_it_has_in_its_way():
    pose = np.array([[1.0, 2.0, math.pi / 2, 0.0], [3.0, 4.0, 0.0, 0.0], [5.0, 6.0, math.pi, 0.0]])
    rows, fork = np.zeros((3, skill.SKILL_SIZE)), np.array([0.0, 0.123, 0.0])
    rows[:, [skill.DETOUR, skill.LET_PASS, skill.BLOCKER]] = -1
    rows[:, skill.PHASE] = skill.TO_DROP, skill.LIFT, skill.LEAVE_PICK
    assert describe(1, pose, rows, fork, 50.0) == (
        "forklift_2 at (3.00, 4.00), 0 degrees, lifting with its forks at 0.123 m; nobody is in its way"
    )
    rows[0, skill.BLOCKED], rows[0, skill.BLOCKER], rows[0, skill.DETOUR] = 7.0, 2, 11
    assert describe(0, pose, rows, fork, 50.0) == (
        "forklift_1 at (1.00, 2.00), 90 degrees, driving to its drop by a detour; for 7 s in its way is "
        "forklift_3 at (5.00, 6.00), 180 degrees, leaving its pick"
    )
    rows[0, skill.BLOCKED], rows[0, skill.LET_PASS], rows[0, skill.HOLD_UNTIL] = 0.0, 1, 53.0
    assert "holding for 3 s; it lets pass forklift_2 at (3.00, 4.00)" in describe(0, pose, rows, fork, 50.0)
    assert len(PHASES) == skill.LEAVE_HOME + 1
    assert [PHASES[phase] for phase in (skill.ENTER_PICK, skill.LOWER, skill.TO_HOME, skill.PARKED)] == [
        "entering its pick",
        "lowering",
        "driving home",
        "parked",
    ]


def test_memory_that_grows_is_seen_and_a_warm_up_is_not():
    seconds = np.arange(0.0, 36_000.0, 60.0)
    warm = 400.0 + 50.0 * (1.0 - np.exp(-seconds / 900.0))
    flat = flatness(seconds, warm, LIMITS.memory.settled)
    assert flat.slope < LIMITS.memory.slope and flat.growth < LIMITS.memory.growth
    leaking = flatness(seconds, warm + 10.0 * seconds / 3600.0, LIMITS.memory.settled)
    assert leaking.slope == pytest.approx(10.0, rel=0.1) and leaking.slope > LIMITS.memory.slope
    assert leaking.growth > LIMITS.memory.growth


def test_a_way_through_a_thin_rack_is_seen_and_one_beside_it_is_not():
    rack = np.array([[5.0, 5.0, 0.1, 4.0, 0.3]])
    start = np.array([[4.0, 5.0], [4.0, 5.0], [5.0, 5.0], [4.0, 8.0], [4.5, 5.0]])
    end = np.array([[6.0, 5.0], [4.9, 5.0], [5.0, 5.0], [6.0, 8.0], [4.5, 5.0]])
    assert crossed(start, end, rack)[:, 0].tolist() == [True, False, True, False, False]
    sampled = np.linspace(0.0, 1.0, 20_001)[:, None]
    for one, other in np.random.default_rng(0).uniform(2.0, 8.0, (200, 2, 2)):
        points = one + sampled * (other - one) - rack[0, :2]
        cos, sin = math.cos(0.3), math.sin(0.3)
        inside = (np.abs(points @ (cos, sin)) <= 0.05) & (np.abs(points @ (-sin, cos)) <= 2.0)
        assert crossed(one[None], other[None], rack)[0, 0] == inside.any()


def test_the_watch_looks_closely_wherever_a_box_can_be():
    tables, findings = build_tables(PLAN), Findings()
    watch = MotionWatch(findings, PLAN, tables, 1.5, 100.0)
    chance = np.random.default_rng(1)
    boxes = np.array([(box.x, box.y, box.length, box.width, box.yaw) for box in PLAN.boxes])
    seen = 0
    for look in range(400):
        start, end = chance.uniform((0.2, 0.2), (29.8, 19.8)), chance.normal(0.0, 0.4, 2)
        end = np.clip(start + end, 0.2, 19.8)
        watch.look(2.0 * look, {"one": tuple(start)})
        watch.look(2.0 * look + 1.0, {"one": tuple(end)})
        watch.look(2.0 * look + 1.5, {})
        seen += bool(crossed(start[None], end[None], boxes).any())
    found = {row["check"]: row["faults"] for row in findings.rows()}
    assert seen > 20 and found["no way through a box"] == seen
