"""Whom a robot has in its way: what it knows of the others, the strip ahead of it, and its turn on the spot."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.outline import BODY_REACH, OUTLINE_POINTS, gap_seen, gap_to_body, is_beyond, outline_point
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.skill import BLOCKED, BLOCKER, is_turned
from sim.warehouse.turning import FRONT, HALF_WIDTH, REAR

TURN_STEP, TURN_MARGIN, TURN_REACH = 0.15, 0.06, 2.0  # rad; m kept free; m, farther robots are never met by turning
BESIDE = 0.09  # m kept free on both sides of the way ahead; a lane passes parked robots by little more
SQUEEZE = 0.05  # m, the same at a creep beside one that stands in its place, for one that is a little off its lane
STILL = 0.02  # m/s
FORESIGHT = 0.9  # s


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
