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

import numpy as np

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.shifting import CLEAR_AHEAD, FARTHEST_ASIDE, can_turn_off, is_way_out, moved, shift_for
from sim.warehouse.sight import Fleet, in_turn, in_way
from sim.warehouse.skill import (
    BACKING,
    BLOCKED,
    BLOCKER,
    DETOUR,
    LET_PASS,
    MET,
    MET_X,
    MET_Y,
    NODE,
    WAIT_UNTIL,
    goal_node,
    nearest_node,
)
from sim.warehouse.turning import turn_to

AHEAD = 0.9  # m before the front in which nobody may stand when a robot sets out round another
APART = 1.5  # m between a node and any robot that stands clear of it
ASIDE = 1.45  # m between a robot's way and another that turns on the spot beside it
TIGHT_APART, TIGHT_ASIDE = 1.2, 1.0  # m, the same where there is no such room
LONGEST_WAIT = 25.0  # s
STOOD = 0.05  # m; a robot that moved less between two stand-offs is taken for an obstacle
LONGEST_WAY = 40  # nodes of another's way that are looked at


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
    if in_way(pose, heading, fleet, AHEAD)[0] >= 0 or not can_turn_off(pose, first, best, fleet, tables):
        shift = shift_for(pose, best, fleet, tables)
        if not is_way_out(moved(pose, -shift), best, fleet, tables):
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
        skill[BACKING] = shift_for(pose, goal_node(skill, tables), fleet, tables)
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
    if not can_turn_off(pose, first, best, fleet, tables):
        shift = shift_for(pose, best, fleet, tables)
        if not is_way_out(moved(pose, -shift), best, fleet, tables):
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
