"""The robots of E fast worlds as arrays, and one tick of everything in a compiled loop over worlds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from sim.warehouse.decisions import CLAIM, REROUTE, YIELD, apply_decisions
from sim.warehouse.facts import LINE_FACTS, open_jobs, queue_facts, stock_facts
from sim.warehouse.kpis import BLOCKED_S, CONTACTS, DISTANCE_M, NEAR_MISSES
from sim.warehouse.motion import move
from sim.warehouse.observe import QUEUE, SECTORS, observe_forklift, observe_inventory, observe_quality, sectors_of_map
from sim.warehouse.routes import Tables
from sim.warehouse.rules import advance, dropped, picked
from sim.warehouse.settings import SKUS, SUPPLIERS, MotionNumbers, Rules
from sim.warehouse.skill import BLOCKED_TOTAL, HOME, TRAVELLED, can_take_job, has_lifted, start_job, wrap
from sim.warehouse.state import CARRYING, GRANTED, NO_JOB, State
from sim.warehouse.traffic import NEAR, OUTLINE_POINTS, Fleet, gap_to_body, give_way, outline, reroute


class Robots(NamedTuple):
    """Bodies and skills of R forklifts in E worlds."""

    pose: np.ndarray  # [E, R, 4] x (m), y (m), yaw (rad), speed (m/s)
    skill: np.ndarray  # [E, R, SKILL_SIZE] see sim/warehouse/motion.py
    fork: np.ndarray  # [E, R] fork height (m)
    pallet: np.ndarray  # [E, R] pallet slot of the robot's job, -1
    touching: np.ndarray  # [E, R] bool, to count a contact once
    near: np.ndarray  # [E, R] bool, to count a near miss once
    turning: np.ndarray  # [E, R] yaw rate (rad/s)


class Board(NamedTuple):
    """Raw observation and choices of every agent of one kind, in E worlds."""

    vector: np.ndarray  # [E, N, O] float32
    candidates: np.ndarray  # [E, N, C, F] float32
    mask: np.ndarray  # [E, N, C] bool
    verb: np.ndarray  # [E, N, C] int32
    subject: np.ndarray  # [E, N, C] int32


@njit(cache=True)
def tick_worlds(
    s: State,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    choices: np.ndarray,
    tables: Tables,
    rules: Rules,
    numbers: MotionNumbers,
    tick: float,
) -> None:
    """Apply each world's choices [E, N], move the robots for one tick, and write the next observations."""
    for e in range(len(s.time)):
        begin_tick(s, e, robots, forklifts, inventories, qualities, choices[e], tables, rules)
        _drive(s, e, robots, tables, numbers, tick)
        end_tick(s, e, robots, forklifts, inventories, qualities, tables, rules, numbers, tick)


@njit(cache=True)
def begin_tick(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    choices: np.ndarray,
    tables: Tables,
    rules: Rules,
) -> None:
    """What world e does before its robots move: progress reported, choices [N] applied, jobs taken up."""
    _report(s, e, robots, tables)
    _decide(s, e, robots, forklifts, inventories, qualities, choices, tables, rules)
    _take_up(s, e, robots)


@njit(cache=True)
def end_tick(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    tables: Tables,
    rules: Rules,
    numbers: MotionNumbers,
    tick: float,
) -> None:
    """What world e does after its robots have moved for a tick (s): time goes on, agents sense."""
    advance(s, e, tables, rules, s.time[e] + tick)
    observe_world(s, e, robots, forklifts, inventories, qualities, tables, rules, numbers)


@njit(cache=True)
def _report(s: State, e: int, robots: Robots, tables: Tables) -> None:
    """Tell the ledger how the running jobs stand, as agents do with every decision."""
    for robot in range(robots.pallet.shape[1]):
        slot = robots.pallet[e, robot]
        if slot < 0:
            continue
        if s.job_phase[e, slot] == GRANTED and has_lifted(robots.skill[e, robot]):
            picked(s, e, slot)
        elif s.job_phase[e, slot] == CARRYING and not has_lifted(robots.skill[e, robot]):
            dropped(s, e, slot, tables)
            robots.pallet[e, robot] = -1


@njit(cache=True)
def _decide(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    choices: np.ndarray,
    tables: Tables,
    rules: Rules,
) -> None:
    count = len(choices)
    verb, subject, member = np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count, np.int32)
    pick_distance = np.zeros(count)
    agent = 0
    for board in (forklifts, inventories, qualities):
        for index in range(board.verb.shape[1]):
            verb[agent] = board.verb[e, index, choices[agent]]
            subject[agent] = board.subject[e, index, choices[agent]]
            member[agent] = index
            agent += 1
    goals = goals_of(s, e, robots)
    for robot in range(forklifts.verb.shape[1]):
        if verb[robot] == CLAIM:
            pick_distance[robot] = forklifts.candidates[e, robot, choices[robot], 20]
        elif verb[robot] == YIELD:
            fleet = Fleet(robots.pose[e], goals, robot)
            give_way(robots.skill[e, robot], robots.pose[e, robot], s.time[e], fleet, tables)
        elif verb[robot] == REROUTE:
            reroute(robots.skill[e, robot], robots.pose[e, robot], Fleet(robots.pose[e], goals, robot), tables)
    apply_decisions(s, e, verb, subject, pick_distance, member, tables, rules)


@njit(cache=True)
def _take_up(s: State, e: int, robots: Robots) -> None:
    for slot in range(s.job_type.shape[1]):
        if s.job_type[e, slot] == NO_JOB or s.job_phase[e, slot] != GRANTED:
            continue
        robot = s.job_robot[e, slot]
        if robots.pallet[e, robot] < 0 and can_take_job(robots.skill[e, robot]):
            robots.pallet[e, robot] = slot
            start_job(robots.skill[e, robot], s.pallet_place[e, slot], s.job_target[e, slot], False)


@njit(cache=True)
def goals_of(s: State, e: int, robots: Robots) -> np.ndarray:
    """The place [R] each robot heads for, as the job board tells: where its pallet stands or goes, else home."""
    goals = np.zeros(robots.pallet.shape[1], np.int32)
    for robot in range(len(goals)):
        slot = robots.pallet[e, robot]
        if slot < 0:
            goals[robot] = int(robots.skill[e, robot, HOME])
        elif s.job_phase[e, slot] == GRANTED:
            goals[robot] = s.pallet_place[e, slot]
        else:
            goals[robot] = s.job_target[e, slot]
    return goals


@njit(cache=True)
def _drive(s: State, e: int, robots: Robots, tables: Tables, numbers: MotionNumbers, tick: float) -> None:
    count = robots.pose.shape[1]
    before = 0.0
    travelled = 0.0
    for robot in range(count):
        before += robots.skill[e, robot, BLOCKED_TOTAL]
        travelled += robots.skill[e, robot, TRAVELLED]
    steps = int(round(tick / numbers.step))
    command = np.zeros((count, 3))
    goals = goals_of(s, e, robots)
    for step in range(steps):
        now = s.time[e] + step * numbers.step
        command_robots(command, robots.skill[e], robots.pose[e], robots.fork[e], goals, now, tables, numbers)
        for robot in range(count):
            robots.turning[e, robot] = obey(
                robots.pose[e, robot], robots.turning[e, robot], command[robot, 0], command[robot, 1], numbers
            )
            lift = numbers.fork_speed * numbers.step
            robots.fork[e, robot] += max(-lift, min(lift, command[robot, 2] - robots.fork[e, robot]))
        _count_contacts(s, e, robots)
    after = 0.0
    for robot in range(count):
        after += robots.skill[e, robot, BLOCKED_TOTAL]
        travelled -= robots.skill[e, robot, TRAVELLED]
    s.kpi[e, BLOCKED_S] += after - before
    s.kpi[e, DISTANCE_M] -= travelled


@njit(cache=True)
def command_robots(
    command: np.ndarray,
    skill: np.ndarray,
    pose: np.ndarray,
    fork: np.ndarray,
    goals: np.ndarray,
    now: float,
    tables: Tables,
    numbers: MotionNumbers,
) -> None:
    """Let every robot's skill [R, SKILL_SIZE] choose its command [R, 3]: m/s, rad/s and fork height (m)."""
    for robot in range(len(pose)):
        fleet = Fleet(pose, goals, robot)
        command[robot] = move(skill[robot], pose[robot], fork[robot], now, fleet, tables, numbers)


@njit(cache=True)
def obey(pose: np.ndarray, turning: float, v: float, w: float, numbers: MotionNumbers) -> float:
    """Move a body [4] for one motion step as its drive follows a command (m/s, rad/s); gives its new yaw rate.

    Speeds approach the command with a lag of first order and a limit of acceleration; the way is that of the mean
    speed. What truck these numbers stand for is in config/warehouse.yaml, section fitted.
    """
    speed = _follow(pose[3], v, numbers.drive_lag, numbers.drive_acceleration, numbers.step)
    rate = _follow(turning, w, numbers.turn_lag, numbers.turn_acceleration, numbers.step)
    ahead, turn = 0.5 * (pose[3] + speed) * numbers.step, 0.5 * (turning + rate) * numbers.step
    pose[0] += ahead * math.cos(pose[2] + 0.5 * turn)
    pose[1] += ahead * math.sin(pose[2] + 0.5 * turn)
    pose[2] = wrap(pose[2] + turn)
    pose[3] = speed
    return rate


@njit(cache=True)
def _follow(value: float, wanted: float, lag: float, most: float, step: float) -> float:
    change = wanted - value
    if lag > 0.0:
        change *= 1.0 - math.exp(-step / lag)
    return value + max(-most * step, min(most * step, change))


@njit(cache=True)
def _count_contacts(s: State, e: int, robots: Robots) -> None:
    for robot in range(robots.pose.shape[1]):
        gap = 9.0
        for other in range(robots.pose.shape[1]):
            if other != robot:
                gap = min(gap, outline_gap(robots.pose[e, robot], robots.pose[e, other]))
        if gap <= 0.0 and not robots.touching[e, robot]:
            s.kpi[e, CONTACTS] += 1
        if gap < NEAR and not robots.near[e, robot]:
            s.kpi[e, NEAR_MISSES] += 1
        robots.touching[e, robot] = gap <= 0.0
        robots.near[e, robot] = gap < NEAR


@njit(cache=True)
def outline_gap(pose: np.ndarray, other: np.ndarray) -> float:
    """Metres from one robot's body to the nearest outline point of another; 0 inside."""
    best = 9.0
    if abs(pose[0] - other[0]) > 4.0 or abs(pose[1] - other[1]) > 4.0:
        return best
    for point in range(OUTLINE_POINTS):
        x, y = outline(other, point, 0.0)
        best = min(best, gap_to_body(x - pose[0], y - pose[1], pose[2]))
    return best


@njit(cache=True)
def observe_world(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    tables: Tables,
    rules: Rules,
    numbers: MotionNumbers,
) -> None:
    """Write what every agent of world e senses now."""
    slots = s.job_type.shape[1]
    jobs, opened = np.zeros((slots, 5), np.int32), np.zeros(slots)
    count = open_jobs(s, e, tables, jobs, opened)
    sectors = np.zeros(SECTORS)
    for robot in range(robots.pose.shape[1]):
        sectors_of_map(robots.pose[e, robot], robots.pose[e], robot, tables, sectors)
        slot = robots.pallet[e, robot]
        load = s.pallet_sku[e, slot] if slot >= 0 and has_lifted(robots.skill[e, robot]) else -1
        observe_forklift(
            forklifts.vector[e, robot],
            forklifts.candidates[e, robot],
            forklifts.mask[e, robot],
            forklifts.verb[e, robot],
            forklifts.subject[e, robot],
            s.time[e],
            robots.pose[e, robot],
            robots.skill[e, robot],
            load,
            sectors,
            robots.pose[e],
            robot,
            jobs[:count],
            opened[:count],
            tables,
            numbers,
        )
    stock, on_order, demand, slack = np.zeros(SKUS), np.zeros(SKUS), np.zeros(SKUS), np.zeros(SKUS)
    totals, lines, line_facts = np.zeros(3), np.zeros((LINE_FACTS, 3), np.int32), np.zeros((LINE_FACTS, 3))
    for zone in range(inventories.vector.shape[1]):
        told = stock_facts(s, e, zone, tables, rules, stock, on_order, demand, slack, totals, lines, line_facts)
        observe_inventory(
            inventories.vector[e, zone],
            inventories.candidates[e, zone],
            inventories.mask[e, zone],
            inventories.verb[e, zone],
            inventories.subject[e, zone],
            stock,
            on_order,
            demand,
            slack,
            s.recent[e],
            totals,
            on_order.sum() < rules.max_pipeline,
            lines[:told],
            line_facts[:told],
        )
    queue, facts, history = np.zeros((QUEUE, 4), np.int32), np.zeros((QUEUE, 4)), np.zeros(SUPPLIERS)
    for station in range(qualities.vector.shape[1]):
        busy, arriving = queue_facts(s, e, station, tables, queue, facts, history)
        observe_quality(
            qualities.vector[e, station],
            qualities.candidates[e, station],
            qualities.mask[e, station],
            qualities.verb[e, station],
            qualities.subject[e, station],
            queue,
            facts,
            busy,
            arriving,
            history,
        )
