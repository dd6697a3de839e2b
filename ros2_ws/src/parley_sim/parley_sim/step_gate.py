"""What must have come in before the world may take its next step, and which commands then hold. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from parley_agents.tick_barrier import TickBarrier

TASK_SERVER = "task_server"
FRESH_STEPS = 5  # move steps a drive command holds where the world follows the wall clock


class RobotCommand(NamedTuple):
    """Speeds (m/s, rad/s) and fork height (m) that hold for one step."""

    v: float
    w: float
    fork_height: float


class StepGate:
    """The lockstep of one world: it opens when every expected robot, and on ticks the task server, has answered.

    Whoever is given up (`expire`) is not waited for until it is heard again; a robot without a command for the step at
    hand gets zero speed and keeps its forks where they are. Where nobody is expected the world follows the wall
    clock, and a drive command holds for FRESH_STEPS, so that a person can drive by hand.

    Args:
        robots: names of the simulated robots.
        steps_per_tick: move steps in one decision tick.
        is_lockstep: whether to wait at all.
    """

    def __init__(self, robots: Sequence[str], steps_per_tick: int, is_lockstep: bool) -> None:
        self._is_lockstep = is_lockstep
        self._steps_per_tick = steps_per_tick
        # Whoever drives the gate says when a wait is over; it differs from step to step.
        self._robots = TickBarrier(robots, limit=math.inf)
        self._server = TickBarrier([TASK_SERVER], limit=math.inf)
        self._drives = dict.fromkeys(robots, (-1, 0.0, 0.0))  # step, m/s, rad/s
        self._forks = dict.fromkeys(robots, (-1, 0.0))  # step, m
        self._answered = dict.fromkeys(robots, -1)  # steps
        self._board = self._pallets = -1  # ticks

    @property
    def follows_wall_clock(self) -> bool:
        """Whether time alone says when to step: by choice, or because there is nobody to wait for."""
        return not self._is_lockstep or not self._robots.expected

    def drive(self, robot: str, step: int, v: float, w: float) -> None:
        """Take a drive command that answers a step; one that is not a number is a stop."""
        if not (math.isfinite(v) and math.isfinite(w)):
            v = w = 0.0
        if step >= self._drives[robot][0]:
            self._drives[robot] = (step, v, w)
        self._arrive(robot)

    def forks(self, robot: str, step: int, height: float) -> None:
        """Take a fork command that answers a step; one that is not a number keeps the height."""
        if not math.isfinite(height):
            height = self._forks[robot][1]
        if step >= self._forks[robot][0]:
            self._forks[robot] = (step, height)
        self._arrive(robot)

    def board(self, tick: int) -> None:
        """Note that the tick's decisions have been applied by the task server."""
        self._board = max(self._board, tick)
        self._server.arrive(TASK_SERVER, min(self._board, self._pallets))

    def pallets(self, tick: int) -> None:
        """Note that the tick's list of pallets is there."""
        self._pallets = max(self._pallets, tick)
        self._server.arrive(TASK_SERVER, min(self._board, self._pallets))

    def is_open(self, step: int) -> bool:
        """Whether everybody who is waited for has answered the step; a time-driven world never opens by itself."""
        return not self.follows_wall_clock and not self.missing(step)

    def missing(self, step: int) -> list[str]:
        """Who is still waited for."""
        late = self._robots.missing(step)
        if step % self._steps_per_tick == 0:
            late += self._server.missing(step // self._steps_per_tick)
        return late

    def expire(self, step: int) -> list[str]:
        """Wait no longer; returns who is given up."""
        late = self._robots.expire(step)
        if step % self._steps_per_tick == 0:
            late += self._server.expire(step // self._steps_per_tick)
        return late

    def commands(self, step: int) -> dict[str, RobotCommand]:
        """What every robot does in the step."""
        oldest = step - FRESH_STEPS if self.follows_wall_clock else step
        held = {}
        for robot, (answered, v, w) in self._drives.items():
            if answered < oldest:
                v = w = 0.0
            held[robot] = RobotCommand(v, w, self._forks[robot][1])
        return held

    def _arrive(self, robot: str) -> None:
        answered = min(self._drives[robot][0], self._forks[robot][0])
        # Only a new full answer says that the robot takes part: a person who drives by hand is not waited for.
        if answered > self._answered[robot]:
            self._answered[robot] = answered
            self._robots.arrive(robot, answered)
