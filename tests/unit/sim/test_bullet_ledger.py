"""Bodies follow the ledger, and are never moved by it."""

import pytest

from sim.bullet.boxes import BoxSize
from sim.bullet.ledger_bodies import LedgerBodies, LedgerPallet
from tests.support.bullet_hall import HALL, REACH, hall, run

SLOT = 1  # index of the one slot, at (9, 5)


def test_what_is_listed_exists_and_what_is_not_is_gone():
    world = hall()
    bodies = LedgerBodies(world, HALL, REACH)
    assert bodies.match([LedgerPallet(7, 2, SLOT, ""), LedgerPallet(8, 3, -1, "robot")]) == []
    assert world.pallet_pose(7)[:2] == pytest.approx((9.0, 5.0))
    assert world.pallet_pose(8)[:2] == pytest.approx((5.0 + REACH, 5.0))
    bodies.match([LedgerPallet(8, 3, -1, "robot")])
    assert world.pallets == (8,)


def test_a_pallet_waits_until_its_place_is_free():
    world = hall()
    bodies = LedgerBodies(world, HALL, REACH)
    bodies.match([LedgerPallet(1, 0, SLOT, "")])
    crowded = [LedgerPallet(1, 0, SLOT, ""), LedgerPallet(2, 0, SLOT, "")]
    assert "cannot appear" in bodies.match(crowded)[0]
    assert bodies.match(crowded) == [], "said once"
    assert world.pallets == (1,)
    bodies.match([LedgerPallet(2, 0, SLOT, "")])
    assert world.pallets == (2,)


def test_a_robot_keeps_its_place_free_of_new_pallets():
    world = hall(("robot", 9.2, 5.0, 0.0))
    bodies = LedgerBodies(world, HALL, REACH)
    assert "cannot appear" in bodies.match([LedgerPallet(1, 0, SLOT, "")])[0]
    assert world.pallets == ()


def test_a_pallet_that_has_strayed_is_told_and_left_alone():
    world = hall()
    bodies = LedgerBodies(world, HALL, REACH)
    world.add_pallet(1, 10.0, 5.0, 0.0, 0)
    run(world, 0.2)
    assert "stands 1.00 m from slot_1" in bodies.match([LedgerPallet(1, 0, SLOT, "")])[0]
    assert world.pallet_pose(1).x == pytest.approx(10.0, abs=1e-3)


@pytest.mark.parametrize("pallet", [LedgerPallet(1, 0, 99, ""), LedgerPallet(1, 0, -1, "stranger")])
def test_a_place_or_carrier_that_does_not_exist_is_told(pallet):
    world = hall()
    assert len(LedgerBodies(world, HALL, REACH).match([pallet])) == 1
    assert world.pallets == ()


def test_what_somebody_else_put_there_is_left_alone_and_waited_for():
    world = hall()
    bodies = LedgerBodies(world, HALL, REACH)
    world.add_pallet(-1, 12.0, 5.0, 0.0, 0)
    world.staging.add_box("pillar", BoxSize(0.4, 0.4, 2.0, 0.0), 9.3, 5.0, 0.0)
    assert "cannot appear" in bodies.match([LedgerPallet(1, 0, SLOT, "")])[0]
    assert world.pallets == (-1,)
    world.staging.remove_box("pillar")
    bodies.match([LedgerPallet(1, 0, SLOT, "")])
    assert world.pallets == (-1, 1)
    bodies.match([])
    assert world.pallets == (-1,)
