"""Robots that meet: who sees whom, who waits, who goes aside, and that all of them arrive without a touch."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from sim.warehouse import shifting, sight, traffic, work_free
from sim.warehouse import skill as sk
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import Box, FloorPlan, Place, read_floorplan
from sim.warehouse.motion import SQUEEZE_SPEED, move
from sim.warehouse.outline import outline_gap
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import read_warehouse
from sim.warehouse.sight import Fleet
from sim.warehouse.traffic import LONGEST_WAIT
from sim.warehouse.turning import FRONT, HALF_WIDTH, REAR

CONFIG = Path(__file__).parents[3] / "config"
BODIES = read_bodies(CONFIG / "bodies.yaml")
NUMBERS = read_warehouse(CONFIG / "warehouse.yaml").motion_numbers()
UNHEARD = (math.nan,) * 4


def tables_of(size: tuple[float, float], places: list[tuple[float, float, float]], *walls: Box) -> Tables:
    parking = tuple(Place(name=f"p{n}", type="parking", x=x, y=y, yaw=yaw) for n, (x, y, yaw) in enumerate(places))
    return build_tables(FloorPlan(name="floor", size=size, lattice=2.0, boxes=walls, places=parking))


@pytest.fixture(scope="module")
def corridor() -> Tables:
    # Rooms of 3 x 3 nodes, x 1 .. 5 and 15 .. 19, joined by one lane of four nodes at y = 3. Places 0 .. 2 lie in the
    # west, 3 .. 5 in the east, south to north.
    places = [(x, y, yaw) for x, yaw in ((0.7, math.pi), (19.3, 0.0)) for y in (1.0, 3.0, 5.0)]
    walls = [Box(kind="wall", x=10.0, y=y, length=8.0, width=2.0) for y in (1.0, 5.0)]
    return tables_of((20.0, 6.0), places, *walls)


@pytest.fixture(scope="module")
def room() -> Tables:
    # 7 x 7 nodes, two places on each side: 0, 1 west; 2, 3 east; 4, 5 south; 6, 7 north.
    west_east = [(x, y, yaw) for x, yaw in ((0.7, math.pi), (13.3, 0.0)) for y in (5.0, 9.0)]
    return tables_of((14.0, 14.0), west_east + [(y, x, math.pi / 2 - yaw) for x, y, yaw in west_east])


@pytest.fixture(scope="module")
def aisle() -> Tables:
    # Two lanes 1.4 m apart between places that face away from each other: 0 .. 2 west, 3 .. 5 east, south to north.
    places = [(x, y, yaw) for x, yaw in ((2.0, math.pi), (6.4, 0.0)) for y in (2.1, 3.5, 4.9)]
    parking = tuple(Place(name=f"p{n}", type="parking", x=x, y=y, yaw=yaw) for n, (x, y, yaw) in enumerate(places))
    return build_tables(FloorPlan(name="aisle", size=(8.4, 7.0), lattice=1.4, boxes=(), places=parking))


def spot(tables: Tables, node: int, yaw: float = 0.0) -> tuple[float, ...]:
    return float(tables.node_x[node]), float(tables.node_y[node]), yaw, 0.0


def fleet_of(me: int, *poses: tuple[float, ...], goals: tuple[int, ...] = ()) -> Fleet:
    return Fleet(np.array(poses, float), np.array(goals or (-1,) * len(poses), np.int32), me)


def driving(tables: Tables, fleet: Fleet) -> np.ndarray:
    """A robot under way to its goal, at the node nearest to it."""
    row = sk.new_skill(fleet.goal[fleet.me], fleet.pose[fleet.me], tables)
    row[sk.PHASE] = sk.TO_HOME
    return row


def waits(tables: Tables, fleet: Fleet, *times: float) -> list[bool]:
    """Whether the robot, at the node where it stands, stays there at each of the times (s)."""
    row, pose = driving(tables, fleet), fleet.pose[fleet.me]
    return [move(row, pose, 0.0, now, fleet, tables, NUMBERS)[:2] == (0.0, 0.0) for now in times]


class Yard:
    """Robots on the way to the places they park at, each moved exactly as its skill commands."""

    def __init__(self, tables: Tables, poses: list[tuple[float, ...]], goals: list[int]) -> None:
        self.tables, self.pose, self.goal = tables, np.array(poses, float), np.array(goals, np.int32)
        self.fleets = [Fleet(self.pose, self.goal, me) for me in range(len(goals))]
        self.skill = np.array([driving(tables, fleet) for fleet in self.fleets])
        self.now, self.gap = 0.0, math.inf  # s; m, the smallest between two outlines so far
        self.stood = np.zeros((2, len(goals)))  # s each robot has waited for another: at present, and at most

    def step(self) -> None:
        rows, dt, low = zip(self.skill, self.pose, self.fleets, strict=True), NUMBERS.step, NUMBERS.fork_low
        sent = [move(row, at, low, self.now, fleet, self.tables, NUMBERS)[:2] for row, at, fleet in rows]
        for pose, (v, w) in zip(self.pose, sent, strict=True):
            pose[2], pose[3] = sk.wrap(pose[2] + w * dt), v
            pose[:2] += v * math.cos(pose[2]) * dt, v * math.sin(pose[2]) * dt
        self.now += dt
        self.gap = min([self.gap, *(outline_gap(one, other) for one, other in permutations(self.pose, 2))])
        waits = (self.skill[:, sk.LET_PASS] >= 0) & (np.array(sent) == 0.0).all(1)
        self.stood[0] = np.where(waits, self.stood[0] + dt, 0.0)
        self.stood[1] = self.stood.max(0)

    def all_arrive_within(self, seconds: float) -> bool:
        while self.now < seconds and (self.skill[:, sk.PHASE] != sk.PARKED).any():
            self.step()
        parked = np.array([sk.parked_pose(goal, self.tables, NUMBERS) for goal in self.goal])
        return self.now < seconds and np.allclose(self.pose[:, :2], parked[:, :2], atol=0.06)


def test_the_outline_covers_the_bodies_with_less_than_a_hand_to_spare() -> None:
    truck, forks, pallet = BODIES.forklift, BODIES.forks, BODIES.pallet
    front = max(truck.front + forks.length, NUMBERS.dock_reach + pallet.length / 2)
    assert 0.0 <= FRONT - front < 0.1
    assert 0.0 <= REAR + truck.rear < 0.1
    assert 0.0 <= HALF_WIDTH - max(truck.width, pallet.width, forks.spread + forks.width) / 2 < 0.1


def test_a_turn_waits_for_what_the_forks_would_sweep_over_and_for_nothing_on_the_other_side(room: Tables) -> None:
    # The other's rear left corner lies ahead on the right, as far off as the forks reach, clear of the rear's sweep.
    x, y = HALF_WIDTH + 0.14, -HALF_WIDTH - 0.2
    assert math.hypot(x, y) < FRONT
    fleet = fleet_of(0, (7.0, 7.0, 0.0, 0.0), (7.0 + x + REAR, 7.0 + y - HALF_WIDTH, 0.0, 0.0), UNHEARD, goals=(0,) * 3)
    for sweep, ahead, seen in ((-math.pi / 2, 5.0, 1), (math.pi / 2, 9.0, -1)):
        assert sight.in_turn(fleet.pose[0], sweep, fleet) == seen
        row = driving(room, fleet)
        row[sk.NODE] = sk.nearest_node(np.array([7.0, ahead]), room)
        turns = move(row, fleet.pose[0], 0.0, 0.0, fleet, room, NUMBERS)[1] != 0.0
        assert (turns, row[sk.BLOCKER]) == (seen < 0, seen)


def test_a_turn_does_not_see_what_stands_beside_the_body_unless_it_comes_nearer() -> None:
    fleet = fleet_of(1, (0.0, 2 * HALF_WIDTH + 0.3, 0.0, 0.0), (0.0,) * 4)
    assert [sight.in_turn(fleet.pose[1], sweep, fleet) for sweep in (0.2, math.pi / 2)] == [-1, 0]
    # Already too close to the left of the forks: turning away to the right is free.
    fleet = fleet_of(0, (0.0,) * 4, (FRONT - 0.05, HALF_WIDTH + FRONT + 0.01, -math.pi / 2, 0.0))
    assert [sight.in_turn(fleet.pose[0], sweep, fleet) for sweep in (-0.1, -0.7, 0.3)] == [-1, -1, 1]


def test_the_nearest_robot_ahead_is_in_the_way_and_unheard_or_aside_ones_are_not() -> None:
    me, aside = (5.0, 5.0, 0.0, 0.0), (7.5, 5.0 + 2 * HALF_WIDTH + 0.2, 0.0, 0.0)
    fleet = fleet_of(2, UNHEARD, (9.5, 5.0, 0.0, 0.0), me, aside, (8.0, 5.0, 0.0, 0.0), UNHEARD)
    assert sight.in_way(fleet.pose[2], 0.0, fleet, 2.0) == (4, pytest.approx(3.0 - REAR - FRONT))
    assert sight.in_way(fleet.pose[2], 0.0, fleet, 1.0) == (-1, pytest.approx(3.0 - REAR - FRONT))
    fleet.pose[4, 0] = 2.0  # now it stands behind, the front towards the rear
    assert sight.in_way(fleet.pose[2], math.pi, fleet, 2.0) == (4, pytest.approx(3.0 - REAR - FRONT))
    assert sight.in_way(fleet.pose[2], 0.0, fleet, 9.0) == (1, pytest.approx(4.5 - REAR - FRONT))


def test_ways_follow_the_routes_and_end_at_the_goal(corridor: Tables) -> None:
    for start in range(len(corridor.node_x)):
        for goal, end in enumerate(corridor.place_node):
            way = traffic.way_between(start, end, corridor).tolist()
            assert (way[0], way[-1]) == (start, end)
            assert way[1:] == [corridor.next_node[node, end] for node in way[:-1]]
            at = (corridor.node_x[start] + 0.3, corridor.node_y[start] - 0.2, 1.0, 0.0)
            assert traffic.way_of(0, fleet_of(1, at, UNHEARD, goals=(goal, -1)), corridor).tolist() == way
    assert len(traffic.way_of(0, fleet_of(0, (11.0, 3.0, 0.0, 0.0)), corridor)) == 1  # no goal known: it stays


def test_who_stands_aside_of_a_lane_waits_for_who_is_in_it_and_of_two_aside_the_later_one(corridor: Tables) -> None:
    west, east, inside = (5.0, 5.0, 0.0, 0.0), (15.0, 1.0, 0.0, 0.0), (11.0, 3.0, math.pi, 0.0)
    fleet = fleet_of(0, west, inside, goals=(4, 1))
    assert waits(corridor, fleet, 10.0, 9.9 + LONGEST_WAIT, 10.0 + LONGEST_WAIT) == [True, True, False]
    assert waits(corridor, fleet._replace(me=1), 10.0) == [False]
    for fleet in (fleet_of(0, west, east, goals=(4, 1)), fleet_of(0, east, west, goals=(1, 4))):
        assert waits(corridor, fleet, 0.0) == [False]
        assert waits(corridor, fleet._replace(me=1), 0.0) == [True]


def test_robots_that_go_the_same_way_never_wait_for_each_other(corridor: Tables) -> None:
    for here in np.flatnonzero(corridor.node_x < 6.0).tolist():
        for there in np.flatnonzero(corridor.node_x < 14.0).tolist():
            for goal in (3, 4, 5):
                fleet = fleet_of(1, spot(corridor, there), spot(corridor, here), goals=(goal, 4))
                row = driving(corridor, fleet)
                move(row, fleet.pose[1], 0.0, 0.0, fleet, corridor, NUMBERS)
                assert row[sk.LET_PASS] == -1


def test_a_robot_waits_beside_the_lane_until_the_other_has_come_out_of_it(corridor: Tables) -> None:
    yard = Yard(corridor, [(5.0, 5.0, -math.pi / 2, 0.0), (13.0, 3.0, math.pi, 0.0)], [4, 0])
    while yard.pose[0, 0] < 6.0 and yard.now < 60.0:
        yard.step()
        assert yard.skill[1, sk.BLOCKED_TOTAL] == 0.0
    assert yard.pose[1, 0] < 5.0 and yard.stood[1, 0] > 4.0  # the other has left the lane
    assert yard.all_arrive_within(60.0)


def test_a_robot_stops_waiting_for_one_that_never_comes(corridor: Tables) -> None:
    yard = Yard(corridor, [(5.0, 5.0, -math.pi / 2, 0.0), (11.0, 3.0, math.pi, 0.0)], [4, 1])
    yard.skill[1, sk.HOLD_UNTIL] = math.inf  # it broke down in the lane
    while yard.pose[0, 1] > 4.0 and yard.now < 2 * LONGEST_WAIT:
        yard.step()
    assert LONGEST_WAIT < yard.now < LONGEST_WAIT + 5.0


def test_a_robot_that_gives_way_in_a_lane_goes_back_into_the_room_and_arrives_after_the_other(corridor: Tables) -> None:
    yard = Yard(corridor, [(7.0, 3.0, 0.0, 0.0), (9.5, 3.0, math.pi, 0.0)], [4, 1])
    row = yard.skill[0]
    while row[sk.BLOCKER] != 1 and yard.now < 5.0:
        yard.step()
    traffic.give_way(row, yard.pose[0], yard.now, yard.fleets[0], corridor)
    aside, way = spot(corridor, int(row[sk.DETOUR])), traffic.way_of(1, yard.fleets[0], corridor)
    assert row[sk.LET_PASS] == 1 and aside[0] < 6.0
    assert min(math.dist(aside[:2], spot(corridor, node)[:2]) for node in way) >= traffic.ASIDE
    while yard.skill[1, sk.PHASE] != sk.PARKED and yard.now < 90.0:
        yard.step()
        assert yard.pose[0, 0] < 10.0
    assert yard.all_arrive_within(120.0) and yard.gap > 0.0


def test_a_robot_that_knows_of_no_way_aside_backs_off_straight(corridor: Tables) -> None:
    fleet = fleet_of(0, (9.0, 3.0, 0.0, 0.0), UNHEARD, goals=(4, -1))
    row = driving(corridor, fleet)
    row[sk.BLOCKER] = 1
    traffic.give_way(row, fleet.pose[0], 0.0, fleet, corridor)
    assert (row[sk.BACKING], row[sk.LET_PASS], row[sk.DETOUR]) == (shifting.BACK_OFF, -1, -1)


def test_a_robot_only_goes_round_by_a_way_that_is_free_of_robots(room: Tables) -> None:
    rng, taken = np.random.default_rng(5), 0
    for _ in range(300):
        goal, (here, *others) = int(rng.integers(8)), rng.integers(len(room.node_x), size=5)
        end = room.place_node[goal]
        ahead = room.next_node[here, end]
        poses = [spot(room, node, rng.uniform(-3.0, 3.0)) for node in (int(here), int(ahead), *others)]
        fleet = fleet_of(0, *poses, UNHEARD, goals=(goal,) * 7)
        row = driving(room, fleet)
        row[sk.NODE] = ahead
        before = row.copy()
        if not traffic.reroute(row, fleet.pose[0], fleet, room):
            np.testing.assert_array_equal(row, before)
            continue
        taken += 1
        assert row[sk.DETOUR] == row[sk.NODE] != ahead and row[sk.NODE] in room.neighbours[here]
        way = traffic.way_between(int(row[sk.NODE]), end, room)[: shifting.CLEAR_AHEAD + 1]
        assert min(math.dist(spot(room, node)[:2], at[:2]) for node in way for at in poses[1:]) >= traffic.APART
    assert 20 < taken < 280


@pytest.mark.parametrize(("gap", "is_barred"), [(0.99, True), (1.6, False)])
def test_who_goes_round_one_that_stands_in_the_very_way_backs_off_first(
    room: Tables, gap: float, is_barred: bool
) -> None:
    # Robot 1 drives east along y = 9; robot 0 wants to come out of a place north of it, tail first, and cannot.
    leaving, passing = (5.0, 9.0 + gap, math.pi / 2, 0.0), (4.46, 9.0, 0.0, 0.0)
    fleet = fleet_of(1, leaving, passing, goals=(-1, 3))
    assert (sight.in_way(fleet.pose[1], 0.0, fleet, NUMBERS.lookahead)[0] == 0) == is_barred
    row = driving(room, fleet)
    row[sk.BLOCKER] = row[sk.MET] = 0
    row[sk.MET_X], row[sk.MET_Y] = leaving[:2]
    assert traffic.reroute(row, fleet.pose[1], fleet, room)
    assert row[sk.BACKING] == (shifting.BACK_OFF if is_barred else 0.0)


# Two trucks that turned side by side before the same places, one of them just aligning, and then stood for hours.
LOCKED = (3.490, 3.519, -3.047, 0.0), (5.003, 3.398, 2.917, 0.0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_truck_that_aligns_and_one_right_behind_it_do_not_lock_each_other(
    aisle: Tables, order: tuple[int, int]
) -> None:
    yard = Yard(aisle, [LOCKED[robot] for robot in order], [(1, 2)[robot] for robot in order])
    assert yard.all_arrive_within(60.0) and yard.gap > 0.0


@pytest.mark.parametrize("seed", range(30))
def test_two_that_stand_too_close_to_turn_creep_apart_by_the_inches_they_have(aisle: Tables, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gap = 0.0
    while gap < 0.03:
        yaws = math.pi * rng.integers(2, size=2) + rng.normal(0.0, (0.12, 0.25))
        poses = np.array([(3.5, 3.5, yaws[0], 0.0), (5.0, 3.45, yaws[1], 0.0)])
        poses[:, :2] += rng.normal(0.0, 0.03, (2, 2))
        gap = min(outline_gap(poses[0], poses[1]), outline_gap(poses[1], poses[0]))
    yard = Yard(aisle, [tuple(pose) for pose in poses], rng.choice(6, 2, replace=False).tolist())
    has_moved = np.zeros(2, bool)
    while yard.now < 90.0 and not has_moved.all():
        yard.step()
        has_moved |= np.hypot(*(yard.pose - poses)[:, :2].T) > 0.5
    assert has_moved.all() and yard.gap > 0.0


@pytest.mark.parametrize(("free", "is_room"), [(0.27, True), (0.2, True), (0.04, False), (-0.3, False)])
@pytest.mark.parametrize("y", [3.5, 4.3])  # all of its front before place 1, or a corner before place 2
def test_nobody_shifts_into_what_stands_before_its_front(aisle: Tables, free: float, is_room: bool, y: float) -> None:
    west_face = 1.6
    fleet = fleet_of(0, (west_face - free - 0.1 - FRONT, y, 0.0, 0.0))
    assert shifting.has_room(fleet.pose[0], False, fleet, aisle) == is_room


@pytest.mark.parametrize("late", [0.0, 0.3, 1.0])  # s; who comes out later may wait, but not for good
def test_two_that_come_out_of_places_across_an_aisle_do_not_wait_for_each_other(aisle: Tables, late: float) -> None:
    homes, picks = (1, 4), (5, 0)
    yard = Yard(aisle, [tuple(sk.parked_pose(home, aisle, NUMBERS)) for home in homes], list(picks))
    yard.skill[:, sk.PHASE], yard.skill[:, sk.HOME], yard.skill[:, sk.PICK_PLACE] = sk.LEAVE_HOME, homes, picks
    yard.skill[1, sk.PHASE] = sk.PARKED
    while yard.now < 90.0 and (yard.skill[:, sk.PHASE] != sk.LIFT).any():
        if yard.now >= late and yard.skill[1, sk.PHASE] == sk.PARKED:
            yard.skill[1, sk.PHASE] = sk.LEAVE_HOME
        yard.step()
    assert yard.now < 90.0 and yard.gap > 0.0


def test_a_robot_off_its_lane_squeezes_slowly_past_one_in_its_place_and_past_no_other(
    aisle: Tables,
) -> None:
    parked, off = tuple(sk.parked_pose(1, aisle, NUMBERS)), (3.628, 4.7, -1.6775, 0.0)
    yard = Yard(aisle, [off, parked], [0, 1])
    yard.skill[1, sk.PHASE] = sk.PARKED
    assert sight.in_way(yard.pose[0], off[2], yard.fleets[0], NUMBERS.lookahead)[0] == 1
    assert yard.all_arrive_within(40.0) and yard.gap > 0.03
    for other, goal in ((parked, 1), ((*parked[:3], 0.1), 1), ((*parked[:2], 3.4, 0.0), 1)):  # moving; turned
        fleet = fleet_of(0, off, other, goals=(0, goal))
        row = driving(aisle, fleet)
        row[sk.NODE] = sk.nearest_node(np.array([3.5, 3.5]), aisle)
        speed, _, _ = move(row, fleet.pose[0], 0.0, 0.0, fleet, aisle, NUMBERS)
        assert (speed > 0.0) == (row[sk.BLOCKED] == 0.0) == (other is parked)
        assert speed <= SQUEEZE_SPEED


def test_one_that_has_hardly_come_out_goes_back_in_for_one_that_cannot_turn_in_the_lane(aisle: Tables) -> None:
    # Robot 0 drives south past the places of robots 1 and 2, who want to come out; robot 2 already bars the lane, and
    # behind stands another.
    poses = [(3.508, 4.337, -1.558, 0.0), (2.407, 4.895, 3.136, 0.0), (2.508, 3.501, -3.141, 0.0)]
    yard = Yard(aisle, [*poses, (3.5, 6.05, -math.pi / 2, 0.0)], [0, 5, 3, 2])
    yard.skill[1:3, sk.PHASE], yard.skill[3, sk.PHASE] = sk.LEAVE_HOME, sk.PARKED
    yard.skill[1:3, sk.HOME], yard.skill[1:3, sk.PICK_PLACE] = (2, 1), (5, 3)
    went_in = False
    while yard.now < 60.0 and (yard.skill[0, sk.PHASE] != sk.PARKED or yard.skill[2, sk.PHASE] == sk.LEAVE_HOME):
        yard.step()
        went_in |= yard.pose[2, 0] < 2.45
    assert yard.now < 60.0 and went_in and yard.gap > 0.0


@pytest.fixture(scope="module")
def row() -> Tables:
    # Two lanes 1.4 m apart: places 0 .. 6 east, south to north, too close to the lane before them to turn there beside
    # a robot that stands in one; place 7 west, across from place 3.
    places = [(6.4, 2.1 + 1.4 * place, 0.0) for place in range(7)] + [(2.0, 6.3, math.pi)]
    parking = tuple(Place(name=f"p{n}", type="parking", x=x, y=y, yaw=yaw) for n, (x, y, yaw) in enumerate(places))
    return build_tables(FloorPlan(name="row", size=(8.4, 12.6), lattice=1.4, boxes=(), places=parking))


@pytest.mark.parametrize("empty", [0, 1, 5, 6])
@pytest.mark.parametrize("yaw", [-math.pi / 2, math.pi / 2])
def test_a_robot_between_parked_ones_shifts_to_where_it_has_room_to_turn(row: Tables, empty: int, yaw: float) -> None:
    homes = [home for home in range(7) if home != empty]
    poses = [(4.9, 7.6, yaw, 0.0), *(tuple(sk.parked_pose(home, row, NUMBERS)) for home in homes)]
    yard = Yard(row, poses, [7, *homes])
    yard.skill[1:, sk.PHASE] = sk.PARKED
    assert yard.all_arrive_within(90.0) and yard.gap > 0.0


@pytest.mark.parametrize("seed", range(20))
def test_two_robots_swap_sides_through_one_lane_without_a_touch(corridor: Tables, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = (np.flatnonzero(corridor.node_x < 6.0), np.flatnonzero(corridor.node_x > 14.0))
    poses = [spot(corridor, int(rng.choice(end)), rng.integers(4) * math.pi / 2) for end in ends]
    goals, order = (int(rng.integers(3, 6)), int(rng.integers(3))), rng.permutation(2)
    yard = Yard(corridor, [poses[robot] for robot in order], [goals[robot] for robot in order])
    assert yard.all_arrive_within(120.0) and yard.gap > 0.0
    assert yard.stood[1].max() < LONGEST_WAIT + 2 * NUMBERS.step


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_robots_that_cross_in_a_room_all_arrive_without_a_touch(room: Tables, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    across = [side + rng.permutation(2) for side in (2, 0, 6, 4)]  # two places on the side across from each side
    starts = rng.permutation(8)[:count]
    poses = [spot(room, room.place_node[start], rng.uniform(-math.pi, math.pi)) for start in starts]
    yard = Yard(room, poses, [int(np.concatenate(across)[start]) for start in starts])
    assert yard.all_arrive_within(90.0) and yard.gap > 0.0


def test_a_blocked_robot_does_not_turn_its_forks_into_one_that_stands_beside_them():
    floor = tables_of((14.0, 14.0), [(0.7, 7.0, math.pi), (13.3, 7.0, 0.0)])
    yard = Yard(floor, [(7.0, 6.83, 2.80, 0.0), (5.63, 6.83, 2.26, 0.0)], [0, 1])
    yard.skill[:, sk.NODE] = sk.nearest_node(np.array([5.0, 7.0]), floor)
    yard.skill[1, sk.HOLD_UNTIL] = math.inf
    for _ in range(20):
        yard.step()
    assert yard.gap > 0.0


def test_nobody_waits_longer_than_the_longest_wait_for_two_that_never_come(corridor):
    at = [(5.0, 5.0, -math.pi / 2, 0.0), (9.0, 3.0, math.pi, 0.0), (11.5, 3.0, math.pi, 0.0)]
    yard = Yard(corridor, at, [4, 1, 0])
    yard.skill[1:, sk.HOLD_UNTIL] = math.inf
    while yard.pose[0, 1] > 4.0 and yard.now < 10 * LONGEST_WAIT:
        yard.step()
    assert yard.now < 2 * LONGEST_WAIT


def test_a_parked_robot_does_not_bar_the_lane_before_it():
    plan = read_floorplan(Path(__file__).parents[2] / "support" / "small_hall.yaml")
    tables, place = build_tables(plan), {place.name: index for index, place in enumerate(plan.places)}
    start = spot(tables, tables.place_node[place["slot_1"]])
    parked = tuple(sk.parked_pose(place["parking_1"], tables, NUMBERS))
    yard = Yard(tables, [start, parked], [place["parking_2"], place["parking_1"]])
    yard.skill[1, sk.PHASE] = sk.PARKED
    assert yard.all_arrive_within(120.0)


@pytest.mark.parametrize("yaw", [1.43, math.pi - 1.43, -1.43])
def test_a_robot_that_a_wall_keeps_from_turning_moves_along_it_until_it_can(room: Tables, yaw: float) -> None:
    """Its rear leans on the wall: commands to turn move nothing, as in PyBullet and on the robot."""
    is_west = abs(yaw) < math.pi / 2
    reach = corners_of(np.array([0.0, 0.0, yaw, 0.0]))[:, 0]
    x = 0.01 - reach.min() if is_west else 13.99 - reach.max()
    yard, held = Yard(room, [(x, 7.0, yaw, 0.0)], [2 if is_west else 0]), 0.0
    while yard.now < 90.0 and yard.skill[0, sk.PHASE] != sk.PARKED:
        was = yard.pose[0].copy()
        yard.step()
        corners = corners_of(yard.pose[0])
        if corners.min() < 0.0 or corners.max() > 14.0:
            yard.pose[0] = *was[:3], 0.0
            held += NUMBERS.step
    assert held > work_free.STALL
    assert yard.skill[0, sk.PHASE] == sk.PARKED


def corners_of(pose: np.ndarray) -> np.ndarray:
    """Where the corners of a robot are [4, 2] (m)."""
    along, aside = np.array([FRONT, FRONT, -REAR, -REAR]), np.array([1, -1, 1, -1]) * HALF_WIDTH
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return pose[:2] + np.stack([along * c - aside * s, along * s + aside * c], axis=1)
