"""Whether the goods add up, and whether they flow: every pallet, line and order is somewhere, and counted once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.fast.robots import Robots
from sim.soak.findings import Findings
from sim.soak.standing import describe
from sim.warehouse.kpis import KPIS, LINES_RECEIVED, LINES_SHIPPED, ORDERS_DONE, ORDERS_ON_TIME, ORDERS_RECEIVED
from sim.warehouse.routes import Tables
from sim.warehouse.state import (
    ABSENT,
    CARRYING,
    LINES,
    NO_JOB,
    OPEN_JOB,
    OPEN_LINE,
    OUTBOUND,
    REJECTED,
    RELEASED,
    State,
)

MOVED = 0.5  # m; a robot that has not come so far stands
ROUNDING = 1e-6  # s and m; sums of many small floats


def ledger_faults(state: State, world: int, tables: Tables) -> Iterator[str]:
    """What does not add up in one world's goods, in words."""
    s = _World(*(array[world] for array in state))
    kpi = dict(zip(KPIS, s.kpi.tolist(), strict=True))
    if not np.isfinite(s.kpi).all():
        yield f"KPIs are not finite: {kpi}"
    if kpi["orders_received"] != s.stream_next:
        yield f"{kpi['orders_received']:.0f} orders received, the stream gave {s.stream_next}"
    left = int(s.order_active.sum())
    if s.kpi[ORDERS_RECEIVED] - s.kpi[ORDERS_DONE] != left:
        yield f"{s.kpi[ORDERS_RECEIVED]:.0f} orders received, {s.kpi[ORDERS_DONE]:.0f} done, but {left} are open"
    if s.kpi[ORDERS_ON_TIME] > s.kpi[ORDERS_DONE]:
        yield f"{s.kpi[ORDERS_ON_TIME]:.0f} orders on time of {s.kpi[ORDERS_DONE]:.0f} done"
    lines = int((s.stream_sku[: s.stream_next] >= 0).sum())
    if s.kpi[LINES_RECEIVED] != lines:
        yield f"{s.kpi[LINES_RECEIVED]:.0f} lines received, the stream gave {lines}"
    waiting = np.isin(s.line_state, (OPEN_LINE, RELEASED)) & np.repeat(s.order_active, LINES)
    if s.kpi[LINES_RECEIVED] - s.kpi[LINES_SHIPPED] != waiting.sum():
        yield (
            f"{s.kpi[LINES_RECEIVED]:.0f} lines received, {s.kpi[LINES_SHIPPED]:.0f} shipped, "
            f"but {waiting.sum()} are waiting"
        )
    there = s.pallet_state != ABSENT
    stands = there & (s.pallet_place >= 0)
    at_truck = ((tables.place_type[s.pallet_place[stands]] == OUTBOUND) & (s.job_type[stands] == NO_JOB)).sum()
    rejects = (there & (s.pallet_state == REJECTED)).sum()
    gone = s.kpi[LINES_SHIPPED] - at_truck + s.supplier_rejected.sum() - rejects
    if s.next_pallet - there.sum() != gone:
        yield f"{s.next_pallet} pallets came, {there.sum()} are here, but {gone:.0f} were shipped or rejected and taken"
    held = np.flatnonzero(s.place_pallet >= 0)
    if not np.array_equal(s.pallet_place[s.place_pallet[held]], held) or len(held) != stands.sum():
        yield f"{len(held)} places hold pallets, {stands.sum()} pallets stand on places, and they disagree"
    serials = s.pallet_serial[there]
    if len(np.unique(serials)) != len(serials):
        yield "two pallets have one serial number"
    running = (s.job_type != NO_JOB) & (s.job_phase != OPEN_JOB)
    robots = s.job_robot[running]
    if (robots < 0).any() or len(np.unique(robots)) != len(robots):
        yield f"running jobs belong to robots {sorted(robots.tolist())}; wanted one robot each"
    if not np.array_equal(there & (s.pallet_place < 0), running & (s.job_phase == CARRYING)):
        yield "a pallet is neither on a place nor carried by a running job, or both"


_World = State  # the same fields, of one world


class LedgerWatch:
    """Follows one world's goods.

    Args:
        findings: takes what is seen.
        tables: of the plan.
        pause: s between two shipped lines at most, while orders are open.
        stuck: s a robot with a job may stand at most.
        robots: how many there are.
    """

    def __init__(self, findings: Findings, tables: Tables, pause: float, stuck: float, robots: int) -> None:
        self._findings = findings
        self._tables = tables
        self._pause, self._stuck = pause, stuck
        self._kpi = np.zeros(len(KPIS))
        self._shipped_at = 0.0
        self._stood = np.full((robots, 2), np.inf)
        self._since = np.zeros(robots)

    def look(self, state: State, world: int, robots: Robots) -> None:
        """Take the ledger, and the robots of that world."""
        now, pose = float(state.time[world]), robots.pose[world]
        self._findings.note("the ledger adds up", now, next(ledger_faults(state, world, self._tables), ""))
        kpi = state.kpi[world]
        fallen = [name for name, was, now_is in zip(KPIS, self._kpi, kpi, strict=True) if now_is < was - ROUNDING]
        self._findings.note("no count falls", now, f"fell: {', '.join(fallen)}" if fallen else "")
        if kpi[LINES_SHIPPED] > self._kpi[LINES_SHIPPED] or not state.order_active[world].any():
            self._shipped_at = now
        self._kpi = kpi.copy()
        self._findings.measure(
            "orders flow (s)", now, now - self._shipped_at, self._pause, "no line has been shipped for"
        )
        busy = robots.alive[world] & (robots.pallet[world] >= 0)
        came = (np.hypot(*(pose[:, :2] - self._stood).T) > MOVED) | ~busy
        self._stood[came], self._since[came] = pose[came, :2], now
        waits = now - self._since
        robot = int(np.argmax(waits))
        self._findings.measure(
            "no robot is stuck (s)",
            now,
            float(waits[robot]),
            self._stuck,
            f"{describe(robot, pose, robots.skill[world], robots.fork[world], now)}; it has a job and stands for (s)",
        )
