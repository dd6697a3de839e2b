"""Mechanics by hand: what slides, stops, pushes and shares its momentum must do so as the textbook says."""

import math

import pybullet
import pytest

from sim.bullet.world import BulletWorld
from tests.support.bullet_hall import BODIES, HIGH, LOW, REACH, hall, run, with_pallet_on_forks

G = 9.81


def on_floor(friction: float):
    return BODIES.model_copy(update={"floor": BODIES.floor.model_copy(update={"friction": friction})})


def push(world: BulletWorld, pallet: int, v: float) -> None:
    """Give a pallet a speed along x (m/s)."""
    body = world._pallets.body(pallet)
    pybullet.changeDynamics(body, -1, activationState=pybullet.ACTIVATION_STATE_WAKE_UP, physicsClientId=world._client)
    pybullet.resetBaseVelocity(body, (v, 0.0, 0.0), (0.0, 0.0, 0.0), physicsClientId=world._client)


def speed(world: BulletWorld, pallet: int) -> float:
    return pybullet.getBaseVelocity(world._pallets.body(pallet), physicsClientId=world._client)[0][0]


@pytest.mark.parametrize(("v", "floor"), [(1.0, 1.0), (2.0, 1.0), (2.0, 0.5)])
def test_a_pushed_pallet_slides_as_far_as_friction_lets_it(v, floor):
    world = hall(("robot", 3.0, 2.0, 0.0), bodies=on_floor(floor))
    world.add_pallet(1, 8.0, 5.0, 0.0, 0)
    run(world, 0.5)
    push(world, 1, v)
    run(world, 3.0)
    slid = world.pallet_pose(1).x - 8.0
    expected = v * v / (2 * BODIES.pallet.friction * floor * G)
    assert slid == pytest.approx(expected, abs=0.05 * expected + v / BODIES.physics.frequency), "to a physics step"
    assert abs(speed(world, 1)) < 1e-3
    assert world.pallet_pose(1).lifted == pytest.approx(0.0, abs=0.003)


def test_a_pallet_that_hits_another_shares_its_momentum_and_loses_half_its_energy():
    world = hall(("robot", 3.0, 2.0, 0.0), bodies=on_floor(0.02))
    world.add_pallet(1, 8.0, 5.0, 0.0, 0)
    world.add_pallet(2, 8.9, 5.0, 0.0, 0)
    run(world, 0.5)
    push(world, 1, 1.0)
    before, after = [], []
    for _ in range(12):
        run(world, 0.1)
        first, second = speed(world, 1), speed(world, 2)
        (after if second > 0.05 else before).append((first, second))
    # mu g t = 0.02 * 0.6 * 9.81 * 0.1 s = 0.012 m/s of drag a step
    (was, still), (first, second) = before[-1], after[0]
    assert still == pytest.approx(0.0, abs=1e-3)
    assert first + second == pytest.approx(was, abs=0.04), "momentum of the two, masses being equal"
    assert first == pytest.approx(second, abs=0.05), "they go on together: nothing bounces"
    assert 0.5 * (first**2 + second**2) == pytest.approx(0.25 * was**2, abs=0.04)


def test_a_truck_on_ice_brakes_no_better_than_its_tyres():
    ways = {}
    for floor in (1.0, 0.05):
        world = hall(("robot", 4.0, 5.0, 0.0), bodies=on_floor(floor))
        run(world, 6.0, v=1.0, forks=HIGH)
        v, x = world.pose("robot").v, world.pose("robot").x
        run(world, 4.0, forks=HIGH)
        ways[floor] = world.pose("robot").x - x
        shortest = v * v / (2 * BODIES.forklift.wheel_friction * floor * G)
        assert ways[floor] > 0.95 * shortest
    assert ways[0.05] > 1.5 * ways[1.0]
    assert ways[1.0] == pytest.approx(1.0 / (2 * BODIES.forklift.acceleration), rel=0.25), "there the drive decides"


@pytest.mark.parametrize("v", [0.5, 1.5])
def test_a_loaded_truck_that_is_driven_at_a_rack_stays_outside(v):
    world = with_pallet_on_forks()
    run(world, 5.5, v=0.8, forks=HIGH)
    run(world, math.pi / 2 / 1.0, w=1.0, forks=HIGH)
    run(world, 8.0, v=v, forks=HIGH)
    face = 8.6  # m, y of the rack's front
    robot, pallet = world.pose("robot"), world.pallet_pose(1)
    assert 7.5 < robot.x < 12.5, "it stands before the rack"
    reach = 0.5 * BODIES.pallet.length * (abs(math.cos(pallet.yaw)) + abs(math.sin(pallet.yaw)))
    assert pallet.y + reach < face + 0.03
    tips = BODIES.forklift.front + BODIES.forks.length
    assert robot.y + tips * math.sin(robot.yaw) < face + 0.06
    assert any(contact.other == "rack_4" for contact in world.contacts())


def test_slow_work_is_not_put_to_sleep():
    world = hall()
    run(world, 1.5, forks=0.30)
    assert world.fork_height("robot") == pytest.approx(1.5 * BODIES.forks.speed, abs=0.01)
    run(world, 2.0, forks=0.30)
    assert world.fork_height("robot") == pytest.approx(0.30, abs=0.003), "Bullet dozes off after 2 s of less than this"


def test_tines_at_the_height_of_the_goods_push_and_carry_nothing():
    world = hall(("robot", 5.0, 5.0, 0.0))
    run(world, 3.5, forks=0.30)
    world.add_pallet(1, 5.0 + REACH + 1.0, 5.0, 0.0, 0)
    run(world, 3.0, v=0.4, forks=0.30)
    assert world.pallet_pose(1).x > 5.0 + REACH + 1.0, "tines at the height of the goods push"
    run(world, 3.0, forks=LOW)
    assert world.carried_by("robot") is None
