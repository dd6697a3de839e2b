"""The robots of E fast worlds as arrays, and one tick of everything in a compiled loop over worlds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sim.warehouse.battery import end_rest, is_docked, limping, power, spend
from sim.warehouse.compiled import allocating, kernel
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
from sim.warehouse.replenishment import pipeline
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
from sim.warehouse.traffic import BODY_REACH, NEAR, OUTLINE_POINTS, Fleet, gap_seen, give_way, outline_point, reroute

NOISE = 512  # numbers of laser noise a world has before they repeat
MEETING = 2 * BODY_REACH + NEAR  # m between the centres of robots that may be near each other


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
    jobs: np.ndarray  # [L, 5]
    opened: np.ndarray  # [L] s
    sectors: np.ndarray  # [SECTORS] m
    stock: np.ndarray  # [4, SKUS] stock, on order, demand, slack (s)
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
        np.zeros((slots, 5), np.int32),
        np.zeros(slots),
        np.zeros(SECTORS),
        np.zeros((4, SKUS)),
        np.zeros(4),
        np.zeros((LINE_FACTS, 3), np.int32),
        np.zeros((LINE_FACTS, 3)),
        np.zeros((QUEUE, 4), np.int32),
        np.zeros((QUEUE, 4)),
        np.zeros(SUPPLIERS),
    )


@allocating
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
    notes = make_notes(choices.shape[1], robots.pose.shape[1], s.job_type.shape[1])
    _tick_all(s, robots, forklifts, inventories, qualities, choices, tables, numbers, tick, notes)


@kernel
def _tick_all(
    s: State,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    choices: np.ndarray,
    tables: Tables,
    numbers: Numbers,
    tick: float,
    notes: Notes,
) -> None:
    for e in range(len(s.time)):
        _begin(s, e, robots, forklifts, inventories, qualities, choices[e], tables, numbers, notes)
        _drive(s, e, robots, tables, numbers, tick, notes)
        _end(s, e, robots, forklifts, inventories, qualities, tables, numbers, tick, notes)


@allocating
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
    notes = make_notes(len(choices), robots.pose.shape[1], s.job_type.shape[1])
    _begin(s, e, robots, forklifts, inventories, qualities, choices, tables, numbers, notes)


@kernel
def _begin(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    choices: np.ndarray,
    tables: Tables,
    numbers: Numbers,
    notes: Notes,
) -> None:
    rules = rules_of(numbers.rules[e])
    _report(s, e, robots, tables, rules)
    _decide(s, e, robots, forklifts, inventories, qualities, choices, tables, rules, notes)
    _take_up(s, e, robots)


@allocating
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
    notes = make_notes(0, robots.pose.shape[1], s.job_type.shape[1])
    _end(s, e, robots, forklifts, inventories, qualities, tables, numbers, tick, notes)


@kernel
def _end(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    tables: Tables,
    numbers: Numbers,
    tick: float,
    notes: Notes,
) -> None:
    advance(s, e, tables, rules_of(numbers.rules[e]), s.time[e] + tick)
    count_the_living(s, e, robots)
    _observe(s, e, robots, forklifts, inventories, qualities, tables, numbers, notes)


@kernel
def count_the_living(s: State, e: int, robots: Robots) -> None:
    """Who takes part from now on: it is there at all, has energy left, and no outage holds it."""
    for robot in range(robots.alive.shape[1]):
        is_out = robots.down_at[e, robot] <= s.time[e] < robots.up_at[e, robot]
        is_there = not math.isnan(robots.pose[e, robot, 0])
        robots.alive[e, robot] = is_there and robots.energy[e, robot] > 0.0 and not is_out


@kernel
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
                if s.job_phase[e, slot] == GRANTED and has_lifted(robots.skill[e, robot]):
                    picked(s, e, slot)  # it lifted in the very tick in which it died, and has not said so
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


@kernel
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
    notes: Notes,
) -> None:
    verb, subject, member, pick_distance = notes.verb, notes.subject, notes.member, notes.pick_distance
    pick_distance[:] = 0.0
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
    goals = notes.goals
    _write_goals(s, e, robots, goals)
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


@kernel
def _take_up(s: State, e: int, robots: Robots) -> None:
    for slot in range(s.job_type.shape[1]):
        if s.job_type[e, slot] == NO_JOB or s.job_phase[e, slot] != GRANTED:
            continue
        robot = s.job_robot[e, slot]
        if robots.pallet[e, robot] < 0 and can_take_job(robots.skill[e, robot]):
            robots.pallet[e, robot] = slot
            start_job(robots.skill[e, robot], s.pallet_place[e, slot], s.job_target[e, slot], False)


@allocating
def goals_of(s: State, e: int, robots: Robots) -> np.ndarray:
    """The place [R] each robot heads for, as the job board tells: where its pallet stands or goes, else home."""
    goals = np.zeros(robots.pallet.shape[1], np.int32)
    _write_goals(s, e, robots, goals)
    return goals


@kernel
def _write_goals(s: State, e: int, robots: Robots, goals: np.ndarray) -> None:
    for robot in range(len(goals)):
        slot = robots.pallet[e, robot]
        if slot < 0:
            goals[robot] = int(robots.skill[e, robot, HOME])
        elif s.job_phase[e, slot] == GRANTED:
            goals[robot] = s.pallet_place[e, slot]
        else:
            goals[robot] = s.job_target[e, slot]


@kernel
def _drive(s: State, e: int, robots: Robots, tables: Tables, numbers: Numbers, tick: float, notes: Notes) -> None:
    motion = motion_of(numbers.motion[e])
    drive_share, turn_share = _shares(motion)
    count = robots.pose.shape[1]
    blocked = travelled = 0.0
    for robot in range(count):
        blocked -= robots.skill[e, robot, BLOCKED_TOTAL]
        travelled -= robots.skill[e, robot, TRAVELLED]
    command, was, goals, settled, moved = notes.command, notes.was, notes.goals, notes.settled, notes.moved
    command[:], was[:], settled[:] = 0.0, 0.0, False
    _write_goals(s, e, robots, goals)
    lift = motion.fork_speed * motion.step
    for step in range(int(round(tick / motion.step))):
        command_robots(command, s, e, robots, goals, s.time[e] + step * motion.step, tables, numbers)
        for robot in range(count):
            pose = robots.pose[e, robot]
            if math.isnan(pose[0]):
                continue
            was[robot, 0], was[robot, 1] = pose[3], robots.fork[e, robot]
            v, w, height = command[robot, 0], command[robot, 1], command[robot, 2]
            robots.fork[e, robot] += max(-lift, min(lift, height - robots.fork[e, robot]))
            is_still = v == 0.0 and w == 0.0 and pose[3] == 0.0 and robots.turning[e, robot] == 0.0
            moved[robot] = step == 0 or not is_still
            if is_still and settled[robot]:
                continue
            yaw = pose[2]
            robots.turning[e, robot] = _follow_command(
                pose, robots.turning[e, robot], v, w, motion, drive_share, turn_share
            )
            settled[robot] = is_still and pose[2] == yaw  # two ways of saying an angle may take turns
            moved[robot] = moved[robot] or not settled[robot]
        use_energy(s, e, robots, was, tables, numbers)
        count_contacts(s, e, robots, moved)
    rest(e, robots, numbers)
    for robot in range(count):
        blocked += robots.skill[e, robot, BLOCKED_TOTAL]
        travelled += robots.skill[e, robot, TRAVELLED]
    s.kpi[e, BLOCKED_S] += blocked
    s.kpi[e, DISTANCE_M] += travelled


@kernel
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
        v, w, height = move(
            robots.skill[e, robot],
            robots.pose[e, robot],
            robots.fork[e, robot],
            now,
            Fleet(robots.pose[e], goals, robot),
            tables,
            slow if is_weak else motion,
        )
        command[robot, 0], command[robot, 1], command[robot, 2] = v, w, height


@kernel
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


@kernel
def rest(e: int, robots: Robots, numbers: Numbers) -> None:
    """Robots that rest at their chargers take jobs again once their batteries hold enough."""
    battery = battery_of(numbers.battery[e])
    for robot in range(robots.energy.shape[1]):
        end_rest(robots.skill[e, robot], robots.energy[e, robot] / battery.capacity, battery)


@kernel
def obey(pose: np.ndarray, turning: float, v: float, w: float, numbers: MotionNumbers) -> float:
    """Move a body [4] for one motion step as its drive follows a command (m/s, rad/s); gives its new yaw rate.

    Speeds approach the command with a lag of first order and a limit of acceleration; the way is that of the mean
    speed. What truck these numbers stand for is in config/warehouse.yaml, section fitted.
    """
    drive_share, turn_share = _shares(numbers)
    return _follow_command(pose, turning, v, w, numbers, drive_share, turn_share)


@kernel
def _follow_command(
    pose: np.ndarray, turning: float, v: float, w: float, numbers: MotionNumbers, drive_share: float, turn_share: float
) -> float:
    speed = _follow(pose[3], v, drive_share, numbers.drive_acceleration, numbers.step)
    rate = _follow(turning, w, turn_share, numbers.turn_acceleration, numbers.step)
    ahead, turn = 0.5 * (pose[3] + speed) * numbers.step, 0.5 * (turning + rate) * numbers.step
    pose[0] += ahead * math.cos(pose[2] + 0.5 * turn)
    pose[1] += ahead * math.sin(pose[2] + 0.5 * turn)
    pose[2] = wrap(pose[2] + turn)
    pose[3] = speed
    return rate


@kernel
def _shares(numbers: MotionNumbers) -> tuple[float, float]:
    """The shares of a wanted change of speed, and of yaw rate, that one motion step brings by the drives' lag."""
    drive = 1.0 - math.exp(-numbers.step / numbers.drive_lag) if numbers.drive_lag > 0.0 else 1.0
    turn = 1.0 - math.exp(-numbers.step / numbers.turn_lag) if numbers.turn_lag > 0.0 else 1.0
    return drive, turn


@kernel
def _follow(value: float, wanted: float, share: float, most: float, step: float) -> float:
    change = (wanted - value) * share
    return value + max(-most * step, min(most * step, change))


@kernel
def count_contacts(s: State, e: int, robots: Robots, moved: np.ndarray) -> None:
    """Count contacts and near misses that began in a motion step, `moved` [R] telling who may stand elsewhere now."""
    for robot in range(robots.pose.shape[1]):
        if math.isnan(robots.pose[e, robot, 0]):
            continue
        x, y = robots.pose[e, robot, 0], robots.pose[e, robot, 1]
        may_differ = robots.near[e, robot] or robots.touching[e, robot]
        for other in range(robots.pose.shape[1]):
            if other != robot and (moved[robot] or moved[other]):
                across, along = robots.pose[e, other, 0] - x, robots.pose[e, other, 1] - y
                may_differ = may_differ or across * across + along * along < MEETING * MEETING
        if not may_differ:
            continue
        gap = 9.0
        for other in range(robots.pose.shape[1]):
            if other != robot and not math.isnan(robots.pose[e, other, 0]):
                gap = min(gap, outline_gap(robots.pose[e, robot], robots.pose[e, other]))
        if gap <= 0.0 and not robots.touching[e, robot]:
            s.kpi[e, CONTACTS] += 1
        if gap < NEAR and not robots.near[e, robot]:
            s.kpi[e, NEAR_MISSES] += 1
        robots.touching[e, robot] = gap <= 0.0
        robots.near[e, robot] = gap < NEAR


@kernel
def outline_gap(pose: np.ndarray, other: np.ndarray) -> float:
    """Metres from one robot's body to the nearest outline point of another; 0 inside."""
    best = 9.0
    if abs(pose[0] - other[0]) > 4.0 or abs(pose[1] - other[1]) > 4.0:
        return best
    c, s = math.cos(pose[2]), math.sin(pose[2])
    other_c, other_s = math.cos(other[2]), math.sin(other[2])
    for point in range(OUTLINE_POINTS):
        x, y = outline_point(other[0], other[1], other_c, other_s, point, 0.0)
        best = min(best, gap_seen(x - pose[0], y - pose[1], c, s))
    return best


@allocating
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
    notes = make_notes(0, robots.pose.shape[1], s.job_type.shape[1])
    _observe(s, e, robots, forklifts, inventories, qualities, tables, numbers, notes)


@kernel
def _observe(
    s: State,
    e: int,
    robots: Robots,
    forklifts: Board,
    inventories: Board,
    qualities: Board,
    tables: Tables,
    numbers: Numbers,
    notes: Notes,
) -> None:
    rules, motion, battery = rules_of(numbers.rules[e]), motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    jobs, opened, sectors = notes.jobs, notes.opened, notes.sectors
    count = open_jobs(s, e, tables, jobs, opened)
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
    stock, on_order, demand, slack = notes.stock[0], notes.stock[1], notes.stock[2], notes.stock[3]
    totals, lines, line_facts = notes.totals, notes.lines, notes.line_facts
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
            pipeline(s, e, zone, -1) < rules.max_pipeline,
            lines[:told],
            line_facts[:told],
        )
    queue, facts, history = notes.queue, notes.queue_facts, notes.history
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


@kernel
def _clear(board: Board, e: int, robot: int) -> None:
    board.vector[e, robot] = 0.0
    board.candidates[e, robot] = 0.0
    board.mask[e, robot] = False
    board.mask[e, robot, 0] = True
    board.verb[e, robot] = NONE
    board.subject[e, robot] = 0


@kernel
def _blur(sectors: np.ndarray, robots: Robots, e: int, robot: int, now: float, deviation: float) -> None:
    """Laser noise (m) on the nearest return of each sector [SECTORS]."""
    if deviation <= 0.0:
        return
    first = (int(now) * robots.pose.shape[1] + robot) * SECTORS
    for sector in range(SECTORS):
        noisy = sectors[sector] + deviation * robots.noise[e, (first + sector) % NOISE]
        sectors[sector] = min(max(noisy, 0.0), LASER_RANGE)
