"""The guard between a robot's move skill and its drive: what it is told, and what the skill does when it stops.

The same for a robot on ROS and for one of a simulated world.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.warehouse import skill, traffic
from sim.warehouse.bodies import Bodies
from sim.warehouse.guard import STOPPED, Guard, GuardSettings, Sensed, Verdict, Work
from sim.warehouse.look_ahead import outline_of
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.sight import Fleet
from sim.warehouse.surroundings import NOTHING, Surroundings, TurnRates, at_place

DOCKING_PHASES = (
    skill.ENTER_PICK,
    skill.LIFT,
    skill.LEAVE_PICK,
    skill.ENTER_DROP,
    skill.LOWER,
    skill.LEAVE_DROP,
    skill.ENTER_HOME,
    skill.LEAVE_HOME,
)


class Seen(NamedTuple):
    """A robot's scan, and how fresh all that it is judged by is; stamps in seconds of its clock."""

    ranges: np.ndarray  # [L] m
    angles: np.ndarray  # [L] rad in base_link
    odom_stamp: float
    scan_stamp: float
    decision_stamp: float  # the last tick at which the task server confirmed what this robot does


class GuardedSkill:
    """One robot's guard, which knows from the skill's row what the robot is about.

    Args:
        guard: the robot's own.
        surroundings: of its fleet.
        turn_rates: of its fleet.
        tables: of the floor plan.
        numbers: of the move skill.
    """

    def __init__(
        self,
        guard: Guard,
        surroundings: Surroundings,
        turn_rates: TurnRates,
        tables: Tables,
        numbers: MotionNumbers,
    ) -> None:
        self._guard = guard
        self._surroundings = surroundings
        self._turn_rates = turn_rates
        self._tables = tables
        self._numbers = numbers

    def send(
        self, row: np.ndarray, v: float, w: float, seen: Seen, fleet: Fleet, now: float, blocked: float
    ) -> Verdict:
        """What the robot is really sent instead of what its skill has just asked for.

        Args:
            row: the skill's [SKILL_SIZE]; learns what is sent, and waits where the guard stops it.
            v: speed asked for (m/s).
            w: turn rate asked for (rad/s).
            seen: by the robot.
            fleet: where all robots are and go.
            now: s.
            blocked: how long the robot was blocked before this step (s).
        """
        verdict = self._judge(row, v, w, seen, fleet, now)
        row[skill.SPEED] = verdict.v
        if verdict.reason == STOPPED and row[skill.WORK_UNTIL] == 0.0:
            row[skill.STALLED] = 0.0  # the guard holds it, not what it leans on
            if row[skill.BLOCKED] == 0.0:
                self._wait(row, fleet, now, blocked)
        return verdict

    def stand(self, row: np.ndarray, now: float) -> None:
        """The robot stands without power: nothing to judge."""
        row[skill.SPEED] = 0.0
        self._guard.stand(now)

    def _judge(self, row: np.ndarray, v: float, w: float, seen: Seen, fleet: Fleet, now: float) -> Verdict:
        pose = fleet.pose[fleet.me]
        phase, is_loaded = int(row[skill.PHASE]), bool(skill.has_lifted(row))
        sensed = Sensed(
            seen.ranges,
            seen.angles,
            self._surroundings.obstacles(pose) if is_loaded else NOTHING,
            self._surroundings.robots(pose, fleet.pose, self._turn_rates.at(now, fleet.pose), fleet.me),
            seen.odom_stamp,
            seen.scan_stamp,
            seen.decision_stamp,
        )
        pallet = None
        if phase in (skill.ENTER_PICK, skill.LEAVE_DROP):
            column = skill.PICK_PLACE if phase == skill.ENTER_PICK else skill.DROP_PLACE
            pallet = at_place(pose, int(row[column]), self._tables)
        return self._guard.check(v, w, sensed, now, Work(is_loaded, phase in DOCKING_PHASES, pallet))

    def _wait(self, row: np.ndarray, fleet: Fleet, now: float, blocked: float) -> None:
        """The guard sees what the skill does not: count as blocked, and back off if that lasts."""
        row[skill.BLOCKED] = blocked + self._numbers.step
        row[skill.BLOCKED_TOTAL] += self._numbers.step
        drives = row[skill.PHASE] in (skill.TO_PICK, skill.TO_DROP, skill.TO_HOME)
        if drives and row[skill.BLOCKED] > self._numbers.resolve_after:
            traffic.give_way(row, fleet.pose[fleet.me], now, fleet, self._tables)


def guarded_skills(
    robots: int, settings: GuardSettings, bodies: Bodies, tables: Tables, numbers: MotionNumbers
) -> list[GuardedSkill]:
    """A guard for each of so many robots with one body and floor plan, which share what they know of the map."""
    outline = outline_of(bodies, numbers.dock_reach)
    surroundings = Surroundings(tables, outline, settings.stopping.reaction, settings.stopping.braking)
    rates = TurnRates()
    return [GuardedSkill(Guard(settings, outline), surroundings, rates, tables, numbers) for _ in range(robots)]
