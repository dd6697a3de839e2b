"""Who is in whose way, and how a stand-off ends: one function set for both simulators and the robot.

Traffic is decentralised: a robot stops when another robot's outline lies in the way it is about to take. A
stand-off ends by a yield or reroute that the agent decides, or after `resolve_after` by the same means and a rule
that differs from robot to robot. To let another pass, a robot looks for the nearest free node that lies aside of the
other's whole way to its goal, and waits there: the push-aside move of Luna and Bekris (Push and Swap: Fast
Cooperative Path-Finding with Completeness Guarantees, IJCAI 2011), decided by the robot alone. Every robot knows the
others' poses from shared localisation, and their goals from the job board.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.outline import BODY_REACH, OUTLINE_POINTS, gap_seen, gap_to_body, is_beyond, outline_point
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.skill import (
    BACKING,
    BLOCKED,
    BLOCKER,
    DETOUR,
    HERE,
    HOLD_UNTIL,
    LET_PASS,
    MET,
    MET_X,
    MET_Y,
    NODE,
    WAIT_UNTIL,
    goal_node,
    is_turned,
    nearest_node,
)
from sim.warehouse.turning import FRONT, HALF_WIDTH, REAR, room, turn_to

TURN_STEP, TURN_MARGIN, TURN_REACH = 0.15, 0.06, 2.0  # rad; m kept free; m, farther robots are never met by turning
BESIDE = 0.09  # m kept free on both sides of the way ahead; a lane passes parked robots by little more
SQUEEZE = 0.05  # m, the same at a creep beside one that stands in its place, for one that is a little off its lane
STILL = 0.02  # m/s
ARRIVED = 0.25  # m from a route node that counts as passed
SHARP_TURN = 0.35  # rad; what turns by more is turned on the spot
FORESIGHT = 0.9  # s
BACK_OFF, BACK_SPEED, BACK_HOLD = 1.4, 0.35, 3.0  # m, m/s, s: how a robot backs off
SHIFT_STEP = 0.3  # m between two places along a straight shift that are looked at
SHIFT_ROOM = 0.12  # m wanted all across the end of a robot that shifts straight: half of what lies between five points
AHEAD = 0.9  # m before the front in which nobody may stand when a robot sets out round another
APART = 1.5  # m between a node and any robot that stands clear of it
ASIDE = 1.45  # m between a robot's way and another that turns on the spot beside it
TIGHT_APART, TIGHT_ASIDE = 1.2, 1.0  # m, the same where there is no such room
FARTHEST_ASIDE = 14.0  # m to drive at most to let another pass, or to shift straight to where there is room to turn
LONGEST_WAIT = 25.0  # s
STOOD = 0.05  # m; a robot that moved less between two stand-offs is taken for an obstacle
CLEAR_AHEAD = 10  # nodes of a way that are looked at for robots
LONGEST_WAY = 40  # nodes of another's way that are looked at


class Fleet(NamedTuple):
    """What a robot knows of all R robots, itself included."""

    pose: np.ndarray  # [R, 4] float64: x, y (m), yaw (rad), speed (m/s) in map; x is NaN for one nobody has heard of
    goal: np.ndarray  # [R] int32: the place each heads for, -1 if unknown
    me: int  # own row


@kernel
def note_blocker(skill: np.ndarray, blocker: int, numbers: MotionNumbers) -> None:
    """Count the time (s) a robot has been blocked without a break."""
    skill[BLOCKER] = blocker
    skill[BLOCKED] = skill[BLOCKED] + numbers.step if blocker >= 0 else 0.0


@kernel
def in_way(
    pose: np.ndarray, heading: float, fleet: Fleet, lookahead: float, beside: float = BESIDE
) -> tuple[int, float]:
    """The nearest robot whose outline lies in the strip ahead, `beside` (m) wider than the body on both sides.

    Returns:
        Row of the robot that stands within `lookahead` of the front (-1 if none), and the free way (m, 99 if clear).
    """
    backwards = is_turned(heading - pose[2], 1.6)
    front = REAR if backwards else FRONT
    c, s = math.cos(heading), math.sin(heading)
    blocker, free = -1, 99.0
    for other in range(len(fleet.pose)):
        at = fleet.pose[other]
        if other == fleet.me or math.isnan(at[0]) or abs(at[0] - pose[0]) > 6.0 or abs(at[1] - pose[1]) > 6.0:
            continue
        # Of two robots about to cross, the later one in the fleet looks where the earlier one will be.
        foresight = FORESIGHT * max(at[3], 0.0) if other < fleet.me else 0.0
        ahead = (at[0] - pose[0]) * c + (at[1] - pose[1]) * s - front
        aside = -(at[0] - pose[0]) * s + (at[1] - pose[1]) * c
        reach = BODY_REACH + foresight
        if ahead + reach < -0.6 or ahead - reach > free or abs(aside) - reach > HALF_WIDTH + beside:
            continue
        at_c, at_s = math.cos(at[2]), math.sin(at[2])
        for point in range(OUTLINE_POINTS):
            x, y = outline_point(at[0], at[1], at_c, at_s, point, foresight)
            ahead = (x - pose[0]) * c + (y - pose[1]) * s - front
            aside = -(x - pose[0]) * s + (y - pose[1]) * c
            margin = beside if ahead > 0.0 else 0.0  # what stands beside the body is no obstacle ahead
            if ahead > -0.6 and abs(aside) < HALF_WIDTH + margin and ahead < free:
                free = max(ahead, 0.0)
                if ahead < lookahead:
                    blocker = other
    return blocker, free


@kernel
def past_docked(
    pose: np.ndarray, heading: float, fleet: Fleet, lookahead: float, tables: Tables
) -> tuple[int, float, bool]:
    """`in_way`, but a robot that stands in its place may be passed closely, though slowly.

    Returns:
        As `in_way`, and whether the way is free only because of that.
    """
    blocker, free = in_way(pose, heading, fleet, lookahead)
    if blocker >= 0 and _is_docked(fleet.pose[blocker], tables):
        closer, its_free = in_way(pose, heading, fleet, lookahead, SQUEEZE)
        if closer < 0:
            return closer, its_free, True
    return blocker, free, False


@kernel
def _is_docked(at: np.ndarray, tables: Tables) -> bool:
    """Whether a robot stands so far in a place that it neither turns nor comes out but by a way it sees free."""
    reach = 0.5 * tables.approach
    if abs(at[3]) > STILL:
        return False
    for place in range(len(tables.place_x)):
        across, along = abs(tables.place_x[place] - at[0]), abs(tables.place_y[place] - at[1])
        is_near = across < reach and along < reach and math.hypot(across, along) < reach
        if is_near and not is_turned(tables.place_yaw[place] - at[2], 0.2):
            return True
    return False


@kernel
def in_turn(pose: np.ndarray, sweep: float, fleet: Fleet) -> int:
    """A robot that this one would come too close to while turning on the spot by `sweep` (rad), -1 if none."""
    steps = 1 + int(abs(sweep) / TURN_STEP)
    for other in range(len(fleet.pose)):
        at = fleet.pose[other]
        if other == fleet.me or abs(at[0] - pose[0]) >= TURN_REACH or abs(at[1] - pose[1]) >= TURN_REACH:
            continue
        if not math.hypot(at[0] - pose[0], at[1] - pose[1]) < TURN_REACH:  # NaN is out of reach
            continue
        at_c, at_s = math.cos(at[2]), math.sin(at[2])
        for step in range(1, steps + 1):
            yaw = pose[2] + sweep * step / steps
            c, s = math.cos(yaw), math.sin(yaw)
            # Of two that begin to turn at once, the later one in the fleet keeps room for the other's first step.
            margin = 2 * TURN_MARGIN if step == 1 and other < fleet.me else TURN_MARGIN
            for point in range(OUTLINE_POINTS):
                x, y = outline_point(at[0], at[1], at_c, at_s, point, 0.0)
                x, y = x - pose[0], y - pose[1]
                if is_beyond(x, y, c, s, margin):
                    continue
                gap = gap_seen(x, y, c, s)
                if gap < margin and gap < gap_to_body(x, y, pose[2]) - 1e-6:
                    return other
    return -1


@allocating
def resolve(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> None:
    """The rule that ends a stand-off when no agent does: robots wait different times, then go round or give way."""
    patience = numbers.resolve_after + 2.0 * fleet.me
    if skill[BLOCKED] < (patience if skill[LET_PASS] < 0 else numbers.give_way_after):
        return
    if not reroute(skill, pose, fleet, tables):
        give_way(skill, pose, now, fleet, tables)


@allocating
def reroute(skill: np.ndarray, pose: np.ndarray, fleet: Fleet, tables: Tables) -> bool:
    """Pass the blocker by another way: the free neighbouring node from which the goal is nearest.

    A blocker that stands where it stood at the last stand-off with it may be dead; it is given a wide berth.
    """
    goal = goal_node(skill, tables)
    if goal < 0:
        return False
    blocker = int(skill[BLOCKER])
    if blocker >= 0:
        has_stood = stands_still(skill, blocker, fleet)
        skill[MET], skill[MET_X], skill[MET_Y] = blocker, fleet.pose[blocker, 0], fleet.pose[blocker, 1]
        if has_stood and _go_round(skill, pose, goal, fleet, tables):
            return True
    blocked_node = int(skill[NODE])
    here = nearest_node(pose, tables)
    best, cost = -1, np.inf
    for option in tables.neighbours[here]:
        if option < 0 or option == blocked_node or not tables.is_roomy[option]:
            continue
        if not _is_free(option, APART, fleet, tables):
            continue
        if not _is_way_free(option, goal, APART, fleet, tables):
            continue
        heading = math.atan2(tables.node_y[option] - pose[1], tables.node_x[option] - pose[0])
        if tables.distance[option, goal] < cost and in_turn(pose, turn_to(pose, heading, tables), fleet) < 0:
            best, cost = option, tables.distance[option, goal]
    if best < 0:
        return False
    skill[NODE] = skill[DETOUR] = best
    skill[LET_PASS] = -1
    skill[BLOCKED] = 0.0
    return True


@kernel
def stands_still(skill: np.ndarray, robot: int, fleet: Fleet) -> bool:
    """The last stand-off was with that robot, and it has not moved since."""
    at = fleet.pose[robot]
    return int(skill[MET]) == robot and math.hypot(at[0] - skill[MET_X], at[1] - skill[MET_Y]) < STOOD


@allocating
def _go_round(skill: np.ndarray, pose: np.ndarray, goal: int, fleet: Fleet, tables: Tables) -> bool:
    """Drive by the node over which the whole way to the goal is shortest and clear of the blocker."""
    blocker, here = int(skill[BLOCKER]), nearest_node(pose, tables)
    best = _best_round(here, goal, APART, fleet.pose[blocker], tables)
    if best < 0:
        best = _best_round(here, goal, TIGHT_APART, fleet.pose[blocker], tables)
    if best < 0:
        return False
    shift, first = 0.0, tables.next_node[here, best]
    heading = math.atan2(tables.node_y[first] - pose[1], tables.node_x[first] - pose[0])
    # Without a shift it would wait here for one that waits for it to be gone.
    if in_way(pose, heading, fleet, AHEAD)[0] >= 0 or not _can_turn_off(pose, first, best, fleet, tables):
        shift = _shift(pose, best, fleet, tables)
        if not _is_way_out(_moved(pose, -shift), best, fleet, tables):
            return False
    skill[LET_PASS], skill[WAIT_UNTIL] = blocker, 0.0  # it is not waited for
    skill[DETOUR], skill[NODE], skill[BACKING] = best, first, shift
    skill[BLOCKED] = 0.0
    return True


@kernel
def _best_round(here: int, goal: int, apart: float, at: np.ndarray, tables: Tables) -> int:
    """The node over which the way is shortest that stays `apart` (m) from a pose; -1 if there is none."""
    best, cost = -1, np.inf
    for node in range(len(tables.node_x)):
        length = tables.distance[here, node] + tables.distance[node, goal]
        if node == here or length >= cost or not tables.is_roomy[node] or not _is_clear(here, node, apart, at, tables):
            continue
        if _is_clear(node, goal, apart, at, tables):
            best, cost = node, length
    return best


@kernel
def _is_clear(start: int, end: int, apart: float, at: np.ndarray, tables: Tables) -> bool:
    """Whether a way, its start left out, stays `apart` (m) from a pose."""
    node = start
    for _ in range(LONGEST_WAY - 1):
        if node == end:
            break
        node = tables.next_node[node, end]
        if math.hypot(tables.node_x[node] - at[0], tables.node_y[node] - at[1]) < apart:
            return False
    return True


@allocating
def give_way(skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables) -> None:
    """Go aside and let the blocker pass; where there is no way aside, back off straight, the way it came."""
    if not _go_aside(skill, pose, now, fleet, tables):
        skill[BACKING] = _shift(pose, goal_node(skill, tables), fleet, tables)
    skill[BLOCKED] = 0.0


@allocating
def _go_aside(skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables) -> bool:
    """Make the nearest free node aside of the blocker's way the next one to drive to."""
    blocker = int(skill[BLOCKER])
    if blocker < 0 or math.isnan(fleet.pose[blocker, 0]):
        return False
    here = nearest_node(pose, tables)
    best = _nearest_aside(here, way_of(blocker, fleet, tables), ASIDE, APART, fleet, tables)
    if best < 0:
        best = _nearest_aside(here, way_of(blocker, fleet, tables), TIGHT_ASIDE, TIGHT_APART, fleet, tables)
    if best < 0:
        return False
    shift, first = 0.0, tables.next_node[here, best]
    if not _can_turn_off(pose, first, best, fleet, tables):
        shift = _shift(pose, best, fleet, tables)
        if not _is_way_out(_moved(pose, -shift), best, fleet, tables):
            return False
    skill[LET_PASS], skill[WAIT_UNTIL] = blocker, now + LONGEST_WAIT
    skill[DETOUR], skill[NODE], skill[BACKING] = best, first, shift
    return True


@kernel
def _nearest_aside(here: int, way: np.ndarray, aside: float, apart: float, fleet: Fleet, tables: Tables) -> int:
    """The nearest node `aside` (m) of a way that is reached without coming `apart` (m) near a robot; -1 if none."""
    best, cost = -1, FARTHEST_ASIDE
    for node in range(len(tables.node_x)):
        if node == here or tables.distance[here, node] >= cost or not tables.is_roomy[node]:
            continue
        if _gap(node, way, tables) < aside:
            continue
        if _is_way_free(here, node, apart, fleet, tables):
            best, cost = node, tables.distance[here, node]
    return best


@allocating
def way_of(robot: int, fleet: Fleet, tables: Tables) -> np.ndarray:
    """The nodes [n] a robot still has to pass to its goal, from where it is."""
    here = nearest_node(fleet.pose[robot], tables)
    place = fleet.goal[robot]
    return way_between(here, here if place < 0 else tables.place_node[place], tables)


@allocating
def way_between(start: int, goal: int, tables: Tables) -> np.ndarray:
    """The nodes [n] from start to goal, both included; its first `LONGEST_WAY`."""
    way = np.zeros(LONGEST_WAY, np.int64)
    way[0] = start
    count = 1
    while count < LONGEST_WAY and way[count - 1] != goal:
        way[count] = tables.next_node[way[count - 1], goal]
        count += 1
    return way[:count]


@kernel
def back_off(
    skill: np.ndarray, pose: np.ndarray, now: float, fleet: Fleet, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Reverse (or creep ahead) until the distance is done or something stands there; speed (m/s), yaw rate (rad/s)."""
    direction = math.copysign(1.0, skill[BACKING])
    skill[BACKING] -= direction * min(BACK_SPEED * numbers.step, abs(skill[BACKING]))
    if skill[BACKING] == 0.0 or not _has_room(pose, direction > 0, fleet, tables):
        skill[BACKING] = 0.0
        skill[HERE] = skill[NODE] = nearest_node(pose, tables)
        if skill[LET_PASS] < 0:
            skill[HOLD_UNTIL] = now + BACK_HOLD
            skill[DETOUR] = -1
        return 0.0, 0.0
    return -direction * BACK_SPEED, 0.0


@allocating
def _shift(pose: np.ndarray, target: int, fleet: Fleet, tables: Tables) -> float:
    """How far (m) to back off straight; negative, ahead, where only that way is free.

    As far as it takes to have room for the first turn of the way from there to a node, -1 for any. Beside robots in
    their places a lane has no such room for many metres.
    """
    plain = BACK_OFF
    if not _has_room(pose, True, fleet, tables) and _has_room(pose, False, fleet, tables):
        plain = -BACK_OFF
    if target < 0 or _is_way_out(_moved(pose, -plain), target, fleet, tables):
        return plain
    best = np.inf
    for direction in (-1.0, 1.0):
        at, way = pose, 0.0
        while way + SHIFT_STEP < min(abs(best), FARTHEST_ASIDE) and _has_room(at, direction < 0.0, fleet, tables):
            way += SHIFT_STEP
            at = _moved(pose, direction * way)
            if _is_way_out(at, target, fleet, tables):
                best = -direction * way
    return best if abs(best) < np.inf else plain


@allocating
def _moved(pose: np.ndarray, ahead: float) -> np.ndarray:
    """The pose [4] of a robot that has moved straight by that much (m)."""
    at = pose.copy()
    at[0] += ahead * math.cos(pose[2])
    at[1] += ahead * math.sin(pose[2])
    return at


@allocating
def _is_way_out(pose: np.ndarray, target: int, fleet: Fleet, tables: Tables) -> bool:
    """`_can_turn_off` for a robot that has shifted to a pose."""
    node = nearest_node(pose, tables)
    if math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1]) < ARRIVED:
        node = tables.next_node[node, target]
    return _can_turn_off(pose, node, target, fleet, tables)


@allocating
def _can_turn_off(pose: np.ndarray, node: int, target: int, fleet: Fleet, tables: Tables) -> bool:
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
def _has_room(pose: np.ndarray, is_backwards: bool, fleet: Fleet, tables: Tables) -> bool:
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


@kernel
def _gap(node: int, way: np.ndarray, tables: Tables) -> float:
    """Metres from a node to the nearest node of a way [n]."""
    best = np.inf
    for index in range(len(way)):
        step = way[index]
        best = min(
            best, math.hypot(tables.node_x[node] - tables.node_x[step], tables.node_y[node] - tables.node_y[step])
        )
    return best


@kernel
def _is_free(node: int, apart: float, fleet: Fleet, tables: Tables) -> bool:
    for other in range(len(fleet.pose)):
        if other == fleet.me or math.isnan(fleet.pose[other, 0]):
            continue
        if math.hypot(tables.node_x[node] - fleet.pose[other, 0], tables.node_y[node] - fleet.pose[other, 1]) < apart:
            return False
    return True


@kernel
def _is_way_free(start: int, end: int, apart: float, fleet: Fleet, tables: Tables) -> bool:
    """Whether no robot stands on the way from `start`, itself left out, to `end`, as far as it is looked at."""
    node, looked_at = start, 0
    while node != end and looked_at < CLEAR_AHEAD:
        node = tables.next_node[node, end]
        if not _is_free(node, apart, fleet, tables):
            return False
        looked_at += 1
    return True
