"""The guard in the loop with bodies that have mass and a laser that is noisy: a truck told to drive never touches."""

import math

import numpy as np
import pytest

from sim.warehouse.guard import Guard, Sensed, Work
from sim.warehouse.look_ahead import outline_of
from sim.warehouse.routes import build_tables
from sim.warehouse.surroundings import Surroundings
from tests.support.bullet_hall import BODIES, EAST_WALL, HALL, HIGH, REACH, hall, run, with_pallet_on_forks
from tests.unit.sim.test_guard import GUARD

NOTHING = np.zeros((0, 2))
ANGLES = np.arange(BODIES.laser.rays) * (2 * math.pi / BODIES.laser.rays)
MAP = HALL.model_copy(update={"places": HALL.places[1:]})  # the other place has no room for a route
TIPS = BODIES.forklift.front + BODIES.forks.length


def driven(world, v, w, seconds, *, is_guarded=True, is_loaded=False, has_map=True):
    """Ask for one command all the time; gives the contacts met and the reasons of the guard."""
    outline = outline_of(BODIES, REACH)
    guard = Guard(GUARD, outline)
    on_map = Surroundings(build_tables(MAP), outline, GUARD.stopping.reaction, GUARD.stopping.braking)
    touched, reasons = [], []
    for step in range(round(10 * seconds)):
        now = 0.1 * step
        hidden = on_map.obstacles(np.array(world.pose("robot")[:4])) if is_loaded and has_map else NOTHING
        sensed = Sensed(world.scans()[0], ANGLES, hidden, NOTHING, now, now, now)
        verdict = guard.check(v, w, sensed, now, Work(is_loaded=is_loaded))
        sent = verdict[:2] if is_guarded else (v, w)
        run(world, 0.1, *sent, forks=HIGH)
        touched += world.contacts()
        reasons.append(verdict.reason)
    return touched, reasons


@pytest.mark.parametrize("v", [0.5, 1.5])
@pytest.mark.parametrize("yaw", [0.0, 0.35])
def test_a_truck_at_full_speed_never_touches_the_wall(v, yaw):
    world = hall(("robot", 13.0, 4.0, yaw))
    touched, reasons = driven(world, v, 0.0, 4.0 + 8.0 / v)
    assert touched == []
    assert "slowed for an obstacle" in reasons
    assert abs(world.pose("robot").v) < 0.02
    tips = world.pose("robot").x + TIPS * math.cos(yaw)
    assert 0.0 < EAST_WALL - tips < 0.6, "and it came near"


def test_without_the_guard_it_touches():
    touched, _ = driven(hall(("robot", 13.0, 4.0, 0.0)), 1.5, 0.0, 8.0, is_guarded=False)
    assert {contact.other for contact in touched} == {"wall_3"}


@pytest.mark.parametrize("has_map", [True, False])
def test_a_loaded_truck_stops_before_the_rack_that_its_load_hides_from_the_laser_by_the_map(has_map):
    world = with_pallet_on_forks()
    run(world, 5.5, v=0.8, forks=HIGH)
    run(world, math.pi / 2 / 1.0, w=1.0, forks=HIGH)
    touched, _ = driven(world, 1.2, 0.0, 10.0, is_loaded=True, has_map=has_map)
    if not has_map:
        assert ("robot", "rack_4") in [(contact.robot, contact.other) for contact in touched]
        return
    assert touched == []
    assert world.carried_by("robot") == 1
    assert 0.0 < 8.6 - (world.pallet_pose(1).y + 0.5 * BODIES.pallet.length) < 0.6


def test_a_truck_that_turns_beside_a_wall_does_not_sweep_it():
    world = hall(("robot", 5.0, 0.75, 0.0))
    touched, reasons = driven(world, 0.0, -1.2, 6.0)
    assert touched == []
    assert "stopped for an obstacle" in reasons


def test_a_laser_far_later_than_the_guard_reckons_with_is_seen_to_hurt():
    late = BODIES.model_copy(update={"laser": BODIES.laser.model_copy(update={"delay": 15})})
    touched, _ = driven(hall(("robot", 13.0, 4.0, 0.0), bodies=late), 1.5, 0.0, 8.0)
    assert touched
