"""Stock that anybody may pick: what is offered, whom a picked pallet is promised to, and what was brought in vain."""

from __future__ import annotations

import numpy as np
import pytest

from sim.soak.ledger_watch import ledger_faults
from sim.warehouse import decisions, facts, jobs, rules, stock
from sim.warehouse.kpis import KPI
from sim.warehouse.observe import JOB_CHOICES
from sim.warehouse.settings import SKUS
from sim.warehouse.state import (
    GRANTED,
    NO_JOB,
    OPEN_JOB,
    OPEN_LINE,
    OUTBOUND,
    PICK,
    RELEASED,
    SHIPPED,
    SLOT,
    STORE,
    make_state,
    open_world,
)
from tests.unit.sim.warehouse_world import changed, decided, orders, sensed, settings, tables, world

TABLES = tables()
SETTINGS = settings()
OFFERED, ON_RELEASE = SETTINGS.rules(), changed(jobs={"offered": "released"}).rules()
SHIP_TIME = SETTINGS.goods.ship_time


def opened(*rows):
    """A world at its first second, its orders (time, due, dock, families) already there."""
    state = make_state(1, TABLES, 16)
    open_world(state, 0, TABLES, SETTINGS, orders(*rows), np.ones(SKUS), np.random.default_rng(5))
    rules.advance(state, 0, TABLES, OFFERED, 1.0)
    return state


def kpi(state, name):
    return state.kpi[0, KPI[name]]


def advance(state, now):
    rules.advance(state, 0, TABLES, OFFERED, now)
    assert list(ledger_faults(state, 0, TABLES)) == []


def stored(state, family):
    """A stored pallet of a family."""
    slots = np.flatnonzero(state.pallet_sku[0] == family)
    return next(int(slot) for slot in slots if stock.is_offered(state, 0, slot, TABLES, OFFERED))


def grant(state, slot, its=OFFERED, robot=0):
    return jobs.grant(state, 0, slot, robot, TABLES, its)


def carry(state, slot):
    assert grant(state, slot)
    bring(state, slot)


def bring(state, slot):
    jobs.picked(state, 0, slot)
    jobs.dropped(state, 0, slot, TABLES)
    assert list(ledger_faults(state, 0, TABLES)) == []


def board(state, its=OFFERED):
    rows, opened_at = np.zeros((state.job_type.shape[1], 6), np.int32), np.zeros(state.job_type.shape[1])
    return rows[: facts.open_jobs(state, 0, TABLES, its, rows, opened_at)]


def told(state, its=OFFERED):
    """What the first inventory agent is told: demand, finishing, and how many order lines."""
    families, totals = np.zeros((5, SKUS)), np.zeros(4)
    lines, line_facts = np.zeros((facts.LINE_FACTS, 3), np.int32), np.zeros((facts.LINE_FACTS, 3))
    count = facts.stock_facts(state, 0, 0, TABLES, its, *families, totals, lines, line_facts)
    return families[2], families[4], count


def test_every_good_pallet_in_a_slot_is_offered_and_none_where_lines_are_released():
    state = opened()
    assert OFFERED.offers_stock and not ON_RELEASE.offers_stock
    rows = board(state)
    assert set(rows[:, 0]) == set(state.pallet_serial[0, state.pallet_serial[0] >= 0])
    assert (rows[:, 1] == PICK).all() and not rows[:, 5].any()
    assert (TABLES.place_type[rows[:, 3]] == SLOT).all() and (TABLES.place_type[rows[:, 4]] == OUTBOUND).all()
    assert len(board(state, ON_RELEASE)) == 0
    slot = stored(state, 3)
    assert not grant(state, slot, ON_RELEASE) and state.job_type[0, slot] == NO_JOB


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([(1.0, 50.0, 0, [3, 4]), (1.0, 900.0, 1, [3])], 4),  # the second order's only line, though it has more time
        ([(1.0, 50.0, 0, [4, 3]), (1.0, 900.0, 1, [3, 5])], 1),  # equally near their ends: who hurries
        ([(1.0, 900.0, 0, [3]), (1.0, 50.0, 1, [3])], 4),
    ],
)
def test_a_picked_pallet_is_promised_to_the_order_nearest_its_end_and_of_those_to_the_most_urgent(rows, line):
    state = opened(*rows)
    slot = stored(state, 3)
    assert grant(state, slot)
    assert state.pallet_line[0, slot] == line and state.line_state[0, line] == RELEASED
    assert (state.line_state[0] == RELEASED).sum() == 1
    assert TABLES.place_group[state.job_target[0, slot]] == state.order_dock[0, line // 4]
    bring(state, slot)
    assert state.line_state[0, line] == SHIPPED and kpi(state, "pallets_in_vain") == 0
    other = stored(state, 3)
    assert grant(state, other)
    assert state.pallet_line[0, other] not in (line, -1), "the next pallet is for the other order"


def test_a_line_shipped_brings_its_order_nearer_to_its_end():
    state = opened((1.0, 50.0, 0, [3, 4, 5]), (1.0, 900.0, 1, [6, 3]))
    demand, finishing, count = told(state)
    assert demand.tolist() == [0, 0, 0, 2, 1, 1, 1, 0, 0, 0, 0, 0] and count == 0
    assert finishing[3] == 0.5 and finishing[4] == pytest.approx(1 / 3) and finishing[6] == 0.5 and finishing[0] == 0
    carry(state, stored(state, 6))
    demand, finishing, _ = told(state)
    assert finishing[3] == 1.0 and finishing[6] == 0.0 and demand[6] == 0
    assert told(state, ON_RELEASE)[2] == 4, "lines that may be released are told only where they must be"


def test_a_pallet_nobody_wants_stays_at_the_dock_and_is_counted():
    state = opened((1.0, 50.0, 0, [4]))
    slot = stored(state, 3)
    carry(state, slot)
    assert kpi(state, "pallets_in_vain") == 1 and kpi(state, "lines_shipped") == 0
    assert (state.job_type[0, slot], state.job_phase[0, slot]) == (STORE, OPEN_JOB)
    place = int(state.pallet_place[0, slot])
    for now in np.arange(2.0, 3 * SHIP_TIME, 1.0):
        advance(state, now)
    assert state.pallet_place[0, slot] == place and TABLES.place_type[place] == OUTBOUND
    wanted = stored(state, 4)
    carry(state, wanted)
    advance(state, float(state.time[0]) + SHIP_TIME)
    assert state.pallet_serial[0, wanted] == -1, "a wanted one leaves with the truck"
    assert kpi(state, "pallets_in_vain") == 1


def test_what_was_brought_in_vain_serves_the_next_line_of_its_family_at_the_dock_where_it_stands():
    state = opened((30.0, 200.0, 1, [3]), (60.0, 200.0, 0, [4, 3]), (90.0, 200.0, 0, [3]))
    slot = stored(state, 3)
    serial = int(state.pallet_serial[0, slot])
    carry(state, slot)
    assert TABLES.place_group[state.pallet_place[0, slot]] == 0
    advance(state, 59.0)
    assert kpi(state, "orders_received") == 1 and kpi(state, "lines_shipped") == 0, "an order for another dock"
    advance(state, 60.0)
    assert kpi(state, "lines_shipped") == 1 and state.line_state[0, 4:6].tolist() == [OPEN_LINE, SHIPPED]
    assert state.job_type[0, slot] == NO_JOB and state.pallet_serial[0, slot] == serial
    advance(state, 61.0)
    assert state.pallet_serial[0, slot] == -1, "the truck had been waiting"
    advance(state, 91.0)
    assert kpi(state, "lines_shipped") == 1 and kpi(state, "pallets_in_vain") == 1


def test_what_was_brought_in_vain_can_be_stored_again_and_is_offered_again():
    state = opened()
    slot = stored(state, 3)
    origin = int(state.pallet_place[0, slot])
    before = len(board(state))
    carry(state, slot)
    row = next(row for row in board(state).tolist() if row[0] == state.pallet_serial[0, slot])
    assert row[1] == STORE and TABLES.place_type[row[4]] == SLOT and not row[5]
    assert not stock.is_free_stock(state, 0, slot)
    carry(state, slot)
    assert TABLES.place_type[state.pallet_place[0, slot]] == SLOT and origin >= 0
    assert kpi(state, "pallets_stored") == 1 and kpi(state, "pallets_in_vain") == 1
    assert stock.is_offered(state, 0, slot, TABLES, OFFERED) and len(board(state)) == before


def test_a_truck_takes_no_pallet_that_a_robot_is_about_to_store():
    """The only pallet of its family stands at a dock in vain; its order comes while a robot goes to store it."""
    state = opened((60.0, 400.0, 0, [3]))
    mine = stored(state, 3)
    carry(state, mine)
    for slot in np.flatnonzero((state.pallet_sku[0] == 3) & (np.arange(state.pallet_sku.shape[1]) != mine)):
        state.pallet_state[0, slot] = 0
        state.place_pallet[0, state.pallet_place[0, slot]] = -1
    assert grant(state, mine)
    rules.advance(state, 0, TABLES, OFFERED, 60.0)
    rules.advance(state, 0, TABLES, OFFERED, 60.0 + 2 * SHIP_TIME)
    assert kpi(state, "orders_received") == 1 and kpi(state, "lines_shipped") == 0
    assert state.pallet_serial[0, mine] >= 0 and state.job_phase[0, mine] == GRANTED
    jobs.reopen(state, 0, mine)
    assert grant(state, mine, robot=1)
    assert TABLES.place_type[state.job_target[0, mine]] == SLOT, "not from dock to dock"
    jobs.reopen(state, 0, mine)
    rules.advance(state, 0, TABLES, OFFERED, float(state.time[0]) + 1.0)
    assert kpi(state, "orders_done") == 1, "its robot lost, it serves the order where it stands"


def test_an_order_that_comes_while_a_pallet_is_on_its_way_in_vain_gets_it():
    state = opened((30.0, 400.0, 0, [3]))
    slot = stored(state, 3)
    assert grant(state, slot)
    assert state.pallet_line[0, slot] == -1
    advance(state, 31.0)
    bring(state, slot)
    assert kpi(state, "orders_done") == 1 and kpi(state, "pallets_in_vain") == 0
    assert state.job_type[0, slot] == NO_JOB


def test_a_claim_on_a_pallet_that_is_already_promised_is_refused():
    state = opened((1.0, 50.0, 0, [3]), (1.0, 50.0, 0, [3]))
    slot = stored(state, 3)
    serial = int(state.pallet_serial[0, slot])
    for robot in (0, 1):
        verb = np.zeros(4, np.int32)
        verb[robot] = decisions.CLAIM
        decisions.apply_decisions(state, 0, verb, np.full(4, serial), np.zeros(4), np.arange(4), TABLES, OFFERED)
        assert kpi(state, "claim_conflicts") == robot
    assert state.job_robot[0, slot] == 0 and state.job_phase[0, slot] == GRANTED
    assert (state.line_state[0] == RELEASED).sum() == 1
    jobs.reopen(state, 0, slot)
    row = next(row for row in board(state).tolist() if row[0] == serial)
    assert row[5] == 1, "offered again, the promise stands"


def test_without_a_free_dock_nothing_is_offered_or_promised():
    state = opened((1.0, 50.0, 0, [3]))
    docks = np.flatnonzero(TABLES.place_type == OUTBOUND)
    slot = stored(state, 3)
    state.place_reserved[0, docks] = 0
    assert len(board(state)) == 0
    assert not grant(state, slot)
    assert state.pallet_line[0, slot] == -1 and state.job_type[0, slot] == NO_JOB
    assert state.line_state[0, 0] == OPEN_LINE
    state.place_reserved[0, docks] = -1
    assert grant(state, slot)


def test_a_promise_goes_to_an_order_whose_dock_has_room_and_while_none_has_the_family_is_not_offered():
    state = opened((1.0, 50.0, 0, [3]), (1.0, 900.0, 1, [3]), (1.0, 900.0, 0, [4]))
    full = np.flatnonzero((TABLES.place_type == OUTBOUND) & (TABLES.place_group == 0))
    slot, other, unwanted = stored(state, 3), stored(state, 4), stored(state, 5)
    state.place_reserved[0, full] = 0
    offered = {row[2] for row in board(state).tolist()}
    assert 3 in offered and 4 not in offered and 5 in offered
    assert grant(state, slot) and state.pallet_line[0, slot] == 4, "the less urgent order, for there is room"
    assert not grant(state, other) and state.line_state[0, 8] == OPEN_LINE
    assert grant(state, unwanted) and state.pallet_line[0, unwanted] == -1
    state.place_reserved[0, full] = -1
    assert grant(state, other) and state.pallet_line[0, other] == 8


STREAM = orders(*[(20.0 * k, 20.0 * k + 300.0, k % 2, [k % 12, (5 * k + 3) % 12]) for k in range(15)])


def test_forklifts_see_the_nearest_pallet_of_each_family_and_inventory_agents_no_line_to_release():
    env = world(STREAM)
    env.reset(3)
    seen = env.step(np.zeros((1, len(env.kinds)), np.int64)).observations
    kind, its = env.contract.kind("forklift"), seen.kinds["forklift"]
    distance, family = (kind.place(name, of_candidate=True) for name in ("pick_distance", "sku"))
    for robot in range(4):
        claims = np.flatnonzero(env.boards["forklift"].verb[0, robot] == decisions.CLAIM)
        assert len(claims) == SKUS <= JOB_CHOICES
        rows = its.candidates[0, robot, claims]
        assert sorted(rows[:, family].argmax(1)) == list(range(SKUS))
        assert (np.diff(rows[:, distance][:, 0]) >= 0).all()
        assert not rows[:, kind.place("promised", of_candidate=True)].any()
    assert sensed(env, seen, "inventory", "finishing")[[0, 1, 3, 8]].tolist() == [0.5, 0.0, 0.5, 0.0]
    assert not (env.boards["inventory"].verb[0] == decisions.RELEASE).any()


@pytest.mark.parametrize(("offered", "releases"), [("stock", False), ("released", True)])
def test_goods_flow_in_both_ways_and_the_books_balance(offered, releases):
    """Nearest-job trucks guess where stock is offered; where lines are released they cannot be wrong."""
    env = world(STREAM, episode=300.0, its=changed(jobs={"offered": offered}), stagger=False)
    seen, has_released = env.reset(0), False
    for _ in range(280):
        choices = decided(env, seen)
        has_released |= bool((env.boards["inventory"].verb[0, [0, 1], choices[4:6]] == decisions.RELEASE).any())
        seen = env.step(choices[None]).observations
        assert list(ledger_faults(env.state, 0, env.tables)) == []
    assert has_released == releases
    assert kpi(env.state, "lines_shipped") >= 5
    assert (kpi(env.state, "pallets_in_vain") > 0) == (not releases)
