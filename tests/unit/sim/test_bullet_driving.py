"""A forklift follows its commands within its limits."""

import math

import pytest

from tests.support.bullet_hall import BODIES, EAST_WALL, HIGH, hall, run, with_pallet_on_forks


@pytest.mark.parametrize("v", [0.3, 1.0, 1.5, -0.8])
def test_drives_straight_as_fast_as_told(v):
    world = hall(("robot", 8.0, 5.0, 0.0))
    run(world, 2.0, v=v)
    begin = world.pose("robot")
    run(world, 3.0, v=v)
    end = world.pose("robot")
    assert end.x - begin.x == pytest.approx(3.0 * v, rel=0.05)
    assert abs(end.y - begin.y) < 0.05
    assert abs(end.yaw - begin.yaw) < 0.03
    assert end.v == pytest.approx(v, rel=0.05)


@pytest.mark.parametrize("w", [0.4, 1.2, -1.0])
def test_turns_as_fast_as_told(w):
    world = hall()
    run(world, 1.0, w=w)
    turned, before = 0.0, world.pose("robot").yaw
    for _ in range(40):
        run(world, 0.1, w=w)
        turned += math.remainder(world.pose("robot").yaw - before, math.tau)
        before = world.pose("robot").yaw
    assert turned == pytest.approx(4.0 * w, rel=0.05)
    assert math.dist(world.pose("robot")[:2], (5.0, 5.0)) < 0.05


def test_drives_a_circle_of_the_right_size():
    world = hall()
    run(world, 1.0, v=0.6, w=0.5)
    begin = world.pose("robot")
    run(world, math.pi / 0.5, v=0.6, w=0.5)
    assert math.dist(world.pose("robot")[:2], begin[:2]) == pytest.approx(2 * 0.6 / 0.5, rel=0.05)


def test_speeds_up_no_faster_than_the_body_may():
    world, limit = hall(), BODIES.forklift.acceleration
    before = 0.0
    for _ in range(15):
        run(world, 0.1, v=1.5)
        speed = world.pose("robot").v
        assert speed - before < 0.1 * limit + 0.05
        before = speed
    assert before == pytest.approx(1.5, rel=0.05)


def test_commands_beyond_the_limits_are_clipped():
    world = hall(("robot", 3.0, 5.0, 0.0))
    run(world, 4.0, v=9.0)
    assert world.pose("robot").v == pytest.approx(BODIES.forklift.max_speed, rel=0.05)
    run(world, 0.1, forks=5.0)
    run(world, 4.0, forks=5.0)
    assert world.fork_height("robot") == pytest.approx(BODIES.forks.max_height, abs=0.005)


def test_a_command_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        hall().command("robot", math.nan, 0.0, 0.0)


@pytest.mark.parametrize("make", [hall, with_pallet_on_forks])
def test_a_standing_robot_does_not_creep(make):
    world = make()
    height = world.fork_height("robot")
    run(world, 1.0, forks=height)
    begin = world.pose("robot")
    run(world, 20.0, forks=height)
    assert math.dist(world.pose("robot")[:2], begin[:2]) < 1e-3
    assert abs(world.pose("robot").yaw - begin.yaw) < 1e-3


def test_a_parked_robot_wakes_for_a_command_and_for_a_push():
    world = hall(("parked", 8.0, 5.0, math.pi), ("other", 4.0, 5.0, 0.0))
    run(world, 2.0, robot="other")
    run(world, 3.0, v=1.0, robot="other")
    run(world, 2.0, v=1.0, robot="other")
    assert world.pose("parked").x > 8.02
    run(world, 2.0, v=0.0, robot="other")
    x = world.pose("parked").x
    run(world, 2.0, v=-0.5, robot="parked")
    assert world.pose("parked").x > x + 0.5


def test_a_wall_stops_a_robot():
    world = hall(("robot", 16.0, 5.0, 0.0))
    run(world, 6.0, v=1.0, forks=HIGH)
    tips = BODIES.forklift.front + BODIES.forks.length
    assert world.pose("robot").x + tips == pytest.approx(EAST_WALL, abs=0.03)
    assert [(contact.robot, contact.other) for contact in world.contacts()] == [("robot", "wall_3")]
    assert world.contacts()[0].force > 100.0


def test_the_shipped_physics_settings_stay_near_much_finer_ones():
    fine = BODIES.physics.model_copy(update={"frequency": 240, "iterations": 50})
    poses = []
    for bodies in (BODIES, BODIES.model_copy(update={"physics": fine})):
        world = with_pallet_on_forks(bodies)
        for v, w in ((-0.5, 0.0), (0.8, 0.0), (0.5, 0.8), (0.0, -1.0), (0.6, 0.3), (0.0, 0.0)):
            run(world, 1.5, v=v, w=w, forks=HIGH)
        assert world.carried_by("robot") == 1
        poses.append(world.pose("robot"))
    shipped, finer = poses
    assert math.dist(shipped[:2], finer[:2]) < 0.05
    assert abs(shipped.yaw - finer.yaw) < 0.05
