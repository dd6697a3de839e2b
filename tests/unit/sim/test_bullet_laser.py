"""The laser sees what stands around a robot, and neither the robot nor its load."""

import math

import numpy as np
import pytest

from tests.support.bullet_hall import BODIES, EAST_WALL, HIGH, hall, run, with_pallet_on_forks

RAYS = BODIES.laser.rays
EXACT = BODIES.model_copy(update={"laser": BODIES.laser.model_copy(update={"noise": 0.0, "dropout": 0.0})})


def towards(angle: float) -> int:
    """The ray in a direction of base_link."""
    return round(angle / math.tau * RAYS) % RAYS


def test_sees_walls_at_their_distance():
    world = hall(("robot", 15.0, 5.0, 0.0), bodies=EXACT)
    run(world, 0.5)
    ranges = world.scans()[0]
    robot = world.pose("robot")
    assert ranges.dtype == np.float32
    assert ranges.shape == (RAYS,)
    assert ranges[towards(0.0)] == pytest.approx(EAST_WALL - robot.x, abs=0.02)
    assert ranges[towards(math.pi / 2)] == pytest.approx(9.9 - robot.y, abs=0.02)
    assert ranges[towards(-math.pi / 2)] == pytest.approx(robot.y - 0.1, abs=0.02)
    assert math.isinf(ranges[towards(math.pi)]), "the west wall is out of range"


def test_turns_with_the_robot():
    world = hall(("robot", 10.0, 3.0, math.pi / 2), bodies=EXACT)
    run(world, 0.5)
    assert world.scans()[0][towards(0.0)] == pytest.approx(8.6 - world.pose("robot").y, abs=0.02)


def test_sees_other_robots_and_pallets():
    middle = 0.5 * (BODIES.forklift.front + BODIES.forklift.rear)  # of the chassis
    world = hall(("robot", 5.0, 5.0, 0.0), ("other", 5.0 - middle, 2.0, 0.0), bodies=EXACT)
    world.add_pallet(1, 8.0, 5.0, 0.0, 0)
    run(world, 0.5)
    ranges = world.scans()[0]
    assert ranges[towards(0.0)] == pytest.approx(2.7, abs=0.02)
    assert ranges[towards(-math.pi / 2)] == pytest.approx(3.0 - BODIES.forklift.width / 2, abs=0.02)


def test_sees_neither_itself_nor_its_load():
    world = with_pallet_on_forks(EXACT)
    assert world.carried_by("robot") == 1
    ranges = world.scans()[0]
    assert np.nanmin(ranges) > 3.0


def test_noise_and_dropouts_follow_the_settings_and_the_seed():
    noisy = BODIES.model_copy(update={"laser": BODIES.laser.model_copy(update={"noise": 0.05, "dropout": 0.2})})
    first, again, other = (hall(("robot", 15.0, 5.0, 0.0), bodies=noisy, seed=seed) for seed in (3, 3, 4))
    scans = []
    for world in (first, again, other):
        run(world, 0.3)
        scans.append(np.stack([world.scans()[0] for _ in range(200)]))
    assert np.array_equal(scans[0], scans[1], equal_nan=True)
    assert not np.array_equal(scans[0], scans[2], equal_nan=True)
    lost = np.isnan(scans[0]).mean()
    assert lost == pytest.approx(0.2, abs=0.02)
    assert np.nanstd(scans[0][:, towards(0.0)]) == pytest.approx(0.05, rel=0.2)


def test_every_robot_has_its_own_scan():
    world = hall(("a", 2.0, 5.0, 0.0), ("b", 18.0, 5.0, math.pi), bodies=EXACT)
    run(world, 0.3, forks=HIGH)
    ranges = world.scans()
    assert ranges.shape == (2, RAYS)
    assert ranges[0][towards(math.pi)] == pytest.approx(1.9, abs=0.03)
    assert ranges[1][towards(math.pi)] == pytest.approx(1.9, abs=0.03)
