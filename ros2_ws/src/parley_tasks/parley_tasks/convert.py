"""From the ledger's world to messages, and from messages to words. Buffers are kept from tick to tick."""

from __future__ import annotations

import array
from collections.abc import Iterator

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from parley_msgs.msg import (
    Decision,
    Job,
    JobBoard,
    Kpis,
    OrderLine,
    Pallet,
    PalletList,
    QualityReport,
    QueuePlace,
    StockReport,
)
from parley_tasks.dispatcher import Dispatcher, Word
from sim.warehouse.facts import LINE_FACTS, open_jobs, queue_facts, stock_facts
from sim.warehouse.observe import QUEUE
from sim.warehouse.settings import SKUS, SUPPLIERS
from sim.warehouse.state import ABSENT, CARRYING, GRANTED, NO_JOB


def seconds(stamp: Time) -> float:
    """A ROS time as seconds."""
    return float(stamp.sec + 1e-9 * stamp.nanosec)


def word_of(ros: Decision) -> Word:
    """What an agent says."""
    return Word(ros.verb, ros.subject, ros.job, ros.phase, ros.pick_distance, ros.blocked, ros.travelled, ros.battery)


class Reporter:
    """Tells the fleet what the ledger lets each agent know."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._s, self._crew = dispatcher.state, dispatcher.crew
        self._tables, self._rules = dispatcher.tables, dispatcher.rules
        slots = self._s.job_type.shape[1]
        self._jobs, self._opened = np.zeros((slots, 6), np.int32), np.zeros(slots)
        self._families = np.zeros((5, SKUS))  # stock, pipeline, demand, slack, finishing
        self._totals = np.zeros(4)
        self._lines, self._line_facts = np.zeros((LINE_FACTS, 3), np.int32), np.zeros((LINE_FACTS, 3))
        self._queue, self._queue_facts = np.zeros((QUEUE, 4), np.int32), np.zeros((QUEUE, 4))
        self._history = np.zeros(SUPPLIERS)
        self._known = np.full((5, slots), -2)
        self._pallets = [Pallet() for _ in range(slots)]
        self._header = Header(frame_id="map")
        self._number = 0

    def compile(self) -> None:
        """Build every message once, so that no live tick waits for the compiler."""
        self.job_board(resolved=False)
        list(self.stock_reports())
        list(self.quality_reports())

    def begin(self, tick: int, stamp: Time) -> None:
        """The next messages are about this tick."""
        self._header = Header(stamp=stamp, frame_id="map")
        self._number = tick

    def job_board(self, resolved: bool) -> JobBoard:
        """All jobs that could be granted now, then those that robots have."""
        count = open_jobs(self._s, 0, self._tables, self._rules, self._jobs, self._opened)
        board = JobBoard(header=self._header, tick=self._number, resolved=resolved)
        board.jobs = [*self._open_jobs(count), *self._granted_jobs()]
        return board

    def _open_jobs(self, count: int) -> Iterator[Job]:
        serials = np.where(self._s.job_type[0] != NO_JOB, self._s.job_serial[0], -1)
        serial_of = dict(zip(self._s.pallet_serial[0].tolist(), serials.tolist(), strict=True))
        for (pallet, kind, sku, origin, target, promised), opened in zip(
            self._jobs[:count].tolist(), self._opened[:count].tolist(), strict=True
        ):
            yield Job(
                serial=serial_of[pallet],
                pallet=pallet,
                type=kind,
                sku=sku,
                origin=origin,
                target=target,
                opened=opened,
                promised=promised > 0,
            )

    def _granted_jobs(self) -> Iterator[Job]:
        s = self._s
        for slot in np.flatnonzero((s.job_type[0] != NO_JOB) & (s.job_phase[0] >= GRANTED)).tolist():
            place = int(s.pallet_place[0, slot])
            yield Job(
                serial=int(s.job_serial[0, slot]),
                pallet=int(s.pallet_serial[0, slot]),
                type=int(s.job_type[0, slot]),
                sku=int(s.pallet_sku[0, slot]),
                origin=place if place >= 0 else int(self._dispatcher.last_place[slot]),
                target=int(s.job_target[0, slot]),
                opened=float(s.job_opened[0, slot]),
                promised=bool(s.pallet_line[0, slot] >= 0),
                robot=self._crew.robots[s.job_robot[0, slot]],
            )

    def stock_reports(self) -> Iterator[StockReport]:
        """One for each inventory agent."""
        stock, on_order, demand, slack, finishing = self._families
        for zone, agent in enumerate(self._crew.of_kind("inventory")):
            told = stock_facts(
                self._s,
                0,
                zone,
                self._tables,
                self._rules,
                stock,
                on_order,
                demand,
                slack,
                finishing,
                self._totals,
                self._lines,
                self._line_facts,
            )
            ros = StockReport(header=self._header, tick=self._number, agent=agent)
            ros.stock, ros.pipeline, ros.demand, ros.slack, ros.finishing = map(_floats, self._families)
            ros.recent = _floats(self._s.recent[0])
            ros.free_slots, ros.open_lines, ros.released, ros.cutoff = self._totals.tolist()
            ros.can_reorder = bool(on_order.sum() < self._rules.max_pipeline)
            rows = zip(self._lines[:told].tolist(), self._line_facts[:told].tolist(), strict=True)
            ros.lines = [
                OrderLine(
                    subject=subject,
                    sku=sku,
                    slack=line_slack,
                    age=age,
                    haul_distance=haul,
                    lines_left=left,
                    releasable=haul >= 0,
                )
                for (subject, sku, left), (line_slack, age, haul) in rows
            ]
            yield ros

    def quality_reports(self) -> Iterator[QualityReport]:
        """One for each station."""
        for station, agent in enumerate(self._crew.of_kind("quality")):
            busy, arriving, staffed = queue_facts(
                self._s, 0, station, self._tables, self._rules, self._queue, self._queue_facts, self._history
            )
            ros = QualityReport(header=self._header, tick=self._number, agent=agent, busy=busy, arriving=arriving)
            ros.supplier_history, ros.staffed = _floats(self._history), bool(staffed)
            rows = zip(self._queue.tolist(), self._queue_facts.tolist(), strict=True)
            ros.queue = [
                QueuePlace(
                    pallet=pallet,
                    state=state,
                    sku=sku,
                    supplier=supplier,
                    reading=reading,
                    inspections=inspections,
                    waited=waited,
                    inspecting=inspecting > 0,
                )
                for (pallet, state, sku, supplier), (reading, inspections, waited, inspecting) in rows
            ]
            yield ros

    def pallet_list(self) -> PalletList:
        """Every pallet that exists; only those that changed are written anew."""
        s = self._s
        carrier = np.where((s.job_type[0] != NO_JOB) & (s.job_phase[0] == CARRYING), s.job_robot[0], -1)
        now = np.stack([s.pallet_serial[0], s.pallet_sku[0], s.pallet_state[0], s.pallet_place[0], carrier])
        for slot in np.flatnonzero((now != self._known).any(0)).tolist():
            serial, sku, state, place, robot = now[:, slot].tolist()
            if state != ABSENT:
                name = self._crew.robots[robot] if robot >= 0 else ""
                self._pallets[slot] = Pallet(id=serial, sku=sku, state=state, place=place, carrier=name)
        self._known = now
        ros = PalletList(header=self._header, tick=self._number)
        ros.pallets = [self._pallets[slot] for slot in np.flatnonzero(s.pallet_state[0] != ABSENT).tolist()]
        return ros

    def kpis(self) -> Kpis:
        """The KPIs so far, with rates and shares."""
        values = self._dispatcher.kpis()
        return Kpis(header=self._header, tick=self._number, names=list(values), values=list(values.values()))


def contacts_of(ros: Kpis) -> dict[str, float]:
    """The simulator's counters so far, by name."""
    return dict(zip(ros.names, ros.values, strict=False))


def _floats(values: np.ndarray) -> array.array[float]:
    return array.array("f", values.astype(np.float32).tobytes())
