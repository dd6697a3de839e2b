"""What happens in the warehouse: orders come, pallets arrive, are inspected, moved and shipped.

Compiled functions over one world `e` of a `State`; the batched simulator calls them for many worlds, the task server
for one. They know nothing of robots' motion: a robot's progress comes in as `picked` and `dropped`.
"""

from __future__ import annotations

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.jobs import open_job, ship
from sim.warehouse.kpis import CLAIM_CONFLICTS, LATE_S, LINES_RECEIVED, ORDERS_RECEIVED, STOCK_OUTS
from sim.warehouse.quality import read_quality
from sim.warehouse.replenishment import reorders_arrive
from sim.warehouse.routes import Tables
from sim.warehouse.settings import Rules
from sim.warehouse.state import (
    ABSENT,
    LINES,
    NO_JOB,
    NO_LINE,
    OPEN_JOB,
    OPEN_LINE,
    OUTBOUND,
    PICK,
    QUARANTINE,
    RELEASED,
    State,
)
from sim.warehouse.stock import best_pallet, has_free_stock

RECENT_TIME = 600.0  # s, how long demand is remembered; the unit of the contract's field `recent`


@kernel
def advance(s: State, e: int, tables: Tables, rules: Rules, now: float) -> None:
    """Bring world e to `now` (s): trucks leave, reorders arrive, inspections end, orders come."""
    elapsed = now - s.time[e]
    s.time[e] = now
    forgotten = np.exp(-elapsed / RECENT_TIME)
    for sku in range(s.recent.shape[1]):
        s.recent[e, sku] *= forgotten
    _trucks_leave(s, e, tables, rules)
    reorders_arrive(s, e, tables)
    for station in range(s.station_pallet.shape[1]):
        if s.station_pallet[e, station] >= 0 and now >= s.station_until[e, station]:
            read_quality(s, e, s.station_pallet[e, station])
            s.station_pallet[e, station] = -1
    _orders_come(s, e)
    _docks_serve(s, e, tables)  # after the orders came: history.py reads a tick's new orders off the slots free before
    for order in range(s.order_active.shape[1]):
        if s.order_active[e, order] and now > s.order_due[e, order]:
            s.kpi[e, LATE_S] += min(elapsed, now - s.order_due[e, order])


@kernel
def _trucks_leave(s: State, e: int, tables: Tables, rules: Rules) -> None:
    _take_away(s, e, OUTBOUND, rules.ship_time, tables)
    _take_away(s, e, QUARANTINE, rules.collect_time, tables)


@kernel
def _take_away(s: State, e: int, kind: int, stay: float, tables: Tables) -> None:
    """Pallets that have stood for `stay` (s) at places of a type are gone."""
    for row in range(tables.type_start[kind], tables.type_start[kind + 1]):
        place = tables.typed_place[row]
        pallet = s.place_pallet[e, place]
        if pallet < 0:
            continue
        if s.job_type[e, pallet] != NO_JOB:
            continue  # brought in vain: it waits for an order, or for a robot that stores it
        if s.time[e] - s.pallet_since[e, pallet] >= stay:
            s.place_pallet[e, place] = -1
            s.pallet_place[e, pallet] = -1
            s.pallet_state[e, pallet] = ABSENT
            s.pallet_serial[e, pallet] = -1


@kernel
def _orders_come(s: State, e: int) -> None:
    while s.stream_next[e] < s.stream_time.shape[1] and s.stream_time[e, s.stream_next[e]] <= s.time[e]:
        order = -1
        for candidate in range(s.order_active.shape[1]):
            if not s.order_active[e, candidate]:
                order = candidate
                break
        if order < 0:
            return  # the order waits at the door; its due time does not
        row = s.stream_next[e]
        s.stream_next[e] += 1
        s.order_active[e, order] = True
        s.order_arrival[e, order] = s.stream_time[e, row]
        s.order_due[e, order] = s.stream_due[e, row]
        s.order_dock[e, order] = s.stream_dock[e, row]
        s.kpi[e, ORDERS_RECEIVED] += 1
        for line in range(LINES):
            sku = s.stream_sku[e, row, line]
            s.line_sku[e, order * LINES + line] = sku
            s.line_state[e, order * LINES + line] = OPEN_LINE if sku >= 0 else NO_LINE
            if sku >= 0:
                s.recent[e, sku] += 1
                s.kpi[e, LINES_RECEIVED] += 1
                if not has_free_stock(s, e, sku):
                    s.kpi[e, STOCK_OUTS] += 1


@kernel
def _docks_serve(s: State, e: int, tables: Tables) -> None:
    """What was brought to a dock in vain, and no robot is about to store, serves an order of that dock."""
    for row in range(tables.type_start[OUTBOUND], tables.type_start[OUTBOUND + 1]):
        pallet = s.place_pallet[e, tables.typed_place[row]]
        if pallet >= 0 and s.job_type[e, pallet] != NO_JOB and s.job_phase[e, pallet] == OPEN_JOB:
            ship(s, e, pallet, tables)


@kernel
def release(s: State, e: int, zone: int, line: int, tables: Tables) -> None:
    """An inventory agent lets the zone's best pallet be picked for an order line."""
    if line < 0 or line >= s.line_state.shape[1] or s.line_state[e, line] != OPEN_LINE:
        s.kpi[e, CLAIM_CONFLICTS] += 1
        return
    slot = best_pallet(s, e, zone, line, tables)
    if slot < 0:
        s.kpi[e, CLAIM_CONFLICTS] += 1
        return
    s.pallet_line[e, slot] = line
    s.line_state[e, line] = RELEASED
    open_job(s, e, slot, PICK)
