"""What stands where, and what of it is free: questions about one world `e` of a `State`."""

from __future__ import annotations

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.routes import Tables
from sim.warehouse.settings import Rules
from sim.warehouse.state import ABSENT, LINES, NO_JOB, OPEN_LINE, OUTBOUND, PASSED, RELEASED, SLOT, State

ANY_DOCK, FREE_DOCK = -1, -2


@kernel
def is_free_stock(s: State, e: int, slot: int) -> bool:
    """The pallet is good, stands still and is promised to nobody."""
    return s.pallet_state[e, slot] == PASSED and s.job_type[e, slot] == NO_JOB and s.pallet_line[e, slot] < 0


@kernel
def is_offered(s: State, e: int, slot: int, tables: Tables, rules: Rules) -> bool:
    """Free stock that robots may take to a dock although nobody released it.

    What is wanted is not offered while all docks that want it are full.
    """
    if not rules.offers_stock or not is_free_stock(s, e, slot) or tables.place_type[s.pallet_place[e, slot]] != SLOT:
        return False
    sku = s.pallet_sku[e, slot]
    return waiting_line(s, e, sku, FREE_DOCK, tables) >= 0 or waiting_line(s, e, sku, ANY_DOCK, tables) < 0


@kernel
def has_free_stock(s: State, e: int, sku: int) -> bool:
    """Whether any zone has a free pallet of a family."""
    for slot in range(s.pallet_state.shape[1]):  # noqa: SIM110  compiled code knows no any()
        if s.pallet_sku[e, slot] == sku and is_free_stock(s, e, slot):
            return True
    return False


@kernel
def find_pallet(s: State, e: int, serial: int) -> int:
    """Slot of the pallet with that serial number, -1 if it is gone."""
    for slot in range(s.pallet_serial.shape[1]):
        if s.pallet_serial[e, slot] == serial and s.pallet_state[e, slot] != ABSENT:
            return slot
    return -1


@kernel
def waiting_line(s: State, e: int, sku: int, dock: int, tables: Tables) -> int:
    """The open line of a family whose order has the fewest lines left, of those the most urgent; -1 if none.

    Args:
        dock: only of orders for this dock; ANY_DOCK, or FREE_DOCK: a dock with a free place.
    """
    best, left, due = -1, LINES + 1, np.inf
    for line in range(s.line_state.shape[1]):
        if s.line_state[e, line] != OPEN_LINE or s.line_sku[e, line] != sku:
            continue
        its_dock = s.order_dock[e, line // LINES]
        if (dock >= 0 and its_dock != dock) or (dock == FREE_DOCK and not has_free_place(s, e, its_dock, tables)):
            continue
        its, until = lines_left(s, e, line // LINES), s.order_due[e, line // LINES]
        if its < left or (its == left and until < due):
            best, left, due = line, its, until
    return best


@kernel
def has_free_place(s: State, e: int, dock: int, tables: Tables) -> bool:
    """Whether an outbound dock has a place that is neither taken nor reserved."""
    for row in range(tables.type_start[OUTBOUND], tables.type_start[OUTBOUND + 1]):
        place = tables.typed_place[row]
        if tables.place_group[place] == dock and s.place_pallet[e, place] < 0 and s.place_reserved[e, place] < 0:
            return True
    return False


@kernel
def lines_left(s: State, e: int, order: int) -> int:
    """Lines of an order that are not yet shipped."""
    left = 0
    for line in range(order * LINES, (order + 1) * LINES):
        if s.line_state[e, line] == OPEN_LINE or s.line_state[e, line] == RELEASED:
            left += 1
    return left


@kernel
def best_pallet(s: State, e: int, zone: int, line: int, tables: Tables) -> int:
    """The zone's free pallet of the line's family with the shortest way to its dock; -1 if the zone has none.

    Of several at one distance the first in the order of pallets.
    """
    best, reach = -1, np.inf
    family, dock = s.line_sku[e, line], s.order_dock[e, line // LINES]
    gate = 0
    for row in range(tables.type_start[OUTBOUND], tables.type_start[OUTBOUND + 1]):
        place = tables.typed_place[row]
        if tables.place_group[place] == dock:
            gate = int(tables.place_node[place])
            break
    for row in range(tables.type_start[SLOT], tables.type_start[SLOT + 1]):
        place = tables.typed_place[row]
        slot = s.place_pallet[e, place]
        if slot < 0 or tables.place_group[place] != zone:
            continue
        if s.pallet_sku[e, slot] != family or not is_free_stock(s, e, slot):
            continue
        distance = tables.distance[tables.place_node[place], gate]
        if distance < reach or (distance == reach and slot < best):
            best, reach = int(slot), distance
    return best
