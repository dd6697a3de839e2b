"""What happened in a tick, told by two states of one world: rows for the ledger's history.

The rules keep only the present; the life of a pallet, a job or an order is in the difference between one tick and
the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Table

from parley_tasks import schema
from sim.warehouse.state import (
    CARRYING,
    GRANTED,
    LINES,
    NO_JOB,
    OPEN_JOB,
    OPEN_LINE,
    PASSED,
    REJECTED,
    RELEASED,
    REORDERS,
    SHIPPED,
    UNDECIDED,
    State,
)

JOB_NAMES = ("inbound", "store", "pick", "reject")  # by job type

Row = dict[str, Any]


class Memory(NamedTuple):
    """What the ledger remembers of each slot beside the `State`; shaped alike, worlds first."""

    last_place: np.ndarray  # [1, L] where the slot's pallet stood last, -1
    order_number: np.ndarray  # [1, R] the slot's latest order: its row of the stream, -1
    reorder_number: np.ndarray  # [1, REORDERS] the slot's latest reorder, -1


def new_memory(state: State) -> Memory:
    """The memory of a world that has just been opened."""
    return Memory(
        state.pallet_place.copy(),
        np.full(state.order_active.shape, -1, np.int32),
        np.full((1, REORDERS), -1, np.int32),
    )


class Names(NamedTuple):
    """Words for indices."""

    places: tuple[str, ...]
    robots: tuple[str, ...]

    def place(self, index: int) -> str:
        """A place in words."""
        return self.places[index] if index >= 0 else "nowhere"


class Page:
    """The rows that one tick adds to the history."""

    def __init__(self, tick: int, time: float, first_event: int) -> None:
        self.inserts: defaultdict[Table, list[Row]] = defaultdict(list)
        self.updates: defaultdict[tuple[Table, tuple[str, ...]], list[Row]] = defaultdict(list)
        self.time = time  # s
        self._tick = tick
        self._first_event = first_event

    def insert(self, table: Table, **row: Any) -> None:
        """Add a row; columns left out are empty."""
        self.inserts[table].append({column.name: row.get(column.name) for column in table.columns})

    def update(self, table: Table, key: Row, **row: Any) -> None:
        """Change columns of the row with that primary key."""
        values = {f"key_{name}": value for name, value in key.items()}
        self.updates[table, tuple(row)].append({**values, **row})

    def tell(self, what: str, about: str) -> None:
        """Add to the log of events."""
        number = self._first_event + len(self.inserts[schema.events])
        self.insert(schema.events, number=number, tick=self._tick, time=self.time, what=what, about=about)


class Chronicler:
    """Writes the history of one world."""

    def __init__(self, names: Names, memory: Memory, next_event: int, next_inspection: int) -> None:
        self._names = names
        self._memory = memory
        self._next_event = next_event
        self._next_inspection = next_inspection

    def page(self, before: State, after: State, tick: int, remarks: Sequence[tuple[str, str]] = ()) -> Page:
        """What happened between two states; `remarks` are further events. Brings the memory up to date."""
        page = Page(tick, float(after.time[0]), self._next_event)
        for what, about in remarks:
            page.tell(what, about)
        self._pallets(page, before, after)
        self._quality(page, before, after)
        self._jobs(page, before, after)
        self._reorders(page, before, after)
        self._orders(page, before, after)
        np.copyto(self._memory.last_place, after.pallet_place, where=after.pallet_place >= 0)
        self._next_event += len(page.inserts[schema.events])
        return page

    def _pallets(self, page: Page, before: State, after: State) -> None:
        now = float(after.time[0])
        for slot in np.flatnonzero(before.pallet_serial[0] != after.pallet_serial[0]).tolist():
            gone, new = int(before.pallet_serial[0, slot]), int(after.pallet_serial[0, slot])
            if gone >= 0:
                place = self._names.place(self._memory.last_place[0, slot])
                page.update(schema.pallets, {"serial": gone}, left=now, left_from=place)
                page.tell("left", f"pallet {gone} from {place}")
            if new >= 0:
                insert_pallet(page, after, slot)
                page.tell("arrived", f"pallet {new} at {self._names.place(after.pallet_place[0, slot])}")

    def _quality(self, page: Page, before: State, after: State) -> None:
        now = float(after.time[0])
        for station, slot in enumerate(before.station_pallet[0]):
            goes_on = after.station_pallet[0, station] >= 0
            goes_on &= after.station_until[0, station] == before.station_until[0, station]
            if slot >= 0 and not goes_on:
                page.insert(
                    schema.inspections,
                    number=self._next_inspection,
                    pallet=int(before.pallet_serial[0, slot]),
                    station=station,
                    ended=now,
                    mean_reading=float(after.pallet_reading[0, slot]),
                    count=int(after.pallet_inspections[0, slot]),
                )
                self._next_inspection += 1
        judged = (before.pallet_state[0] == UNDECIDED) & np.isin(after.pallet_state[0], (PASSED, REJECTED))
        for slot in np.flatnonzero(judged).tolist():
            serial = int(after.pallet_serial[0, slot])
            verdict = "passed" if after.pallet_state[0, slot] == PASSED else "rejected"
            page.insert(
                schema.judgements,
                pallet=serial,
                time=now,
                place=self._names.place(after.pallet_place[0, slot]),
                verdict=verdict,
                mean_reading=float(after.pallet_reading[0, slot]),
                inspections=int(after.pallet_inspections[0, slot]),
                supplier=int(after.pallet_supplier[0, slot]),
            )
            page.tell(verdict, f"pallet {serial}")

    def _jobs(self, page: Page, before: State, after: State) -> None:
        now = float(after.time[0])
        changed = np.zeros(before.job_type.shape[1], bool)
        for column in ("job_type", "job_phase", "job_serial", "job_robot"):
            changed |= getattr(before, column)[0] != getattr(after, column)[0]
        for slot in np.flatnonzero(changed).tolist():
            old, new = int(before.job_serial[0, slot]), int(after.job_serial[0, slot])
            was_live, is_live = before.job_type[0, slot] != NO_JOB, after.job_type[0, slot] != NO_JOB
            was, phase = int(before.job_phase[0, slot]), int(after.job_phase[0, slot])
            if was_live and not (is_live and new == old):
                self._end_job(page, old, was)
            if not is_live:
                continue
            if not was_live or new != old:
                self._insert_job(page, after, slot)
                was = OPEN_JOB
            if phase == OPEN_JOB and was == GRANTED:
                page.update(schema.jobs, {"serial": new}, robot=None, target=None, granted=None)
                page.tell("offered again", f"job {new}")
            robot = int(after.job_robot[0, slot])
            if phase >= GRANTED and (was == OPEN_JOB or robot != before.job_robot[0, slot]):
                target = self._names.place(after.job_target[0, slot])
                page.update(schema.jobs, {"serial": new}, robot=self._names.robots[robot], target=target, granted=now)
                page.tell("granted", f"job {new} to {self._names.robots[robot]}: {target}")
            if phase == CARRYING and was < CARRYING:
                page.update(schema.jobs, {"serial": new}, picked=now)
                page.tell("picked", f"job {new}")

    def _end_job(self, page: Page, serial: int, phase: int) -> None:
        """A job that no robot had is withdrawn: its pallet was brought in vain, and serves an order where it stands."""
        if phase == OPEN_JOB:
            page.update(schema.jobs, {"serial": serial}, withdrawn=page.time)
            page.tell("withdrawn", f"job {serial}")
            return
        if phase < CARRYING:
            page.update(schema.jobs, {"serial": serial}, picked=page.time)
        page.update(schema.jobs, {"serial": serial}, dropped=page.time)
        page.tell("dropped", f"job {serial}")

    def _insert_job(self, page: Page, after: State, slot: int) -> None:
        place = self._names.place(after.pallet_place[0, slot])
        serial, pallet = int(after.job_serial[0, slot]), int(after.pallet_serial[0, slot])
        kind = JOB_NAMES[after.job_type[0, slot]]
        page.insert(
            schema.jobs,
            serial=serial,
            pallet=pallet,
            type=kind,
            family=int(after.pallet_sku[0, slot]),
            origin=place,
            opened=float(after.job_opened[0, slot]),
        )
        page.tell("opened", f"job {serial}: {kind} pallet {pallet} from {place}")

    def _reorders(self, page: Page, before: State, after: State) -> None:
        numbers = self._memory.reorder_number[0]
        same = (before.reorder_sku[0] == after.reorder_sku[0]) & (before.reorder_eta[0] == after.reorder_eta[0])
        for slot in np.flatnonzero(~same):
            if before.reorder_sku[0, slot] >= 0:
                page.update(schema.reorders, {"number": int(numbers[slot])}, arrived=float(after.time[0]))
            family = int(after.reorder_sku[0, slot])
            if family >= 0:
                numbers[slot] = numbers.max() + 1
                agent = int(after.reorder_agent[0, slot])
                page.insert(
                    schema.reorders,
                    number=int(numbers[slot]),
                    family=family,
                    agent=agent,
                    placed=float(after.time[0]),
                    due=float(after.reorder_eta[0, slot]),
                )
                page.tell("reordered", f"family {family} by inventory agent {agent}")

    def _orders(self, page: Page, before: State, after: State) -> None:
        now, numbers = float(after.time[0]), self._memory.order_number[0]
        rows = range(int(before.stream_next[0]), int(after.stream_next[0]))
        came = np.flatnonzero(~before.order_active[0])[: len(rows)]  # the rules fill free slots from the lowest on
        for slot, number in zip(came, rows, strict=True):
            numbers[slot] = number
            page.update(schema.orders, {"number": number}, came=now)
            page.tell("order came", f"order {number}")
        was = before.line_state[0].copy()
        was.reshape(-1, LINES)[came] = OPEN_LINE
        for line in np.flatnonzero((was != after.line_state[0]) & (after.line_state[0] >= RELEASED)):
            key = {"order_number": int(numbers[line // LINES]), "line": int(line % LINES)}
            if was[line] == OPEN_LINE:
                page.update(schema.order_lines, key, released=now, pallet=_pallet_of(before, after, int(line)))
            if after.line_state[0, line] == SHIPPED:
                page.update(schema.order_lines, key, shipped=now)
        was_active = before.order_active[0].copy()
        was_active[came] = True
        for slot in np.flatnonzero(was_active & ~after.order_active[0]):  # some are served as they come, from a dock
            page.update(schema.orders, {"number": int(numbers[slot])}, done=now)
            page.tell("order done", f"order {int(numbers[slot])}")


def _pallet_of(before: State, after: State, line: int) -> int | None:
    """Serial number of the pallet that has just been promised to an order line, or has just served it unpromised."""
    has_job = after.job_type[0] != NO_JOB
    is_new = has_job if after.line_state[0, line] == RELEASED else before.pallet_line[0] < 0
    slots = np.flatnonzero((after.pallet_line[0] == line) & (after.pallet_serial[0] >= 0) & is_new)
    return int(after.pallet_serial[0, slots[0]]) if len(slots) else None


def insert_pallet(page: Page, state: State, slot: int) -> None:
    """Begin the history of the pallet in a slot."""
    page.insert(
        schema.pallets,
        serial=int(state.pallet_serial[0, slot]),
        family=int(state.pallet_sku[0, slot]),
        supplier=int(state.pallet_supplier[0, slot]),
        arrived=float(state.pallet_since[0, slot]),
    )
