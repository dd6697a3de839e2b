"""The robots of E fast worlds as arrays, and one tick of everything in a compiled loop over worlds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from sim.warehouse.battery import end_rest, is_docked, limping, power, spend
from sim.warehouse.decisions import CHARGE, CLAIM, NONE, REROUTE, YIELD, apply_decisions
from sim.warehouse.facts import LINE_FACTS, open_jobs, queue_facts, stock_facts
from sim.warehouse.jobs import dropped, picked, reopen
from sim.warehouse.kpis import BLOCKED_S, CHARGING_S, CONTACTS, DISTANCE_M, ENERGY_WH, FLAT_S, NEAR_MISSES
from sim.warehouse.motion import move
from sim.warehouse.numbers import Numbers, battery_of, motion_of, rules_of
from sim.warehouse.observe import (
    LASER_RANGE,
    PICK_DISTANCE,
    QUEUE,
    SECTORS,
    observe_forklift,
    observe_inventory,
    observe_quality,
    sectors_of_map,
)
from sim.warehouse.routes import Tables
from sim.warehouse.rules import advance
from sim.warehouse.settings import SKUS, SUPPLIERS, MotionNumbers, Rules
from sim.warehouse.skill import (
    BLOCKED_TOTAL,
    HOME,
    RESTING,
    SKILL_SIZE,
    SPEED,
    TRAVELLED,
    can_take_job,
    has_lifted,
    let_go,
    start_job,
    wrap,
)
from sim.warehouse.state import CARRYING, GRANTED, NO_JOB, State
from sim.warehouse.traffic import NEAR, OUTLINE_POINTS, Fleet, gap_to_body, give_way, outline, reroute

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


@njit(cache=True)
def tick_worlds(
    s: State,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    choices: np.ndarray,
    tables: Tables,
    numbers: Numbers,
    tick: float,
) -> None:
    """Apply each world's choices [E, N], move the robots for one tick, and write the next observations."""
    for e in range(len(s.time)):
        begin_tick(s, e, robots, forklifts, inventories, qualities, choices[e], tables, numbers)
        _drive(s, e, robots, tables, numbers, tick)
        end_tick(s, e, robots, forklifts, inventories, qualities, tables, numbers, tick)


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
    numbers: Numbers,
) -> None:
    """What world e does before its robots move: progress reported, choices [N] applied, jobs taken up."""
    rules = rules_of(numbers.rules[e])
    _report(s, e, robots, tables, rules)
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
    numbers: Numbers,
    tick: float,
) -> None:
    """What world e does after its robots have moved for a tick (s): time goes on, agents sense."""
    advance(s, e, tables, rules_of(numbers.rules[e]), s.time[e] + tick)
    count_the_living(s, e, robots)
    observe_world(s, e, robots, forklifts, inventories, qualities, tables, numbers)


@njit(cache=True)
def count_the_living(s: State, e: int, robots: Robots) -> None:
    """Who takes part from now on: it is there at all, has energy left, and no outage holds it."""
    for robot in range(robots.alive.shape[1]):
        is_out = robots.down_at[e, robot] <= s.time[e] < robots.up_at[e, robot]
        is_there = not math.isnan(robots.pose[e, robot, 0])
        robots.alive[e, robot] = is_there and robots.energy[e, robot] > 0.0 and not is_out


@njit(cache=True)
def _report(s: State, e: int, robots: Robots, tables: Tables, rules: Rules) -> None:
    """Tell the ledger how the running jobs stand, as agents do with every decision; jobs of the silent are reopened."""
    for robot in range(robots.pallet.shape[1]):
        slot = robots.pallet[e, robot]
        if not robots.alive[e, robot]:
            if (
                slot >= 0
                and s.job_robot[e, slot] == robot
                and s.time[e] - robots.heard[e, robot] >= rules.abandon_after
            ):
                reopen(s, e, slot)
            continue
        robots.heard[e, robot] = s.time[e]
        if slot < 0:
            continue
        if s.job_robot[e, slot] != robot:  # taken away while it was silent
            let_go(robots.skill[e, robot])
            robots.pallet[e, robot] = -1
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
    for robot in range(forklifts.verb.shape[1]):
        if not robots.alive[e, robot]:
            verb[robot] = NONE
    goals = goals_of(s, e, robots)
    for robot in range(forklifts.verb.shape[1]):
        if verb[robot] == CLAIM:
            pick_distance[robot] = forklifts.candidates[e, robot, choices[robot], PICK_DISTANCE]
        elif verb[robot] == YIELD:
            fleet = Fleet(robots.pose[e], goals, robot)
            give_way(robots.skill[e, robot], robots.pose[e, robot], s.time[e], fleet, tables)
        elif verb[robot] == REROUTE:
            reroute(robots.skill[e, robot], robots.pose[e, robot], Fleet(robots.pose[e], goals, robot), tables)
        elif verb[robot] == CHARGE:
            robots.skill[e, robot, RESTING] = 1.0
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
def _drive(s: State, e: int, robots: Robots, tables: Tables, numbers: Numbers, tick: float) -> None:
    motion = motion_of(numbers.motion[e])
    count = robots.pose.shape[1]
    blocked = travelled = 0.0
    for robot in range(count):
        blocked -= robots.skill[e, robot, BLOCKED_TOTAL]
        travelled -= robots.skill[e, robot, TRAVELLED]
    command, was = np.zeros((count, 3)), np.zeros((count, 2))
    goals = goals_of(s, e, robots)
    lift = motion.fork_speed * motion.step
    for step in range(int(round(tick / motion.step))):
        command_robots(command, s, e, robots, goals, s.time[e] + step * motion.step, tables, numbers)
        for robot in range(count):
            pose = robots.pose[e, robot]
            if math.isnan(pose[0]):
                continue
            was[robot, 0], was[robot, 1] = pose[3], robots.fork[e, robot]
            v, w, height = command[robot]
            robots.turning[e, robot] = obey(pose, robots.turning[e, robot], v, w, motion)
            robots.fork[e, robot] += max(-lift, min(lift, height - robots.fork[e, robot]))
        use_energy(s, e, robots, was, tables, numbers)
        _count_contacts(s, e, robots)
    rest(e, robots, numbers)
    for robot in range(count):
        blocked += robots.skill[e, robot, BLOCKED_TOTAL]
        travelled += robots.skill[e, robot, TRAVELLED]
    s.kpi[e, BLOCKED_S] += blocked
    s.kpi[e, DISTANCE_M] += travelled


@njit(cache=True)
def command_robots(
    command: np.ndarray,
    s: State,
    e: int,
    robots: Robots,
    goals: np.ndarray,
    now: float,
    tables: Tables,
    numbers: Numbers,
) -> None:
    """Let every robot's skill choose its command [R, 3]: m/s, rad/s and fork height (m); the dead and empty stand."""
    motion, battery = motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    slow = limping(motion, battery.limp_speed)
    for robot in range(len(command)):
        if not robots.alive[e, robot] or robots.energy[e, robot] <= 0.0:
            command[robot, 0] = command[robot, 1] = 0.0
            command[robot, 2] = robots.fork[e, robot]
            robots.skill[e, robot, SPEED] = 0.0
            continue
        is_weak = robots.energy[e, robot] < battery.limp_below * battery.capacity
        command[robot] = move(
            robots.skill[e, robot],
            robots.pose[e, robot],
            robots.fork[e, robot],
            now,
            Fleet(robots.pose[e], goals, robot),
            tables,
            slow if is_weak else motion,
        )


@njit(cache=True)
def use_energy(s: State, e: int, robots: Robots, was: np.ndarray, tables: Tables, numbers: Numbers) -> None:
    """One motion step of every battery, after the robots have moved.

    A robot that an outage holds uses and takes nothing.

    Args:
        s: counts energy, and time on chargers and with empty batteries.
        e: world.
        robots: as they are after the step.
        was: speed (m/s) and fork height (m) before it [R, 2].
        tables: where the chargers are.
        numbers: of all worlds.
    """
    motion, battery = motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    for robot in range(len(was)):
        pose = robots.pose[e, robot]
        if math.isnan(pose[0]):
            continue
        if not robots.alive[e, robot] and robots.energy[e, robot] > 0.0:
            robots.charging[e, robot] = False
            continue
        raised = (robots.fork[e, robot] - was[robot, 1]) / motion.step
        is_loaded = has_lifted(robots.skill[e, robot])
        watts = power(was[robot, 0], pose[3], robots.turning[e, robot], raised, is_loaded, motion.step, battery)
        home = int(robots.skill[e, robot, HOME])
        x, y, yaw = tables.place_x[home], tables.place_y[home], tables.place_yaw[home]
        charges = is_docked(pose, x, y, yaw, motion.dock_reach)
        energy, used, is_filling = spend(robots.energy[e, robot], watts, charges, motion.step, battery)
        robots.energy[e, robot] = energy
        robots.charging[e, robot] = is_filling
        s.kpi[e, ENERGY_WH] += used
        if is_filling:
            s.kpi[e, CHARGING_S] += motion.step
        if energy <= 0.0:
            s.kpi[e, FLAT_S] += motion.step


@njit(cache=True)
def rest(e: int, robots: Robots, numbers: Numbers) -> None:
    """Robots that rest at their chargers take jobs again once their batteries hold enough."""
    battery = battery_of(numbers.battery[e])
    for robot in range(robots.energy.shape[1]):
        end_rest(robots.skill[e, robot], robots.energy[e, robot] / battery.capacity, battery)


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
        if math.isnan(robots.pose[e, robot, 0]):
            continue
        for other in range(robots.pose.shape[1]):
            if other != robot and not math.isnan(robots.pose[e, other, 0]):
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
    numbers: Numbers,
) -> None:
    """Write what every agent of world e senses now; a dead robot senses nothing and has no choice."""
    rules, motion, battery = rules_of(numbers.rules[e]), motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    slots = s.job_type.shape[1]
    jobs, opened = np.zeros((slots, 5), np.int32), np.zeros(slots)
    count = open_jobs(s, e, tables, jobs, opened)
    sectors = np.zeros(SECTORS)
    for robot in range(robots.pose.shape[1]):
        if not robots.alive[e, robot]:
            _clear(forklifts, e, robot)
            continue
        sectors_of_map(robots.pose[e, robot], robots.pose[e], robot, tables, sectors)
        _blur(sectors, robots, e, robot, s.time[e], numbers.laser_noise[e])
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
            robots.energy[e, robot] / battery.capacity,
            robots.charging[e, robot],
            tables,
            motion,
            battery,
        )
    stock, on_order, demand, slack = np.zeros(SKUS), np.zeros(SKUS), np.zeros(SKUS), np.zeros(SKUS)
    totals, lines, line_facts = np.zeros(4), np.zeros((LINE_FACTS, 3), np.int32), np.zeros((LINE_FACTS, 3))
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
        busy, arriving, staffed = queue_facts(s, e, station, tables, rules, queue, facts, history)
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
            staffed,
        )


@njit(cache=True)
def _clear(board: Board, e: int, robot: int) -> None:
    board.vector[e, robot] = 0.0
    board.candidates[e, robot] = 0.0
    board.mask[e, robot] = False
    board.mask[e, robot, 0] = True
    board.verb[e, robot] = NONE
    board.subject[e, robot] = 0


@njit(cache=True)
def _blur(sectors: np.ndarray, robots: Robots, e: int, robot: int, now: float, deviation: float) -> None:
    """Laser noise (m) on the nearest return of each sector [SECTORS]."""
    if deviation <= 0.0:
        return
    first = (int(now) * robots.pose.shape[1] + robot) * SECTORS
    for sector in range(SECTORS):
        noisy = sectors[sector] + deviation * robots.noise[e, (first + sector) % NOISE]
        sectors[sector] = min(max(noisy, 0.0), LASER_RANGE)
