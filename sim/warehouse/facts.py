"""What the ledger may tell each agent: plain facts drawn from a `State`, for the kernels and for ROS messages."""

from __future__ import annotations

import numpy as np

from sim.warehouse.calendar import is_staffed, until_cutoff
from sim.warehouse.compiled import kernel
from sim.warehouse.jobs import suggest_target
from sim.warehouse.observe import NO_SLACK, QUEUE
from sim.warehouse.routes import Tables
from sim.warehouse.settings import SUPPLIERS, Rules
from sim.warehouse.state import (
    ABSENT,
    INBOUND_PLACE,
    INSPECTION,
    LINES,
    NO_JOB,
    OPEN_JOB,
    OPEN_LINE,
    OUTBOUND,
    PICK,
    RELEASED,
    SLOT,
    State,
)
from sim.warehouse.stock import best_pallet, is_free_stock, is_offered, lines_left

LINE_FACTS = 16  # most urgent order lines told to an inventory agent


@kernel
def open_jobs(s: State, e: int, tables: Tables, rules: Rules, jobs: np.ndarray, opened: np.ndarray) -> int:
    """All jobs that could be granted now, oldest pallet slot first; also free stock, where that is offered.

    Args:
        jobs, opened: outputs [L, 6] and [L] (s); see `observe_forklift`.

    Returns:
        How many rows were written.
    """
    count = 0
    for slot in range(s.job_type.shape[1]):
        if s.pallet_state[e, slot] == ABSENT:
            continue
        has_job = s.job_type[e, slot] != NO_JOB
        if s.job_phase[e, slot] != OPEN_JOB if has_job else not is_offered(s, e, slot, tables, rules):
            continue
        target = suggest_target(s, e, slot, tables)
        if target < 0:
            continue
        jobs[count, 0] = s.pallet_serial[e, slot]
        jobs[count, 1] = s.job_type[e, slot] if has_job else PICK
        jobs[count, 2] = s.pallet_sku[e, slot]
        jobs[count, 3] = s.pallet_place[e, slot]
        jobs[count, 4] = target
        jobs[count, 5] = 1 if s.pallet_line[e, slot] >= 0 else 0
        opened[count] = s.job_opened[e, slot] if has_job else s.pallet_since[e, slot]
        count += 1
    return count


@kernel
def stock_facts(
    s: State,
    e: int,
    zone: int,
    tables: Tables,
    rules: Rules,
    stock: np.ndarray,
    on_order: np.ndarray,
    demand: np.ndarray,
    slack: np.ndarray,
    finishing: np.ndarray,
    totals: np.ndarray,
    lines: np.ndarray,
    line_facts: np.ndarray,
) -> int:
    """What inventory agent `zone` may know; outputs as in `observe_inventory`, lines [LINE_FACTS, 3].

    Returns:
        How many order lines were written, most urgent first.
    """
    told = demand_facts(s, e, rules, demand, slack, finishing, totals, lines, line_facts)
    zone_facts(s, e, zone, tables, stock, on_order, totals, lines[:told], line_facts[:told])
    return told


@kernel
def demand_facts(
    s: State,
    e: int,
    rules: Rules,
    demand: np.ndarray,
    slack: np.ndarray,
    finishing: np.ndarray,
    totals: np.ndarray,
    lines: np.ndarray,
    line_facts: np.ndarray,
) -> int:
    """What all inventory agents may know of orders: `stock_facts` but for stock, on_order, totals[0] and metres."""
    demand[:] = 0.0
    slack[:] = NO_SLACK
    finishing[:] = 0.0
    released = 0
    for line in range(s.line_state.shape[1]):
        if s.line_state[e, line] == RELEASED:
            released += 1
        if s.line_state[e, line] != OPEN_LINE:
            continue
        family = s.line_sku[e, line]
        demand[family] += 1
        slack[family] = min(slack[family], s.order_due[e, line // LINES] - s.time[e])
        finishing[family] = max(finishing[family], 1.0 / lines_left(s, e, line // LINES))
    totals[1] = 0.0
    for family in range(len(demand)):
        totals[1] += demand[family]
    totals[2] = released
    totals[3] = until_cutoff(s, e)
    if rules.offers_stock:
        return 0  # nothing to release: robots take what they think is wanted
    count = _by_due_time(s, e, lines, line_facts)
    for row in range(count):
        best, due = lines[row, 0], line_facts[row, 0]
        order = best // LINES
        lines[row, 1] = s.line_sku[e, best]
        lines[row, 2] = lines_left(s, e, order)
        line_facts[row, 0] = due - s.time[e]
        line_facts[row, 1] = s.time[e] - s.order_arrival[e, order]
    return count


@kernel
def zone_facts(
    s: State,
    e: int,
    zone: int,
    tables: Tables,
    stock: np.ndarray,
    on_order: np.ndarray,
    totals: np.ndarray,
    lines: np.ndarray,
    line_facts: np.ndarray,
) -> None:
    """What inventory agent `zone` may know of its zone, and metres to the dock for the order lines told [J, 3]."""
    stock[:] = 0.0
    slots, free = 0, 0
    for row in range(tables.type_start[SLOT], tables.type_start[SLOT + 1]):
        place = tables.typed_place[row]
        if tables.place_group[place] != zone:
            continue
        slots += 1
        slot = s.place_pallet[e, place]
        if slot >= 0 and is_free_stock(s, e, slot):
            stock[s.pallet_sku[e, slot]] += 1
        if slot < 0 and s.place_reserved[e, place] < 0:
            free += 1
    on_order[:] = 0.0
    for reorder in range(s.reorder_sku.shape[1]):
        if s.reorder_sku[e, reorder] >= 0 and s.reorder_agent[e, reorder] == zone:
            on_order[s.reorder_sku[e, reorder]] += 1
    totals[0] = free / max(slots, 1)
    for row in range(len(lines)):
        line_facts[row, 2] = -1.0
        if stock[lines[row, 1]] > 0.0:
            twin = _line_alike(s, e, row, lines)
            line_facts[row, 2] = line_facts[twin, 2] if twin >= 0 else _dock_distance(s, e, zone, lines[row, 0], tables)


@kernel
def _line_alike(s: State, e: int, row: int, lines: np.ndarray) -> int:
    """An earlier row of the same family and dock, and so of the same metres; -1 if there is none."""
    dock = s.order_dock[e, lines[row, 0] // LINES]
    for earlier in range(row):
        if lines[earlier, 1] == lines[row, 1] and s.order_dock[e, lines[earlier, 0] // LINES] == dock:
            return earlier
    return -1


@kernel
def _by_due_time(s: State, e: int, lines: np.ndarray, line_facts: np.ndarray) -> int:
    """The most urgent open lines in column 0 of `lines`, their due times (s) in column 0 of `line_facts`; how many.

    Of lines due at once the first comes first.
    """
    count = 0
    for line in range(s.line_state.shape[1]):
        if s.line_state[e, line] != OPEN_LINE:
            continue
        due = s.order_due[e, line // LINES]
        if not due < np.inf or (count == len(lines) and due >= line_facts[count - 1, 0]):
            continue
        row = min(count, len(lines) - 1)
        while row > 0 and line_facts[row - 1, 0] > due:
            lines[row, 0], line_facts[row, 0] = lines[row - 1, 0], line_facts[row - 1, 0]
            row -= 1
        lines[row, 0], line_facts[row, 0] = line, due
        count = min(count + 1, len(lines))
    return count


@kernel
def _dock_distance(s: State, e: int, zone: int, line: int, tables: Tables) -> float:
    """Metres from the zone's best pallet to the dock of the line's order; -1 if the zone has no free pallet of it."""
    slot = best_pallet(s, e, zone, line, tables)
    if slot < 0:
        return -1.0
    start = tables.place_node[s.pallet_place[e, slot]]
    best = np.inf
    for row in range(tables.type_start[OUTBOUND], tables.type_start[OUTBOUND + 1]):
        place = tables.typed_place[row]
        if tables.place_group[place] == s.order_dock[e, line // LINES]:
            best = min(best, tables.distance[start, tables.place_node[place]])
    return best if best < np.inf else -1.0


@kernel
def queue_facts(
    s: State,
    e: int,
    station: int,
    tables: Tables,
    rules: Rules,
    queue: np.ndarray,
    facts: np.ndarray,
    supplier_history: np.ndarray,
) -> tuple[float, float, bool]:
    """What quality agent `station` may know; outputs as in `observe_quality`.

    A row for each place; of a station with more places, for each pallet, so that every one is judged in its turn.

    Returns:
        Seconds until the running inspection ends, pallets at the inbound docks, and whether the station is staffed.
    """
    queue[:] = 0
    queue[:, 0] = -1
    facts[:] = 0.0
    arriving = 0.0
    for number in range(tables.type_start[INBOUND_PLACE], tables.type_start[INBOUND_PLACE + 1]):
        if s.place_pallet[e, tables.typed_place[number]] >= 0:
            arriving += 1
    places = 0
    for number in range(tables.type_start[INSPECTION], tables.type_start[INSPECTION + 1]):
        places += tables.place_group[tables.typed_place[number]] == station
    row = 0
    for number in range(tables.type_start[INSPECTION], tables.type_start[INSPECTION + 1]):
        place = tables.typed_place[number]
        if tables.place_group[place] != station:
            continue
        slot = s.place_pallet[e, place]
        if slot < 0 and places <= QUEUE:
            row += 1
        if slot < 0 or row >= QUEUE:
            continue
        queue[row, 0] = s.pallet_serial[e, slot]
        queue[row, 1] = s.pallet_state[e, slot]
        queue[row, 2] = s.pallet_sku[e, slot]
        queue[row, 3] = s.pallet_supplier[e, slot]
        facts[row, 0] = s.pallet_reading[e, slot]
        facts[row, 1] = s.pallet_inspections[e, slot]
        facts[row, 2] = s.time[e] - s.pallet_since[e, slot]
        facts[row, 3] = 1.0 if s.station_pallet[e, station] == slot else 0.0
        row += 1
    for supplier in range(SUPPLIERS):
        supplier_history[supplier] = s.supplier_rejected[e, supplier] / (s.supplier_seen[e, supplier] + 2.0)
    busy = 0.0
    if s.station_pallet[e, station] >= 0:
        busy = max(0.0, s.station_until[e, station] - s.time[e])
    return busy, arriving, is_staffed(s, e, rules)
