"""No command, however wild, gets past the guard into contact, and nothing moves on stale or unusable input."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.config import ConfigError
from sim.warehouse.bodies import read_bodies
from sim.warehouse.guard import Guard, Sensed, Work, read_guard
from sim.warehouse.look_ahead import outline_of
from sim.warehouse.settings import read_warehouse

CONFIG = Path(__file__).parents[3] / "config"
GUARD = read_guard(CONFIG / "guard.yaml")
BODIES = read_bodies(CONFIG / "bodies.yaml")
LOAD_X = read_warehouse(CONFIG / "warehouse.yaml").motion.dock_reach
OUTLINE = outline_of(BODIES, LOAD_X)
HALF = 0.5 * BODIES.pallet.length
FRONT = BODIES.forklift.front + BODIES.forks.length  # tips of the forks
NOTHING = np.zeros((0, 2))
DRIVING = Work()
BEAMS = np.linspace(-math.pi, math.pi, 180, endpoint=False)


def scan_of(points, now=0.0):
    """What a laser at the robot's centre would report of points [n, 2] in base_link."""
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    ranges = np.concatenate([np.hypot(points[:, 0], points[:, 1]), np.full(20, np.inf)])
    angles = np.concatenate([np.arctan2(points[:, 1], points[:, 0]), np.zeros(20)])
    return Sensed(ranges, angles, NOTHING, NOTHING, odom_stamp=now, scan_stamp=now, decision_stamp=now)


def wall_ahead(distance):
    """Points every 5 cm on a wall across the way."""
    return [(distance, y) for y in np.arange(-2, 2, 0.05)]


def driven(points, command, ticks, is_loaded=False, pallet=None, dt=0.1):
    """Drive in a world of fixed points with one command; returns the pose (x, y, yaw), the path and the reasons."""
    guard, pose, reasons, path = Guard(GUARD, OUTLINE), np.zeros(3), [], []
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    for tick in range(ticks):
        turn = np.array([[math.cos(pose[2]), -math.sin(pose[2])], [math.sin(pose[2]), math.cos(pose[2])]])
        near = None
        if pallet is not None:
            near = (*((np.array(pallet[:2]) - pose[:2]) @ turn), pallet[2] - pose[2])
        wish = command(tick) if callable(command) else command
        sensed = scan_of((points - pose[:2]) @ turn, tick * dt)
        v, w, reason = guard.check(*wish, sensed, tick * dt, Work(is_loaded, near is not None, near))
        for _ in range(10):
            pose += np.array([v * math.cos(pose[2]), v * math.sin(pose[2]), w]) * dt / 10
            path.append(pose.copy())
        reasons.append(reason)
    return pose, np.array(path), reasons


def gap(points, path, is_loaded=False):
    """Smallest distance (m) between the outline and any point along the path, by a check of its own."""
    truck, forks = BODIES.forklift, BODIES.forks
    tines = (forks.spread + forks.width) / 2
    boxes = [(truck.rear, truck.front, truck.width / 2), (truck.front, FRONT, tines)]
    if is_loaded:
        boxes.append((LOAD_X - HALF, LOAD_X + HALF, HALF))
    smallest = math.inf
    for x, y, yaw in path:
        for px, py in np.asarray(points, dtype=float).reshape(-1, 2):
            along = math.cos(yaw) * (px - x) + math.sin(yaw) * (py - y)
            aside = abs(-math.sin(yaw) * (px - x) + math.cos(yaw) * (py - y))
            for low, high, half in boxes:
                smallest = min(smallest, math.hypot(max(low - along, along - high, 0), max(aside - half, 0)))
    return smallest


def test_free_way_leaves_the_command_alone_once_up_to_speed():
    _, _, reasons = driven([], (1.0, 0.2), 12)
    assert reasons[-1] == ""


def test_speed_grows_no_faster_than_the_acceleration_limit():
    guard = Guard(GUARD, OUTLINE)
    guard.check(0.0, 0.0, scan_of([], 0.0), 0.0, DRIVING)
    v, _, _ = guard.check(1.0, 0.0, scan_of([], 0.1), 0.1, DRIVING)
    assert v == pytest.approx(0.1 * GUARD.limits.acceleration)


def test_a_command_over_the_limits_is_cut_and_said_so():
    _, path, reasons = driven([], (9.0, 0.0), 30)
    speed = (path[-1][0] - path[-2][0]) / 0.01
    assert speed == pytest.approx(GUARD.limits.speed)
    assert reasons[-1] == "over the limits"


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_wall_ahead_is_never_driven_into_and_is_reached_to_within_a_hand(is_loaded):
    wall = wall_ahead(3.0)
    _, path, reasons = driven(wall, (1.4, 0.0), 80, is_loaded)
    distance = gap(wall, path[-1:], is_loaded)
    assert gap(wall, path, is_loaded) > 0.0
    assert distance < 0.15
    assert reasons[-1] == "stopped for an obstacle"


def test_a_wall_behind_stops_the_way_back():
    wall = [(-1.5, y) for y in np.arange(-1, 1, 0.05)]
    _, path, reasons = driven(wall, (-0.8, 0.0), 60)
    assert gap(wall, path) > 0.0
    assert reasons[-1] == "stopped for an obstacle"


def test_turning_on_the_spot_does_not_sweep_the_forks_into_a_post():
    post = [(0.57 * FRONT, 0.57 * FRONT)]
    _, path, reasons = driven(post, (0.0, 1.0), 60)
    assert gap(post, path) > 0.0
    assert "stopped for an obstacle" in reasons


def test_a_robot_already_too_close_may_back_away_but_not_come_nearer():
    wall = wall_ahead(FRONT + 0.5 * GUARD.stopping.margin)
    nearer, _, _ = driven(wall, (0.3, 0.0), 10)
    away, _, reasons = driven(wall, (-0.3, 0.0), 10)
    assert nearer[0] == 0.0
    assert away[0] < -0.2
    assert reasons[-1] == ""


def pallet_at(x):
    """The outline of a pallet with its centre at (x, 0), every 5 cm."""
    side = np.arange(-HALF, HALF + 0.001, 0.05)
    ends = [(x + end, y) for y in side for end in (-HALF, HALF)]
    return ends + [(x + along, end) for along in side for end in (-HALF, HALF)]


def test_the_pallet_being_docked_to_is_entered_and_any_other_is_not():
    pallet = pallet_at(1.5)
    way = 1.5 - LOAD_X
    ticks = round(way / 0.04) + 2
    docked, _, _ = driven(pallet, lambda tick: (0.4 * (tick < ticks), 0.0), ticks + 3, pallet=(1.5, 0.0, 0.0))
    _, path, _ = driven(pallet, (0.4, 0.0), ticks + 3)
    assert docked[0] > way - 0.1
    assert gap(pallet, path) > 0.0


def test_somebody_between_robot_and_pallet_still_stops_it_while_docking():
    somebody = [(1.55, y) for y in np.arange(-0.2, 0.2, 0.05)]
    _, path, _ = driven(pallet_at(2.0) + somebody, (0.4, 0.0), 40, pallet=(2.0, 0.0, 0.0))
    assert gap(somebody, path) > 0.0


def test_the_own_load_is_no_obstacle_but_a_pallet_there_that_is_not_loaded_is():
    face = [(LOAD_X - HALF + 0.02, y) for y in np.arange(-HALF, HALF, 0.05)]
    assert Guard(GUARD, OUTLINE).check(0.1, 0.0, scan_of(face), 0.0, Work(is_loaded=True)).v > 0.0
    ahead = [(FRONT + 0.01, y) for y in np.arange(-HALF, HALF, 0.05)]
    assert Guard(GUARD, OUTLINE).check(0.1, 0.0, scan_of(ahead), 0.0, DRIVING).v == 0.0


def test_what_the_load_hides_is_taken_from_what_is_known():
    wall = np.array(wall_ahead(LOAD_X + HALF + 0.03))
    sensed = scan_of([])._replace(hidden=wall)
    assert Guard(GUARD, OUTLINE).check(0.2, 0.0, sensed, 0.0, Work(is_loaded=True)).v == 0.0
    assert Guard(GUARD, OUTLINE).check(-0.2, 0.0, sensed, 0.0, Work(is_loaded=True)).v == -0.2


def test_other_robots_are_kept_farther_away_than_walls():
    assert GUARD.stopping.robot_margin > GUARD.stopping.margin
    robot = np.array(wall_ahead(FRONT + 0.5 * (GUARD.stopping.robot_margin + GUARD.stopping.margin)))
    sensed = scan_of([])._replace(robots=robot)
    assert Guard(GUARD, OUTLINE).check(0.2, 0.0, sensed, 0.0, DRIVING).v == 0.0
    assert Guard(GUARD, OUTLINE).check(0.02, 0.0, scan_of(robot), 0.0, DRIVING).v > 0.0


def stale(**stamps):
    return scan_of([], 10.0)._replace(**stamps)


@pytest.mark.parametrize(
    ("command", "sensed", "why"),
    [
        ((math.nan, 0.0), scan_of([], 10.0), "command not finite"),
        ((0.5, math.inf), scan_of([], 10.0), "command not finite"),
        ((0.5, 0.0), stale(odom_stamp=9.0), "odom stale"),
        ((0.5, 0.0), stale(scan_stamp=9.0), "scan stale"),
        ((0.5, 0.0), stale(scan_stamp=math.nan), "scan stale"),
        ((0.5, 0.0), stale(odom_stamp=1e9), "odom stale"),
        ((0.5, 0.0), stale(decision_stamp=4.0), "decision stale"),
        ((0.5, 0.0), stale(ranges=np.full(180, np.nan), angles=BEAMS), "scan blind"),
        ((0.5, 0.0), stale(ranges=np.full(180, -np.inf), angles=BEAMS), "scan blind"),
        ((0.5, 0.0), stale(ranges=np.zeros(180), angles=BEAMS), "scan blind"),
        ((0.5, 0.0), stale(ranges=np.zeros(0), angles=np.zeros(0)), "scan blind"),
    ],
)
def test_stale_or_unusable_input_stops_the_robot_at_once(command, sensed, why):
    guard = Guard(GUARD, OUTLINE)
    guard._sent, guard._sent_at = (1.0, 0.5), 9.9
    assert guard.check(*command, sensed, 10.0, DRIVING) == (0.0, 0.0, why)


def test_a_few_lost_beams_do_not_stop_it():
    ranges = np.full(180, np.inf)
    ranges[::10] = np.nan
    verdict = Guard(GUARD, OUTLINE).check(
        0.1, 0.0, Sensed(ranges, BEAMS, NOTHING, NOTHING, 0.0, 0.0, 0.0), 0.0, DRIVING
    )
    assert verdict == (0.1, 0.0, "")


@settings(max_examples=25, deadline=None)
@given(
    posts=st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=6),
    wishes=st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=4),
    is_loaded=st.booleans(),
)
def test_no_sequence_of_commands_leads_to_contact(posts, wishes, is_loaded):
    start = np.zeros((1, 3))
    posts = [post for post in posts if gap([post], start, is_loaded) > GUARD.stopping.margin]
    _, path, _ = driven(posts, lambda tick: wishes[tick // 10 % len(wishes)], 40, is_loaded)
    assert not posts or gap(posts, path[::3], is_loaded) > 0.0


def test_settings_out_of_range_are_refused_by_name(tmp_path):
    wrong = tmp_path / "guard.yaml"
    wrong.write_text((CONFIG / "guard.yaml").read_text().replace("braking: 1.0", "braking: -1.0"))
    with pytest.raises(ConfigError, match=r"stopping.braking"):
        read_guard(wrong)
