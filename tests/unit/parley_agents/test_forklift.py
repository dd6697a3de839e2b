"""A forklift agent carries a job through, whatever happens to its process on the way."""

import math
from pathlib import Path

import numpy as np
import pytest

from parley_agents.forklift import CARRYING, DROPPED, TO_PICK, BoardFacts, ForkliftBody, RobotFacts
from parley_agents.guard import Guard, read_guard
from parley_agents.look_ahead import outline_of
from parley_agents.resume import JobFacts
from parley_agents.surroundings import Surroundings
from policy_core.contract import read_contract
from sim.warehouse import motion
from sim.warehouse.bodies import read_bodies
from sim.warehouse.decisions import CLAIM
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse

CONFIG = Path(__file__).parents[3] / "config"
FREE = np.full(90, np.inf, np.float32)


@pytest.fixture(scope="module")
def parts():
    plan = read_floorplan(CONFIG / "floorplans" / "small_dc.yaml")
    numbers = read_warehouse(CONFIG / "warehouse.yaml").motion_numbers()
    outline = outline_of(read_bodies(CONFIG / "bodies.yaml"), numbers.dock_reach)
    tables = build_tables(plan)
    return plan, tables, numbers, outline, Surroundings(tables, outline)


class World:
    """One robot on its floor, moved exactly as commanded, and the ledger's view of its one job."""

    def __init__(self, parts):
        self.plan, self.tables, self.numbers, self.outline, self.surroundings = parts
        self.home = self.plan.of_type("parking")[0]
        self.job = JobFacts(7, 3, 5, self.plan.of_type("slot")[4], self.plan.of_type("outbound")[0])
        place = self.plan.places[self.home]
        self.pose, self.fork, self.now = np.array([place.x, place.y, place.yaw, 0.0]), self.numbers.fork_low, 0.0
        self.picked = self.dropped = False
        self.lifted_at = self.lowered_at = None
        self.open = np.array([[self.job.pallet, 2, self.job.sku, self.job.origin, self.job.target]], np.int32)

    def body(self):
        kind = read_contract(CONFIG / "contract.yaml").kind("forklift")
        guard = Guard(read_guard(CONFIG / "guard.yaml"), self.outline)
        return ForkliftBody("r", ("r", "s"), self.home, kind, self.tables, self.numbers, guard, self.surroundings)

    def tell(self, body):
        body.others[0] = self.pose
        body.sensors = RobotFacts(FREE, 0.0, 2 * math.pi / 90, self.fork, self.now, self.now)

    def board(self, granted):
        jobs = {"r": self.job} if granted and not self.dropped else {}
        unseen = self.open[:0]
        return BoardFacts(unseen if granted else self.open, np.zeros(0 if granted else 1), jobs)

    def note(self, progress):
        assert progress.job in (-1, self.job.serial)
        if progress.job < 0:
            return
        if progress.phase == CARRYING:
            self.picked = True
        if progress.phase == DROPPED:
            assert self.picked
            self.dropped = True

    def step(self, body):
        self.tell(body)
        v, w, fork, _ = body.command(self.now, self.now)
        dt, before = self.numbers.step, self.fork
        self.pose[3] = v
        self.pose[2] = motion.wrap(self.pose[2] + w * dt)
        self.pose[0] += v * math.cos(self.pose[2]) * dt
        self.pose[1] += v * math.sin(self.pose[2]) * dt
        lift = self.numbers.fork_speed * dt
        self.fork += max(-lift, min(lift, fork - self.fork))
        middle = 0.5 * (self.numbers.fork_low + self.numbers.fork_high)
        if before <= middle < self.fork:
            self.lifted_at = self.pose.copy()
        if before > middle >= self.fork:
            self.lowered_at = self.pose.copy()
        self.now = round(self.now + dt, 6)

    def carry_out(self, body, granted=True, limit=120.0):
        while not self.dropped and self.now < limit:
            for _ in range(10):
                self.step(body)
            self.tell(body)
            self.note(body.progress())
            body.follow(self.board(granted))

    def stands_docked_at(self, pose, place):
        reach = math.hypot(self.tables.place_x[place] - pose[0], self.tables.place_y[place] - pose[1])
        return reach == pytest.approx(self.numbers.dock_reach, abs=0.06)


@pytest.fixture
def world(parts):
    return World(parts)


def started(world, is_granted):
    body = world.body()
    body.board = world.board(is_granted)
    world.tell(body)
    body.orient(is_carrying=world.picked and not world.dropped)
    return body


def test_a_claimed_job_is_picked_at_its_origin_and_dropped_at_its_target(world):
    body = started(world, False)
    observation = body.observe(0.0)
    assert observation.mask[1]
    choice = body.decide(1, 0.0)
    assert (choice.verb, choice.subject) == (CLAIM, world.job.pallet)
    assert choice.pick_distance > 1.0
    body.follow(world.board(True))
    assert body.progress()[:2] == (world.job.serial, TO_PICK)
    world.carry_out(body)
    assert world.dropped
    assert world.stands_docked_at(world.lifted_at, world.job.origin)
    assert world.stands_docked_at(world.lowered_at, world.job.target)
    assert body.progress()[:2] == (-1, 0)
    assert body.progress().travelled > 10.0


def test_a_robot_with_a_job_claims_nothing(world):
    body = started(world, False)
    body.follow(world.board(True))
    body.board = world.board(False)
    observation = body.observe(0.0)
    assert not observation.mask[1:13].any()


# Entering the pick place from 44 s, lifting from 48 s, backing out until 52 s; the same at the target from 87 s.
AT_PICK = (43.0, 46.0, 47.5, 48.0, 48.4, 48.9, 49.3, 50.5, 53.0)
AT_DROP = (89.0, 90.7, 91.2, 91.9, 92.4, 93.5)
MOMENTS = (2.0, 5.0, 30.0, *AT_PICK, 70.0, *AT_DROP)


@pytest.mark.parametrize("killed_at", MOMENTS)
def test_a_process_killed_at_any_moment_loses_nothing_and_moves_no_pallet_twice(world, killed_at):
    body = started(world, False)
    body.follow(world.board(True))
    while world.now < killed_at and not world.dropped:
        world.step(body)
        if round(world.now * 10) % 10 == 0:
            world.note(body.progress())
            body.follow(world.board(True))
    body = started(world, True)
    world.carry_out(body, limit=killed_at + 120)
    assert world.dropped
    assert world.stands_docked_at(world.lifted_at, world.job.origin)
    assert world.stands_docked_at(world.lowered_at, world.job.target)


@pytest.mark.parametrize("taken_at", [2.0, 20.0, 43.0, 46.0, 48.3, 50.0, 60.0])
def test_a_job_taken_away_ends_without_a_pallet_left_on_the_way(world, taken_at):
    body = started(world, False)
    body.follow(world.board(True))
    while world.now < taken_at:
        world.step(body)
    body.follow(world.board(False))
    for _ in range(900):
        world.step(body)
    assert body.progress()[:2] == (-1, 0)
    assert world.fork == pytest.approx(world.numbers.fork_low, abs=0.01)
    if world.lifted_at is not None:
        assert world.stands_docked_at(world.lowered_at, world.job.origin)


def test_an_agent_that_knows_nothing_yet_stands_still(world):
    body = world.body()
    world.tell(body)
    assert body.command(0.0, 0.0)[:2] == (0.0, 0.0)
    assert not body.is_oriented


def test_a_robot_without_a_fresh_decision_stops(world):
    body = started(world, False)
    body.follow(world.board(True))
    for _ in range(60):
        world.step(body)
    world.tell(body)
    assert body.command(world.now, world.now - 60.0).reason == "decision stale"
