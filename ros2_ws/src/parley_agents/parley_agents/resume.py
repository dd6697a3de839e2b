"""Where a robot stands in its job when its process has just started, perhaps in the middle of one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.warehouse import skill
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.surroundings import at_place

ASIDE = 0.25  # m beside the middle line of a place within which a robot counts as docked there
ASKEW = 0.3  # rad
PAST = 0.15  # m; a robot is no more docked when its centre is so far past the middle of a place


class JobFacts(NamedTuple):
    """A granted job; places are indices of the floor plan."""

    serial: int
    pallet: int
    type: int  # as in parley_msgs/Job
    sku: int
    origin: int  # -1 while the pallet is carried
    target: int


class Start(NamedTuple):
    """A skill to go on with."""

    skill: np.ndarray  # [SKILL_SIZE]
    is_under_way: bool  # the skill works on the granted job already
    has_dropped: bool  # the pallet stands at its target, but the ledger does not know yet


def docked_place(pose: np.ndarray, tables: Tables) -> int:
    """The place the robot stands in or before, on the straight way in from its approach point; -1 if none."""
    for place in range(len(tables.place_type)):
        ahead, aside, turn = at_place(pose, place, tables)
        if abs(turn) < ASKEW and abs(aside) < ASIDE and -PAST < ahead < tables.approach - 0.1:
            return place
    return -1


def skill_after_restart(
    pose: np.ndarray,
    fork_height: float,
    job: JobFacts | None,
    is_carrying: bool,
    home: int,
    tables: Tables,
    numbers: MotionNumbers,
) -> Start:
    """The skill of a robot nobody remembers, from what can be seen.

    The ledger may lag behind by the last decision the dead process did not send, so the forks decide in doubt: up
    at the pallet's place means lifted, down at its target means set down.

    Args:
        pose: x, y, yaw, speed in map [4].
        fork_height: m above the floor.
        job: what the task server has granted to this robot, if anything.
        is_carrying: the ledger says the job's pallet hangs on this robot.
        home: index of the place where it parks.
        tables: of the floor plan.
        numbers: of the move skill.
    """
    row = skill.new_skill(home, pose, tables)
    docked = docked_place(pose, tables)
    forks_up = fork_height > 0.5 * (numbers.fork_low + numbers.fork_high)
    row[skill.PHASE] = skill.IDLE
    if job is None:
        if docked >= 0:
            is_home = docked == home
            row[skill.PHASE] = skill.ENTER_HOME if is_home else skill.LEAVE_DROP
            row[skill.DROP_PLACE] = docked
        return Start(row, False, False)
    row[skill.PICK_PLACE], row[skill.DROP_PLACE] = job.origin, job.target
    if is_carrying or (forks_up and docked >= 0 and docked == job.origin):
        if docked == job.target:
            row[skill.PHASE] = skill.ENTER_DROP if forks_up else skill.LEAVE_DROP
            return Start(row, True, not forks_up)
        if docked >= 0:
            row[skill.PICK_PLACE] = docked
        row[skill.PHASE] = skill.LEAVE_PICK if docked >= 0 else skill.TO_DROP
        return Start(row, True, False)
    if docked >= 0 and docked == job.origin:
        row[skill.PHASE] = skill.ENTER_PICK
        return Start(row, True, False)
    if docked == home:
        row[skill.PHASE] = skill.PARKED
        return Start(row, False, False)
    if docked >= 0:
        row[skill.PHASE], row[skill.DROP_PLACE] = skill.LEAVE_DROP, docked
        return Start(row, False, False)
    row[skill.PHASE] = skill.TO_PICK
    return Start(row, True, False)
