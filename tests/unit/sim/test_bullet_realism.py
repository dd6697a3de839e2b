"""Late drives, slipping wheels, late sensors and cameras on masts: each does what its number says, and 0 nothing."""

import gc
import math
import os

import numpy as np
import psutil
import pybullet
import pytest

from tests.support.bullet_hall import BODIES, EAST_WALL, HIGH, hall, run


def with_(section: str, **changes):
    return BODIES.model_copy(update={section: getattr(BODIES, section).model_copy(update=changes)})


def speeds(bodies, steps=20, v=0.5, w=0.0):
    """Forward speed after each step of 0.1 s from standing."""
    world = hall(("robot", 4.0, 5.0, 0.0), bodies=bodies)
    found = []
    for _ in range(steps):
        run(world, 0.1, v=v, w=w)
        found.append(world.pose("robot"))
    world.close()
    return found


def test_a_drive_with_dead_time_does_the_same_later():
    prompt, late = speeds(BODIES), speeds(with_("forklift", dead_time=0.3))
    assert max(abs(pose.v) for pose in late[:3]) < 0.01
    assert [pose.v for pose in late[3:]] == pytest.approx([pose.v for pose in prompt[:-3]], abs=0.02)


@pytest.mark.parametrize("lag", [0.2, 0.6])
def test_a_lagging_drive_has_63_percent_of_its_speed_after_one_time_constant(lag):
    quick = with_("forklift", lag=lag, acceleration=5.0)
    after = speeds(quick, steps=30, v=0.3)
    assert after[round(10 * lag) - 1].v == pytest.approx(0.3 * (1 - math.exp(-1)), abs=0.03)
    assert after[-1].v == pytest.approx(0.3, abs=0.005)
    assert speeds(with_("forklift", acceleration=5.0), v=0.3)[1].v > 0.28, "without lag it is there at once"


def test_a_lagging_drive_still_comes_to_rest_and_parks():
    world = hall(bodies=with_("forklift", lag=0.5, dead_time=0.2))
    run(world, 3.0, v=0.8)
    run(world, 6.0)
    assert world._robots["robot"].is_standing
    x = world.pose("robot").x
    run(world, 2.0, v=0.5)
    assert world.pose("robot").x > x + 0.3, "and goes again"


@pytest.mark.parametrize("slip", [0.0, 0.1])
def test_slipping_wheels_turn_more_than_the_truck_moves(slip):
    world = hall(bodies=with_("forklift", slip=slip))
    run(world, 2.0, v=1.0)
    x, turned = world.pose("robot").x, world.joint_states("robot").positions[0]
    run(world, 3.0, v=1.0)
    way = world.pose("robot").x - x
    rolled = (world.joint_states("robot").positions[0] - turned) * BODIES.forklift.wheel_radius
    assert way == pytest.approx(3.0 * (1 - slip), rel=0.02)
    assert rolled == pytest.approx(3.0, rel=0.02), "what encoders tell"


@pytest.mark.parametrize("delay", [0, 3])
def test_a_late_laser_tells_what_was_seen_then(delay):
    world = hall(("robot", 13.0, 5.0, 0.0), bodies=with_("laser", delay=delay, noise=0.0, dropout=0.0))
    ahead = [world.pose("robot").x]
    for _ in range(20):
        run(world, 0.1, v=1.2)
        ahead.append(world.pose("robot").x)
    assert EAST_WALL - world.scans()[0][0] == pytest.approx(ahead[-1 - delay], abs=0.02)
    assert ahead[-1] - ahead[-4] > 0.2, "three steps are a difference that would be seen"


@pytest.mark.parametrize("delay", [0, 4])
def test_a_late_localisation_tells_where_the_robot_was(delay):
    world = hall(bodies=with_("localisation", delay=delay))
    poses = [world.pose("robot")]
    assert world.told_pose("robot") == poses[0]
    for _ in range(10):
        run(world, 0.1, v=1.0, w=0.3)
        poses.append(world.pose("robot"))
        assert world.told_pose("robot") == poses[max(0, len(poses) - 1 - delay)]


def test_the_mast_camera_sees_colours_and_metres():
    level = with_("camera", pitch_deg=0.0)
    world = hall(("robot", 10.0, 5.0, math.pi / 2), bodies=level)
    run(world, 0.2)
    rgb, depth = world.robot_camera("robot", 80, 60)
    assert (rgb.shape, rgb.dtype) == ((60, 80, 3), np.uint8)
    assert (depth.shape, depth.dtype) == ((60, 80), np.float32)
    lens = 5.0 + BODIES.forklift.front + 0.03
    shelf = depth[30, 40]  # level with the lens, the rack is open between its shelves: look at its back or through it
    assert shelf > 8.6 - lens - 0.05
    down = hall(("robot", 10.0, 5.0, math.pi / 2), bodies=with_("camera", pitch_deg=90.0))
    run(down, 0.2)
    _, floor = down.robot_camera("robot", 40, 40)
    assert np.median(floor[:12]) == pytest.approx(BODIES.forklift.mast_height, abs=0.02), "straight down on the floor"
    world.add_pallet(1, 10.0, 7.5, 0.0, 3)
    bowed = hall(("robot", 10.0, 5.0, math.pi / 2))
    run(bowed, 0.2)
    empty, far = bowed.robot_camera("robot", 80, 60)
    bowed.add_pallet(1, 10.0, 7.5, 0.0, 3)
    full, near = bowed.robot_camera("robot", 80, 60)
    changed = (full != empty).any(axis=-1)
    assert changed.sum() > 50
    assert (near[changed] < far[changed] + 0.01).mean() > 0.95, "the pallet is nearer than what it hides"


def test_the_mast_camera_leaves_the_physics_alone():
    poses = []
    for looks in (False, True):
        world = hall()
        for _ in range(20):
            run(world, 0.1, v=0.7, w=0.4, forks=HIGH)
            if looks:
                world.robot_camera("robot", 16, 16)
        poses.append(world.pose("robot"))
        world.close()
    assert poses[0] == poses[1]


def clients() -> int:
    """Bullet clients of this process that are open."""
    return sum(bool(pybullet.isConnected(number)) for number in range(64))


def test_a_hundred_worlds_opened_and_closed_leave_neither_clients_nor_memory():
    def one() -> None:
        world = hall(("a", 4.0, 5.0, 0.0), ("b", 4.0, 2.0, 0.0))
        for number in range(8):
            world.add_pallet(number, 8.0 + number, 5.0, 0.0, number)
        run(world, 0.3, v=0.5)
        world.scans()
        world.camera(32, 24)
        world.robot_camera("a", 32, 24)
        world.close()
        world.close()

    opened = clients()
    process = psutil.Process(os.getpid())
    held = []
    for turn in range(100):
        one()
        if turn >= 20 and turn % 10 == 9:  # pools and fonts are filled by then
            gc.collect()
            held.append(process.memory_info().rss)
    slope = np.polyfit(np.arange(len(held)) * 10, held, 1)[0] / 1024
    print(f"memory held: {held[-1] / 2**20:.0f} MiB, {slope:+.1f} KiB a world")
    assert clients() == opened
    assert slope < 64, "KiB a world; one world with its two cameras holds some thousand"


def test_a_noisy_localisation_errs_as_far_and_as_long_as_it_says():
    spread, wander = 0.05, 1.0
    world = hall(bodies=with_("localisation", noise=spread, turn_noise=0.02, wander=wander), seed=4)
    errors = []
    for _ in range(4000):
        world._told.note(world._true_poses())
        told, true = world.told_pose("robot"), world.pose("robot")
        errors.append((told.x - true.x, told.y - true.y, told.yaw - true.yaw))
    found = np.array(errors)
    assert found.std(axis=0) == pytest.approx([spread, spread, 0.02], rel=0.25)
    one_later = np.corrcoef(found[:-1, 0], found[1:, 0])[0, 1]
    assert one_later == pytest.approx(math.exp(-0.1 / wander), abs=0.03)
    assert abs(np.corrcoef(found[:-50, 0], found[50:, 0])[0, 1]) < 0.2, "five seconds later it is another"
    world.close()


def test_noisy_odometry_errs_in_proportion_to_the_speed_and_the_same_seed_errs_alike():
    def driven(seed: int, v: float):
        world = hall(bodies=with_("odometry", speed_noise=0.1, turn_noise=0.2), seed=seed)
        run(world, 1.5, v=v)
        told = []
        for _ in range(30):
            run(world, 0.1, v=v)
            told.append(world.told_pose("robot").v / max(world.pose("robot").v, 1e-9))
            assert world.told_pose("robot")[:3] == world.pose("robot")[:3], "the pose is not touched by it"
        world.close()
        return np.array(told)

    first = driven(1, 0.6)
    assert first.std() == pytest.approx(0.1, rel=0.4) and first.mean() == pytest.approx(1.0, abs=0.06)
    assert (first == driven(1, 0.6)).all() and (first != driven(2, 0.6)).any()
