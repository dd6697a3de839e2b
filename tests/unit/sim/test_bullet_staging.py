"""Reaching into the PyBullet world from outside: what takes up room, boxes, bodies that are moved at once."""

import math

import pybullet
import pytest

from sim.bullet.blocks import Block
from sim.bullet.boxes import BoxSize
from tests.support.bullet_hall import BODIES, HIGH, LOW, hall, run, with_pallet_on_forks

CRATE = BoxSize(1.0, 0.5, 0.8, 20.0)
PILLAR = BoxSize(0.4, 0.4, 2.0, 0.0)


def block(x: float, y: float, yaw: float = 0.0, low: float = 0.0) -> Block:
    return Block(x, y, yaw, 2.0, 1.0, low, low + 1.0)


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        (block(1.9, 0.9), True),
        (block(2.0, 0.0), False),  # they touch
        (block(0.0, 1.1), False),
        (block(0.0, 1.1, math.pi / 2), True),  # turned, its end reaches down to y = 0.1
        (block(1.5, 1.0, math.pi / 4), True),
        (block(1.7, 1.1, math.pi / 4), True),
        (block(1.9, 1.2, math.pi / 4), False),  # the boxes around them along x and y overlap, they do not
        (block(0.0, 0.0, low=0.99), True),
        (block(0.0, 0.0, low=1.01), False),
    ],
)
def test_blocks_overlap_as_drawn_on_paper(other, shares):
    assert block(0.0, 0.0).overlaps(other) is shares
    assert other.overlaps(block(0.0, 0.0)) is shares


def test_a_blocks_gap_to_a_point_is_that_to_its_nearest_corner_edge_or_face():
    turned = block(1.0, 1.0, math.pi / 2)  # x from 0.5 to 1.5, y from 0 to 2
    assert turned.gap_to(1.0, 1.9, 0.5) == 0.0
    assert turned.gap_to(4.5, 1.0, 0.5) == pytest.approx(3.0)
    assert turned.gap_to(4.5, 6.0, 0.5) == pytest.approx(5.0)
    assert turned.gap_to(1.0, 1.0, 3.0) == pytest.approx(2.0)


def test_a_box_without_mass_stops_a_robot_and_one_with_mass_is_pushed():
    for size, moved in ((PILLAR, False), (CRATE, True)):
        world = hall()
        world.staging.add_box("thing", size, 6.6, 5.0, 0.0)
        run(world, 4.0, v=0.5, forks=HIGH)
        assert {contact.other for contact in world.contacts()} == {"thing"}
        assert (world.staging.state("thing").position[0] > 6.8) is moved
        world.staging.remove_box("thing")
        run(world, 1.0, v=0.5, forks=HIGH)
        assert world.contacts() == []
        assert world.staging.boxes == ()
        world.close()


def test_the_laser_sees_a_box_until_it_is_gone():
    world = hall()
    ahead = lambda: float(world.scans()[0, 0])  # noqa: E731
    assert not ahead() < 7.5
    world.staging.add_box("pillar", PILLAR, 8.0, 5.0, 0.0)
    assert ahead() == pytest.approx(2.8, abs=0.06)
    world.staging.remove_box("pillar")
    assert not ahead() < 7.5


def test_names_are_given_once():
    world = hall()
    world.staging.add_box("pillar", PILLAR, 8.0, 5.0, 0.0)
    for name in ("pillar", "robot"):
        with pytest.raises(ValueError, match=name):
            world.staging.add_box(name, PILLAR, 9.0, 5.0, 0.0)
    with pytest.raises(KeyError):
        world.staging.state("nobody")


def test_a_robot_is_elsewhere_at_once_and_drives_on_from_there():
    world = hall()
    run(world, 1.0, v=0.5)
    world.staging.place("robot", 12.0, 3.0, math.pi / 2)
    assert world.pose("robot") == (12.0, 3.0, math.pi / 2, 0.0, 0.0)
    state = world.staging.state("robot")
    assert state.position == (12.0, 3.0, 0.0)
    assert state.linear == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    run(world, 2.0, v=0.5)
    pose = world.pose("robot")
    assert pose.x == pytest.approx(12.0, abs=0.02)
    assert 3.6 < pose.y < 4.1
    assert pose.v == pytest.approx(0.5, abs=0.03)


def test_a_sleeping_robot_stays_where_it_is_put():
    world = hall()
    run(world, 1.0)
    world.staging.place("robot", 12.0, 3.0, 1.0)
    run(world, 2.0)
    assert world.pose("robot")[:3] == pytest.approx((12.0, 3.0, 1.0), abs=5e-3)


def test_a_robot_may_be_given_a_velocity_it_can_have_and_brakes_from_it():
    world = hall()
    world.staging.place("robot", 5.0, 5.0, math.pi / 2, velocity=(0.0, 1.0, 0.5))
    state = world.staging.state("robot")
    assert state.linear == pytest.approx((0.0, 1.0, 0.0), abs=1e-6)
    assert state.angular == pytest.approx((0.0, 0.0, 0.5), abs=1e-6)
    world.step()
    assert world.pose("robot").v == pytest.approx(1.0 - 0.1 * BODIES.forklift.acceleration, abs=0.08)
    run(world, 2.0)
    braking = 1.0 / (2 * BODIES.forklift.acceleration)  # m, v^2 / 2a
    assert world.pose("robot").y == pytest.approx(5.0 + braking, abs=0.12)
    for velocity, words in (((1.0, 0.0, 0.0), "aside"), ((0.0, 9.0, 0.0), "at most"), ((0.0, 0.0, 9.0), "at most")):
        with pytest.raises(ValueError, match=words):
            world.staging.place("robot", 5.0, 5.0, math.pi / 2, velocity=velocity)


def test_pallets_and_crates_slide_and_come_to_rest():
    world = hall()
    world.add_pallet(1, 9.0, 5.0, 0.0, 0)
    world.staging.add_box("crate", CRATE, 9.0, 3.0, 0.0)
    run(world, 1.0)
    for thing, y in ((1, 5.0), ("crate", 3.0)):
        world.staging.place(thing, 12.0, y, 0.3, velocity=(1.0, 0.0, 0.0))
        assert world.staging.state(thing).linear == pytest.approx((1.0, 0.0, 0.0))
    run(world, 3.0)
    for thing in (1, "crate"):
        state = world.staging.state(thing)
        assert 12.05 < state.position[0] < 12.5
        assert state.position[2] == pytest.approx(0.0, abs=2e-3)
        assert math.hypot(*state.linear) < 0.02


def test_what_stands_fast_takes_no_velocity():
    world = hall()
    world.staging.add_box("pillar", PILLAR, 8.0, 5.0, 0.0)
    with pytest.raises(ValueError, match="stands fast"):
        world.staging.place("pillar", 9.0, 5.0, 0.0, velocity=(1.0, 0.0, 0.0))
    world.staging.place("pillar", 9.0, 5.0, 0.0)
    assert world.staging.state("pillar").position == pytest.approx((9.0, 5.0, 0.0))


def test_neither_load_nor_carrier_is_moved_until_the_load_is_down():
    world = with_pallet_on_forks()
    for entity in ("robot", 1):
        with pytest.raises(ValueError, match="robot carries pallet_1"):
            world.staging.place(entity, 12.0, 3.0, 0.0)
    run(world, 3.0, forks=LOW)
    world.staging.place(1, 12.0, 3.0, 0.0)
    assert world.pallet_pose(1)[:3] == pytest.approx((12.0, 3.0, 0.0))


def test_what_is_in_the_way_is_named_and_the_edge_of_the_floor_is_known():
    world = hall()
    world.add_pallet(1, 9.0, 5.0, 0.0, 0)
    world.staging.add_box("pillar", PILLAR, 12.0, 5.0, 0.0)
    staging = world.staging

    def at(x: float, y: float) -> str | None:
        return staging.in_the_way(staging.block_at(None, x, y, 0.0))

    assert [at(9.5, 5.0), at(12.4, 5.0), at(5.9, 5.0), at(10.0, 8.5)] == ["pallet_1", "pillar", "robot", "rack_4"]
    assert [at(9.7, 5.0), at(12.6, 5.0), at(6.4, 5.0), at(10.0, 8.2)] == [None, None, None, None]
    assert staging.in_the_way(staging.block("robot"), but="robot") is None
    assert staging.is_on_floor(staging.block_at(PILLAR, 19.7, 5.0, 0.0))
    assert not staging.is_on_floor(staging.block_at(PILLAR, 19.9, 5.0, 0.0))


def test_boxes_come_and_go_without_leaking_bodies():
    world = hall()
    bodies = pybullet.getNumBodies(physicsClientId=world._client)
    for _ in range(3):
        world.staging.add_box("a", CRATE, 8.0, 3.0, 0.0)
        world.staging.add_box("b", PILLAR, 12.0, 3.0, 0.0)
        run(world, 0.2)
        world.staging.remove_box("a")
        world.staging.remove_box("b")
    assert pybullet.getNumBodies(physicsClientId=world._client) == bodies
