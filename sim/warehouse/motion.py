"""The move skill: follow the route, dock, lift, back out. One function for both simulators and the robot."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import inlined, kernel
from sim.warehouse.right_of_way import must_wait
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.shifting import ARRIVED, SHARP_TURN, back_off
from sim.warehouse.sight import Fleet, in_turn, in_way, note_blocker, past_docked
from sim.warehouse.skill import (
    ALIGN_DROP,
    ALIGN_HOME,
    ALIGN_PICK,
    BACKING,
    BLOCKED,
    BLOCKED_TOTAL,
    DETOUR,
    DROP_PLACE,
    ENTER_DROP,
    ENTER_HOME,
    ENTER_PICK,
    HERE,
    HOLD_UNTIL,
    IDLE,
    LEAVE_DROP,
    LEAVE_HOME,
    LEAVE_PICK,
    LET_PASS,
    LIFT,
    LOWER,
    NODE,
    PHASE,
    PICK_PLACE,
    SPEED,
    TO_DROP,
    TO_HOME,
    TO_PICK,
    TRAVELLED,
    docking_place,
    goal_node,
    is_turned,
    wrap,
)
from sim.warehouse.traffic import give_way, resolve
from sim.warehouse.turning import turn_to
from sim.warehouse.work_free import is_working_free, note_stall, work_free

ALIGNED = 0.02  # rad
CENTRED = 0.015  # m
LEAVE_LOOKAHEAD = 0.4  # m of free way wanted behind while backing out; before that, the whole way out
LEAVE_SHORT = 0.1  # m of free way wanted beyond the approach point while backing out
HARDLY_MOVED = 0.1  # m
STRAIGHT = 0.05  # rad off its heading within which a robot may squeeze past one that stands in its place
SQUEEZE_SPEED = 0.35  # m/s
SHARP = 0.6  # rad; a node where the route turns by more is taken slowly
STOP_SHORT = 0.3  # m of free way wanted beyond a node the robot stops at


@inlined
def move(
    skill: np.ndarray,
    pose: np.ndarray,
    fork_height: float,
    now: float,
    fleet: Fleet,
    tables: Tables,
    numbers: MotionNumbers,
) -> tuple[float, float, float]:
    """Advance the skill by one motion step.

    Args:
        skill: the robot's skill row [SKILL_SIZE], updated in place.
        pose: x (m), y (m), yaw (rad), speed (m/s) in map [4].
        fork_height: m above the floor.
        now: s.
        fleet: where all robots are and go; the own row is skipped.

    Returns:
        Speed (m/s), yaw rate (rad/s) and fork height (m) to command.
    """
    phase = int(skill[PHASE])
    fork = numbers.fork_high if phase >= LIFT and phase <= ENTER_DROP else numbers.fork_low
    speed, yaw_rate = 0.0, 0.0
    if phase == IDLE:
        skill[PHASE] = TO_HOME
    elif phase == TO_PICK or phase == TO_DROP or phase == TO_HOME:
        speed, yaw_rate = _drive(skill, pose, now, fleet, tables, numbers)
    elif phase == ALIGN_PICK or phase == ALIGN_DROP or phase == ALIGN_HOME:
        speed, yaw_rate = _align(skill, pose, now, fleet, tables, numbers)
    elif phase == ENTER_PICK or phase == ENTER_DROP or phase == ENTER_HOME:
        speed, yaw_rate = _enter(skill, pose, now, fleet, tables, numbers)
    elif phase == LIFT or phase == LOWER:
        if abs(fork_height - fork) < 0.005:
            skill[PHASE] = phase + 1
    elif phase == LEAVE_PICK or phase == LEAVE_DROP or phase == LEAVE_HOME:
        speed, yaw_rate = _leave(skill, pose, now, fleet, tables, numbers)
    limit = numbers.acceleration * numbers.step
    speed = min(max(speed, skill[SPEED] - 2 * limit), skill[SPEED] + limit)
    skill[SPEED] = speed
    if skill[BLOCKED] > 0:
        skill[BLOCKED_TOTAL] += numbers.step
    skill[TRAVELLED] += abs(pose[3]) * numbers.step
    note_stall(skill, pose, speed, yaw_rate, numbers)
    return speed, yaw_rate, fork


@inlined
def _drive(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Follow the route to the goal's approach point."""
    if skill[BACKING] != 0.0 and not is_working_free(skill):
        return back_off(skill, pose, now, fleet, tables, numbers)
    goal = goal_node(skill, tables)
    if is_working_free(skill):
        return work_free(skill, pose, now, goal, fleet, tables)
    node = int(skill[NODE])
    gap = math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1])
    is_last = node == goal and skill[DETOUR] < 0
    if is_last and gap < 0.06:
        skill[HERE] = node
        skill[PHASE] += 1  # align
        return 0.0, 0.0
    if gap < ARRIVED and not is_last:
        skill[HERE] = node
        if int(skill[DETOUR]) == node or skill[DETOUR] < 0:
            if must_wait(skill, node, goal, now, fleet, tables):
                skill[BLOCKED] = 0.0
                skill[BLOCKED_TOTAL] += numbers.step
                return 0.0, 0.0
            skill[DETOUR] = -1
        skill[NODE] = tables.next_node[node, goal if skill[DETOUR] < 0 else int(skill[DETOUR])]
        node = int(skill[NODE])
        gap = math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1])
    if now < skill[HOLD_UNTIL]:
        return 0.0, 0.0
    wanted = math.atan2(tables.node_y[node] - pose[1], tables.node_x[node] - pose[0])
    error = wrap(wanted - pose[2])
    if abs(error) > SHARP_TURN:
        error = turn_to(pose, wanted, tables)
        blocker = in_turn(pose, error, fleet)
        note_blocker(skill, blocker, numbers)
        if blocker >= 0:
            resolve(skill, pose, now, fleet, tables, numbers)
            return 0.0, 0.0
        return 0.0, _turn(error, numbers)
    will_stop = is_last or (skill[LET_PASS] >= 0 and int(skill[DETOUR]) == node)
    lookahead = min(numbers.lookahead, gap + STOP_SHORT) if will_stop else numbers.lookahead
    blocker, free, is_close = past_docked(pose, wanted, fleet, lookahead, tables)
    if is_close and abs(error) > STRAIGHT:
        blocker = in_turn(pose, error, fleet)
        if blocker < 0:
            note_blocker(skill, blocker, numbers)
            return 0.0, _turn(error, numbers)
    note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        resolve(skill, pose, now, fleet, tables, numbers)
        return 0.0, _turn(error, numbers) if in_turn(pose, error, fleet) < 0 else 0.0
    brake = math.sqrt(2.0 * 0.7 * numbers.acceleration * max(gap - 0.05, 0.0)) + 0.05
    if brake < numbers.cruise_speed and not will_stop and not _turns_at(skill, node, wanted, goal, tables):
        brake = math.sqrt(2.0 * 0.7 * numbers.acceleration * max(gap + 1.0 - 0.05, 0.0)) + 0.05
    speed = min(
        SQUEEZE_SPEED if is_close else numbers.cruise_speed,
        brake,
        math.sqrt(numbers.acceleration * max(free - 0.2, 0.0)) + 0.05,
    )
    return speed * math.cos(error), _turn(error, numbers)


@kernel
def _turns_at(skill: np.ndarray, node: int, heading: float, goal: int, tables: Tables) -> bool:
    """Whether the route turns at `node` so much that it must be taken slowly."""
    following = tables.next_node[node, goal if skill[DETOUR] < 0 else int(skill[DETOUR])]
    if following == node:
        return True
    onward = math.atan2(tables.node_y[following] - tables.node_y[node], tables.node_x[following] - tables.node_x[node])
    return is_turned(onward - heading, SHARP)


@inlined
def _align(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Turn on the spot at the approach point until the robot faces the place."""
    place = docking_place(skill)
    error = turn_to(pose, tables.place_yaw[place], tables)
    if abs(error) < ALIGNED:
        skill[PHASE] += 1
        skill[BLOCKED] = 0.0
        return 0.0, 0.0
    if is_working_free(skill):
        skill[PHASE] -= 1  # drive
        return work_free(skill, pose, now, goal_node(skill, tables), fleet, tables)
    blocker = in_turn(pose, error, fleet)
    note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        if skill[BLOCKED] > numbers.resolve_after + 2.0 * fleet.me:
            skill[PHASE] -= 1  # drive
            give_way(skill, pose, now, fleet, tables)
        return 0.0, 0.0
    return 0.0, _turn(error, numbers)


@inlined
def _enter(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Drive straight in until the pallet sits on the forks (or the forks over the parking place)."""
    place = docking_place(skill)
    yaw = tables.place_yaw[place]
    dx, dy = tables.place_x[place] - pose[0], tables.place_y[place] - pose[1]
    ahead = dx * math.cos(yaw) + dy * math.sin(yaw) - numbers.dock_reach
    aside = -dx * math.sin(yaw) + dy * math.cos(yaw)
    if ahead < CENTRED:
        skill[PHASE] += 1
        return 0.0, 0.0
    blocker, _ = in_way(pose, yaw, fleet, min(ahead, 0.5))
    note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        return 0.0, 0.0
    heading = yaw + max(-0.25, min(0.25, 1.2 * aside))
    speed = min(numbers.dock_speed, 0.05 + 0.8 * ahead)
    return speed, max(-0.4, min(0.4, 2.0 * wrap(heading - pose[2])))


@inlined
def _leave(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Back out straight to the approach point; back in again if another bars the way for long."""
    place = docking_place(skill)
    yaw = tables.place_yaw[place]
    dx, dy = tables.place_x[place] - pose[0], tables.place_y[place] - pose[1]
    left = tables.approach - (dx * math.cos(yaw) + dy * math.sin(yaw))
    if left < 0.05:
        node = tables.place_node[place]
        skill[HERE] = skill[NODE] = node
        if skill[PHASE] == LEAVE_HOME:
            skill[PHASE] = TO_PICK
        elif skill[PHASE] == LEAVE_PICK:
            skill[PHASE] = TO_DROP
        else:
            skill[PHASE] = IDLE
            skill[PICK_PLACE] = skill[DROP_PLACE] = -1
        return 0.0, 0.0
    lookahead = LEAVE_LOOKAHEAD
    if left > tables.approach - numbers.dock_reach - HARDLY_MOVED:
        lookahead = left - HARDLY_MOVED
    blocker, _ = in_way(pose, yaw + math.pi, fleet, lookahead)
    if blocker > fleet.me:  # of two that come out tail to tail the earlier one in the fleet only needs its own way
        blocker, _ = in_way(pose, yaw + math.pi, fleet, min(lookahead, left + LEAVE_SHORT))
    note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        out = tables.approach - numbers.dock_reach - left
        if out > CENTRED and skill[BLOCKED] > numbers.resolve_after + 2.0 * fleet.me:
            return min(numbers.dock_speed, 0.05 + 0.8 * out), _along(yaw, pose)  # back in: it bars who bars it
        return 0.0, 0.0
    return -min(numbers.dock_speed, 0.05 + 0.8 * left), _along(yaw, pose)


@kernel
def _along(yaw: float, pose: np.ndarray) -> float:
    """The yaw rate (rad/s) that keeps a robot straight in its place."""
    return max(-0.4, min(0.4, 2.0 * wrap(yaw - pose[2])))


@kernel
def _turn(error: float, numbers: MotionNumbers) -> float:
    return max(-numbers.yaw_rate, min(numbers.yaw_rate, 2.5 * error))
