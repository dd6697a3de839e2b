"""A forklift agent: facts to observation, choice to skill, skill to a guarded command."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from parley_agents.body import Choice, Progress, Sheet
from parley_agents.resume import JobFacts, skill_after_restart
from policy_core.config import ConfigError
from policy_core.contract import Kind
from policy_core.serving.policy import Observation
from sim.warehouse import skill, traffic
from sim.warehouse.battery import end_rest, limping
from sim.warehouse.bodies import Bodies
from sim.warehouse.decisions import CHARGE, CLAIM, REROUTE, YIELD
from sim.warehouse.guard import GuardSettings
from sim.warehouse.guarded_skill import GuardedSkill, Seen, guarded_skills
from sim.warehouse.laser import SECTORS, sectors_of_scan
from sim.warehouse.motion import move
from sim.warehouse.observe import observe_forklift
from sim.warehouse.routes import Tables
from sim.warehouse.settings import BatteryNumbers, MotionNumbers
from sim.warehouse.sight import Fleet
from sim.warehouse.state import NO_JOB, PARKING

TO_PICK, CARRYING, DROPPED = 1, 2, 3  # as in parley_msgs/Decision
FORKS_THERE = 0.005  # m; nearer than this the forks are where they were told to be


class BoardFacts(NamedTuple):
    """The job board as a forklift reads it."""

    jobs: np.ndarray  # [J, 6] int32, open jobs: pallet serial, type, family, origin, target, promised to an order line
    opened: np.ndarray  # [J] float64, s
    granted: dict[str, JobFacts]  # robot name: its job


class RobotFacts(NamedTuple):
    """What a robot's own sensors say at one time."""

    ranges: np.ndarray  # [L] float32, m
    first_angle: float  # rad
    angle_step: float  # rad
    fork_height: float  # m
    odom_stamp: float  # s
    scan_stamp: float  # s
    battery: float = 1.0  # share of its capacity that is left; 1 if the robot does not say
    is_charging: bool = False


class Command(NamedTuple):
    """What the robot is really told to do."""

    v: float  # m/s
    w: float  # rad/s
    fork_height: float  # m
    reason: str  # why the guard changed it; empty if it did not


class ForkliftBody:
    """One robot's job, skill and guard.

    Args:
        name: the robot's name.
        robots: names of all robots in fleet order: the rows of `others`.
        homes: index of the place where each robot parks, in fleet order [R].
        guarded: the robot's own guard.
    """

    def __init__(
        self,
        name: str,
        robots: tuple[str, ...],
        homes: np.ndarray,
        kind: Kind,
        tables: Tables,
        numbers: MotionNumbers,
        battery: BatteryNumbers,
        guarded: GuardedSkill,
    ) -> None:
        self.name = name
        self.robots = robots
        self.me = robots.index(name)
        self.step = numbers.step  # s between two commands
        self.others = np.zeros((len(robots), 4))  # x, y, yaw, speed in map; NaN: not heard of
        self._homes = homes
        self._tables = tables
        self._numbers = numbers
        self._slow = limping(numbers, battery.limp_speed)
        self._battery = battery
        self._guarded = guarded
        self._sheet = Sheet(kind)
        self._sectors = np.zeros(SECTORS)
        self._pick_distance = kind.place("pick_distance", of_candidate=True).start
        self._forget()

    def _forget(self) -> None:
        """Know nothing, as at the start."""
        self.others[:] = np.nan
        self.board = BoardFacts(np.zeros((0, 6), np.int32), np.zeros(0), {})
        self.sensors = RobotFacts(np.zeros(0, np.float32), 0.0, 0.0, 0.0, -math.inf, -math.inf)
        self.job: JobFacts | None = None
        self._skill: np.ndarray | None = None  # until ledger and sensors have said where the robot stands
        self._is_under_way = False
        self._fork = self._numbers.fork_low  # m, what the forks were told last
        self._held = math.nan  # m, what they are told while the battery is empty
        self._has_dropped = False

    def rehearse(self) -> None:
        """Load or compile every kernel now, on facts of no meaning, so that no tick waits for it later."""
        self.others[:] = 0.0
        self.sensors = RobotFacts(np.ones(8, np.float32), 0.0, 0.1, 0.0, 0.0, 0.0)
        self.board = BoardFacts(np.zeros((1, 6), np.int32), np.zeros(1), {})
        self.orient(is_carrying=True)
        assert self._skill is not None
        self.observe(0.0)
        self.command(0.0, 0.0)
        self._skill[skill.PHASE] = skill.LOWER  # with a load the guard asks the map, too
        self.command(0.0, 0.0)
        skill.start_job(self._skill, 0, 0, False)
        traffic.give_way(self._skill, self.others[self.me], 0.0, self._fleet(), self._tables)
        traffic.reroute(self._skill, self.others[self.me], self._fleet(), self._tables)
        self._forget()

    @property
    def is_oriented(self) -> bool:
        """The robot knows where it is and what it was doing; until then it stands still and decides nothing."""
        return self._skill is not None

    def orient(self, is_carrying: bool) -> None:
        """Take up where the robot stands: after a start, or after the process was killed in the middle of a job.

        Args:
            is_carrying: the ledger says that this robot carries its job's pallet.
        """
        self.job = self.board.granted.get(self.name)
        pose = self.others[self.me]
        home = int(self._homes[self.me])
        start = skill_after_restart(
            pose,
            self.sensors.fork_height,
            self.job,
            is_carrying,
            home,
            self._tables,
            self._numbers,
        )
        self._skill, self._is_under_way, self._has_dropped = start

    def observe(self, now: float) -> Observation:
        """The robot's surroundings and the open jobs."""
        assert self._skill is not None, "orient() comes first"
        sheet, pose = self._sheet, self.others[self.me]
        sectors_of_scan(self.sensors.ranges, self.sensors.first_angle, self.sensors.angle_step, self._sectors)
        job = None if self._has_dropped else self.job
        observe_forklift(
            sheet.vector,
            sheet.candidates,
            sheet.mask,
            sheet.verb,
            sheet.subject,
            now,
            pose,
            self._skill,
            NO_JOB if job is None else job.type,
            0 if job is None else job.sku,
            job is not None and skill.has_lifted(self._skill),
            self._sectors,
            self.others,
            self.me,
            self.board.jobs,
            self.board.opened,
            np.zeros(len(self.board.jobs)),
            self.sensors.battery,
            self.sensors.is_charging,
            self._tables,
            self._numbers,
            self._battery,
        )
        if self.job is not None:
            sheet.mask[(sheet.verb == CLAIM) | (sheet.verb == CHARGE)] = (
                False  # one job at a time, even while the last one is being signed off
            )
        return sheet.observation((float(pose[0]), float(pose[1]), float(pose[2])))

    def decide(self, index: int, now: float) -> Choice:
        """Yield, reroute and rest at once; a claim waits for the grant."""
        assert self._skill is not None, "orient() comes first"
        choice = self._sheet.choice(index)
        pose = self.others[self.me]
        if choice.verb == YIELD:
            traffic.give_way(self._skill, pose, now, self._fleet(), self._tables)
        elif choice.verb == REROUTE:
            traffic.reroute(self._skill, pose, self._fleet(), self._tables)
        elif choice.verb == CHARGE:
            self._skill[skill.RESTING] = 1.0
        elif choice.verb == CLAIM:
            return choice._replace(pick_distance=float(self._sheet.candidates[index, self._pick_distance]))
        return choice

    def progress(self) -> Progress:
        """How the granted job stands: state, so it may be said again."""
        if self._skill is None:
            return Progress(battery=self.sensors.battery)
        blocked, travelled = float(self._skill[skill.BLOCKED_TOTAL]), float(self._skill[skill.TRAVELLED])
        if self.job is None:
            return Progress(NO_JOB, 0, blocked, travelled, self.sensors.battery)
        phase = DROPPED if self._has_dropped else CARRYING if skill.has_lifted(self._skill) else TO_PICK
        return Progress(self.job.serial, phase, blocked, travelled, self.sensors.battery)

    def follow(self, board: BoardFacts) -> None:
        """Read the board after the tick's decisions: take up what is granted, let go of what is not any more."""
        self.board = board
        if self._skill is None:
            return
        mine = board.granted.get(self.name)
        if self.job is not None and (mine is None or mine.serial != self.job.serial):
            if not self._has_dropped:
                self._give_up()
            self.job, self._is_under_way, self._has_dropped = None, False, False
        if mine is not None and self.job is None:
            self.job = mine

    def command(self, now: float, decision_stamp: float) -> Command:
        """One step of the skill, through the guard."""
        pose = self.others[self.me]
        if self._skill is None:
            return Command(0.0, 0.0, self._numbers.fork_low, "not oriented")
        if self.sensors.battery <= 0.0:
            self._guarded.stand(self._skill, now)
            if math.isnan(
                self._held
            ):  # once: told anew at every step, it would follow a load that presses on the forks
                sensed = self.sensors.fork_height
                self._held = self._fork if abs(sensed - self._fork) < FORKS_THERE else sensed
            return Command(0.0, 0.0, self._held, "battery empty")
        self._held = math.nan
        end_rest(self._skill, self.sensors.battery, self._battery)
        numbers = self._slow if self.sensors.battery < self._battery.limp_below else self._numbers
        if self.job is not None and not self._is_under_way and skill.can_take_job(self._skill):
            skill.start_job(self._skill, self.job.origin, self.job.target, False)
            self._is_under_way = True
        blocked, fleet = float(self._skill[skill.BLOCKED]), self._fleet()
        v, w, fork = move(self._skill, pose, self.sensors.fork_height, now, fleet, self._tables, numbers)
        self._fork = fork
        if self._is_under_way and skill.has_dropped(self._skill):
            self._has_dropped = True
        sensors = self.sensors
        angles = sensors.first_angle + sensors.angle_step * np.arange(len(sensors.ranges))
        seen = Seen(sensors.ranges, angles, sensors.odom_stamp, sensors.scan_stamp, decision_stamp)
        verdict = self._guarded.send(self._skill, v, w, seen, fleet, now, blocked)
        return Command(verdict.v, verdict.w, fork, verdict.reason)

    def _fleet(self) -> Fleet:
        """Where all robots are, and where the job board sends them; those without a job go home."""
        goals = self._homes[: len(self.robots)].astype(np.int32)
        for row, name in enumerate(self.robots):
            job = self.board.granted.get(name)
            if job is not None:
                goals[row] = job.origin if job.origin >= 0 else job.target
        return Fleet(self.others, goals, self.me)

    def _give_up(self) -> None:
        """The job was taken away: put a lifted pallet back where it came from, and come out of the place."""
        assert self._skill is not None
        if self._is_under_way:
            skill.let_go(self._skill)


def forklift_body(
    name: str,
    robots: tuple[str, ...],
    kind: Kind,
    tables: Tables,
    numbers: MotionNumbers,
    battery: BatteryNumbers,
    guard: GuardSettings,
    bodies: Bodies,
) -> ForkliftBody:
    """The body of one robot of a fleet; robot number n parks on parking place n.

    Raises:
        ConfigError: the floor plan has fewer parking places than the fleet has robots.
    """
    homes = np.flatnonzero(tables.place_type == PARKING)
    if len(robots) > len(homes):
        raise ConfigError(
            f"the floor plan parks {len(homes)} robots, the fleet has {len(robots)}; add parking places to the plan "
            "or take robots out of the fleet manifest."
        )
    guarded = guarded_skills(1, guard, bodies, tables, numbers)[0]
    return ForkliftBody(name, robots, homes, kind, tables, numbers, battery, guarded)
