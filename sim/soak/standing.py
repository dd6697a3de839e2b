"""A robot that stands, in words: where it is, what it is about, and whom it has in its way."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse import skill as row

PHASES = (
    "idle",
    "driving to its pick",
    "aligning at its pick",
    "entering its pick",
    "lifting",
    "leaving its pick",
    "driving to its drop",
    "aligning at its drop",
    "entering its drop",
    "lowering",
    "leaving its drop",
    "driving home",
    "aligning at home",
    "entering home",
    "parked",
    "leaving home",
)  # in the order of the skill's phases


def describe(robot: int, pose: np.ndarray, skill: np.ndarray, fork: np.ndarray, now: float) -> str:
    """What one robot is about, and likewise whom it has in its way or lets pass.

    Args:
        robot: number.
        pose: of all robots [R, 4] (m, rad, m/s).
        skill: of all robots [R, SKILL_SIZE].
        fork: heights of all [R] (m).
        now: s.
    """
    words, mine = _where(robot, pose, skill), skill[robot]
    if mine[row.PHASE] in (row.LIFT, row.LOWER):
        words += f" with its forks at {fork[robot]:.3f} m"
    if mine[row.DETOUR] >= 0:
        words += " by a detour"
    if mine[row.BACKING] != 0.0:
        words += f", {abs(mine[row.BACKING]):.1f} m to back off"
    if mine[row.HOLD_UNTIL] > now:
        words += f", holding for {mine[row.HOLD_UNTIL] - now:.0f} s"
    if mine[row.BLOCKED] > 0.0 and mine[row.BLOCKER] >= 0:
        words += f"; for {mine[row.BLOCKED]:.0f} s in its way is {_where(int(mine[row.BLOCKER]), pose, skill)}"
    elif mine[row.LET_PASS] >= 0:
        words += f"; it lets pass {_where(int(mine[row.LET_PASS]), pose, skill)}"
    else:
        words += "; nobody is in its way"
    return words


def _where(robot: int, pose: np.ndarray, skill: np.ndarray) -> str:
    x, y, yaw = pose[robot, :3]
    phase = PHASES[int(skill[robot, row.PHASE])]
    return f"forklift_{robot + 1} at ({x:.2f}, {y:.2f}), {math.degrees(yaw):.0f} degrees, {phase}"
