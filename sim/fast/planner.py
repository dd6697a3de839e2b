"""The central planner: one mind that sees every agent's observation and the whole ledger, and decides for all.

It is the upper reference that decentralised fleets are measured against, and the adviser of `advice_start` in training.
Hidden defects stay hidden from it, too. Orders that can be finished soonest come first (shortest processing time;
Smith 1956, Various optimizers for single-stage production), no more lines are released than robots can carry soon, and
idle trucks get jobs by the assignment of least cost (Kuhn 1955, The Hungarian method; scipy).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from policy_core.contract import Contract, Kind
from sim.fast.robots import Board
from sim.warehouse.decisions import CHARGE, CLAIM, INSPECT, PASS, REJECT_PALLET, RELEASE, REORDER, REROUTE, YIELD
from sim.warehouse.greedy import LOW, SURE_BAD, SURE_GOOD
from sim.warehouse.settings import SKUS
from sim.warehouse.state import (
    ABSENT,
    LINES,
    NO_JOB,
    OPEN_LINE,
    ORDERS,
    PASSED,
    PICK,
    REJECT,
    REJECTED,
    RELEASED,
    State,
)

WANTED_EACH = 2.0  # open lines, hastiest first, that a robot may serve from stock, per robot
RELEASED_EACH = 2.5  # lines released and not yet shipped, per robot
MISSING_WORTH = 2.0  # lines to ship that one line without stock puts an order back
PICK_WORTH = 15.0  # m of detour that any pick is worth
FINISH_WORTH = 20.0  # m more that the last line of an order is worth; of one with n lines left the n-th part
LACK_WORTH = 12.0  # m that a pallet is worth whose family waiting orders lack, per line and up to two
AGE_WORTH = 0.05  # m per second that a job has been open
IDLE_COST = 500.0  # m, dearer than any job
NEVER = 1e6


class Ledger(NamedTuple):
    """What one world's orders and stock come to."""

    left: np.ndarray  # [ORDERS] lines not yet shipped
    slack: np.ndarray  # [ORDERS] s until due
    missing: np.ndarray  # [ORDERS] open lines without free stock
    lack: np.ndarray  # [SKUS] open lines beyond the free stock
    shortage: np.ndarray  # [SKUS] pallets to be reordered
    released: int  # lines released and not yet shipped
    wanted: list[tuple[int, float]]  # family and worth (m) of open lines that stock could serve, hastiest first


class Planner:
    """Decides for all agents of a batch of worlds."""

    def __init__(self, contract: Contract) -> None:
        """Find the fields that it reads."""
        kinds = contract.kinds
        self._job = {name: _column(kinds["forklift"], name) for name in ("pick_distance", "open_for")}
        self._pallet = {name: _column(kinds["quality"], name) for name in ("sku", "reading", "inspections", "waited")}
        sensed = kinds["forklift"].observation
        starts = np.cumsum([0, *(field.size for field in sensed)])
        place = {field.name: int(start) for field, start in zip(sensed, starts, strict=False)}
        self._battery, self._loaded = place["battery"], place["is_loaded"]

    def decide(self, state: State, boards: dict[str, Board]) -> np.ndarray:
        """The chosen candidates of all agents, in the order of the boards [E, N]."""
        worlds = range(len(state.time))
        return np.stack([self._decide_world(state, boards, world) for world in worlds])

    def _decide_world(self, state: State, boards: dict[str, Board], e: int) -> np.ndarray:
        robots, zones, stations = boards["forklift"], boards["inventory"], boards["quality"]
        ledger = _read_ledger(state, e)
        return np.array(
            [
                *self._assign(state, robots, ledger, e),
                *_release(zones, ledger, e, robots.mask.shape[1]),
                *(self._inspect(stations, ledger, e, station) for station in range(stations.mask.shape[1])),
            ]
        )

    def _assign(self, state: State, board: Board, ledger: Ledger, e: int) -> list[int]:
        """Jobs to idle trucks by least cost; in a stand-off the lower right of way goes round; low batteries rest."""
        count = board.mask.shape[1]
        chosen = [0] * count
        verbs = [np.where(board.mask[e, robot], board.verb[e, robot], -1) for robot in range(count)]
        stuck = [robot for robot in range(count) if (verbs[robot] == YIELD).any()]
        rank = [(board.vector[e, robot, self._loaded] > 0.5, -robot) for robot in range(count)]
        free: list[int] = []
        for robot, verb in enumerate(verbs):
            ways = [*np.flatnonzero(verb == REROUTE), *np.flatnonzero(verb == YIELD)]
            rest = np.flatnonzero(verb == CHARGE)
            if ways:
                gives_way = any(rank[other] > rank[robot] for other in stuck if other != robot)
                chosen[robot] = int(ways[0]) if gives_way else 0
            elif len(rest) and board.vector[e, robot, self._battery] < LOW:
                chosen[robot] = int(rest[0])
            elif (verb == CLAIM).any():
                free.append(robot)
        if not free:
            return chosen
        slots = {int(serial): slot for slot, serial in enumerate(state.pallet_serial[e])}
        offers = [(robot, choice) for robot in free for choice in np.flatnonzero(verbs[robot] == CLAIM)]
        jobs = {serial: place for place, serial in enumerate(sorted({int(board.subject[e, r, c]) for r, c in offers}))}
        wanted = ledger.wanted[: math.ceil(WANTED_EACH * count)]
        cost = np.full((len(free), len(jobs) + len(wanted) + len(free)), NEVER)
        cost[:, len(jobs) + len(wanted) :] = IDLE_COST
        choice_of: dict[tuple[int, int], int] = {}
        for robot, choice in offers:
            slot = slots[int(board.subject[e, robot, choice])]
            facts, row = board.candidates[e, robot, choice], free.index(robot)
            distance = facts[self._job["pick_distance"]][0]
            if state.job_type[e, slot] == NO_JOB:  # stock that serves any line of its family
                family = state.pallet_sku[e, slot]
                ends = {len(jobs) + n: worth for n, (its, worth) in enumerate(wanted) if its == family}
            else:
                worth = _worth(state, ledger, e, slot) + AGE_WORTH * facts[self._job["open_for"]][0]
                ends = {jobs[int(board.subject[e, robot, choice])]: worth}
            for column, worth in ends.items():
                cost[row, column] = distance - worth
                choice_of[row, column] = int(choice)
        taken = set()  # two lines of one family may send two trucks to one pallet: the one that gains less waits a tick
        for row, column in sorted(zip(*linear_sum_assignment(cost), strict=True), key=lambda cell: cost[cell]):
            pointed = choice_of.get((int(row), int(column)), 0)
            serial = int(board.subject[e, free[row], pointed])
            if pointed and serial not in taken:
                taken.add(serial)
                chosen[free[row]] = pointed
        return chosen

    def _inspect(self, board: Board, ledger: Ledger, e: int, station: int) -> int:
        """Judge what readings make clear, else inspect what orders lack, then what waited longest."""
        facts = board.candidates[e, station]
        verb = np.where(board.mask[e, station], board.verb[e, station], -1)
        reading, seen = (facts[:, self._pallet[name]][:, 0] for name in ("reading", "inspections"))
        urgency = 100.0 * ledger.lack[facts[:, self._pallet["sku"]].argmax(1)] + facts[:, self._pallet["waited"]][:, 0]
        is_clear = (seen > 0) & ((reading < SURE_GOOD) | (seen >= 3))
        for wanted in ((verb == PASS) & is_clear, (verb == REJECT_PALLET) & (reading > SURE_BAD), verb == INSPECT):
            if wanted.any():
                return int(np.argmax(np.where(wanted, urgency, -np.inf)))
        return 0


def _column(kind: Kind, name: str) -> slice:
    start = 0
    for field in kind.candidate:
        if field.name == name:
            return slice(start, start + field.size)
        start += field.size
    raise KeyError(name)


def _read_ledger(s: State, e: int) -> Ledger:
    status = np.where(s.order_active[e][:, None], s.line_state[e].reshape(ORDERS, LINES), 0)
    sku = np.maximum(s.line_sku[e].reshape(ORDERS, LINES), 0)
    is_open = status == OPEN_LINE
    unpromised = s.pallet_line[e] < 0
    is_free = (s.pallet_state[e] == PASSED) & (s.job_type[e] == NO_JOB) & unpromised
    free = np.bincount(s.pallet_sku[e][is_free], minlength=SKUS)
    waiting = np.bincount(sku[is_open], minlength=SKUS)
    is_held = (s.pallet_state[e] != ABSENT) & (s.pallet_state[e] != REJECTED) & unpromised
    on_order = s.reorder_sku[e][s.reorder_sku[e] >= 0]
    held = np.bincount(s.pallet_sku[e][is_held], minlength=SKUS) + np.bincount(on_order, minlength=SKUS)
    left, missing = (is_open | (status == RELEASED)).sum(1), (is_open & (free[sku] < 1)).sum(1)
    slack = s.order_due[e] - s.time[e]
    orders, lines = np.nonzero(is_open & (free[sku] >= 1))
    hastiest = np.lexsort((slack[orders], MISSING_WORTH * missing[orders] + left[orders]))
    return Ledger(
        left,
        slack,
        missing,
        np.maximum(waiting - free, 0),
        waiting + 0.5 * s.recent[e] + 0.5 - held,
        int((status == RELEASED).sum()),
        [(int(sku[orders[n], lines[n]]), PICK_WORTH + FINISH_WORTH / left[orders[n]]) for n in hastiest],
    )


def _worth(s: State, ledger: Ledger, e: int, slot: int) -> float:
    """Metres of detour that a pallet's job is worth."""
    if s.job_type[e, slot] == PICK:
        return PICK_WORTH + FINISH_WORTH / max(int(ledger.left[s.pallet_line[e, slot] // LINES]), 1)
    if s.job_type[e, slot] == REJECT:
        return 0.0
    return LACK_WORTH * min(float(ledger.lack[s.pallet_sku[e, slot]]), 2.0)


def _release(board: Board, ledger: Ledger, e: int, robots: int) -> list[int]:
    """Lines of the orders nearest to their end, while few are under way; else reorders of what all zones lack."""
    chosen, taken, shortage, released = [], set(), ledger.shortage.copy(), ledger.released
    for zone in range(board.mask.shape[1]):
        verb, subject = np.where(board.mask[e, zone], board.verb[e, zone], -1), board.subject[e, zone]
        lines = [choice for choice in np.flatnonzero(verb == RELEASE) if int(subject[choice]) not in taken]
        reorders = np.flatnonzero(verb == REORDER)
        if lines and released < RELEASED_EACH * robots:
            best = int(min(lines, key=lambda choice: _haste(ledger, int(subject[choice]) // LINES)))
            taken.add(int(subject[best]))
            released += 1
        elif len(reorders) and shortage[subject[reorders]].max() >= 1.0:
            best = int(reorders[np.argmax(shortage[subject[reorders]])])
            shortage[subject[best]] -= 1
        else:
            best = 0
        chosen.append(best)
    return chosen


def _haste(ledger: Ledger, order: int) -> tuple[float, float]:
    return float(MISSING_WORTH * ledger.missing[order] + ledger.left[order]), float(ledger.slack[order])
