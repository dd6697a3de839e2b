"""Reorders: placed, on their way, and the pallets that come of them."""

from __future__ import annotations

from sim.warehouse.compiled import kernel
from sim.warehouse.jobs import open_job
from sim.warehouse.kpis import OVER_ORDERS
from sim.warehouse.routes import Tables
from sim.warehouse.settings import Rules
from sim.warehouse.state import ABSENT, DRAWS, INBOUND, INBOUND_PLACE, OPEN_LINE, PASSED, UNDECIDED, State


@kernel
def pipeline(s: State, e: int, agent: int, sku: int) -> int:
    """Pallets on order and not yet here; agent or sku -1 counts all."""
    count = 0
    for reorder in range(s.reorder_sku.shape[1]):
        known = s.reorder_sku[e, reorder]
        if known >= 0 and (sku < 0 or known == sku) and (agent < 0 or s.reorder_agent[e, reorder] == agent):
            count += 1
    return count


@kernel
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


@kernel
def reorders_arrive(s: State, e: int, tables: Tables) -> None:
    """Trucks with reorders that are due unload, as long as there is room at the docks."""
    for reorder in range(s.reorder_sku.shape[1]):
        if s.reorder_sku[e, reorder] < 0 or s.time[e] < s.reorder_eta[e, reorder]:
            continue
        place = -1
        for row in range(tables.type_start[INBOUND_PLACE], tables.type_start[INBOUND_PLACE + 1]):
            if s.place_pallet[e, tables.typed_place[row]] < 0:
                place = int(tables.typed_place[row])
                break
        slot = _free_pallet_slot(s, e)
        if place < 0 or slot < 0:
            return  # the truck waits at the gate
        _new_pallet(s, e, slot, s.reorder_sku[e, reorder], place)
        s.reorder_sku[e, reorder] = -1


@kernel
def _free_pallet_slot(s: State, e: int) -> int:
    for slot in range(s.pallet_state.shape[1]):
        if s.pallet_state[e, slot] == ABSENT:
            return slot
    return -1


@kernel
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
    open_job(s, e, slot, INBOUND)
