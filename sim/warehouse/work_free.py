"""Getting off what holds a robot fast: a wall, a rack or a load that it leans on, which no rule of traffic sees.

A truck in such a place is commanded to turn or drive, and nothing moves. After `STALL` it stops following its route
and works itself free by short arcs, each the first of the three that together lead to the best pose; what stands is
known from the plan. One that moves nothing, either, is followed by the next best. A recovery behaviour as in Marder-
Eppstein et al., The Office Marathon, ICRA 2010, section IV, for trucks that cannot turn where they are.
"""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.outline import OUTLINE_POINTS, outline
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.shifting import ARRIVED, SHARP_TURN
from sim.warehouse.sight import Fleet, in_turn, in_way
from sim.warehouse.skill import (
    BACKING,
    BLOCKED,
    DETOUR,
    HERE,
    LET_PASS,
    NODE,
    STALLED,
    STALLED_X,
    STALLED_Y,
    STALLED_YAW,
    WORK_UNTIL,
    WORK_V,
    WORK_W,
    is_turned,
    nearest_node,
    wrap,
)
from sim.warehouse.turning import ROOM, is_turn_free, room, turn_to

HARDLY_DRIVEN, HARDLY_TURNED = 0.05, 0.1  # m, rad: poses that close are one; commands of less a second move nothing
STALL = 5.0  # s of commands that have moved nothing
ARC_TIME, ARC_STEPS = 0.8, 4  # s an arc lasts, and poses on it that are looked at
ARC_SPEED, ARC_TURN = 0.3, 0.5  # m/s, rad/s
ARCS = 6  # ahead and back, each to the left, straight and to the right
FREE_TO_TURN = 1.0  # what a pose is worth more from which the robot can turn to where its route goes on


@kernel
def note_stall(skill: np.ndarray, pose: np.ndarray, speed: float, yaw_rate: float, numbers: MotionNumbers) -> None:
    """Count the time (s) that commands have moved nothing."""
    is_told = abs(speed) > HARDLY_DRIVEN or abs(yaw_rate) > HARDLY_TURNED
    driven = math.hypot(pose[0] - skill[STALLED_X], pose[1] - skill[STALLED_Y])
    if is_told and driven < HARDLY_DRIVEN and abs(wrap(pose[2] - skill[STALLED_YAW])) < HARDLY_TURNED:
        skill[STALLED] += numbers.step
    else:
        skill[STALLED] = 0.0
        skill[STALLED_X], skill[STALLED_Y], skill[STALLED_YAW] = pose[0], pose[1], pose[2]


@kernel
def is_working_free(skill: np.ndarray) -> bool:
    """Whether a robot is about to get off something, or has to begin."""
    return skill[WORK_UNTIL] > 0.0 or skill[STALLED] > STALL


@allocating
def work_free(
    skill: np.ndarray, pose: np.ndarray, now: float, goal: int, fleet: Fleet, tables: Tables
) -> tuple[float, float]:
    """Go on with an arc, or choose the next, until the robot can turn to where its route goes on.

    Returns:
        Speed (m/s) and yaw rate (rad/s).
    """
    if skill[WORK_UNTIL] == 0.0:
        skill[STALLED] = skill[BACKING] = 0.0
        skill[DETOUR] = skill[LET_PASS] = -1
    elif now >= skill[WORK_UNTIL] and _is_free(pose, goal, tables):
        skill[WORK_UNTIL] = skill[BLOCKED] = skill[STALLED] = 0.0
        skill[HERE] = skill[NODE] = nearest_node(pose, tables)
        return 0.0, 0.0
    if now >= skill[WORK_UNTIL]:
        passed_over = int(skill[STALLED] / ARC_TIME) % ARCS  # these were tried from here, and moved nothing
        arc = _best_arc(pose, goal, passed_over, fleet, tables)
        skill[WORK_V], skill[WORK_W], skill[WORK_UNTIL] = 0.0, 0.0, now + ARC_TIME
        if arc >= 0:
            skill[WORK_V], skill[WORK_W] = _command(arc)
    return skill[WORK_V], skill[WORK_W]


@kernel
def _command(arc: int) -> tuple[float, float]:
    """Speed (m/s) and yaw rate (rad/s) of an arc."""
    return (ARC_SPEED if arc < 3 else -ARC_SPEED), (arc % 3 - 1) * ARC_TURN


@kernel
def _is_free(pose: np.ndarray, goal: int, tables: Tables) -> bool:
    """Whether the robot can turn to where its route goes on."""
    node = nearest_node(pose, tables)
    if math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1]) < ARRIVED:
        node = tables.next_node[node, goal]
    heading = math.atan2(tables.node_y[node] - pose[1], tables.node_x[node] - pose[0])
    return not is_turned(heading - pose[2], SHARP_TURN) or is_turn_free(pose, turn_to(pose, heading, tables), tables)


@allocating
def _best_arc(pose: np.ndarray, goal: int, passed_over: int, fleet: Fleet, tables: Tables) -> int:
    """The arc with which the best sequence of three begins, after so many better ones; -1 where others bar them all."""
    value = np.full(ARCS, -np.inf)
    for first in range(ARCS):
        v, w = _command(first)
        heading = pose[2] if v > 0.0 else pose[2] + math.pi
        if in_way(pose, heading, fleet, ARC_SPEED)[0] >= 0 or in_turn(pose, w * ARC_TIME, fleet) >= 0:
            continue
        one, pressed = _after(pose, first, tables)
        value[first] = _worth(one, goal, tables) - pressed
        for second in range(ARCS):
            two, harder = _after(one, second, tables)
            value[first] = max(value[first], _worth(two, goal, tables) - pressed - harder)
            for third in range(ARCS):
                three, hardest = _after(two, third, tables)
                value[first] = max(value[first], _worth(three, goal, tables) - pressed - harder - hardest)
    for _ in range(passed_over):
        value[np.argmax(value)] = -np.inf
    best = int(np.argmax(value))
    return best if value[best] > -np.inf else -1


@allocating
def _after(pose: np.ndarray, arc: int, tables: Tables) -> tuple[np.ndarray, float]:
    """The pose [4] at the end of an arc, and how much room the outline lacks more on the way than before it."""
    v, w = _command(arc)
    at, before, deepest = pose.copy(), _depth(pose, tables), 0.0
    for _ in range(ARC_STEPS):
        at[2] += w * ARC_TIME / ARC_STEPS
        at[0] += v * ARC_TIME / ARC_STEPS * math.cos(at[2])
        at[1] += v * ARC_TIME / ARC_STEPS * math.sin(at[2])
        deepest = max(deepest, _depth(at, tables) - before)
    return at, deepest


@kernel
def _depth(pose: np.ndarray, tables: Tables) -> float:
    """How much room the points of the outline lack, all together, as shares of `ROOM`."""
    lack = 0.0
    for point in range(OUTLINE_POINTS):
        x, y = outline(pose, point, 0.0)
        lack += max(0.0, ROOM - room(x, y, tables)) / ROOM
    return lack


@kernel
def _worth(pose: np.ndarray, goal: int, tables: Tables) -> float:
    """How good a pose is: the room (m) around its middle, less what its outline lacks, more if it can turn there."""
    free = FREE_TO_TURN if _is_free(pose, goal, tables) else 0.0
    return free + room(pose[0], pose[1], tables) - _depth(pose, tables)
