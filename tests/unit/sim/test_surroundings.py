"""What is known without looking lies where it stands, seen from the robot."""

import math
from pathlib import Path

import numpy as np
import pytest

from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.guard import Guard, Sensed, Work, read_guard
from sim.warehouse.look_ahead import clearance, outline_of, seen_from
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse
from sim.warehouse.surroundings import Surroundings, TurnRates

CONFIG = Path(__file__).parents[3] / "config"
BODIES = read_bodies(CONFIG / "bodies.yaml")
FRONT = BODIES.forklift.front + BODIES.forks.length  # tips of the forks
REAR = BODIES.forklift.rear
OUTLINE = outline_of(BODIES, read_warehouse(CONFIG / "warehouse.yaml").motion.dock_reach)
STILL = np.zeros(2)  # rad/s
WAY_TO_STOP = 1.0 * 0.15 + 1.0**2 / 2  # m from 1 m/s


@pytest.fixture(scope="module")
def surroundings():
    tables = build_tables(read_floorplan(CONFIG / "floorplans" / "small_dc.yaml"))
    return Surroundings(tables, OUTLINE, reaction=0.15, braking=1.0)


def test_the_outer_wall_lies_ahead_of_a_robot_that_faces_it(surroundings):
    pose = np.array([15.0, 3.0, -math.pi / 2, 0.0])  # 2.9 m from the inner face of the south wall
    seen = surroundings.obstacles(pose)
    ahead = seen[np.abs(seen[:, 1]) < 0.2]
    assert ahead[:, 0].min() == pytest.approx(2.9, abs=0.1)


def test_a_robot_that_stands_is_its_outline_and_one_never_heard_of_is_nothing(surroundings):
    pose = np.array([15.0, 3.0, 0.0, 0.0])
    assert not len(surroundings.robots(pose, np.array([pose, [np.nan] * 4]), STILL, 0))
    met = surroundings.robots(pose, np.array([pose, [17.5, 3.0, math.pi, 0.0]]), STILL, 0)
    assert met[:, 0].min() == pytest.approx(2.5 - FRONT, abs=0.01)
    assert met[:, 0].max() == pytest.approx(2.5 - REAR, abs=0.01)


@pytest.mark.parametrize(
    ("speed", "first", "last"), [(1.0, REAR, FRONT + WAY_TO_STOP), (-1.0, REAR - WAY_TO_STOP, FRONT)]
)
def test_a_robot_that_moves_is_everywhere_on_its_way_to_a_stop(surroundings, speed, first, last):
    pose = np.array([15.0, 3.0, 0.0, 0.0])
    met = surroundings.robots(pose, np.array([pose, [16.0, 5.0, 0.0, speed]]), STILL, 0)
    assert met[:, 0].min() == pytest.approx(1.0 + first, abs=0.01)
    assert met[:, 0].max() == pytest.approx(1.0 + last, abs=0.01)


def crossing(surroundings, apart, knows_speed):
    """Two robots drive to one crossing at full speed, `apart` m out of step; the smallest gap (m) between them."""
    settings = read_guard(CONFIG / "guard.yaml")
    guards = [Guard(settings, OUTLINE), Guard(settings, OUTLINE)]
    poses = np.array([[4.0, 17.5, 0.0, 0.0], [9.0, 12.5 - apart, math.pi / 2, 0.0]])
    free, smallest = np.full(90, np.inf), np.inf
    for step in range(80):
        now, commands = step * 0.1, []
        told = poses * (1, 1, 1, knows_speed)
        for me, guard in enumerate(guards):
            near = surroundings.robots(poses[me], told, STILL, me)
            sensed = Sensed(free, np.zeros(90), np.zeros((0, 2)), near, now, now, now)
            commands.append(guard.check(1.4, 0.0, sensed, now, Work()).v)
        for me, wanted in enumerate(commands):
            speed = poses[me, 3] + np.clip(wanted - poses[me, 3], -0.12, 0.12)  # brakes as the body does
            poses[me] += (
                speed * math.cos(poses[me, 2]) * 0.1,
                speed * math.sin(poses[me, 2]) * 0.1,
                0,
                speed - poses[me, 3],
            )
        other = seen_from(surroundings._robot, *_relative(poses))
        smallest = min(smallest, clearance(other, OUTLINE.loaded).min())
    return smallest


def _relative(poses):
    """Pose of robot 0 as seen from robot 1, so that points of robot 1 can be brought into the frame of robot 0."""
    (x, y, yaw, _), (u, v, turn, _) = poses
    c, s = math.cos(turn), math.sin(turn)
    return c * (x - u) + s * (y - v), -s * (x - u) + c * (y - v), yaw - turn


@pytest.mark.parametrize("apart", [-0.6, -0.3, 0.0, 0.3, 0.6])
def test_two_robots_that_cross_at_full_speed_do_not_touch(surroundings, apart):
    assert crossing(surroundings, apart, knows_speed=1.0) > 0.0


def test_without_knowing_the_others_speed_they_would():
    tables = build_tables(read_floorplan(CONFIG / "floorplans" / "small_dc.yaml"))
    blind = Surroundings(tables, OUTLINE, reaction=0.15, braking=1.0)
    assert min(crossing(blind, apart, knows_speed=0.0) for apart in (-0.6, -0.3, 0.0, 0.3, 0.6)) == 0.0


@pytest.mark.parametrize("way_round", [1.0, -1.0])
def test_a_robot_that_turns_is_everywhere_on_its_way_to_a_stop(surroundings, way_round):
    pose = np.array([15.0, 3.0, 0.0, 0.0])
    others = np.array([pose, [15.0, 5.0, 0.0, 0.0]])
    ahead = []  # how far what lies before the axle reaches to the side it turns to, and to the other (m)
    for rate in (0.0, way_round * 1.2):
        met = surroundings.robots(pose, others, np.array([0.0, rate]), 0) - (0.0, 2.0)
        aside = way_round * met[met[:, 0] > 0.25, 1]
        ahead.append((aside.max(), -aside.min()))
    half = OUTLINE.load_half
    assert ahead[0] == pytest.approx((half, half))
    angle = 1.2 * (0.15 + 1.2 * math.hypot(FRONT, 0.19) / 2)
    corner = (0.7 * math.sin(angle) + half * math.cos(angle), half)  # the load's
    assert ahead[1] == pytest.approx(corner, abs=0.02)


def turned_side_by_side(surroundings, sees_turning):
    """Two robots 1.4 m apart turn their tails towards each other at once; the smallest gap (m) between them."""
    settings, rates = read_guard(CONFIG / "guard.yaml"), TurnRates()
    guards = [Guard(settings, OUTLINE), Guard(settings, OUTLINE)]
    poses, speeds = np.array([[27.34, 7.7, 0.0, 0.0], [27.34, 9.1, 0.0, 0.0]]), np.zeros(2)
    free, smallest = np.full(90, np.inf), np.inf
    for step in range(40):
        now, turning = step * 0.1, rates.at(step * 0.1, poses)
        told = turning if sees_turning else STILL
        for me, (guard, wanted) in enumerate(zip(guards, (-1.2, 1.2), strict=True)):
            near = surroundings.robots(poses[me], poses, told, me)
            sensed = Sensed(free, np.zeros(90), np.zeros((0, 2)), near, now, now, now)
            sent = guard.check(0.0, wanted, sensed, now, Work()).w
            speeds[me] += np.clip(sent - speeds[me], -0.3, 0.3)  # as the body's drive does
        poses[:, 2] += 0.1 * speeds
        smallest = min(smallest, clearance(seen_from(surroundings._robot, *_relative(poses)), OUTLINE.chassis).min())
    return smallest


def test_two_robots_that_turn_side_by_side_do_not_touch_because_they_see_each_other_turn(surroundings):
    assert turned_side_by_side(surroundings, sees_turning=True) > 0.0
    assert turned_side_by_side(surroundings, sees_turning=False) == 0.0


def test_turn_rates_are_told_from_two_looks_and_not_from_looks_long_apart():
    rates, poses = TurnRates(), np.array([[0.0, 0.0, 3.1, 0.0], [np.nan] * 4])
    assert (rates.at(1.0, poses) == 0.0).all()
    poses[0, 2] = -3.1
    assert rates.at(1.1, poses) == pytest.approx([(math.tau - 6.2) / 0.1, 0.0])
    assert rates.at(1.1, poses)[0] > 0.5, "the same when asked again"
    assert (rates.at(9.0, poses) == 0.0).all()
