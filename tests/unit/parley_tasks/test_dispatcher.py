"""What agents say is taken as state: repeated, late or senseless words never hurt the ledger."""

import math
import sqlite3

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from parley_tasks.convert import Reporter
from parley_tasks.dispatcher import LIFTED, SET_DOWN, TO_PICK, Word
from parley_tasks.invariants import faults
from parley_tasks.opening import open_dispatcher
from policy_core.config import ConfigError
from sim.warehouse.decisions import CLAIM, RELEASE, REORDER
from sim.warehouse.kpis import BLOCKED_S, CONTACTS, LINES_SHIPPED, NEAR_MISSES
from sim.warehouse.state import CARRYING, GRANTED, NO_JOB, OPEN_JOB, OPEN_LINE, PASSED, PICK, STORE, State
from sim.warehouse.stock import is_offered
from tests.support.scripted_decisions import CREW, play, told


@pytest.fixture
def opened(tmp_path):
    opened = open_dispatcher(told(f"sqlite:///{tmp_path / 'ledger.sqlite'}"), CREW)
    yield opened
    opened.ledger.close()


def say(opened, **words):
    dispatcher = opened.dispatcher
    tick = dispatcher.tick + 1
    dispatcher.advance(tick)
    dispatcher.resolve(tick, words)
    return dispatcher.state


def a_granted_job(opened):
    """Let inventory agents release lines until forklift_1 has a job; gives its pallet slot."""
    for _ in range(120):
        s = opened.dispatcher.state
        free = np.flatnonzero((s.job_type[0] != NO_JOB) & (s.job_phase[0] == OPEN_JOB))
        if len(free):
            slot = int(free[0])
            say(opened, forklift_1=Word(CLAIM, int(s.pallet_serial[0, slot])))
            assert s.job_phase[0, slot] == GRANTED
            return slot
        lines = np.flatnonzero(s.line_state[0] == 1).tolist() or [0]
        say(opened, inventory_1=Word(RELEASE, lines[0]), inventory_2=Word(RELEASE, lines[0]))
    raise AssertionError("no order came in 120 s")


def test_a_report_may_be_repeated(opened):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    job, target = int(s.job_serial[0, slot]), int(s.job_target[0, slot])
    for _ in range(3):
        say(opened, forklift_1=Word(job=job, phase=LIFTED))
        assert s.job_phase[0, slot] == CARRYING
    for _ in range(3):
        say(opened, forklift_1=Word(job=job, phase=SET_DOWN))
        assert s.kpi[0, LINES_SHIPPED] == 1
    assert s.place_pallet[0, target] == slot
    assert opened.dispatcher.tally == {"report on a job that has ended": 2}


def test_a_pallet_set_down_while_nobody_listened_counts_once(opened):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    say(opened, forklift_1=Word(job=int(s.job_serial[0, slot]), phase=SET_DOWN))
    assert s.kpi[0, LINES_SHIPPED] == 1
    assert faults(s) == []


def test_a_report_on_somebody_elses_job_changes_nothing(opened):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    say(opened, forklift_2=Word(job=int(s.job_serial[0, slot]), phase=SET_DOWN))
    assert s.job_phase[0, slot] == GRANTED
    assert opened.dispatcher.tally["report on a job of somebody else"] == 1


def test_the_job_of_a_silent_robot_is_offered_again_unless_it_carries(opened):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    job = int(s.job_serial[0, slot])
    for _ in range(7):
        say(opened)
    assert s.job_phase[0, slot] == GRANTED
    say(opened)
    assert s.job_phase[0, slot] == OPEN_JOB
    assert s.job_serial[0, slot] == job
    assert faults(s) == []
    say(opened, forklift_2=Word(CLAIM, int(s.pallet_serial[0, slot])))
    say(opened, forklift_2=Word(job=job, phase=LIFTED))
    for _ in range(20):
        say(opened)
    assert s.job_phase[0, slot] == CARRYING
    assert s.job_robot[0, slot] == 1


def test_a_robot_with_a_job_gets_no_second_one(opened):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    job, other = int(s.job_serial[0, slot]), None
    for _ in range(200):
        lines = np.flatnonzero(s.line_state[0] == 1).tolist() or [0]
        say(opened, forklift_1=Word(job=job, phase=TO_PICK), inventory_1=Word(RELEASE, lines[0]))
        free = np.flatnonzero((s.job_type[0] != NO_JOB) & (s.job_phase[0] == OPEN_JOB))
        if len(free):
            other = int(s.pallet_serial[0, free[0]])
            break
    assert other is not None
    say(opened, forklift_1=Word(CLAIM, other, job=job, phase=TO_PICK))
    assert opened.dispatcher.tally["claim of a robot that has a job"] == 1
    assert faults(s) == []


def test_a_verb_of_another_kind_is_not_taken(opened):
    before = opened.dispatcher.state.reorder_sku.copy()
    s = say(opened, forklift_1=Word(REORDER, 3))
    np.testing.assert_array_equal(s.reorder_sku, before)
    assert opened.dispatcher.tally["verb that no forklift has"] == 1


def test_counters_that_begin_anew_with_their_process_are_added_up(opened):
    for blocked in (2.0, 5.0, 5.0, 1.0, 4.0, math.nan, -1.0):
        s = say(opened, forklift_1=Word(blocked=blocked))
    assert s.kpi[0, BLOCKED_S] == 5.0 + 4.0
    for contacts in (1.0, 3.0, 2.0):
        opened.dispatcher.count_contacts({"forklift_1": contacts, "forklift_2": 1.0, "near_misses": 4.0})
    assert s.kpi[0, CONTACTS] == (3.0 + 2.0) + 1.0
    assert s.kpi[0, NEAR_MISSES] == 4.0
    opened.dispatcher.count_contacts({"nobody": 1.0})
    assert opened.dispatcher.tally["counter that makes no sense"] == 3


def said_nothing(opened, ticks=3):
    """The state after the first ticks, when the orders that waited at the door are in."""
    for _ in range(ticks):
        say(opened)
    return opened.dispatcher.state


def brought(opened, family, robot="forklift_1"):
    """Let a robot bring a stored pallet of a family to a dock; gives its slot."""
    dispatcher, s = opened.dispatcher, opened.dispatcher.state
    slots = [int(slot) for slot in np.flatnonzero(s.pallet_sku[0] == family)]
    slot = next(slot for slot in slots if is_offered(s, 0, slot, dispatcher.tables, dispatcher.rules))
    say(opened, **{robot: Word(CLAIM, int(s.pallet_serial[0, slot]))})
    assert (s.job_type[0, slot], s.job_phase[0, slot]) == (PICK, GRANTED)
    say(opened, **{robot: Word(job=int(s.job_serial[0, slot]), phase=SET_DOWN)})
    assert faults(s) == []
    return slot


def unwanted(s):
    """A family that is stored and that no open order wants."""
    open_families = s.line_sku[0, s.line_state[0] == OPEN_LINE]
    stored = np.bincount(s.pallet_sku[0, s.pallet_state[0] == PASSED], minlength=12)
    return next(family for family in range(12) if family not in open_families and stored[family])


def test_stock_brought_in_vain_is_kept_by_the_ledger_until_an_order_takes_it_where_it_stands(tmp_path):
    place = tmp_path / "ledger.sqlite"
    address = told(f"sqlite:///{place}")
    opened = open_dispatcher(address, CREW)
    s = said_nothing(opened)
    slot = brought(opened, unwanted(s))
    serial, job = int(s.pallet_serial[0, slot]), int(s.job_serial[0, slot])
    assert (s.job_type[0, slot], s.job_phase[0, slot], s.pallet_line[0, slot]) == (STORE, OPEN_JOB, -1)
    assert opened.dispatcher.kpis()["pallets_in_vain"] == 1
    opened.ledger.close()
    opened = open_dispatcher(address, CREW)
    for field, one, two in zip(State._fields, opened.dispatcher.state, s, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=field)
    s = opened.dispatcher.state
    for _ in range(599):
        if s.job_type[0, slot] != STORE:
            break
        say(opened)
    assert opened.dispatcher.kpis()["lines_shipped"] == 1
    assert faults(s) == []
    opened.ledger.close()
    with sqlite3.connect(place) as database:
        jobs = dict(database.execute("SELECT serial, withdrawn FROM jobs WHERE pallet = ?", (serial,)).fetchall())
        row = "SELECT dropped, picked, robot FROM jobs WHERE serial = ?"
        assert database.execute(row, (job,)).fetchall() == [(None, None, None)]
        lines = database.execute("SELECT pallet, released, shipped FROM order_lines WHERE shipped NOTNULL").fetchall()
    assert len(jobs) == 2 and jobs[job] is not None and jobs[min(jobs)] is None
    assert lines == [(serial, lines[0][2], lines[0][2])] and lines[0][2] == jobs[job]


def test_stock_brought_in_vain_is_stored_again_by_a_robot(opened):
    s = said_nothing(opened)
    slot = brought(opened, unwanted(s))
    say(opened, forklift_2=Word(CLAIM, int(s.pallet_serial[0, slot])))
    assert (s.job_type[0, slot], s.job_phase[0, slot], s.job_robot[0, slot]) == (STORE, GRANTED, 1)
    say(opened, forklift_2=Word(job=int(s.job_serial[0, slot]), phase=SET_DOWN))
    dispatcher = opened.dispatcher
    assert is_offered(s, 0, slot, dispatcher.tables, dispatcher.rules)
    assert (dispatcher.kpis()["pallets_stored"], dispatcher.kpis()["pallets_in_vain"]) == (1, 1)
    assert faults(s) == []


def test_stock_that_is_wanted_is_promised_with_the_grant_and_told_as_a_job(opened):
    s, reporter = opened.dispatcher.state, Reporter(opened.dispatcher)
    while not (s.line_state[0] == OPEN_LINE).any():
        say(opened)
    line = int(np.flatnonzero(s.line_state[0] == OPEN_LINE)[0])
    slots = np.flatnonzero((s.pallet_sku[0] == s.line_sku[0, line]) & (s.pallet_state[0] == PASSED))
    serial = int(s.pallet_serial[0, slots[0]])
    row = next(job for job in reporter.job_board(resolved=False).jobs if job.pallet == serial)
    assert (row.serial, row.type, row.robot, row.promised) == (-1, PICK, "", False)
    say(opened, forklift_1=Word(CLAIM, serial), forklift_2=Word(CLAIM, serial, pick_distance=1.0))
    row = next(job for job in reporter.job_board(resolved=True).jobs if job.pallet == serial)
    assert (row.serial, row.robot, row.promised) == (s.job_serial[0, slots[0]], "forklift_1", True)
    say(opened, forklift_2=Word(CLAIM, serial))
    assert opened.dispatcher.kpis()["claim_conflicts"] == 2 and s.job_robot[0, slots[0]] == 0
    assert faults(s) == []


@pytest.mark.parametrize(("battery", "phase"), [(0.1, GRANTED), (0.0, OPEN_JOB)])
def test_the_job_of_a_robot_whose_battery_is_empty_is_offered_again(opened, battery, phase):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    job = int(s.job_serial[0, slot])
    for _ in range(8):
        say(opened, forklift_1=Word(job=job, phase=TO_PICK, battery=battery))
    assert s.job_phase[0, slot] == phase
    assert faults(s) == []


@pytest.mark.parametrize(("battery", "phase"), [(0.1, GRANTED), (0.0, OPEN_JOB)])
def test_a_robot_whose_battery_is_empty_keeps_no_job_from_the_others(opened, battery, phase):
    slot = a_granted_job(opened)
    s = opened.dispatcher.state
    for _ in range(8):
        say(opened)
    assert s.job_phase[0, slot] == OPEN_JOB
    say(opened, forklift_1=Word(CLAIM, int(s.pallet_serial[0, slot]), battery=battery))
    assert s.job_phase[0, slot] == phase
    assert faults(s) == []


def test_what_the_simulator_counts_for_the_fleet_is_kept(opened):
    opened.dispatcher.count_contacts({"energy_wh": 3.5, "charging_s": 20.0, "flat_s": 1.0})
    opened.dispatcher.count_contacts({"energy_wh": 4.0, "charging_s": 20.0, "flat_s": 1.0})
    kpis = opened.dispatcher.kpis()
    assert (kpis["energy_wh"], kpis["charging_s"], kpis["flat_s"]) == (4.0, 20.0, 1.0)


def test_counters_go_on_after_a_restart(tmp_path):
    address = told(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    first = open_dispatcher(address, CREW)
    say(first, forklift_1=Word(blocked=3.0))
    again = open_dispatcher(address, CREW)
    assert say(again, forklift_1=Word(blocked=4.0)).kpi[0, BLOCKED_S] == 4.0


def test_missed_ticks_are_made_up_for(tmp_path):
    def after(name, ticks):
        opened = open_dispatcher(told(f"sqlite:///{tmp_path / name}"), CREW)
        for tick in ticks:
            opened.dispatcher.advance(tick)
            opened.dispatcher.resolve(tick, {})
        return opened.dispatcher.state

    for field, one, two in zip(State._fields, after("a", range(150)), after("b", (0, 1, 149)), strict=True):
        np.testing.assert_array_equal(one, two, err_msg=field)


def test_a_fleet_without_forklifts_or_with_too_many_stations_is_refused(tmp_path):
    address = told(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with pytest.raises(ConfigError, match="no forklift"):
        open_dispatcher(address, type(CREW)(("inventory_1",), ("inventory",)))
    names = tuple(f"quality_{n}" for n in range(5))
    with pytest.raises(ConfigError, match="has 5 quality agents, floor plan 'small_hall' has"):
        open_dispatcher(address, type(CREW)(("forklift_1", *names), ("forklift", *("quality",) * 5)))


@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(seed=strategies.integers(0, 2**20))
def test_whatever_is_said_the_warehouse_stays_sound_and_the_ledger_true(tmp_path_factory, seed):
    address = told(f"sqlite:///{tmp_path_factory.mktemp('wild') / 'ledger.sqlite'}", seed=seed % 5)
    opened = open_dispatcher(address, CREW)
    for tick in range(60):
        play(opened, tick, seed, is_wild=True)
        assert faults(opened.dispatcher.state) == []
    again = open_dispatcher(address, CREW)
    for field, one, two in zip(State._fields, again.dispatcher.state, opened.dispatcher.state, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=field)
    again.ledger.close()
    opened.ledger.close()
