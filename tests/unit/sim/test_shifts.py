"""Shifts at the quality stations: nobody inspects or judges during a handover."""

from __future__ import annotations

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.warehouse import calendar, jobs, quality, replenishment, rules
from sim.warehouse.numbers import rules_of
from sim.warehouse.settings import read_warehouse
from sim.warehouse.state import INSPECTION, NO_JOB, STORE, UNDECIDED, make_state, open_world
from tests.unit.sim.warehouse_world import CONFIG, changed, orders, sensed, settings, tables, world

TABLES, SETTINGS = tables(), settings()
RULES = SETTINGS.rules()._replace(shift_length=100.0, handover=10.0)


def opened(seed=5, its=SETTINGS):
    state = make_state(1, TABLES, 16)
    open_world(state, 0, TABLES, its, orders(), np.ones(12), np.random.default_rng(seed))
    return state


def waiting_pallet():
    """A pallet at an inspection place, in a world whose first shift began at 0."""
    state = opened()
    state.shift_start[0] = 0.0
    replenishment.reorder(state, 0, 0, 3, RULES)
    rules.advance(state, 0, TABLES, RULES, RULES.lead_high)
    slot = int(np.flatnonzero(state.pallet_state[0] == UNDECIDED)[0])
    assert jobs.grant(state, 0, slot, 0, TABLES, RULES)
    jobs.picked(state, 0, slot)
    jobs.dropped(state, 0, slot, TABLES)
    place = state.pallet_place[0, slot]
    assert TABLES.place_type[place] == INSPECTION
    return state, slot, int(TABLES.place_group[place]), int(state.pallet_serial[0, slot])


def test_every_shift_ends_with_a_handover():
    state = opened()
    state.shift_start[0] = -30.0
    staffed = []
    for second in range(200):
        state.time[0] = second
        staffed.append(calendar.is_staffed(state, 0, RULES))
    assert [second for second, works in enumerate(staffed) if not works] == [*range(60, 70), *range(160, 170)]


@pytest.mark.parametrize(("now", "works"), [(85.0, True), (95.0, False)])
def test_no_inspection_is_started_and_none_decided_during_a_handover(now, works):
    state, slot, station, serial = waiting_pallet()
    rules.advance(state, 0, TABLES, RULES, now)
    quality.inspect(state, 0, station, serial, TABLES, RULES)
    assert (state.station_pallet[0, station] == slot) == works
    state.station_pallet[0, station] = -1
    quality.judge(state, 0, station, serial, True, TABLES, RULES)
    assert state.job_type[0, slot] == (STORE if works else NO_JOB)


def test_an_inspection_that_runs_ends_during_the_handover():
    state, slot, station, serial = waiting_pallet()
    rules.advance(state, 0, TABLES, RULES, 89.0)
    quality.inspect(state, 0, station, serial, TABLES, RULES)
    rules.advance(state, 0, TABLES, RULES, 89.0 + RULES.inspection_time)
    assert not calendar.is_staffed(state, 0, RULES)
    assert state.pallet_inspections[0, slot] == 1 and state.station_pallet[0, station] == -1


def test_a_station_sees_whether_it_is_staffed_and_its_choices_follow():
    env = world(orders(), its=changed(shifts={"length": 100.0, "handover": 10.0}))
    env.reset(0)
    replenishment.reorder(env.state, 0, 0, 3, rules_of(env.numbers.rules[0]))
    seen = {}
    for now in (80.0, 95.0):
        env.state.shift_start[0] = 0.0
        rules.advance(env.state, 0, TABLES, RULES, now - 1.0)
        for slot in np.flatnonzero(env.state.pallet_state[0] == UNDECIDED):
            if env.state.job_type[0, slot] != NO_JOB and jobs.grant(env.state, 0, slot, 0, TABLES, RULES):
                jobs.picked(env.state, 0, slot)
                jobs.dropped(env.state, 0, slot, TABLES)
        observed = env.step(np.zeros((1, len(env.kinds)), np.int64)).observations
        told = [sensed(env, observed, "quality", "staffed", station)[0] for station in (0, 1)]
        seen[now] = told, int(observed.kinds["quality"].mask[0].sum())
    assert seen[80.0][0] == [1.0, 1.0] and seen[80.0][1] > 2
    assert seen[95.0] == ([0.0, 0.0], 2), "a pallet waits, but waiting is all that may be chosen"


def test_the_phase_of_the_shifts_is_drawn_from_the_seed():
    starts = [opened(seed).shift_start[0] for seed in (1, 1, 2, 3, 4)]
    assert starts[0] == starts[1] and len(set(starts)) == 4
    assert all(-SETTINGS.shifts.length <= start <= 0.0 for start in starts)


def test_a_handover_longer_than_its_shift_is_refused(tmp_path):
    path = tmp_path / "warehouse.yaml"
    path.write_text((CONFIG / "warehouse.yaml").read_text().replace("handover: 60.0", "handover: 1800.0"))
    with pytest.raises(ConfigError, match="shorter than the shift"):
        read_warehouse(path)
