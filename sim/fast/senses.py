"""What every agent of a fast world senses after a tick."""

from __future__ import annotations

import numpy as np

from sim.fast.robots import NOISE, Board, Notes, Parts, Robots, notes_for
from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.decisions import NONE
from sim.warehouse.facts import demand_facts, open_jobs, queue_facts, zone_facts
from sim.warehouse.laser import LASER_RANGE, SECTORS, sectors_of_map
from sim.warehouse.numbers import battery_of, motion_of, rules_of
from sim.warehouse.observe import observe_forklift, observe_inventory, observe_quality
from sim.warehouse.replenishment import pipeline
from sim.warehouse.skill import has_lifted
from sim.warehouse.state import NO_JOB


@allocating
def observe_world(parts: Parts, e: int) -> None:
    """Write what every agent of world e senses now; a dead robot senses nothing and has no choice."""
    observe(parts, e, notes_for(parts))


@kernel
def observe(parts: Parts, e: int, notes: Notes) -> None:
    """`observe_world` with arrays to write down on."""
    s, robots, forklifts, inventories, qualities, tables, numbers = parts
    rules, motion, battery = rules_of(numbers.rules[e]), motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    jobs, opened, sectors = notes.jobs, notes.opened, notes.sectors
    count = open_jobs(s, e, tables, rules, jobs, opened)
    for robot in range(robots.pose.shape[1]):
        if not robots.alive[e, robot]:
            _clear(forklifts, e, robot)
            continue
        if numbers.has_laser[e]:
            sectors_of_map(robots.pose[e, robot], robots.pose[e], robot, tables, sectors)
            _blur(sectors, robots, e, robot, s.time[e], numbers.laser_noise[e])
        else:
            sectors[:] = LASER_RANGE
        slot = robots.pallet[e, robot]
        observe_forklift(
            forklifts.vector[e, robot],
            forklifts.candidates[e, robot],
            forklifts.mask[e, robot],
            forklifts.verb[e, robot],
            forklifts.subject[e, robot],
            s.time[e],
            robots.pose[e, robot],
            robots.skill[e, robot],
            s.job_type[e, slot] if slot >= 0 else NO_JOB,
            s.pallet_sku[e, slot],
            slot >= 0 and has_lifted(robots.skill[e, robot]),
            sectors,
            robots.pose[e],
            robot,
            jobs[:count],
            opened[:count],
            notes.away[:count],
            robots.energy[e, robot] / battery.capacity,
            robots.charging[e, robot],
            tables,
            motion,
            battery,
        )
    stock, on_order, demand, slack = notes.stock[0], notes.stock[1], notes.stock[2], notes.stock[3]
    finishing = notes.stock[4]
    totals, lines, line_facts = notes.totals, notes.lines, notes.line_facts
    told = demand_facts(s, e, rules, demand, slack, finishing, totals, lines, line_facts)
    for zone in range(inventories.vector.shape[1]):
        zone_facts(s, e, zone, tables, stock, on_order, totals, lines[:told], line_facts[:told])
        observe_inventory(
            inventories.vector[e, zone],
            inventories.candidates[e, zone],
            inventories.mask[e, zone],
            inventories.verb[e, zone],
            inventories.subject[e, zone],
            stock,
            on_order,
            demand,
            slack,
            finishing,
            s.recent[e],
            totals,
            pipeline(s, e, zone, -1) < rules.max_pipeline,
            lines[:told],
            line_facts[:told],
        )
    queue, facts, history = notes.queue, notes.queue_facts, notes.history
    for station in range(qualities.vector.shape[1]):
        busy, arriving, staffed = queue_facts(s, e, station, tables, rules, queue, facts, history)
        observe_quality(
            qualities.vector[e, station],
            qualities.candidates[e, station],
            qualities.mask[e, station],
            qualities.verb[e, station],
            qualities.subject[e, station],
            queue,
            facts,
            busy,
            arriving,
            history,
            staffed,
        )


@kernel
def _clear(board: Board, e: int, robot: int) -> None:
    board.vector[e, robot] = 0.0
    board.candidates[e, robot] = 0.0
    board.mask[e, robot] = False
    board.mask[e, robot, 0] = True
    board.verb[e, robot] = NONE
    board.subject[e, robot] = 0


@kernel
def _blur(sectors: np.ndarray, robots: Robots, e: int, robot: int, now: float, deviation: float) -> None:
    """Laser noise (m) on the nearest return of each sector [SECTORS]."""
    if deviation <= 0.0:
        return
    first = (int(now) * robots.pose.shape[1] + robot) * SECTORS
    for sector in range(SECTORS):
        noisy = sectors[sector] + deviation * robots.noise[e, (first + sector) % NOISE]
        sectors[sector] = min(max(noisy, 0.0), LASER_RANGE)
