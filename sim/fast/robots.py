"""The arrays of E fast worlds: robots, what agents sense and may choose, and what a tick writes down on its way."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import types
from numba.experimental import structref

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.facts import LINE_FACTS
from sim.warehouse.laser import SECTORS
from sim.warehouse.numbers import Numbers
from sim.warehouse.observe import QUEUE
from sim.warehouse.routes import Tables
from sim.warehouse.settings import SKUS, SUPPLIERS
from sim.warehouse.skill import HOME, SKILL_SIZE
from sim.warehouse.state import GRANTED, State

NOISE = 512  # numbers of laser noise a world has before they repeat


class Robots(NamedTuple):
    """Bodies and skills of R forklifts in E worlds."""

    pose: np.ndarray  # [E, R, 4] x (m), y (m), yaw (rad), speed (m/s)
    skill: np.ndarray  # [E, R, SKILL_SIZE] see sim/warehouse/motion.py
    fork: np.ndarray  # [E, R] fork height (m)
    pallet: np.ndarray  # [E, R] pallet slot of the robot's job, -1
    touching: np.ndarray  # [E, R] bool, to count a contact once
    near: np.ndarray  # [E, R] bool, to count a near miss once
    turning: np.ndarray  # [E, R] yaw rate (rad/s)
    energy: np.ndarray  # [E, R] Wh
    charging: np.ndarray  # [E, R] bool
    alive: np.ndarray  # [E, R] bool: it decides, speaks and moves; a dead one stands where it is
    heard: np.ndarray  # [E, R] s, when it spoke last
    down_at: np.ndarray  # [E, R] s, when it stops dead; inf: never
    up_at: np.ndarray  # [E, R] s, when it comes back
    noise: np.ndarray  # [E, NOISE] standard normal numbers for its laser


def make_robots(worlds: int, count: int) -> Robots:
    """Empty arrays for `count` robots in each of E worlds."""
    shape = (worlds, count)
    return Robots(
        pose=np.zeros((*shape, 4)),
        skill=np.zeros((*shape, SKILL_SIZE)),
        fork=np.zeros(shape),
        pallet=np.full(shape, -1, np.int32),
        touching=np.zeros(shape, np.bool_),
        near=np.zeros(shape, np.bool_),
        turning=np.zeros(shape),
        energy=np.zeros(shape),
        charging=np.zeros(shape, np.bool_),
        alive=np.ones(shape, np.bool_),
        heard=np.zeros(shape),
        down_at=np.full(shape, np.inf),
        up_at=np.full(shape, np.inf),
        noise=np.zeros((worlds, NOISE)),
    )


class Board(NamedTuple):
    """Raw observation and choices of every agent of one kind, in E worlds."""

    vector: np.ndarray  # [E, N, O] float32
    candidates: np.ndarray  # [E, N, C, F] float32
    mask: np.ndarray  # [E, N, C] bool
    verb: np.ndarray  # [E, N, C] int32
    subject: np.ndarray  # [E, N, C] int32


class Parts(NamedTuple):
    """All that a tick of E worlds reads and changes, as one argument."""

    state: State
    robots: Robots
    forklifts: Board
    inventories: Board
    qualities: Board
    tables: Tables
    numbers: Numbers


class Notes(NamedTuple):
    """What one world's tick writes down on its way: made once, used for every world. N agents, R robots, L jobs."""

    verb: np.ndarray  # [N]
    subject: np.ndarray  # [N]
    member: np.ndarray  # [N]
    pick_distance: np.ndarray  # [N] m
    command: np.ndarray  # [R, 3] m/s, rad/s, m
    was: np.ndarray  # [R, 2] m/s, m
    goals: np.ndarray  # [R]
    settled: np.ndarray  # [R] bool: stands so still that a step at command zero changes nothing
    moved: np.ndarray  # [R] bool: in the last motion step
    jobs: np.ndarray  # [L, 6]
    opened: np.ndarray  # [L] s
    away: np.ndarray  # [L] m
    sectors: np.ndarray  # [SECTORS] m
    stock: np.ndarray  # [5, SKUS] stock, on order, demand, slack (s), finishing
    totals: np.ndarray  # [4]
    lines: np.ndarray  # [LINE_FACTS, 3]
    line_facts: np.ndarray  # [LINE_FACTS, 3]
    queue: np.ndarray  # [QUEUE, 4]
    queue_facts: np.ndarray  # [QUEUE, 4]
    history: np.ndarray  # [SUPPLIERS]


@allocating
def make_notes(agents: int, robots: int, slots: int) -> Notes:
    """Empty arrays."""
    return Notes(
        np.zeros(agents, np.int32),
        np.zeros(agents, np.int32),
        np.zeros(agents, np.int32),
        np.zeros(agents),
        np.zeros((robots, 3)),
        np.zeros((robots, 2)),
        np.zeros(robots, np.int32),
        np.zeros(robots, np.bool_),
        np.zeros(robots, np.bool_),
        np.zeros((slots, 6), np.int32),
        np.zeros(slots),
        np.zeros(slots),
        np.zeros(SECTORS),
        np.zeros((5, SKUS)),
        np.zeros(4),
        np.zeros((LINE_FACTS, 3), np.int32),
        np.zeros((LINE_FACTS, 3)),
        np.zeros((QUEUE, 4), np.int32),
        np.zeros((QUEUE, 4)),
        np.zeros(SUPPLIERS),
    )


@allocating
def notes_for(parts: Parts) -> Notes:
    """Empty arrays for these worlds."""
    agents = parts.forklifts.verb.shape[1] + parts.inventories.verb.shape[1] + parts.qualities.verb.shape[1]
    return make_notes(agents, parts.robots.pose.shape[1], parts.state.job_type.shape[1])


@allocating
def goals_of(s: State, e: int, robots: Robots) -> np.ndarray:
    """The place [R] each robot heads for, as the job board tells: where its pallet stands or goes, else home."""
    goals = np.zeros(robots.pallet.shape[1], np.int32)
    write_goals(s, e, robots, goals)
    return goals


@kernel
def write_goals(s: State, e: int, robots: Robots, goals: np.ndarray) -> None:
    """`goals_of` into an array [R]."""
    for robot in range(len(goals)):
        slot = robots.pallet[e, robot]
        if slot < 0:
            goals[robot] = int(robots.skill[e, robot, HOME])
        elif s.job_phase[e, slot] == GRANTED:
            goals[robot] = s.pallet_place[e, slot]
        else:
            goals[robot] = s.job_target[e, slot]


@kernel
def count_the_living(s: State, e: int, robots: Robots) -> None:
    """Who takes part from now on: it is there at all, has energy left, and no outage holds it."""
    for robot in range(robots.alive.shape[1]):
        is_out = robots.down_at[e, robot] <= s.time[e] < robots.up_at[e, robot]
        is_there = not math.isnan(robots.pose[e, robot, 0])
        robots.alive[e, robot] = is_there and robots.energy[e, robot] > 0.0 and not is_out


class _WorldsType(types.StructRef):
    """How compiled functions see `Worlds`."""


class Worlds(structref.StructRefProxy):
    """All arrays of E worlds in one reference: a call takes one argument to unpack instead of a hundred (15 us)."""


structref.register(_WorldsType)
structref.define_boxing(_WorldsType, Worlds)
structref.define_attributes(_WorldsType)
structref.define_constructor(
    Worlds,
    _WorldsType,
    ("parts", "notes"),
)


@allocating
def bind(parts: Parts) -> Worlds:
    """Hold these arrays, and those that a tick writes down on, for `tick_worlds`. They are changed in place."""
    return Worlds(parts, notes_for(parts))
