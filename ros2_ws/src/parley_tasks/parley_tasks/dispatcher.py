"""The warehouse's rules played for a live fleet: reports and decisions in, tick by tick, each tick kept by the ledger.

The same compiled rules as in training (sim/warehouse) and in the same order within a tick: how jobs stand, decisions
in fleet order, then time goes on. What agents say is state, not events, so saying it twice changes nothing; what does
not fit the ledger is ignored and counted.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parley_tasks.latency import Latency
from parley_tasks.ledger import Ledger
from sim.warehouse.decisions import (
    CHARGE,
    CLAIM,
    INSPECT,
    NONE,
    PASS,
    REJECT_PALLET,
    RELEASE,
    REORDER,
    REROUTE,
    YIELD,
    apply_decisions,
)
from sim.warehouse.jobs import dropped, picked, reopen
from sim.warehouse.kpis import (
    BLOCKED_S,
    CHARGING_S,
    CONTACTS,
    DISTANCE_M,
    ENERGY_WH,
    FLAT_S,
    KPIS,
    NEAR_MISSES,
    derive,
)
from sim.warehouse.routes import Tables
from sim.warehouse.rules import advance
from sim.warehouse.settings import Rules
from sim.warehouse.state import GRANTED, NO_JOB, State, make_state

IDLE, TO_PICK, LIFTED, SET_DOWN = range(4)  # phases a robot reports, as in parley_msgs/Decision
MAY = {  # verbs of each kind
    "forklift": (NONE, CLAIM, YIELD, REROUTE, CHARGE),
    "inventory": (NONE, RELEASE, REORDER),
    "quality": (NONE, INSPECT, PASS, REJECT_PALLET),
}
SLOT_TYPE = np.int32  # as the fast world calls the rules, so that both use the same compiled code
OF_FLEET = {"near_misses": NEAR_MISSES, "energy_wh": ENERGY_WH, "charging_s": CHARGING_S, "flat_s": FLAT_S}
COUNTED = {"blocked": BLOCKED_S, "travelled": DISTANCE_M, "contacts": CONTACTS, **OF_FLEET}


class Crew:
    """The fleet as the rules know it.

    Args:
        names: agents in fleet order [N].
        kinds: kind of each [N].
    """

    def __init__(self, names: Sequence[str], kinds: Sequence[str]) -> None:
        self.names, self.kinds = tuple(names), tuple(kinds)
        seen: Counter[str] = Counter()
        members = []
        for kind in kinds:
            members.append(seen[kind])
            seen[kind] += 1
        self.members = np.array(members, np.int32)  # [N] number within the kind: robot, zone or station
        self.robots = self.of_kind("forklift")

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Names of the agents of one kind, in fleet order."""
        return tuple(name for name, its in zip(self.names, self.kinds, strict=True) if its == kind)

    def counters(self) -> list[str]:
        """Names of what robots and simulator count themselves."""
        own = [f"{robot}.{what}" for robot in self.robots for what in ("blocked", "travelled", "contacts")]
        return [*own, *(f"fleet.{what}" for what in OF_FLEET)]


class Word(NamedTuple):
    """What one agent says at a tick; as in parley_msgs/Decision."""

    verb: int = NONE
    subject: int = 0
    job: int = -1
    phase: int = IDLE
    pick_distance: float = 0.0  # m
    blocked: float = 0.0  # s so far
    travelled: float = 0.0  # m so far
    battery: float = 1.0  # share of its capacity that is left


class Dispatcher:
    """One world that a fleet works in.

    Args:
        crew: the fleet.
        tables: of the floor plan.
        rules: numbers of the warehouse.
        tick: length of a tick (s).
        abandon_after: silence (s) after which a robot's unpicked job is offered again.
        ledger: an open ledger that holds `state`.
        state: the world as the ledger has it.
    """

    def __init__(
        self,
        crew: Crew,
        tables: Tables,
        rules: Rules,
        tick: float,
        abandon_after: float,
        ledger: Ledger,
        state: State,
    ) -> None:
        self.crew, self.tables, self.rules, self.state = crew, tables, rules, state
        self.tally: Counter[str] = Counter()  # what was not taken as said, by reason
        self.remarks: list[tuple[str, str]] = []  # for the next tick's log: what, about
        self.committing = Latency()
        self._tick, self._abandon_after, self._ledger = tick, abandon_after, ledger
        self._counters = dict(ledger.counters)
        self._heard: dict[str, float] = {}  # robot: s, when it spoke last

    @property
    def tick(self) -> int:
        """The last tick that counts; -1: none yet."""
        return self._ledger.tick

    @property
    def last_place(self) -> np.ndarray:
        """Where the pallet of each slot stood last [L], -1."""
        return self._ledger.last_place

    def kpis(self) -> dict[str, float]:
        """The KPIs so far, with rates and shares."""
        return derive(dict(zip(KPIS, self.state.kpi[0].tolist(), strict=True)), float(self.state.time[0]))

    def advance(self, tick: int) -> None:
        """Bring the world to a tick. Ticks that were missed count as ticks in which nobody said anything.

        Raises:
            LedgerError: a missed tick could not be written.
        """
        for missed in range(self.tick + 1, tick):
            self._advance(missed)
            self._commit(missed)
        self._advance(tick)

    def resolve(self, tick: int, said: Mapping[str, Word]) -> None:
        """Apply what the agents said at the tick the world was brought to, and make it count.

        Raises:
            LedgerError: not written; nothing of it counts.
        """
        now = float(self.state.time[0])
        for robot, name in enumerate(self.crew.robots):
            word = said.get(name)
            if word is not None:
                self._report(robot, word)
                self._count(f"{name}.blocked", word.blocked)
                self._count(f"{name}.travelled", word.travelled)
            if word is not None and word.battery > 0.0:  # one whose battery is empty may speak, but not work
                self._heard[name] = now
            elif now - self._heard.setdefault(name, now) >= self._abandon_after:
                self._abandon(robot, name)
        self._decide(said)
        self._commit(tick)

    def count_contacts(self, counted: Mapping[str, float]) -> None:
        """Take over what the simulator has counted so far; it counts with the next tick.

        Args:
            counted: contacts by robot, and what it counts for the whole fleet by the names in `OF_FLEET`.
        """
        for name, value in counted.items():
            self._count(f"fleet.{name}" if name in OF_FLEET else f"{name}.contacts", value)

    def compile(self) -> None:
        """Call every compiled rule once in an empty world, so that no live tick waits for the compiler."""
        s = make_state(1, self.tables, orders_held=1)
        count = len(self.crew.names)
        nothing = np.zeros(count, np.int32)
        advance(s, 0, self.tables, self.rules, 0.0)
        apply_decisions(s, 0, nothing, nothing, np.zeros(count), self.crew.members, self.tables, self.rules)
        picked(s, 0, SLOT_TYPE(0))
        dropped(s, 0, SLOT_TYPE(0), self.tables)
        reopen(s, 0, SLOT_TYPE(0))

    def _advance(self, tick: int) -> None:
        now = tick * self._tick
        if now > self.state.time[0]:
            advance(self.state, 0, self.tables, self.rules, now)

    def _commit(self, tick: int) -> None:
        began = time.perf_counter()
        self._ledger.commit(tick, self.state, self._counters, self.remarks)
        self.remarks.clear()
        self.committing.add(time.perf_counter() - began)

    def _report(self, robot: int, word: Word) -> None:
        """How a robot's job stands."""
        if word.job < 0:
            return
        s = self.state
        slots = np.flatnonzero((s.job_serial[0] == word.job) & (s.job_type[0] != NO_JOB))
        if not len(slots):
            self.tally["report on a job that has ended"] += 1
        elif s.job_robot[0, slots[0]] != robot:
            self.tally["report on a job of somebody else"] += 1
        else:
            if word.phase in (LIFTED, SET_DOWN):
                picked(s, 0, SLOT_TYPE(slots[0]))
            if word.phase == SET_DOWN:
                dropped(s, 0, SLOT_TYPE(slots[0]), self.tables)

    def _count(self, name: str, value: float) -> None:
        """Add what somebody's own counter has gained; one that fell has begun anew with its process."""
        known = self._counters.get(name)
        if known is None or not math.isfinite(value) or value < 0:
            self.tally["counter that makes no sense"] += 1
            return
        self.state.kpi[0, COUNTED[name.rpartition(".")[2]]] += value - known if value >= known else value
        self._counters[name] = value

    def _abandon(self, robot: int, name: str) -> None:
        s = self.state
        for slot in np.flatnonzero((s.job_robot[0] == robot) & (s.job_phase[0] == GRANTED)):
            reopen(s, 0, SLOT_TYPE(slot))
            self.remarks.append(("abandoned", f"job {s.job_serial[0, slot]} of {name}, silent for too long"))

    def _decide(self, said: Mapping[str, Word]) -> None:
        count = len(self.crew.names)
        verb, subject, pick_distance = np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count)
        for agent, (name, kind) in enumerate(zip(self.crew.names, self.crew.kinds, strict=True)):
            word = said.get(name)
            if word is None or word.battery <= 0.0:  # as in training, one whose battery is empty decides nothing
                continue
            if word.verb not in MAY.get(kind, ()):
                self.tally[f"verb that no {kind} has"] += 1
            elif word.verb == CLAIM and self._is_busy(int(self.crew.members[agent])):
                self.tally["claim of a robot that has a job"] += 1
            else:
                verb[agent], subject[agent] = word.verb, word.subject
                pick_distance[agent] = word.pick_distance if word.pick_distance >= 0 else np.inf
        apply_decisions(self.state, 0, verb, subject, pick_distance, self.crew.members, self.tables, self.rules)

    def _is_busy(self, robot: int) -> bool:
        s = self.state
        return bool(((s.job_robot[0] == robot) & (s.job_type[0] != NO_JOB)).any())
