"""One tick of E fast worlds in a compiled loop: choices applied, robots moved, observations written."""

from __future__ import annotations

import numpy as np

from sim.fast.driving import drive
from sim.fast.robots import Notes, Parts, Robots, Worlds, count_the_living, notes_for, write_goals
from sim.fast.senses import observe
from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.decisions import CHARGE, CLAIM, NONE, REROUTE, YIELD, apply_decisions
from sim.warehouse.jobs import dropped, picked, reopen
from sim.warehouse.numbers import rules_of
from sim.warehouse.observe import PICK_DISTANCE
from sim.warehouse.routes import Tables
from sim.warehouse.rules import advance
from sim.warehouse.settings import Rules
from sim.warehouse.sight import Fleet
from sim.warehouse.skill import RESTING, can_take_job, has_lifted, let_go, start_job
from sim.warehouse.state import CARRYING, GRANTED, NO_JOB, State
from sim.warehouse.traffic import give_way, reroute


@allocating
def tick_worlds(worlds: Worlds, choices: np.ndarray, tick: float) -> None:
    """Apply each world's choices [E, N], move the robots for one tick (s), and write the next observations."""
    _tick_all(worlds.parts, choices, tick, worlds.notes)


@kernel
def _tick_all(parts: Parts, choices: np.ndarray, tick: float, notes: Notes) -> None:
    for e in range(len(parts.state.time)):
        _begin(parts, e, choices[e], notes)
        drive(parts.state, e, parts.robots, parts.tables, parts.numbers, tick, notes)
        _end(parts, e, tick, notes)


@allocating
def begin_tick(parts: Parts, e: int, choices: np.ndarray) -> None:
    """What world e does before its robots move: progress reported, choices [N] applied, jobs taken up."""
    _begin(parts, e, choices, notes_for(parts))


@kernel
def _begin(parts: Parts, e: int, choices: np.ndarray, notes: Notes) -> None:
    rules = rules_of(parts.numbers.rules[e])
    _report(parts.state, e, parts.robots, parts.tables, rules)
    _decide(parts, e, choices, rules, notes)
    _take_up(parts.state, e, parts.robots)


@allocating
def end_tick(parts: Parts, e: int, tick: float) -> None:
    """What world e does after its robots have moved for a tick (s): time goes on, agents sense."""
    _end(parts, e, tick, notes_for(parts))


@kernel
def _end(parts: Parts, e: int, tick: float, notes: Notes) -> None:
    s = parts.state
    advance(s, e, parts.tables, rules_of(parts.numbers.rules[e]), s.time[e] + tick)
    count_the_living(s, e, parts.robots)
    observe(parts, e, notes)


@kernel
def _report(s: State, e: int, robots: Robots, tables: Tables, rules: Rules) -> None:
    """Tell the ledger how the running jobs stand, as agents do with every decision; jobs of the silent are reopened."""
    for robot in range(robots.pallet.shape[1]):
        slot = robots.pallet[e, robot]
        if not robots.alive[e, robot]:
            if (
                slot >= 0
                and s.job_robot[e, slot] == robot
                and s.time[e] - robots.heard[e, robot] >= rules.abandon_after
            ):
                if s.job_phase[e, slot] == GRANTED and has_lifted(robots.skill[e, robot]):
                    picked(s, e, slot)  # it lifted in the very tick in which it died, and has not said so
                reopen(s, e, slot)
            continue
        robots.heard[e, robot] = s.time[e]
        if slot < 0:
            continue
        if s.job_robot[e, slot] != robot:  # taken away while it was silent
            let_go(robots.skill[e, robot])
            robots.pallet[e, robot] = -1
            continue
        if s.job_phase[e, slot] == GRANTED and has_lifted(robots.skill[e, robot]):
            picked(s, e, slot)
        elif s.job_phase[e, slot] == CARRYING and not has_lifted(robots.skill[e, robot]):
            dropped(s, e, slot, tables)
            robots.pallet[e, robot] = -1


@kernel
def _decide(parts: Parts, e: int, choices: np.ndarray, rules: Rules, notes: Notes) -> None:
    s, robots, forklifts, inventories, qualities, tables, _ = parts
    verb, subject, member, pick_distance = notes.verb, notes.subject, notes.member, notes.pick_distance
    pick_distance[:] = 0.0
    agent = 0
    for board in (forklifts, inventories, qualities):
        for index in range(board.verb.shape[1]):
            verb[agent] = board.verb[e, index, choices[agent]]
            subject[agent] = board.subject[e, index, choices[agent]]
            member[agent] = index
            agent += 1
    for robot in range(forklifts.verb.shape[1]):
        if not robots.alive[e, robot]:
            verb[robot] = NONE
    goals = notes.goals
    write_goals(s, e, robots, goals)
    for robot in range(forklifts.verb.shape[1]):
        if verb[robot] == CLAIM:
            pick_distance[robot] = forklifts.candidates[e, robot, choices[robot], PICK_DISTANCE]
        elif verb[robot] == YIELD:
            fleet = Fleet(robots.pose[e], goals, robot)
            give_way(robots.skill[e, robot], robots.pose[e, robot], s.time[e], fleet, tables)
        elif verb[robot] == REROUTE:
            reroute(robots.skill[e, robot], robots.pose[e, robot], Fleet(robots.pose[e], goals, robot), tables)
        elif verb[robot] == CHARGE:
            robots.skill[e, robot, RESTING] = 1.0
    apply_decisions(s, e, verb, subject, pick_distance, member, tables, rules)


@kernel
def _take_up(s: State, e: int, robots: Robots) -> None:
    for slot in range(s.job_type.shape[1]):
        if s.job_type[e, slot] == NO_JOB or s.job_phase[e, slot] != GRANTED:
            continue
        robot = s.job_robot[e, slot]
        if robots.pallet[e, robot] < 0 and can_take_job(robots.skill[e, robot]):
            robots.pallet[e, robot] = slot
            start_job(robots.skill[e, robot], s.pallet_place[e, slot], s.job_target[e, slot], False)
