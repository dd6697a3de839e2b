"""What a robot's laser tells: the nearest return in each of 8 sectors, from a real scan or from the floor plan.

On the plan three rays a sector are followed by sphere tracing (Hart, Sphere Tracing, The Visual Computer 12, 1996):
from a point with a clearance of d nothing is nearer than d, so a ray may advance by that much.
"""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.outline import BODY_REACH, OUTLINE_POINTS, outline_point
from sim.warehouse.routes import Tables
from sim.warehouse.skill import wrap

SECTORS = 8  # of the laser, each 45 degrees
LASER_RANGE = 8.0  # m
MOST_ADVANCES = 24  # of a ray; one that grazes a rack may end before it meets anything
TAN_MIDDLE = math.tan(math.pi / 8)  # of half a sector


@kernel
def sectors_of_scan(ranges: np.ndarray, first_angle: float, step: float, out: np.ndarray) -> None:
    """Nearest return of a laser scan [rays] in each of 8 sectors (m); non-finite returns count as free."""
    out[:] = LASER_RANGE
    for ray in range(len(ranges)):
        if math.isfinite(ranges[ray]) and ranges[ray] > 0.0:
            sector = int(round(wrap(first_angle + ray * step) / (math.pi / 4))) % SECTORS
            out[sector] = min(out[sector], ranges[ray])


@kernel
def sectors_of_map(pose: np.ndarray, others: np.ndarray, me: int, tables: Tables, out: np.ndarray) -> None:
    """What the laser would tell on the floor plan: three rays a sector by sphere tracing, and robots' outlines."""
    out[:] = LASER_RANGE
    _see_robots(pose, others, me, out)
    for sector in range(SECTORS):
        out[sector] = _nearest_of_three(pose, sector, out[sector], tables)


@kernel
def _nearest_of_three(pose: np.ndarray, sector: int, seen: float, tables: Tables) -> float:
    """The nearest return (m) of a sector's three rays, or `seen` where none is nearer.

    The rays are followed side by side: one step waits for the clearance at its start, three waits overlap. What one of
    them meets ends the others that are longer by then.
    """
    angle = pose[2] + (3 * sector - 1) * (math.pi / 4) / 3
    c_0, s_0 = math.cos(angle), math.sin(angle)
    angle = pose[2] + (3 * sector) * (math.pi / 4) / 3
    c_1, s_1 = math.cos(angle), math.sin(angle)
    angle = pose[2] + (3 * sector + 1) * (math.pi / 4) / 3
    c_2, s_2 = math.cos(angle), math.sin(angle)
    reach_0 = reach_1 = reach_2 = 0.0
    for _ in range(MOST_ADVANCES):
        free_0 = _clearance(pose[0] + reach_0 * c_0, pose[1] + reach_0 * s_0, tables)
        free_1 = _clearance(pose[0] + reach_1 * c_1, pose[1] + reach_1 * s_1, tables)
        free_2 = _clearance(pose[0] + reach_2 * c_2, pose[1] + reach_2 * s_2, tables)
        seen = reach_0 if free_0 < tables.cell and reach_0 < seen else seen
        seen = reach_1 if free_1 < tables.cell and reach_1 < seen else seen
        seen = reach_2 if free_2 < tables.cell and reach_2 < seen else seen
        reach_0 = reach_0 + free_0 if free_0 >= tables.cell else reach_0
        reach_1 = reach_1 + free_1 if free_1 >= tables.cell else reach_1
        reach_2 = reach_2 + free_2 if free_2 >= tables.cell else reach_2
        if reach_0 >= seen and reach_1 >= seen and reach_2 >= seen:
            return seen
    return min(seen, reach_0, reach_1, reach_2)


@kernel
def _clearance(x: float, y: float, tables: Tables) -> float:
    """Metres from a point to the nearest box or wall; -1 off the floor."""
    column, row = int((x - tables.grid_origin[0]) / tables.cell), int((y - tables.grid_origin[1]) / tables.cell)
    if row < 0 or column < 0 or row >= tables.clearance.shape[0] or column >= tables.clearance.shape[1]:
        return -1.0
    return float(tables.clearance[row, column])


@kernel
def _see_robots(pose: np.ndarray, others: np.ndarray, me: int, out: np.ndarray) -> None:
    """Returns of the outlines of all robots in reach."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    reach = LASER_RANGE + BODY_REACH
    for other in range(len(others)):
        at = others[other]
        if other == me or math.isnan(at[0]) or (at[0] - pose[0]) ** 2 + (at[1] - pose[1]) ** 2 > reach * reach:
            continue
        at_c, at_s = math.cos(at[2]), math.sin(at[2])
        for point in range(OUTLINE_POINTS):
            x, y = outline_point(at[0], at[1], at_c, at_s, point, 0.0)
            x, y = x - pose[0], y - pose[1]
            sector = _sector_of(x * c + y * s, y * c - x * s)
            if sector < 0:
                sector = int(round(wrap(math.atan2(y, x) - pose[2]) / (math.pi / 4))) % SECTORS
            if x * x + y * y <= out[sector] * out[sector] * 1.000001:
                out[sector] = min(out[sector], math.hypot(x, y))


@kernel
def _sector_of(ahead: float, left: float) -> int:
    """The sector a point lies in, seen from the robot; -1 if it is too near a border to tell without its bearing."""
    x, y = abs(ahead), abs(left)
    if y < x * TAN_MIDDLE * 0.999999:
        return 0 if ahead > 0.0 else 4
    if x < y * TAN_MIDDLE * 0.999999:
        return 2 if left > 0.0 else 6
    if y > x * TAN_MIDDLE * 1.000001 and x > y * TAN_MIDDLE * 1.000001:
        return (1 if left > 0.0 else 7) if ahead > 0.0 else (3 if left > 0.0 else 5)
    return -1
