"""The goods flow, followed by hand through one world."""

from __future__ import annotations

import numpy as np
import pytest

from sim.warehouse import decisions, jobs, quality, replenishment, rules, stock
from sim.warehouse.kpis import KPI
from sim.warehouse.state import (
    CARRYING,
    GRANTED,
    INBOUND_PLACE,
    INSPECTION,
    LINES,
    NO_JOB,
    OUTBOUND,
    PASSED,
    PICK,
    QUARANTINE,
    REJECT,
    SLOT,
    STORE,
    make_state,
    open_world,
)
from tests.unit.sim.warehouse_world import orders, settings, tables

TABLES = tables()
SETTINGS = settings()
RULES = SETTINGS.rules()


def free_pallets(state, sku):
    slots = range(state.pallet_sku.shape[1])
    return sum(state.pallet_sku[0, slot] == sku and stock.is_free_stock(state, 0, slot) for slot in slots)


def opened(stream, popularity=None):
    state = make_state(1, TABLES, 16)
    rng = np.random.default_rng(5)
    open_world(state, 0, TABLES, SETTINGS, stream, np.ones(12) if popularity is None else popularity, rng)
    state.shift_start[0] = 0.0  # no handover within the first half hour
    return state


def kpi(state, name):
    return state.kpi[0, KPI[name]]


def advance(state, now):
    rules.advance(state, 0, TABLES, RULES, now)


def carry(state, slot, robot=0):
    assert jobs.grant(state, 0, slot, robot, TABLES, RULES)
    jobs.picked(state, 0, slot)
    jobs.dropped(state, 0, slot, TABLES)


def zone_of(state, slot):
    return TABLES.place_group[state.pallet_place[0, slot]]


def test_an_order_is_on_time_when_its_last_line_is_shipped_before_it_is_due():
    state = opened(orders((1.0, 50.0, 0, [3, 4])))
    advance(state, 1.0)
    assert kpi(state, "orders_received") == 1 and kpi(state, "lines_received") == 2
    for line in (0, 1):
        zone = next(z for z in (0, 1) if stock.best_pallet(state, 0, z, line, TABLES) >= 0)
        rules.release(state, 0, zone, line, TABLES)
    slots = np.flatnonzero(state.job_type[0] == PICK)
    assert len(slots) == 2
    carry(state, slots[0])
    assert kpi(state, "lines_shipped") == 1 and kpi(state, "orders_done") == 0
    carry(state, slots[1])
    assert kpi(state, "orders_done") == 1 and kpi(state, "orders_on_time") == 1
    places = state.pallet_place[0, slots]
    assert (TABLES.place_type[places] == OUTBOUND).all() and (TABLES.place_group[places] == 0).all()
    advance(state, 1.0 + SETTINGS.goods.ship_time + 0.1)
    assert (state.pallet_serial[0, slots] == -1).all(), "the truck takes shipped pallets"


def test_a_late_order_counts_its_seconds_past_due():
    state = opened(orders((1.0, 10.0, 0, [3])))
    for now in range(1, 31):
        advance(state, float(now))
    assert kpi(state, "late_s") == pytest.approx(20.0)


def test_a_reordered_pallet_goes_through_inspection_to_a_slot():
    state = opened(orders())
    before = free_pallets(state, 7)
    replenishment.reorder(state, 0, 1, 7, RULES)
    assert replenishment.pipeline(state, 0, 1, 7) == 1 and replenishment.pipeline(state, 0, 0, 7) == 0
    advance(state, RULES.lead_high + 0.1)
    slot = int(np.flatnonzero((state.pallet_sku[0] == 7) & (state.pallet_state[0] == 1))[0])
    assert TABLES.place_type[state.pallet_place[0, slot]] == INBOUND_PLACE
    carry(state, slot)
    place = state.pallet_place[0, slot]
    assert TABLES.place_type[place] == INSPECTION and kpi(state, "pallets_received") == 1
    station, serial = int(TABLES.place_group[place]), int(state.pallet_serial[0, slot])
    quality.inspect(state, 0, station, serial, TABLES, RULES)
    quality.judge(state, 0, station, serial, True, TABLES, RULES)
    assert state.job_type[0, slot] == NO_JOB, "no judgement while the inspection runs"
    advance(state, state.time[0] + RULES.inspection_time)
    assert state.pallet_inspections[0, slot] == 1
    quality.judge(state, 0, station, serial, True, TABLES, RULES)
    assert state.job_type[0, slot] == STORE
    carry(state, slot)
    assert TABLES.place_type[state.pallet_place[0, slot]] == SLOT
    assert free_pallets(state, 7) == before + 1 and kpi(state, "pallets_stored") == 1


def arrived(state, sku):
    replenishment.reorder(state, 0, 0, sku, RULES)
    advance(state, state.time[0] + RULES.lead_high)
    slot = int(np.flatnonzero((state.pallet_sku[0] == sku) & (state.pallet_state[0] == 1))[0])
    carry(state, slot)
    return slot, int(TABLES.place_group[state.pallet_place[0, slot]]), int(state.pallet_serial[0, slot])


def test_a_rejected_sound_pallet_is_a_false_reject_and_leaves_through_quarantine():
    state = opened(orders())
    slot, station, serial = arrived(state, 2)
    state.pallet_defective[0, slot] = False
    quality.judge(state, 0, station, serial, False, TABLES, RULES)
    assert state.job_type[0, slot] == REJECT and kpi(state, "false_rejects") == 1
    carry(state, slot)
    assert TABLES.place_type[state.pallet_place[0, slot]] == QUARANTINE


def test_a_passed_pallet_is_cross_docked_when_an_order_waits_and_no_zone_has_any():
    popularity = np.ones(12)
    state = opened(orders((1.0, 500.0, 1, [5])), popularity)
    for slot in np.flatnonzero(state.pallet_sku[0] == 5):
        state.pallet_state[0, slot] = 0
        state.place_pallet[0, state.pallet_place[0, slot]] = -1
    advance(state, 1.0)
    assert kpi(state, "stock_outs") == 1
    slot, station, serial = arrived(state, 5)
    quality.judge(state, 0, station, serial, True, TABLES, RULES)
    carry(state, slot)
    assert kpi(state, "orders_done") == 1 and kpi(state, "pallets_stored") == 0


def test_reports_said_twice_change_nothing():
    state = opened(orders((1.0, 50.0, 0, [3])))
    advance(state, 1.0)
    zone = next(z for z in (0, 1) if stock.best_pallet(state, 0, z, 0, TABLES) >= 0)
    rules.release(state, 0, zone, 0, TABLES)
    slot = int(np.flatnonzero(state.job_type[0] == PICK)[0])
    assert jobs.grant(state, 0, slot, 2, TABLES, RULES) and not jobs.grant(state, 0, slot, 1, TABLES, RULES)
    jobs.dropped(state, 0, slot, TABLES)
    assert state.job_phase[0, slot] == GRANTED, "not dropped before it was picked"
    jobs.picked(state, 0, slot)
    jobs.picked(state, 0, slot)
    assert state.job_phase[0, slot] == CARRYING
    jobs.dropped(state, 0, slot, TABLES)
    jobs.dropped(state, 0, slot, TABLES)
    assert kpi(state, "lines_shipped") == 1


def test_a_lost_robots_job_is_offered_again_and_its_target_is_free():
    state = opened(orders((1.0, 50.0, 0, [3])))
    advance(state, 1.0)
    zone = next(z for z in (0, 1) if stock.best_pallet(state, 0, z, 0, TABLES) >= 0)
    rules.release(state, 0, zone, 0, TABLES)
    slot = int(np.flatnonzero(state.job_type[0] == PICK)[0])
    jobs.grant(state, 0, slot, 0, TABLES, RULES)
    target = state.job_target[0, slot]
    jobs.reopen(state, 0, slot)
    assert state.place_reserved[0, target] == -1 and jobs.grant(state, 0, slot, 1, TABLES, RULES)


def test_of_two_claimants_the_nearest_wins_and_the_other_is_counted():
    state = opened(orders())
    replenishment.reorder(state, 0, 0, 1, RULES)
    advance(state, RULES.lead_high)
    serial = int(state.pallet_serial[0, np.flatnonzero(state.pallet_state[0] == 1)[0]])
    verb = np.array([decisions.CLAIM, decisions.CLAIM, 0, 0])
    decisions.apply_decisions(
        state,
        0,
        verb,
        np.array([serial, serial, 0, 0]),
        np.array([9.0, 4.0, 0, 0]),
        np.arange(4),
        TABLES,
        RULES,
    )
    slot = stock.find_pallet(state, 0, serial)
    assert state.job_robot[0, slot] == 1 and kpi(state, "claim_conflicts") == 1


def test_reorders_above_the_target_stock_are_counted_and_the_pipeline_is_bounded():
    state = opened(orders())
    for _ in range(RULES.max_pipeline + 3):
        replenishment.reorder(state, 0, 0, 4, RULES)
    assert replenishment.pipeline(state, 0, 0, -1) == RULES.max_pipeline
    owned = free_pallets(state, 4)
    assert stock.has_free_stock(state, 0, 4) == (owned > 0)
    allowed = int(state.target_stock[0, 4]) - owned
    assert kpi(state, "over_orders") == RULES.max_pipeline - max(allowed, 0)


def test_every_pallet_is_in_one_place_and_the_racks_hold_the_set_share():
    state = opened(orders())
    slots = int((TABLES.place_type == SLOT).sum())
    held = np.flatnonzero(state.place_pallet[0] >= 0)
    assert len(held) == int(slots * SETTINGS.goods.initial_fill)
    assert (state.pallet_place[0, state.place_pallet[0, held]] == held).all()
    assert (state.pallet_state[0, state.place_pallet[0, held]] == PASSED).all()
    assert (np.bincount(state.pallet_sku[0, state.place_pallet[0, held]], minlength=12) >= 1).all()
    assert state.line_state.shape[1] % LINES == 0
