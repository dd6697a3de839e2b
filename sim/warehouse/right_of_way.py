"""Who goes first into a lane that two robots want to pass in opposite directions."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.routes import Tables
from sim.warehouse.sight import Fleet
from sim.warehouse.skill import LET_PASS, WAIT_UNTIL, nearest_node
from sim.warehouse.traffic import ASIDE, LONGEST_WAIT, LONGEST_WAY, stands_still

LOOK_OUT = 12.0  # m; robots farther away are not waited for


@kernel
def must_wait(skill: np.ndarray, node: int, goal: int, now: float, fleet: Fleet, tables: Tables) -> bool:
    """Whether a robot at a node shall stay there until another has come out of the lane that lies ahead.

    It stays where it stands aside of the other's way, if one step on it would not, and if further on both would meet
    head-on. Of two that could both wait, the later one in the fleet does; nobody waits longer than `LONGEST_WAIT`.
    """
    if node != goal:
        onward = int(tables.next_node[node, goal])
        for other in range(len(fleet.pose)):
            if not _is_company(skill, other, node, fleet, tables):
                continue
            here, place = nearest_node(fleet.pose[other], tables), fleet.goal[other]
            there = here if place < 0 else tables.place_node[place]
            if _passes(here, there, node, tables) or not _passes(here, there, onward, tables):
                continue
            if not _meets_head_on(node, goal, here, there, tables):
                continue
            if fleet.me < other and not _passes(node, goal, here, tables):
                continue
            if skill[LET_PASS] < 0:
                skill[WAIT_UNTIL] = now + LONGEST_WAIT
            skill[LET_PASS] = other
            return now < skill[WAIT_UNTIL]
    skill[LET_PASS] = -1
    return False


@kernel
def _is_company(skill: np.ndarray, other: int, node: int, fleet: Fleet, tables: Tables) -> bool:
    """Whether another robot moves and is near enough to a node to be waited for."""
    if other == fleet.me:
        return False
    at = fleet.pose[other]
    across, along = abs(at[0] - tables.node_x[node]), abs(at[1] - tables.node_y[node])
    if across >= LOOK_OUT or along >= LOOK_OUT or not math.hypot(across, along) < LOOK_OUT:  # NaN is no company
        return False
    return not stands_still(skill, other, fleet)


@kernel
def _passes(start: int, end: int, node: int, tables: Tables) -> bool:
    """Whether the way from start to end, its first `LONGEST_WAY` nodes, comes nearer to a node than `ASIDE`."""
    x, y, at = tables.node_x[node], tables.node_y[node], start
    for _ in range(LONGEST_WAY):
        across, along = abs(x - tables.node_x[at]), abs(y - tables.node_y[at])
        if across < ASIDE and along < ASIDE and math.hypot(across, along) < ASIDE:
            return True
        if at == end:
            return False
        at = tables.next_node[at, end]
    return False


@kernel
def _meets_head_on(start: int, end: int, their_start: int, their_end: int, tables: Tables) -> bool:
    """Whether two ways, their first `LONGEST_WAY` nodes, pass one link between nodes in opposite directions."""
    at = start
    for _ in range(LONGEST_WAY - 1):
        if at == end:
            return False
        onward, their = int(tables.next_node[at, end]), their_start
        for _ in range(LONGEST_WAY - 1):
            if their == their_end:
                break
            their_next = tables.next_node[their, their_end]
            if their == onward and their_next == at:
                return True
            their = their_next
        at = onward
    return False
