"""The life of a job: opened, granted to a robot, picked, dropped; and what the drop means for orders."""

from __future__ import annotations

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.kpis import (
    DEFECTS_SHIPPED,
    LINES_SHIPPED,
    ORDERS_DONE,
    ORDERS_ON_TIME,
    PALLETS_IN_VAIN,
    PALLETS_RECEIVED,
    PALLETS_STORED,
)
from sim.warehouse.routes import Tables
from sim.warehouse.settings import Rules
from sim.warehouse.state import (
    CARRYING,
    GRANTED,
    INBOUND,
    INSPECTION,
    LINES,
    NO_JOB,
    OPEN_JOB,
    OPEN_LINE,
    OUTBOUND,
    PICK,
    QUARANTINE,
    REJECT,
    RELEASED,
    SHIPPED,
    SLOT,
    STORE,
    State,
)
from sim.warehouse.stock import ANY_DOCK, FREE_DOCK, has_free_stock, is_offered, waiting_line


@kernel
def open_job(s: State, e: int, slot: int, kind: int) -> None:
    """Offer a job about a pallet."""
    s.job_type[e, slot] = kind
    s.job_phase[e, slot] = OPEN_JOB
    s.job_serial[e, slot] = s.next_job[e]
    s.next_job[e] += 1
    s.job_robot[e, slot] = -1
    s.job_target[e, slot] = -1
    s.job_opened[e, slot] = s.time[e]


@kernel
def suggest_target(s: State, e: int, slot: int, tables: Tables) -> int:
    """Where the pallet's job would go if it were granted now; -1 if there is no free place.

    A stored pallet goes straight to the dock (cross-docking) when an order waits for its family and no zone has any;
    one that was brought to a dock in vain is served there (see `rules.advance`), or leaves it for a slot.
    Free stock without a job goes to the nearest dock, or to that of the line it is promised to.
    """
    kind = s.job_type[e, slot] if s.job_type[e, slot] != NO_JOB else PICK
    line = s.pallet_line[e, slot]
    stands_at_dock = tables.place_type[s.pallet_place[e, slot]] == OUTBOUND
    if kind == STORE and line < 0 and not stands_at_dock and not has_free_stock(s, e, s.pallet_sku[e, slot]):
        line = waiting_line(s, e, s.pallet_sku[e, slot], ANY_DOCK, tables)
    wanted = SLOT if kind == STORE else OUTBOUND
    if kind == INBOUND or kind == REJECT:
        wanted = INSPECTION if kind == INBOUND else QUARANTINE
    group = -1
    if line >= 0:
        wanted, group = OUTBOUND, s.order_dock[e, line // LINES]
    origin = tables.place_node[s.pallet_place[e, slot]]
    best, reach = -1, np.inf
    for row in range(tables.type_start[wanted], tables.type_start[wanted + 1]):
        place = tables.typed_place[row]
        if group >= 0 and tables.place_group[place] != group:
            continue
        if s.place_pallet[e, place] >= 0 or s.place_reserved[e, place] >= 0:
            continue
        distance = tables.distance[origin, tables.place_node[place]]
        if distance < reach:
            best, reach = int(place), distance
    return best


@kernel
def grant(s: State, e: int, slot: int, robot: int, tables: Tables, rules: Rules) -> bool:
    """Give the pallet's open job to a robot and reserve its target; False if it can't be done now.

    Free stock that is offered without a job is promised to the line that waits for its family, or goes in vain.
    """
    if s.job_type[e, slot] == NO_JOB:
        if not is_offered(s, e, slot, tables, rules):
            return False
        s.pallet_line[e, slot] = waiting_line(s, e, s.pallet_sku[e, slot], FREE_DOCK, tables)
        if suggest_target(s, e, slot, tables) < 0:
            s.pallet_line[e, slot] = -1
            return False
        open_job(s, e, slot, PICK)
        if s.pallet_line[e, slot] >= 0:
            s.line_state[e, s.pallet_line[e, slot]] = RELEASED
    if s.job_phase[e, slot] != OPEN_JOB:
        return False
    target = suggest_target(s, e, slot, tables)
    if target < 0:
        return False
    if s.job_type[e, slot] == STORE and tables.place_type[target] == OUTBOUND and s.pallet_line[e, slot] < 0:
        line = waiting_line(s, e, s.pallet_sku[e, slot], ANY_DOCK, tables)
        s.pallet_line[e, slot] = line
        s.line_state[e, line] = RELEASED
    s.job_phase[e, slot] = GRANTED
    s.job_robot[e, slot] = robot
    s.job_target[e, slot] = target
    s.place_reserved[e, target] = slot
    return True


@kernel
def reopen(s: State, e: int, slot: int) -> None:
    """Offer a granted, not yet picked job again, because its robot is lost."""
    if s.job_phase[e, slot] == GRANTED:
        s.place_reserved[e, s.job_target[e, slot]] = -1
        s.job_phase[e, slot] = OPEN_JOB
        s.job_robot[e, slot] = -1
        s.job_target[e, slot] = -1


@kernel
def picked(s: State, e: int, slot: int) -> None:
    """The robot has lifted the pallet. Saying it twice changes nothing."""
    if s.job_phase[e, slot] == GRANTED:
        s.job_phase[e, slot] = CARRYING
        s.place_pallet[e, s.pallet_place[e, slot]] = -1
        s.pallet_place[e, slot] = -1


@kernel
def dropped(s: State, e: int, slot: int, tables: Tables) -> None:
    """The robot has set the pallet down at its target; the job ends. Saying it twice changes nothing."""
    if s.job_phase[e, slot] != CARRYING:
        return
    kind, place = s.job_type[e, slot], s.job_target[e, slot]
    s.place_reserved[e, place] = -1
    s.place_pallet[e, place] = slot
    s.pallet_place[e, slot] = place
    s.pallet_since[e, slot] = s.time[e]
    s.job_type[e, slot] = NO_JOB
    s.job_phase[e, slot] = OPEN_JOB
    s.job_robot[e, slot] = -1
    s.job_target[e, slot] = -1
    if kind == INBOUND:
        s.kpi[e, PALLETS_RECEIVED] += 1
    if tables.place_type[place] == OUTBOUND:
        if not ship(s, e, slot, tables):
            s.kpi[e, PALLETS_IN_VAIN] += 1
            open_job(s, e, slot, STORE)
    elif kind == STORE:
        s.kpi[e, PALLETS_STORED] += 1


@kernel
def ship(s: State, e: int, slot: int, tables: Tables) -> bool:
    """A pallet at an outbound dock serves its line, or one that waits there for its family; False if nobody does."""
    line = s.pallet_line[e, slot]
    if line < 0:
        dock = int(tables.place_group[s.pallet_place[e, slot]])
        line = waiting_line(s, e, s.pallet_sku[e, slot], dock, tables)
        if line < 0:
            return False
        s.pallet_line[e, slot] = line
        s.job_type[e, slot] = NO_JOB
    order = line // LINES
    s.line_state[e, line] = SHIPPED
    s.kpi[e, LINES_SHIPPED] += 1
    if s.pallet_defective[e, slot]:
        s.kpi[e, DEFECTS_SHIPPED] += 1
    for other in range(order * LINES, (order + 1) * LINES):
        if s.line_state[e, other] == OPEN_LINE or s.line_state[e, other] == RELEASED:
            return True
    s.order_active[e, order] = False
    s.kpi[e, ORDERS_DONE] += 1
    if s.time[e] <= s.order_due[e, order]:
        s.kpi[e, ORDERS_ON_TIME] += 1
    return True
