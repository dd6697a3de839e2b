"""Contacts and near misses of the robots of a fast world, each counted once, when it begins."""

from __future__ import annotations

import math

import numpy as np

from sim.fast.robots import Robots
from sim.warehouse.compiled import kernel
from sim.warehouse.kpis import CONTACTS, NEAR_MISSES
from sim.warehouse.outline import BODY_REACH, NEAR, OUTLINE_POINTS, gap_seen, is_beyond, outline_point
from sim.warehouse.state import State

MEETING = 2 * BODY_REACH + NEAR  # m between the centres of robots that may be near each other


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
                gap = min(gap, _small_gap(robots.pose[e, robot], robots.pose[e, other]))
        if gap <= 0.0 and not robots.touching[e, robot]:
            s.kpi[e, CONTACTS] += 1
        if gap < NEAR and not robots.near[e, robot]:
            s.kpi[e, NEAR_MISSES] += 1
        robots.touching[e, robot] = gap <= 0.0
        robots.near[e, robot] = gap < NEAR


@kernel
def _small_gap(pose: np.ndarray, other: np.ndarray) -> float:
    """`outline_gap` (m) where that is below `NEAR`; anything from `NEAR` on elsewhere."""
    best = 9.0
    if abs(pose[0] - other[0]) > MEETING or abs(pose[1] - other[1]) > MEETING:
        return best
    c, s = math.cos(pose[2]), math.sin(pose[2])
    other_c, other_s = math.cos(other[2]), math.sin(other[2])
    for point in range(OUTLINE_POINTS):
        x, y = outline_point(other[0], other[1], other_c, other_s, point, 0.0)
        x, y = x - pose[0], y - pose[1]
        if not is_beyond(x, y, c, s, NEAR):
            best = min(best, gap_seen(x, y, c, s))
    return best
