"""A forklift agent carries a job through, whatever happens to its process on the way."""

import math
from pathlib import Path

import numpy as np
import pytest

from parley_agents.forklift import CARRYING, DROPPED, TO_PICK, BoardFacts, ForkliftBody, RobotFacts
from parley_agents.resume import JobFacts
from policy_core.contract import read_contract
from sim.warehouse import skill
from sim.warehouse.bodies import read_bodies
from sim.warehouse.decisions import CHARGE, CLAIM
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.guard import Guard, read_guard
from sim.warehouse.guarded_skill import GuardedSkill
from sim.warehouse.look_ahead import outline_of
from sim.warehouse.observe import FORKLIFT_CHOICES
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse
from sim.warehouse.surroundings import Surroundings, TurnRates

CONFIG = Path(__file__).parents[3] / "config"
BODIES = read_bodies(CONFIG / "bodies.yaml")
FRONT = BODIES.forklift.front + BODIES.forks.length  # tips of the forks
FREE = np.full(90, np.inf, np.float32)


@pytest.fixture(scope="module")
def parts():
    plan = read_floorplan(CONFIG / "floorplans" / "small_dc.yaml")
    numbers = read_warehouse(CONFIG / "warehouse.yaml").motion_numbers()
    outline = outline_of(BODIES, numbers.dock_reach)
    tables = build_tables(plan)
    return plan, tables, numbers, outline, Surroundings(tables, outline, reaction=0.15, braking=1.0)


class World:
    """One robot on its floor, moved exactly as commanded, and the ledger's view of its one job."""

    def __init__(self, parts):
        self.plan, self.tables, self.numbers, self.outline, self.surroundings = parts
        self.battery, self.share = read_warehouse(CONFIG / "warehouse.yaml").battery_numbers(BODIES), 1.0
        self.homes = np.array(self.plan.of_type("parking"))
        self.job = JobFacts(7, 3, 2, 5, self.plan.of_type("slot")[4], self.plan.of_type("outbound")[0])
        self.pose = skill.parked_pose(self.homes[0], self.tables, self.numbers)
        self.fork, self.now = self.numbers.fork_low, 0.0
        self.picked = self.dropped = False
        self.lifted_at = self.lowered_at = None
        self.open = np.array([[self.job.pallet, 2, self.job.sku, self.job.origin, self.job.target, 0]], np.int32)

    def body(self):
        kind = read_contract(CONFIG / "contract.yaml").kind("forklift")
        guard = Guard(read_guard(CONFIG / "guard.yaml"), self.outline)
        guarded = GuardedSkill(guard, self.surroundings, TurnRates(), self.tables, self.numbers)
        return ForkliftBody("r", ("r", "s"), self.homes, kind, self.tables, self.numbers, self.battery, guarded)

    def tell(self, body):
        body.others[0] = self.pose
        body.sensors = RobotFacts(FREE, 0.0, 2 * math.pi / 90, self.fork, self.now, self.now, self.share)

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
        self.pose[2] = skill.wrap(self.pose[2] + w * dt)
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

    def carry_out(self, body, granted=True, limit=150.0):
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


def run_into(world, body, phase, seconds):
    """Drive on until the skill has been in `phase` for `seconds` (s), telling the ledger once a tick."""
    since = None
    while since is None or world.now - since < seconds - 1e-6:
        world.step(body)
        if round(world.now * 10) % 10 == 0:
            world.note(body.progress())
            body.follow(world.board(True))
        if since is None and body._skill[skill.PHASE] == phase:
            since = world.now
        assert world.now < 200.0


MOMENTS = [
    ("LEAVE_HOME", 1.0),
    ("TO_PICK", 3.0),
    ("ALIGN_PICK", 0.3),
    ("ENTER_PICK", 0.5),
    ("ENTER_PICK", 1.3),
    ("LIFT", 0.2),
    ("LIFT", 0.9),
    ("LEAVE_PICK", 0.1),
    ("LEAVE_PICK", 1.3),
    ("TO_DROP", 5.0),
    ("ALIGN_DROP", 0.3),
    ("ENTER_DROP", 0.5),
    ("ENTER_DROP", 1.3),
    ("LOWER", 0.2),
    ("LOWER", 0.9),
    ("LEAVE_DROP", 0.1),
    ("LEAVE_DROP", 0.9),
]


@pytest.mark.parametrize(("phase", "seconds"), MOMENTS)
def test_a_process_killed_at_any_moment_loses_nothing_and_moves_no_pallet_twice(world, phase, seconds):
    body = started(world, False)
    body.follow(world.board(True))
    run_into(world, body, getattr(skill, phase), seconds)
    body = started(world, True)
    world.carry_out(body, limit=world.now + 150)
    assert world.dropped
    assert world.stands_docked_at(world.lifted_at, world.job.origin)
    assert world.stands_docked_at(world.lowered_at, world.job.target)


@pytest.mark.parametrize(
    ("phase", "seconds"),
    [("LEAVE_HOME", 1.0), ("TO_PICK", 3.0), ("ENTER_PICK", 1.0), ("LIFT", 0.3), ("LEAVE_PICK", 0.5), ("TO_DROP", 5.0)],
)
def test_a_job_taken_away_ends_without_a_pallet_left_on_the_way(world, phase, seconds):
    body = started(world, False)
    body.follow(world.board(True))
    run_into(world, body, getattr(skill, phase), seconds)
    body.follow(world.board(False))
    for _ in range(900):
        world.step(body)
    assert body.progress()[:2] == (-1, 0)
    assert world.fork == pytest.approx(world.numbers.fork_low, abs=0.01)
    if world.lifted_at is not None:
        assert world.stands_docked_at(world.lowered_at, world.job.origin)


def test_a_robot_that_only_the_guard_holds_back_counts_as_blocked_and_backs_off_in_the_end(world):
    body = started(world, False)
    body.follow(world.board(True))
    run_into(world, body, skill.TO_PICK, 3.0)
    somebody = np.full(90, np.inf, np.float32)
    somebody[:3] = somebody[-2:] = FRONT + 0.03
    speeds = []
    for _ in range(round(10 * (world.numbers.resolve_after + 2.0))):
        world.tell(body)
        body.sensors = body.sensors._replace(ranges=somebody)
        speeds.append(body.command(world.now, world.now).v)
        world.now = round(world.now + world.numbers.step, 6)
    assert max(speeds[5:50]) == 0.0
    assert min(speeds) < -0.1
    assert body.progress().blocked > 0.9 * world.numbers.resolve_after


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


def test_a_robot_with_a_weak_battery_limps_and_an_empty_one_stands(world):
    fastest = {}
    for share in (1.0, 0.1, 0.0):
        world.__init__((world.plan, world.tables, world.numbers, world.outline, world.surroundings))
        world.share = share
        body = started(world, True)
        body.follow(world.board(True))
        start, fastest[share] = world.pose.copy(), 0.0
        for _ in range(120):
            world.step(body)
            fastest[share] = max(fastest[share], abs(world.pose[3]))
        assert (world.pose[:2] == start[:2]).all() == (share == 0.0)
    limit = world.battery.limp_speed * world.numbers.cruise_speed
    assert 0.3 < fastest[0.1] <= limit + 1e-9 < fastest[1.0]
    assert fastest[0.0] == 0.0 and body.progress().battery == 0.0


def test_a_robot_that_chose_to_charge_claims_nothing_until_its_battery_holds_enough(world):
    body = started(world, False)
    charge = FORKLIFT_CHOICES - 1
    assert not body.observe(0.0).mask[charge], "the battery is full"
    world.share = 0.3
    world.tell(body)
    seen = body.observe(0.0)
    assert seen.mask[charge] and seen.mask[1]
    assert body.decide(charge, 0.0).verb == CHARGE
    assert not body.observe(0.0).mask[1:13].any()
    world.share = world.battery.charge_until
    world.step(body)
    world.tell(body)
    assert body.observe(0.0).mask[1] and not body.observe(0.0).mask[charge]


def test_a_robot_with_a_job_cannot_choose_to_charge(world):
    world.share = 0.2
    body = started(world, False)
    body.follow(world.board(True))
    assert not body.observe(0.0).mask[FORKLIFT_CHOICES - 1]
