"""Inspection: a station reads a pallet, and passes or rejects it, while somebody staffs it."""

from __future__ import annotations

from sim.warehouse.calendar import is_staffed
from sim.warehouse.compiled import kernel
from sim.warehouse.jobs import open_job
from sim.warehouse.kpis import FALSE_REJECTS, INSPECTIONS
from sim.warehouse.routes import Tables
from sim.warehouse.settings import Rules
from sim.warehouse.state import INSPECTION, PASSED, REJECT, REJECTED, STORE, UNDECIDED, State
from sim.warehouse.stock import find_pallet


@kernel
def inspect(s: State, e: int, station: int, serial: int, tables: Tables, rules: Rules) -> None:
    """A station starts to inspect a pallet of its queue; not while another inspection runs, nor during a handover."""
    slot = _queued(s, e, station, serial, tables)
    if slot >= 0 and s.station_pallet[e, station] < 0 and is_staffed(s, e, rules):
        s.station_pallet[e, station] = slot
        s.station_until[e, station] = s.time[e] + rules.inspection_time


@kernel
def judge(s: State, e: int, station: int, serial: int, is_good: bool, tables: Tables, rules: Rules) -> None:
    """A station passes or rejects a pallet of its queue, and its next job opens; not during a handover."""
    slot = _queued(s, e, station, serial, tables)
    if slot < 0 or s.station_pallet[e, station] == slot or not is_staffed(s, e, rules):
        return
    supplier = s.pallet_supplier[e, slot]
    s.supplier_seen[e, supplier] += 1
    if is_good:
        s.pallet_state[e, slot] = PASSED
        open_job(s, e, slot, STORE)
        return
    s.pallet_state[e, slot] = REJECTED
    s.supplier_rejected[e, supplier] += 1
    if not s.pallet_defective[e, slot]:
        s.kpi[e, FALSE_REJECTS] += 1
    open_job(s, e, slot, REJECT)


@kernel
def _queued(s: State, e: int, station: int, serial: int, tables: Tables) -> int:
    """Slot of an undecided pallet that stands at the station, -1 if there is none with that serial number."""
    slot = find_pallet(s, e, serial)
    if slot < 0 or s.pallet_state[e, slot] != UNDECIDED:
        return -1
    place = s.pallet_place[e, slot]
    if place < 0 or tables.place_type[place] != INSPECTION or tables.place_group[place] != station:
        return -1
    return slot


@kernel
def read_quality(s: State, e: int, slot: int) -> None:
    """An inspection has ended: one more reading. That takes nobody, so it happens during a handover, too."""
    count = s.pallet_inspections[e, slot]
    truth = 1.0 if s.pallet_defective[e, slot] else 0.0
    reading = truth + s.draw_reading[e, s.pallet_draw[e, slot], min(count, 3)]
    s.pallet_reading[e, slot] = (s.pallet_reading[e, slot] * count + reading) / (count + 1)
    s.pallet_inspections[e, slot] = count + 1
    s.kpi[e, INSPECTIONS] += 1
