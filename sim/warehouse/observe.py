"""What each kind senses: plain facts to the raw observation and candidates of config/contract.yaml.

The same functions serve training (facts from a `State`), and the robot (facts from ROS messages). Every function
writes the fields in the contract's order; a test compares names, order and sizes. Values are raw SI; the network
scales them.
"""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.battery import may_charge
from sim.warehouse.compiled import kernel
from sim.warehouse.decisions import (
    CHARGE,
    CLAIM,
    INSPECT,
    NONE,
    PASS,
    REJECT_PALLET,
    RELEASE,
    REORDER,
    REROUTE,
    YIELD,
)
from sim.warehouse.laser import SECTORS
from sim.warehouse.routes import Tables
from sim.warehouse.settings import SKUS, SUPPLIERS, BatteryNumbers, MotionNumbers
from sim.warehouse.skill import (
    BLOCKED,
    BLOCKER,
    NODE,
    RESTING,
    TO_DROP,
    TO_PICK,
    can_take_job,
    goal_distance,
    is_blocked,
)
from sim.warehouse.state import NO_JOB, PICK, UNDECIDED

JOB_CHOICES = 18  # open jobs a forklift can point at: the nearest, of picks one a family
LINE_CHOICES = 8  # order lines an inventory agent can point at: the most urgent releasable
QUEUE = 3  # places of one inspection station
NEIGHBOURS = 3
NO_SLACK = 600.0  # s, slack of a family nobody waits for
PICK_DISTANCE = 21  # column of a forklift's candidates
FORKLIFT_CHOICES = 1 + JOB_CHOICES + 3
INVENTORY_CHOICES = 1 + LINE_CHOICES + SKUS
QUALITY_CHOICES = 1 + 3 * QUEUE


@kernel
def observe_forklift(
    vector: np.ndarray,
    candidates: np.ndarray,
    mask: np.ndarray,
    verb: np.ndarray,
    subject: np.ndarray,
    now: float,
    pose: np.ndarray,
    skill: np.ndarray,
    job_type: int,
    job_sku: int,
    is_loaded: bool,
    sectors: np.ndarray,
    others: np.ndarray,
    me: int,
    jobs: np.ndarray,
    opened: np.ndarray,
    away: np.ndarray,
    share: float,
    is_charging: bool,
    tables: Tables,
    numbers: MotionNumbers,
    battery: BatteryNumbers,
) -> None:
    """Write one forklift's observation.

    Args:
        vector, candidates, mask, verb, subject: outputs [O], [C, F], [C], [C], [C].
        now: s.
        pose: x, y, yaw, speed in map [4].
        skill: the robot's skill row (sim/warehouse/motion.py).
        job_type: of its own job, NO_JOB if it has none.
        job_sku: family of the pallet that its job is about, where it has one.
        is_loaded: it carries that pallet.
        sectors: nearest laser return in 8 sectors of 45 degrees [8] (m), centred on x forward, left-positive.
        others: poses of all robots [R, 4]; row `me` is the robot itself.
        jobs: open jobs [J, 6]: pallet serial, type, SKU family, origin place, target place, promised to an order line.
        opened: when each job was opened [J] (s).
        away: scratch [J]; metres to each job.
        share: of the battery's capacity that is left.
        is_charging: the battery is being filled.
    """
    vector[:] = 0.0
    candidates[:] = 0.0
    mask[:] = False
    verb[:] = NONE
    subject[:] = 0
    c, s = math.cos(pose[2]), math.sin(pose[2])
    phase = int(skill[0])
    vector[0] = pose[3]
    vector[1], vector[2] = c, s
    vector[3] = 1.0 if is_loaded else 0.0
    drives = phase == TO_PICK or phase == TO_DROP
    vector[4] = 1.0 if can_take_job(skill) else 0.0
    vector[5] = 1.0 if drives else 0.0
    vector[6] = 1.0 - vector[4] - vector[5]
    vector[7] = skill[BLOCKED]
    blocker = int(skill[BLOCKER])
    if blocker >= 0:
        dx, dy = others[blocker, 0] - pose[0], others[blocker, 1] - pose[1]
        vector[8], vector[9] = c * dx + s * dy, -s * dx + c * dy
    for sector in range(SECTORS):
        vector[10 + sector] = sectors[sector]
    _write_neighbours(vector[18:36], pose, others, me)
    if job_type != NO_JOB:
        vector[36 + job_sku] = 1.0
        vector[55 + job_type] = 1.0
    vector[48] = goal_distance(skill, pose, tables)
    for job in range(len(jobs)):
        vector[49 + jobs[job, 1]] += 1.0
    vector[53], vector[54] = share, 1.0 if is_charging else 0.0

    mask[0] = True
    candidates[0, 0] = 1.0
    if can_take_job(skill) and skill[RESTING] == 0.0:
        _write_jobs(candidates, mask, verb, subject, now, pose, skill, others, me, jobs, opened, away, tables)
    for choice, action in ((1 + JOB_CHOICES, YIELD), (2 + JOB_CHOICES, REROUTE)):
        candidates[choice, action] = 1.0
        verb[choice] = action
        mask[choice] = is_blocked(skill, numbers)
    choice = 3 + JOB_CHOICES
    candidates[choice, 4] = 1.0
    verb[choice] = CHARGE
    mask[choice] = may_charge(skill, share, battery)


@kernel
def _write_neighbours(out: np.ndarray, pose: np.ndarray, others: np.ndarray, me: int) -> None:
    c, s = math.cos(pose[2]), math.sin(pose[2])
    last, within = -1, -1.0  # the neighbour written before, and its distance (m)
    for place in range(NEIGHBOURS):
        best, reach = -1, np.inf
        for other in range(len(others)):
            if other == me or math.isnan(others[other, 0]):
                continue
            distance = math.hypot(others[other, 0] - pose[0], others[other, 1] - pose[1])
            is_next = distance > within or (distance == within and other > last)
            if is_next and distance < reach:
                best, reach = other, distance
        if best < 0:
            return
        last, within = best, reach
        dx, dy = others[best, 0] - pose[0], others[best, 1] - pose[1]
        turn = others[best, 2] - pose[2]
        o = place * 6
        out[o], out[o + 1] = c * dx + s * dy, -s * dx + c * dy
        out[o + 2], out[o + 3] = math.cos(turn), math.sin(turn)
        out[o + 4], out[o + 5] = others[best, 3], 1.0


@kernel
def _write_jobs(
    candidates: np.ndarray,
    mask: np.ndarray,
    verb: np.ndarray,
    subject: np.ndarray,
    now: float,
    pose: np.ndarray,
    skill: np.ndarray,
    others: np.ndarray,
    me: int,
    jobs: np.ndarray,
    opened: np.ndarray,
    away: np.ndarray,
    tables: Tables,
) -> None:
    """The nearest open jobs, nearest first; of those to pick a family only the nearest."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    node = int(skill[NODE])
    to_node = math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1])
    for job in range(len(jobs)):
        away[job] = to_node + tables.distance[node, tables.place_node[jobs[job, 3]]]
    for choice in range(1, 1 + JOB_CHOICES):
        job, reach = -1, np.inf
        for other in range(len(jobs)):
            if away[other] < reach:
                job, reach = other, away[other]
        if job < 0:
            return
        away[job] = np.inf
        for other in range(len(jobs)):
            if jobs[job, 1] == PICK and jobs[other, 1] == PICK and jobs[other, 2] == jobs[job, 2]:
                away[other] = np.inf
        origin, target = jobs[job, 3], jobs[job, 4]
        x, y = tables.place_x[origin], tables.place_y[origin]
        rival = 40.0
        for other in range(len(others)):
            across, along = others[other, 0] - x, others[other, 1] - y  # NaN for one nobody has heard of
            if other != me and across * across + along * along <= rival * rival * 1.000001:
                rival = min(rival, math.hypot(others[other, 0] - x, others[other, 1] - y))
        row = candidates[choice]
        row[1] = 1.0
        row[5 + jobs[job, 1]] = 1.0
        row[9 + jobs[job, 2]] = 1.0
        row[PICK_DISTANCE] = reach
        row[22] = tables.distance[tables.place_node[origin], tables.place_node[target]]
        row[23] = now - opened[job]
        row[24] = rival
        dx, dy = x - pose[0], y - pose[1]
        row[25], row[26] = c * dx + s * dy, -s * dx + c * dy
        row[27] = jobs[job, 5]
        mask[choice] = True
        verb[choice] = CLAIM
        subject[choice] = jobs[job, 0]


@kernel
def observe_inventory(
    vector: np.ndarray,
    candidates: np.ndarray,
    mask: np.ndarray,
    verb: np.ndarray,
    subject: np.ndarray,
    stock: np.ndarray,
    pipeline: np.ndarray,
    demand: np.ndarray,
    slack: np.ndarray,
    finishing: np.ndarray,
    recent: np.ndarray,
    totals: np.ndarray,
    can_reorder: bool,
    lines: np.ndarray,
    line_facts: np.ndarray,
) -> None:
    """Write one inventory agent's observation.

    Args:
        vector, candidates, mask, verb, subject: outputs [O], [C, F], [C], [C], [C].
        stock, pipeline, demand, slack, finishing, recent: per family [SKUS].
        totals: share of free slots, open lines, released lines, s until the next truck's cut-off [4].
        can_reorder: the agent's pipeline has room.
        lines: order lines, most urgent first [J, 3]: subject, family, lines left of the order.
        line_facts: slack (s), age (s), metres to the dock [J, 3]; metres < 0 where the zone has no free pallet.
    """
    candidates[:] = 0.0
    mask[:] = False
    verb[:] = NONE
    subject[:] = 0
    for family in range(SKUS):
        vector[family], vector[SKUS + family], vector[2 * SKUS + family] = (
            stock[family],
            pipeline[family],
            demand[family],
        )
        vector[3 * SKUS + family], vector[4 * SKUS + family] = slack[family], recent[family]
        vector[5 * SKUS + family] = finishing[family]
    for total in range(4):
        vector[6 * SKUS + total] = totals[total]
    mask[0] = True
    candidates[0, 0] = 1.0
    choice = 1
    for line in range(len(lines)):
        if choice > LINE_CHOICES:
            break
        if line_facts[line, 2] < 0:
            continue
        family = lines[line, 1]
        row = candidates[choice]
        row[1] = 1.0
        row[3 + family] = 1.0
        row[15], row[16] = line_facts[line, 0], line_facts[line, 1]
        row[17], row[18], row[19] = stock[family], pipeline[family], demand[family]
        row[20] = line_facts[line, 2]
        row[21] = lines[line, 2]
        mask[choice] = True
        verb[choice] = RELEASE
        subject[choice] = lines[line, 0]
        choice += 1
    for family in range(SKUS):
        choice = 1 + LINE_CHOICES + family
        row = candidates[choice]
        row[2] = 1.0
        row[3 + family] = 1.0
        row[15] = slack[family]
        row[17], row[18], row[19] = stock[family], pipeline[family], demand[family]
        mask[choice] = can_reorder
        verb[choice] = REORDER
        subject[choice] = family


@kernel
def observe_quality(
    vector: np.ndarray,
    candidates: np.ndarray,
    mask: np.ndarray,
    verb: np.ndarray,
    subject: np.ndarray,
    queue: np.ndarray,
    queue_facts: np.ndarray,
    busy: float,
    arriving: float,
    supplier_history: np.ndarray,
    is_staffed: bool,
) -> None:
    """Write one quality-control station's observation.

    Args:
        vector, candidates, mask, verb, subject: outputs [O], [C, F], [C], [C], [C].
        queue: pallet serial (-1: empty place), state, family, supplier [QUEUE, 4].
        queue_facts: mean reading, inspections, waited (s), under inspection now (bool) [QUEUE, 4].
        busy: s until the running inspection ends, 0 if none.
        arriving: pallets at the inbound docks.
        supplier_history: share rejected so far [SUPPLIERS].
        is_staffed: somebody works at the station; without, nothing but waiting is a choice.
    """
    vector[:] = 0.0
    candidates[:] = 0.0
    mask[:] = False
    verb[:] = NONE
    subject[:] = 0
    vector[3], vector[4] = busy, arriving
    for supplier in range(SUPPLIERS):
        vector[5 + supplier] = supplier_history[supplier]
    vector[5 + SUPPLIERS] = 1.0 if is_staffed else 0.0
    mask[0] = True
    candidates[0, 0] = 1.0
    for place in range(QUEUE):
        serial, state = queue[place, 0], queue[place, 1]
        if serial >= 0:
            vector[state - 1] += 1.0
        for action in range(1, 4):
            row = candidates[1 + (action - 1) * QUEUE + place]
            row[action] = 1.0
            if serial < 0:
                continue
            row[4 + queue[place, 2]] = 1.0
            row[16 + queue[place, 3]] = 1.0
            row[19], row[20], row[21] = queue_facts[place, 0], queue_facts[place, 1], queue_facts[place, 2]
            row[22] = supplier_history[queue[place, 3]]
        undecided = serial >= 0 and state == UNDECIDED and queue_facts[place, 3] == 0
        for action, allowed, word in (
            (0, undecided and busy <= 0 and queue_facts[place, 1] < 4, INSPECT),
            (1, undecided, PASS),
            (2, undecided and queue_facts[place, 1] > 0, REJECT_PALLET),
        ):
            choice = 1 + action * QUEUE + place
            mask[choice] = allowed and is_staffed
            verb[choice] = word
            subject[choice] = serial
