"""Which way round a robot turns on the spot, so that nothing it sweeps over stands in the way."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.routes import Tables
from sim.warehouse.skill import wrap

FRONT, REAR, HALF_WIDTH = 0.76, 0.67, 0.33  # m, outline of a forklift around its centre, forks included
STEP = 0.1  # rad between two poses of a turn that are looked at
ROOM = 0.04  # m kept free around the corners
# What the middle of a turn must have for every corner to be clear (m): the reach of a corner, and two cells' diagonals.
AMPLE = math.hypot(FRONT, HALF_WIDTH) + ROOM + 0.16
MOST_STEPS = 128  # headings of a turn lie within this many steps of zero: three half turns are 95
_COS = np.array([math.cos(step * STEP) for step in range(-MOST_STEPS, MOST_STEPS + 1)])
_SIN = np.array([math.sin(step * STEP) for step in range(-MOST_STEPS, MOST_STEPS + 1)])


@kernel
def turn_to(pose: np.ndarray, target: float, tables: Tables) -> float:
    """The angle (rad) to turn by to face `target`: the short way round, or the long one where only that is free.

    Boxes, the floor's edge, and places, full or empty, count as obstacles.
    """
    short = wrap(target - pose[2])
    if abs(short) < STEP or is_turn_free(pose, short, tables):
        return short
    long = short - math.copysign(2.0 * math.pi, short)
    return long if is_turn_free(pose, long, tables) else short


@kernel
def is_turn_free(pose: np.ndarray, sweep: float, tables: Tables) -> bool:
    """Whether the corners clear everything that stands, all along the turn."""
    # Headings on a fixed grid, so that a turn once begun is judged by the same ones all the way.
    if room(pose[0], pose[1], tables) >= AMPLE:
        return True
    first, last = pose[2] / STEP, (pose[2] + sweep) / STEP
    for step in range(math.ceil(min(first, last)), math.floor(max(first, last)) + 1):
        if abs(step) <= MOST_STEPS:
            c, s = _COS[step + MOST_STEPS], _SIN[step + MOST_STEPS]
        else:
            c, s = math.cos(step * STEP), math.sin(step * STEP)
        for corner in range(5):
            along = FRONT if corner < 3 else -REAR
            aside = (HALF_WIDTH, -HALF_WIDTH, 0.0)[corner % 3]
            if room(pose[0] + along * c - aside * s, pose[1] + along * s + aside * c, tables) < ROOM:
                return False
    return True


@kernel
def room(x: float, y: float, tables: Tables) -> float:
    """Metres from a point to the nearest box, place or edge of the floor; 0 outside."""
    row, column = int((y - tables.grid_origin[1]) / tables.cell), int((x - tables.grid_origin[0]) / tables.cell)
    if row < 0 or column < 0 or row >= tables.room.shape[0] or column >= tables.room.shape[1]:
        return 0.0
    return tables.room[row, column]
