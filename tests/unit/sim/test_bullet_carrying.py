"""A forklift lifts, carries and sets down pallets by contact, and cannot do what a real one could not."""

import math

import pytest

from tests.support.bullet_hall import BODIES, HIGH, LOW, REACH, drive_along_x, hall, run, with_pallet_on_forks


def test_lifts_carries_five_metres_and_sets_down_within_five_centimetres():
    world = hall(("robot", 4.0, 5.0, 0.0))
    world.add_pallet(1, 6.0, 5.0, 0.0, 3)
    run(world, 0.4)
    drive_along_x(world, 6.0 - REACH, 0.4, LOW)
    assert math.dist(world.pallet_pose(1)[:2], (6.0, 5.0)) < 0.01, "the tines went in without moving the pallet"
    assert world.carried_by("robot") is None
    run(world, 2.0, forks=HIGH)
    assert world.carried_by("robot") == 1
    assert world.pallet_pose(1).lifted > 0.06
    drive_along_x(world, 11.0 - REACH, 1.2, HIGH)
    run(world, 2.5, forks=LOW)
    assert world.carried_by("robot") is None
    run(world, 4.0, v=-0.4)
    run(world, 1.0)
    pallet = world.pallet_pose(1)
    assert math.dist((pallet.x, pallet.y), (11.0, 5.0)) < 0.05
    assert abs(pallet.yaw) < 0.05
    assert pallet.lifted == pytest.approx(0.0, abs=0.003)
    assert world.pose("robot").x < 10.0
    assert world.contacts() == []


def test_a_load_stays_in_place_through_hard_driving():
    world = with_pallet_on_forks()
    for v, w in ((1.0, 1.0), (1.5, 0.0), (0.0, 0.0), (-0.8, -1.2), (0.8, 0.9), (0.0, -1.2), (0.0, 0.0)) * 2:
        run(world, 1.5, v=v, w=w, forks=HIGH)
    assert world.carried_by("robot") == 1
    robot, pallet = world.pose("robot"), world.pallet_pose(1)
    dx, dy = pallet.x - robot.x, pallet.y - robot.y
    assert dx * math.cos(robot.yaw) + dy * math.sin(robot.yaw) == pytest.approx(REACH, abs=0.02)
    assert dy * math.cos(robot.yaw) - dx * math.sin(robot.yaw) == pytest.approx(0.0, abs=0.02)


def test_a_load_above_the_rating_stays_on_the_floor():
    heavy = BODIES.model_copy(update={"pallet": BODIES.pallet.model_copy(update={"mass": 2 * BODIES.forks.rated_load})})
    world = with_pallet_on_forks(heavy)
    run(world, 5.0, forks=HIGH)
    assert world.carried_by("robot") is None
    assert world.pallet_pose(1).lifted < 0.01
    assert world.fork_height("robot") < 0.08


def test_tines_that_are_only_half_in_carry_nothing():
    world = hall()
    world.add_pallet(1, 5.0 + 1.15, 5.0, 0.0, 0)
    run(world, 0.5)
    run(world, 3.0, forks=HIGH)
    assert world.carried_by("robot") is None


def test_a_pallet_across_the_forks_is_pushed_and_reported():
    world = hall()
    world.add_pallet(1, 7.0, 5.0, math.pi / 2, 0)
    run(world, 3.0, v=0.6)
    assert world.pallet_pose(1).x > 7.03
    assert [(contact.robot, contact.other) for contact in world.contacts()] == [("robot", "pallet_1")]


def test_a_carried_pallet_cannot_go_through_a_rack():
    world = hall(("robot", 10.0, 5.0, math.pi / 2))
    world.add_pallet(1, 10.0, 5.0 + REACH, math.pi / 2, 0)
    run(world, 0.5)
    run(world, 2.5, forks=HIGH)
    run(world, 6.0, v=1.0, forks=HIGH)
    front = 8.6  # m, y of the rack's face
    assert world.pallet_pose(1).y + 0.5 * BODIES.pallet.length < front + 0.03
    assert ("robot", "rack_4") in [(contact.robot, contact.other) for contact in world.contacts()]


def test_a_carried_pallet_that_is_removed_frees_the_forks():
    world = with_pallet_on_forks()
    world.remove_pallet(1)
    assert world.carried_by("robot") is None
    run(world, 1.0, v=0.5, forks=LOW)
    world.add_pallet(2, 12.0, 5.0, 0.0, 1)
    run(world, 0.2)
    assert world.pallets == (2,)


@pytest.mark.parametrize("is_told_its_height", [False, True])
def test_a_robot_without_power_keeps_its_load_where_it_is(is_told_its_height):
    world = with_pallet_on_forks()
    start = world.pose("robot")
    for _ in range(450):
        if is_told_its_height:  # negative control: the height follows the load that presses on the tines
            world.command("robot", 0.0, 0.0, world.fork_height("robot"))
        else:
            world.stand("robot")
        world.step()
    assert (world.carried_by("robot") == 1) == (not is_told_its_height)
    moved = math.dist(start[:2], world.pose("robot")[:2])
    if not is_told_its_height:
        assert moved < 0.005 and world.fork_height("robot") == pytest.approx(HIGH, abs=0.003)
    run(world, 3.0, forks=LOW)
    assert world.fork_height("robot") == pytest.approx(LOW, abs=0.005), "and obeys again"
    world.close()


def test_forks_that_have_arrived_are_held_where_they_were_told_and_others_stop_at_once():
    world = with_pallet_on_forks()
    truck = world._robots["robot"]
    assert truck.fork_height != HIGH, "the load presses on them a little"
    world.stand("robot")
    assert truck._lift_target == HIGH
    run(world, 1.5, forks=LOW)
    run(world, 0.5, forks=HIGH)
    on_the_way = truck.fork_height
    assert LOW + 0.01 < on_the_way < HIGH - 0.01
    world.stand("robot")
    for _ in range(20):
        world.step()
    assert truck.fork_height == pytest.approx(on_the_way, abs=0.005)
    world.close()
