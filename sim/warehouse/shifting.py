"""Moving straight, back or ahead, to where there is room to turn."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.sight import Fleet, in_turn, past_docked
from sim.warehouse.skill import (
    BACKING,
    DETOUR,
    HERE,
    HOLD_UNTIL,
    LET_PASS,
    NODE,
    is_turned,
    nearest_node,
)
from sim.warehouse.turning import FRONT, HALF_WIDTH, REAR, room, turn_to

ARRIVED = 0.25  # m from a route node that counts as passed
SHARP_TURN = 0.35  # rad; what turns by more is turned on the spot
BACK_OFF, BACK_SPEED, BACK_HOLD = 1.4, 0.35, 3.0  # m, m/s, s: how a robot backs off
SHIFT_STEP = 0.3  # m between two places along a straight shift that are looked at
SHIFT_ROOM = 0.12  # m wanted all across the end of a robot that shifts straight: half of what lies between five points
FARTHEST_ASIDE = 14.0  # m to drive at most to let another pass, or to shift straight to where there is room to turn
CLEAR_AHEAD = 10  # nodes of a way that are looked at for robots


@kernel
def back_off(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Reverse (or creep ahead) until the distance is done or something stands there; speed (m/s), yaw rate (rad/s)."""
    direction = math.copysign(1.0, skill[BACKING])
    skill[BACKING] -= direction * min(BACK_SPEED * numbers.step, abs(skill[BACKING]))
    if skill[BACKING] == 0.0 or not has_room(pose, direction > 0, fleet, tables):
        skill[BACKING] = 0.0
        skill[HERE] = skill[NODE] = nearest_node(pose, tables)
        if skill[LET_PASS] < 0:
            skill[HOLD_UNTIL] = now + BACK_HOLD
            skill[DETOUR] = -1
        return 0.0, 0.0
    return -direction * BACK_SPEED, 0.0


@allocating
def shift_for(pose: np.ndarray, target: int, fleet: Fleet, tables: Tables) -> float:
    """How far (m) to back off straight; negative, ahead, where only that way is free.

    As far as it takes to have room for the first turn of the way from there to a node, -1 for any. Beside robots in
    their places a lane has no such room for many metres.
    """
    plain = BACK_OFF
    if not has_room(pose, True, fleet, tables) and has_room(pose, False, fleet, tables):
        plain = -BACK_OFF
    if target < 0 or is_way_out(moved(pose, -plain), target, fleet, tables):
        return plain
    best = np.inf
    for direction in (-1.0, 1.0):
        at, way = pose, 0.0
        while way + SHIFT_STEP < min(abs(best), FARTHEST_ASIDE) and has_room(at, direction < 0.0, fleet, tables):
            way += SHIFT_STEP
            at = moved(pose, direction * way)
            if is_way_out(at, target, fleet, tables):
                best = -direction * way
    return best if abs(best) < np.inf else plain


@allocating
def moved(pose: np.ndarray, ahead: float) -> np.ndarray:
    """The pose [4] of a robot that has moved straight by that much (m)."""
    at = pose.copy()
    at[0] += ahead * math.cos(pose[2])
    at[1] += ahead * math.sin(pose[2])
    return at


@allocating
def is_way_out(pose: np.ndarray, target: int, fleet: Fleet, tables: Tables) -> bool:
    """`can_turn_off` for a robot that has shifted to a pose."""
    node = nearest_node(pose, tables)
    if math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1]) < ARRIVED:
        node = tables.next_node[node, target]
    return can_turn_off(pose, node, target, fleet, tables)


@allocating
def can_turn_off(pose: np.ndarray, node: int, target: int, fleet: Fleet, tables: Tables) -> bool:
    """Whether no robot is in the way of the first turn on the way over a node to another, as far as it is looked at."""
    at = pose.copy()
    for _ in range(CLEAR_AHEAD):
        heading = math.atan2(tables.node_y[node] - at[1], tables.node_x[node] - at[0])
        if is_turned(heading - at[2], SHARP_TURN):
            return in_turn(at, turn_to(at, heading, tables), fleet) < 0
        if node == target:
            break
        at[0], at[1], at[2] = tables.node_x[node], tables.node_y[node], heading
        node = tables.next_node[node, target]
    return True


@kernel
def has_room(pose: np.ndarray, is_backwards: bool, fleet: Fleet, tables: Tables) -> bool:
    """Whether neither a robot nor anything that stands is close behind (or ahead)."""
    heading, reach = (pose[2] + math.pi, REAR + 0.1) if is_backwards else (pose[2], FRONT + 0.1)
    if past_docked(pose, heading, fleet, 0.3, tables)[0] >= 0:
        return False
    c, s = math.cos(heading), math.sin(heading)
    x, y = pose[0] + reach * c, pose[1] + reach * s
    if room(x, y, tables) >= HALF_WIDTH:
        return True
    # What stands across the way leaves little room before its middle; the last inches still set two apart that are
    # too close to turn.
    for point in range(-2, 3):
        aside = 0.5 * HALF_WIDTH * point
        if room(x - aside * s, y + aside * c, tables) < SHIFT_ROOM:
            return False
    return True
