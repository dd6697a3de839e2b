"""What happens in the warehouse: orders come, pallets arrive, are inspected, moved and shipped.

Compiled functions over one world `e` of a `State`; the batched simulator calls them for many worlds, the task server
for one. They know nothing of robots' motion: a robot's progress comes in as `picked` and `dropped`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sim.warehouse.kpis import (
    CLAIM_CONFLICTS,
    DEFECTS_SHIPPED,
    FALSE_REJECTS,
    INSPECTIONS,
    LATE_S,
    LINES_RECEIVED,
    LINES_SHIPPED,
    ORDERS_DONE,
    ORDERS_ON_TIME,
    ORDERS_RECEIVED,
    OVER_ORDERS,
    PALLETS_RECEIVED,
    PALLETS_STORED,
    STOCK_OUTS,
)
from sim.warehouse.routes import Tables
from sim.warehouse.settings import Rules
from sim.warehouse.state import (
    ABSENT,
    CARRYING,
    DRAWS,
    GRANTED,
    INBOUND,
    INBOUND_PLACE,
    INSPECTION,
    LINES,
    NO_JOB,
    NO_LINE,
    OPEN_JOB,
    OPEN_LINE,
    OUTBOUND,
    PASSED,
    PICK,
    QUARANTINE,
    REJECT,
    REJECTED,
    RELEASED,
    SHIPPED,
    SLOT,
    STORE,
    UNDECIDED,
    State,
)

RECENT_TIME = 600.0  # s, how long demand is remembered; the unit of the contract's field `recent`


@njit(cache=True)
def advance(s: State, e: int, tables: Tables, rules: Rules, now: float) -> None:
    """Bring world e to `now` (s): trucks leave, reorders arrive, inspections end, orders come."""
    elapsed = now - s.time[e]
    s.time[e] = now
    s.recent[e] *= np.exp(-elapsed / RECENT_TIME)
    _trucks_leave(s, e, tables, rules)
    _reorders_arrive(s, e, tables)
    for station in range(s.station_pallet.shape[1]):
        if s.station_pallet[e, station] >= 0 and now >= s.station_until[e, station]:
            _read_quality(s, e, s.station_pallet[e, station])
            s.station_pallet[e, station] = -1
    _orders_come(s, e)
    for order in range(s.order_active.shape[1]):
        if s.order_active[e, order] and now > s.order_due[e, order]:
            s.kpi[e, LATE_S] += min(elapsed, now - s.order_due[e, order])


@njit(cache=True)
def _trucks_leave(s: State, e: int, tables: Tables, rules: Rules) -> None:
    for place in range(s.place_pallet.shape[1]):
        pallet = s.place_pallet[e, place]
        if pallet < 0:
            continue
        kind = tables.place_type[place]
        stay = rules.ship_time if kind == OUTBOUND else rules.collect_time
        if (kind == OUTBOUND or kind == QUARANTINE) and s.time[e] - s.pallet_since[e, pallet] >= stay:
            s.place_pallet[e, place] = -1
            s.pallet_place[e, pallet] = -1
            s.pallet_state[e, pallet] = ABSENT
            s.pallet_serial[e, pallet] = -1


@njit(cache=True)
def _reorders_arrive(s: State, e: int, tables: Tables) -> None:
    for reorder in range(s.reorder_sku.shape[1]):
        if s.reorder_sku[e, reorder] < 0 or s.time[e] < s.reorder_eta[e, reorder]:
            continue
        place = -1
        for candidate in range(s.place_pallet.shape[1]):
            if tables.place_type[candidate] == INBOUND_PLACE and s.place_pallet[e, candidate] < 0:
                place = candidate
                break
        slot = _free_pallet_slot(s, e)
        if place < 0 or slot < 0:
            return  # the truck waits at the gate
        _new_pallet(s, e, slot, s.reorder_sku[e, reorder], place)
        s.reorder_sku[e, reorder] = -1


@njit(cache=True)
def _free_pallet_slot(s: State, e: int) -> int:
    for slot in range(s.pallet_state.shape[1]):
        if s.pallet_state[e, slot] == ABSENT:
            return slot
    return -1


@njit(cache=True)
def _new_pallet(s: State, e: int, slot: int, sku: int, place: int) -> None:
    draw = s.draw_next[e] % DRAWS
    s.draw_next[e] += 1
    s.pallet_serial[e, slot] = s.next_pallet[e]
    s.next_pallet[e] += 1
    s.pallet_sku[e, slot] = sku
    s.pallet_state[e, slot] = UNDECIDED
    s.pallet_supplier[e, slot] = s.draw_supplier[e, draw]
    s.pallet_defective[e, slot] = s.draw_defective[e, draw]
    s.pallet_draw[e, slot] = draw
    s.pallet_reading[e, slot] = 0.0
    s.pallet_inspections[e, slot] = 0
    s.pallet_line[e, slot] = -1
    s.pallet_place[e, slot] = place
    s.pallet_since[e, slot] = s.time[e]
    s.place_pallet[e, place] = slot
    _open_job(s, e, slot, INBOUND)


@njit(cache=True)
def _open_job(s: State, e: int, slot: int, kind: int) -> None:
    s.job_type[e, slot] = kind
    s.job_phase[e, slot] = OPEN_JOB
    s.job_serial[e, slot] = s.next_job[e]
    s.next_job[e] += 1
    s.job_robot[e, slot] = -1
    s.job_target[e, slot] = -1
    s.job_opened[e, slot] = s.time[e]


@njit(cache=True)
def _read_quality(s: State, e: int, slot: int) -> None:
    count = s.pallet_inspections[e, slot]
    truth = 1.0 if s.pallet_defective[e, slot] else 0.0
    reading = truth + s.draw_reading[e, s.pallet_draw[e, slot], min(count, 3)]
    s.pallet_reading[e, slot] = (s.pallet_reading[e, slot] * count + reading) / (count + 1)
    s.pallet_inspections[e, slot] = count + 1
    s.kpi[e, INSPECTIONS] += 1


@njit(cache=True)
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
                if free_stock(s, e, sku) == 0:
                    s.kpi[e, STOCK_OUTS] += 1


@njit(cache=True)
def is_free_stock(s: State, e: int, slot: int) -> bool:
    """The pallet is good, stands still and is promised to nobody."""
    return s.pallet_state[e, slot] == PASSED and s.job_type[e, slot] == NO_JOB and s.pallet_line[e, slot] < 0


@njit(cache=True)
def free_stock(s: State, e: int, sku: int) -> int:
    """Free pallets of a family in all zones."""
    count = 0
    for slot in range(s.pallet_state.shape[1]):
        if s.pallet_sku[e, slot] == sku and is_free_stock(s, e, slot):
            count += 1
    return count


@njit(cache=True)
def find_pallet(s: State, e: int, serial: int) -> int:
    """Slot of the pallet with that serial number, -1 if it is gone."""
    for slot in range(s.pallet_serial.shape[1]):
        if s.pallet_serial[e, slot] == serial and s.pallet_state[e, slot] != ABSENT:
            return slot
    return -1


@njit(cache=True)
def waiting_line(s: State, e: int, sku: int) -> int:
    """The most urgent open line of a family that no pallet is promised to, -1 if none."""
    best, due = -1, np.inf
    for line in range(s.line_state.shape[1]):
        if s.line_state[e, line] == OPEN_LINE and s.line_sku[e, line] == sku and s.order_due[e, line // LINES] < due:
            best, due = line, s.order_due[e, line // LINES]
    return best


@njit(cache=True)
def suggest_target(s: State, e: int, slot: int, tables: Tables) -> int:
    """Where the pallet's job would go if it were granted now; -1 if there is no free place.

    A stored pallet goes straight to the dock (cross-docking) when an order waits for its family and no zone has any.
    """
    kind = s.job_type[e, slot]
    line = s.pallet_line[e, slot]
    if kind == STORE and line < 0 and free_stock(s, e, s.pallet_sku[e, slot]) == 0:
        line = waiting_line(s, e, s.pallet_sku[e, slot])
    wanted = INSPECTION if kind == INBOUND else (QUARANTINE if kind == REJECT else SLOT)
    group = -1
    if line >= 0:
        wanted, group = OUTBOUND, s.order_dock[e, line // LINES]
    origin = tables.place_node[s.pallet_place[e, slot]]
    best, reach = -1, np.inf
    for place in range(len(tables.place_type)):
        if tables.place_type[place] != wanted or (group >= 0 and tables.place_group[place] != group):
            continue
        if s.place_pallet[e, place] >= 0 or s.place_reserved[e, place] >= 0:
            continue
        distance = tables.distance[origin, tables.place_node[place]]
        if distance < reach:
            best, reach = place, distance
    return best


@njit(cache=True)
def grant(s: State, e: int, slot: int, robot: int, tables: Tables) -> bool:
    """Give the pallet's open job to a robot and reserve its target; False if it can't be done now."""
    if s.job_type[e, slot] == NO_JOB or s.job_phase[e, slot] != OPEN_JOB:
        return False
    target = suggest_target(s, e, slot, tables)
    if target < 0:
        return False
    if s.job_type[e, slot] == STORE and tables.place_type[target] == OUTBOUND and s.pallet_line[e, slot] < 0:
        line = waiting_line(s, e, s.pallet_sku[e, slot])
        s.pallet_line[e, slot] = line
        s.line_state[e, line] = RELEASED
    s.job_phase[e, slot] = GRANTED
    s.job_robot[e, slot] = robot
    s.job_target[e, slot] = target
    s.place_reserved[e, target] = slot
    return True


@njit(cache=True)
def reopen(s: State, e: int, slot: int) -> None:
    """Offer a granted, not yet picked job again, because its robot is lost."""
    if s.job_phase[e, slot] == GRANTED:
        s.place_reserved[e, s.job_target[e, slot]] = -1
        s.job_phase[e, slot] = OPEN_JOB
        s.job_robot[e, slot] = -1
        s.job_target[e, slot] = -1


@njit(cache=True)
def picked(s: State, e: int, slot: int) -> None:
    """The robot has lifted the pallet. Saying it twice changes nothing."""
    if s.job_phase[e, slot] == GRANTED:
        s.job_phase[e, slot] = CARRYING
        s.place_pallet[e, s.pallet_place[e, slot]] = -1
        s.pallet_place[e, slot] = -1


@njit(cache=True)
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
        _ship(s, e, slot)
    elif kind == STORE:
        s.kpi[e, PALLETS_STORED] += 1


@njit(cache=True)
def _ship(s: State, e: int, slot: int) -> None:
    line = s.pallet_line[e, slot]
    order = line // LINES
    s.line_state[e, line] = SHIPPED
    s.kpi[e, LINES_SHIPPED] += 1
    if s.pallet_defective[e, slot]:
        s.kpi[e, DEFECTS_SHIPPED] += 1
    for other in range(order * LINES, (order + 1) * LINES):
        if s.line_state[e, other] == OPEN_LINE or s.line_state[e, other] == RELEASED:
            return
    s.order_active[e, order] = False
    s.kpi[e, ORDERS_DONE] += 1
    if s.time[e] <= s.order_due[e, order]:
        s.kpi[e, ORDERS_ON_TIME] += 1


@njit(cache=True)
def best_pallet(s: State, e: int, zone: int, line: int, tables: Tables) -> int:
    """The zone's free pallet of the line's family with the shortest way to its dock; -1 if the zone has none."""
    best, reach = -1, np.inf
    dock = s.order_dock[e, line // LINES]
    gate = 0
    for place in range(len(tables.place_type)):
        if tables.place_type[place] == OUTBOUND and tables.place_group[place] == dock:
            gate = tables.place_node[place]
            break
    for slot in range(s.pallet_state.shape[1]):
        if s.pallet_sku[e, slot] != s.line_sku[e, line] or not is_free_stock(s, e, slot):
            continue
        place = s.pallet_place[e, slot]
        if tables.place_type[place] != SLOT or tables.place_group[place] != zone:
            continue
        distance = tables.distance[tables.place_node[place], gate]
        if distance < reach:
            best, reach = slot, distance
    return best


@njit(cache=True)
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
    _open_job(s, e, slot, PICK)


@njit(cache=True)
def pipeline(s: State, e: int, agent: int, sku: int) -> int:
    """Pallets on order and not yet here; agent or sku -1 counts all."""
    count = 0
    for reorder in range(s.reorder_sku.shape[1]):
        known = s.reorder_sku[e, reorder]
        if known >= 0 and (sku < 0 or known == sku) and (agent < 0 or s.reorder_agent[e, reorder] == agent):
            count += 1
    return count


@njit(cache=True)
def reorder(s: State, e: int, agent: int, sku: int, rules: Rules) -> None:
    """An inventory agent orders one pallet of a family from its supplier."""
    if sku < 0 or sku >= s.recent.shape[1] or pipeline(s, e, agent, -1) >= rules.max_pipeline:
        return
    owned = pipeline(s, e, -1, sku)
    for slot in range(s.pallet_state.shape[1]):
        state = s.pallet_state[e, slot]
        if s.pallet_sku[e, slot] == sku and s.pallet_line[e, slot] < 0 and (state == UNDECIDED or state == PASSED):
            owned += 1
    waiting = 0
    for line in range(s.line_state.shape[1]):
        if s.line_state[e, line] == OPEN_LINE and s.line_sku[e, line] == sku:
            waiting += 1
    if owned >= s.target_stock[e, sku] + waiting:
        s.kpi[e, OVER_ORDERS] += 1
    for place in range(s.reorder_sku.shape[1]):
        if s.reorder_sku[e, place] < 0:
            lead = s.draw_lead[e, s.next_job[e] % DRAWS]
            s.next_job[e] += 1
            s.reorder_sku[e, place] = sku
            s.reorder_agent[e, place] = agent
            s.reorder_eta[e, place] = s.time[e] + rules.lead_low + lead * (rules.lead_high - rules.lead_low)
            return


@njit(cache=True)
def inspect(s: State, e: int, station: int, serial: int, tables: Tables, rules: Rules) -> None:
    """A station starts to inspect a pallet of its queue; nothing happens while another inspection runs."""
    slot = _queued(s, e, station, serial, tables)
    if slot >= 0 and s.station_pallet[e, station] < 0:
        s.station_pallet[e, station] = slot
        s.station_until[e, station] = s.time[e] + rules.inspection_time


@njit(cache=True)
def judge(s: State, e: int, station: int, serial: int, is_good: bool, tables: Tables) -> None:
    """A station passes or rejects a pallet of its queue; its next job opens."""
    slot = _queued(s, e, station, serial, tables)
    if slot < 0 or s.station_pallet[e, station] == slot:
        return
    supplier = s.pallet_supplier[e, slot]
    s.supplier_seen[e, supplier] += 1
    if is_good:
        s.pallet_state[e, slot] = PASSED
        _open_job(s, e, slot, STORE)
        return
    s.pallet_state[e, slot] = REJECTED
    s.supplier_rejected[e, supplier] += 1
    if not s.pallet_defective[e, slot]:
        s.kpi[e, FALSE_REJECTS] += 1
    _open_job(s, e, slot, REJECT)


@njit(cache=True)
def _queued(s: State, e: int, station: int, serial: int, tables: Tables) -> int:
    """Slot of an undecided pallet that stands at the station, -1 if there is none with that serial number."""
    slot = find_pallet(s, e, serial)
    if slot < 0 or s.pallet_state[e, slot] != UNDECIDED:
        return -1
    place = s.pallet_place[e, slot]
    if place < 0 or tables.place_type[place] != INSPECTION or tables.place_group[place] != station:
        return -1
    return slot
