"""The PyBullet world as a whole: contacts, pallets, determinism, hygiene, speed, pictures."""

import math
import time

import numpy as np
import pybullet
import pytest

from policy_core.config import ConfigError
from sim.bullet.world import BulletWorld
from tests.support.bullet_hall import BODIES, HALL, HIGH, hall, run


def test_robots_that_touch_are_reported_both():
    world = hall(("a", 4.0, 5.0, 0.0), ("b", 9.0, 5.0, math.pi))
    world.command("b", 0.6, 0.0, HIGH)
    run(world, 5.0, v=0.6, forks=HIGH, robot="a")
    pairs = {(contact.robot, contact.other) for contact in world.contacts()}
    assert pairs == {("a", "b"), ("b", "a")}


def test_driving_freely_touches_nothing():
    world = hall(("a", 4.0, 5.0, 0.0), ("b", 4.0, 2.0, 0.0))
    world.command("b", 1.0, 0.0, HIGH)
    for _ in range(50):
        run(world, 0.1, v=1.0, robot="a")
        assert world.contacts() == []


def test_pallets_stay_put():
    world = hall()
    spots = {number: (7.0 + 0.8 * (number % 8), 2.0 + 0.8 * (number // 8)) for number in range(24)}
    for number, (x, y) in spots.items():
        world.add_pallet(number, x, y, 0.1 * number, number % 12)
    run(world, 10.0)
    for number, spot in spots.items():
        pose = world.pallet_pose(number)
        assert math.dist(pose[:2], spot) < 1e-3
        assert abs(pose.lifted) < 1e-3


def test_pallets_come_and_go_without_leaking_bodies():
    world = hall()
    bodies = pybullet.getNumBodies(physicsClientId=world._client)
    for _ in range(3):
        for number in range(20):
            world.add_pallet(number, 7.0 + 0.6 * number, 2.0, 0.0, number % 12)
        run(world, 0.2)
        world.camera(64, 48)
        for number in range(20):
            world.remove_pallet(number)
        run(world, 0.1)
    world.camera(64, 48)
    assert pybullet.getNumBodies(physicsClientId=world._client) == bodies
    assert world.pallets == ()
    with pytest.raises(KeyError):
        world.pallet_pose(3)


def test_an_id_is_given_once():
    world = hall()
    world.add_pallet(1, 9.0, 5.0, 0.0, 0)
    with pytest.raises(ValueError, match="pallet 1"):
        world.add_pallet(1, 12.0, 5.0, 0.0, 0)


def play(seed: int) -> tuple[list[tuple[float, ...]], np.ndarray]:
    world = hall(("a", 4.0, 5.0, 0.0), ("b", 4.0, 2.0, 0.5), seed=seed)
    world.add_pallet(1, 5.5, 5.0, 0.0, 0)
    world.add_pallet(2, 9.0, 4.8, 0.3, 1)
    random = np.random.default_rng(9)
    for _ in range(12):
        for name in world.robots:
            world.command(name, *random.uniform(-1.0, 1.0, 2), random.uniform(0.0, 0.3))
        for _ in range(10):
            world.step()
    poses = [tuple(world.pose(name)) for name in world.robots] + [
        tuple(world.pallet_pose(1)),
        tuple(world.pallet_pose(2)),
    ]
    scans = world.scans()
    world.close()
    return poses, scans


def test_same_seed_and_commands_give_the_same_world_bit_for_bit():
    first, again, other = play(1), play(1), play(2)
    assert first[0] == again[0]
    assert np.array_equal(first[1], again[1], equal_nan=True)
    assert first[0] == other[0], "the seed is of the laser only"
    assert not np.array_equal(first[1], other[1], equal_nan=True)


def test_worlds_do_not_touch_each_other_and_close_leaves_nothing():
    kept, closed = hall(), hall()
    run(kept, 0.5, v=1.0)
    x = kept.pose("robot").x
    run(closed, 1.0, v=-1.0)
    closed.close()
    closed.close()
    run(kept, 0.5, v=1.0)
    assert kept.pose("robot").x > x


def test_a_step_that_is_no_whole_number_of_physics_steps_is_refused():
    with pytest.raises(ConfigError, match="whole number"):
        BulletWorld(HALL, [("robot", 5.0, 5.0, 0.0)], BODIES, 0, move_tick=0.11)


def test_two_robots_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="unique"):
        hall(("robot", 5.0, 5.0, 0.0), ("robot", 9.0, 5.0, 0.0))


def test_the_camera_shows_robots_and_pallets_and_what_moves():
    world = hall()
    run(world, 0.1)
    empty = world.camera(320, 200)
    assert empty.shape == (200, 320, 3)
    assert empty.dtype == np.uint8
    assert np.array_equal(empty, world.camera(320, 200))
    world.add_pallet(1, 9.0, 5.0, 0.0, 4)
    with_pallet = world.camera(320, 200)
    assert (with_pallet != empty).any(axis=-1).sum() > 20
    world.remove_pallet(1)
    assert np.array_equal(empty, world.camera(320, 200))
    run(world, 2.0, v=1.0)
    assert (world.camera(320, 200) != empty).any(axis=-1).sum() > 20


def test_four_robots_and_sixty_pallets_run_far_faster_than_real_time():
    world = BulletWorld(HALL, [(f"r{row}", 3.0, 1.5 + 1.4 * row, 0.0) for row in range(4)], BODIES, 1)
    for number in range(60):
        world.add_pallet(number, 12.0 + 0.8 * (number % 9), 1.0 + 0.8 * (number // 9), 0.0, number % 12)
    random = np.random.default_rng(0)
    spent = {"physics": 0.0, "laser": 0.0, "contacts": 0.0}
    for step in range(1000):
        if step % 10 == 0:
            for row, name in enumerate(world.robots):
                world.command(name, 0.4 * math.sin(0.05 * step + row), *random.uniform((-0.5, 0.0), (0.5, 0.2)))
        for part, work in (("physics", world.step), ("laser", world.scans), ("contacts", world.contacts)):
            begin = time.process_time()
            work()
            spent[part] += time.process_time() - begin
    factor = 100.0 / sum(spent.values())
    split = ", ".join(f"{part} {seconds:.2f} ms" for part, seconds in spent.items())
    print(f"4 robots, 60 pallets: {factor:.0f} x real time on one core; per 0.1 s step: {split}")
    # The goal is 30 on an idle machine; a quarter of it catches a fault, not a busy machine.
    assert factor > 7.5
