"""The AMR in PyBullet: it drives as told, is felt and seen, and goes without a trace."""

from __future__ import annotations

import math

import numpy as np
import pybullet
import pytest

from sim.bullet.world import BulletWorld
from sim.warehouse.bodies import AmrBody
from tests.support.bullet_hall import BODIES, EAST_WALL, hall

AMR = BODIES.amr
EXACT = BODIES.model_copy(update={"laser": BODIES.laser.model_copy(update={"noise": 0.0, "dropout": 0.0})})


def with_amr(x: float = 8.0, y: float = 3.0, yaw: float = 0.0, bodies=EXACT) -> BulletWorld:
    """The robot stands at (5, 5), an AMR where it is wanted."""
    world = hall(bodies=bodies)
    world.staging.add_amr("amr", x, y, yaw)
    return world


def drive(world: BulletWorld, seconds: float, v: float = 0.0, w: float = 0.0) -> None:
    """Tell the AMR the same at every move step."""
    for _ in range(round(10 * seconds)):
        world.amrs.command("amr", v, w)
        world.step()


def test_it_drives_straight_as_fast_as_told():
    for speed, asked in ((0.5, 0.5), (-0.4, -0.4), (AMR.max_speed, 99.0)):
        world = with_amr(x=10.0, yaw=0.0)
        drive(world, 3.0, v=asked)
        before = world.amrs.pose("amr")
        drive(world, 2.0, v=asked)
        pose = world.amrs.pose("amr")
        assert pose.v == pytest.approx(speed, rel=0.03)
        assert (pose.x - before.x) / 2.0 == pytest.approx(speed, rel=0.03)
        assert abs(pose.y - 3.0) < 0.02 and abs(pose.yaw) < 0.01
        world.close()


def test_it_turns_on_the_spot_and_along_a_circle():
    world = with_amr()
    drive(world, 2.0, w=0.8)
    before = world.amrs.pose("amr")
    drive(world, 2.0, w=0.8)
    pose = world.amrs.pose("amr")
    assert math.remainder(pose.yaw - before.yaw, math.tau) == pytest.approx(1.6, rel=0.03)
    assert math.dist(pose[:2], (8.0, 3.0)) < 0.02, "on the spot"
    assert pose.w == pytest.approx(0.8, rel=0.05)
    world.staging.place("amr", 10.0, 3.0, 0.0, velocity=(0.5, 0.0, 0.5))
    seen = []
    for _ in range(126):  # once round, at 0.5 rad/s
        drive(world, 0.1, v=0.5, w=0.5)
        seen.append(math.dist(world.amrs.pose("amr")[:2], (10.0, 4.0)))
    assert max(seen) < 1.06 and min(seen) > 0.94, "a circle of v / w = 1 m"
    assert math.dist(world.amrs.pose("amr")[:2], (10.0, 3.0)) < 0.25, "and back"
    world.close()


def test_it_keeps_to_its_acceleration_brakes_when_no_command_comes_and_then_stands():
    world = with_amr()
    drive(world, 1.0, v=1.0)
    assert world.amrs.pose("amr").v == pytest.approx(AMR.acceleration * 1.0, abs=0.06)
    drive(world, 1.0, v=1.0)
    for _ in range(round(10 * AMR.command_hold) - 1):
        world.step()
    assert world.amrs.pose("amr").v == pytest.approx(1.0, abs=0.05), "the command holds"
    for _ in range(30):
        world.step()
    rest = world.amrs.pose("amr")
    assert abs(rest.v) < 0.01, "nobody commands it any more"
    for _ in range(100):
        world.step()
    assert math.dist(world.amrs.pose("amr")[:2], rest[:2]) < 0.005, "it does not creep"
    with pytest.raises(ValueError, match="finite"):
        world.amrs.command("amr", math.nan, 0.0)
    world.close()


def test_the_fleets_lasers_see_it_and_its_own_sees_them():
    world = with_amr(x=9.0, y=5.0)
    front = 9.0 - 0.5 * AMR.length
    assert world.scans()[0, 0] == pytest.approx(front - 5.0, abs=0.02), "the robot sees its rear"
    scan = world.amrs.scan("amr")
    assert scan.shape == (BODIES.laser.rays,) and scan.dtype == np.float32
    behind = scan[BODIES.laser.rays // 2]
    chassis = 5.0 + BODIES.forklift.front
    assert chassis - 0.01 <= 9.0 - behind <= chassis + BODIES.forks.length, "it sees the robot behind it"
    world.staging.remove_amr("amr")
    assert not world.scans()[0, 0] < 7.5, "gone"
    world.staging.add_amr("amr", EAST_WALL - 3.0, 5.0, 0.0)
    assert world.amrs.scan("amr")[0] == pytest.approx(3.0, abs=0.01)
    low = AMR.model_copy(update={"height": 0.2})
    world.close()
    world = with_amr(x=9.0, y=5.0, bodies=EXACT.model_copy(update={"amr": low}))
    assert not world.scans()[0, 0] < 7.5, "a lower one is looked over"
    world.close()


def test_its_laser_draws_noise_of_its_own_and_leaves_the_fleets_alone():
    one, other, without = with_amr(bodies=BODIES), with_amr(bodies=BODIES), hall()
    world = hall(seed=2)
    world.staging.add_amr("amr", 8.0, 3.0, 0.0)
    first = one.amrs.scan("amr")
    assert np.array_equal(first, other.amrs.scan("amr"), equal_nan=True)
    assert not np.array_equal(first, world.amrs.scan("amr"), equal_nan=True), "another seed"
    without.staging.add_amr("else", 8.0, 3.0, 0.0)
    assert not np.array_equal(first, without.amrs.scan("else"), equal_nan=True), "another name"
    assert np.array_equal(one.scans(), without.scans(), equal_nan=True)
    for each in (one, other, without, world):
        each.close()


def test_it_weighs_what_it_should_and_pushes_as_its_tyres_allow():
    world = with_amr()
    client, body = world._client, world.amrs["amr"].body
    parts = [pybullet.getDynamicsInfo(body, link, physicsClientId=client) for link in (-1, 0, 1)]
    assert sum(part[0] for part in parts) == pytest.approx(AMR.mass)
    assert [part[1] for part in parts[1:]] == pytest.approx([AMR.wheel_friction] * 2)
    drive(world, 0.5)
    points = pybullet.getContactPoints(body, world._floor, physicsClientId=client)
    assert sum(point[9] for point in points) == pytest.approx(9.81 * AMR.mass, rel=0.03), "the floor bears its weight"
    assert max(-point[8] for point in points) < 0.003, "and it does not sink in"
    world.close()

    slid = []
    for friction in (BODIES.floor.friction, 0.05):  # dry concrete, ice
        floor = BODIES.floor.model_copy(update={"friction": friction})
        world = with_amr(bodies=EXACT.model_copy(update={"floor": floor}))
        drive(world, 2.0, v=1.0)
        slid.append(world.amrs.pose("amr").x - 8.0)
        world.close()
    assert slid[0] == pytest.approx(1.0 / (2 * AMR.acceleration) + 1.0 * (2.0 - 1.0 / AMR.acceleration), abs=0.08)
    assert slid[1] < 0.8 * slid[0], "on ice it gets away slowly"


def test_a_wall_stops_it_and_a_truck_that_is_rammed_is_told_who_it_was():
    world = with_amr(x=EAST_WALL - 1.0, y=3.0)
    drive(world, 4.0, v=0.6)
    assert world.amrs.pose("amr").x == pytest.approx(EAST_WALL - 0.5 * AMR.length, abs=0.02)
    assert world.contacts() == [], "which is no contact of the fleet's"
    world.staging.place("amr", 5.0, 3.9, math.pi / 2)
    drive(world, 2.0, v=0.6)
    assert {(contact.robot, contact.other) for contact in world.contacts()} == {("robot", "amr")}
    x, y, *_ = world.pose("robot")
    assert math.dist((x, y), (5.0, 5.0)) < 0.5, "the truck is three times as heavy"
    world.close()


def test_it_comes_and_goes_without_leaving_a_body_and_names_are_given_once():
    world = hall()
    bodies = pybullet.getNumBodies(physicsClientId=world._client)
    for _ in range(3):
        world.staging.add_amr("amr", 8.0, 3.0, 0.0)
        drive(world, 0.2, v=0.3)
        census = world.inspection.census()
        assert census.bodies == census.expected_bodies == bodies + 1
        world.staging.remove_amr("amr")
    assert pybullet.getNumBodies(physicsClientId=world._client) == bodies == world.inspection.census().expected_bodies
    assert world.amrs.names() == () and "amr" not in world._names.values()
    world.staging.add_amr("amr", 8.0, 3.0, 0.0)
    for name in ("amr", "robot"):
        with pytest.raises(ValueError, match=name):
            world.staging.add_amr(name, 12.0, 3.0, 0.0)
    assert world.staging.in_the_way(world.staging.amr_block(8.7, 3.0, 0.0)) == "amr"
    assert world.staging.in_the_way(world.staging.amr_block(8.9, 3.0, 0.0)) is None
    assert world.staging.box_at(8.5, 3.0, 0.0), "no pallet is stood on it"
    with pytest.raises(ValueError, match="aside"):
        world.staging.place("amr", 8.0, 3.0, 0.0, velocity=(0.0, 0.5, 0.0))
    world.close()


def test_numbers_that_make_no_amr_are_refused():
    for change, words in (({"track": 0.7}, "amr.track"), ({"mass_height": 0.5}, "amr.mass_height")):
        with pytest.raises(ValueError, match=words):
            AmrBody.model_validate(AMR.model_dump() | change)
