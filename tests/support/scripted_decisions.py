"""A fleet that decides by dice: what everybody says at a tick follows from the world, the tick and a seed alone.

Run as a program it is a task server without ROS, made to be killed: for each line on its input,
`python -m tests.support.scripted_decisions URL SEED TICKS` forks a process that plays on from what the ledger holds
and prints its pid, then each tick once it counts; when that process has ended, it prints `over`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from parley_tasks.dispatcher import IDLE, LIFTED, SET_DOWN, TO_PICK, Crew, Word
from parley_tasks.opening import Opened, Told, open_dispatcher
from sim.warehouse.decisions import CLAIM, INSPECT, NONE, PASS, REJECT_PALLET, RELEASE, REORDER
from sim.warehouse.state import CARRYING, INSPECTION, NO_JOB, OPEN_JOB, OPEN_LINE, OUTBOUND, UNDECIDED, State
from sim.warehouse.stock import is_offered

TOP = Path(__file__).resolve().parents[2]
CREW = Crew(
    (*(f"forklift_{n}" for n in range(1, 5)), "inventory_1", "inventory_2", "quality_1", "quality_2"),
    (*("forklift",) * 4, *("inventory",) * 2, *("quality",) * 2),
)


def told(database: str, seed: int = 2, minutes: float = 10.0) -> Told:
    """A run of a small hall with generated orders."""
    config = TOP / "config"
    return Told(
        floorplan=str(TOP / "tests" / "support" / "small_hall.yaml"),
        warehouse=str(config / "warehouse.yaml"),
        contract=str(config / "contract.yaml"),
        order_settings=str(config / "orders.yaml"),
        orders="",
        order_speed=0.0,
        database=database,
        seed=seed,
        minutes=minutes,
    )


def words(state: State, opened: Opened, tick: int, seed: int, *, is_wild: bool = False) -> dict[str, Word]:
    """What everybody says: sensible things, or with `is_wild` half of it nonsense."""
    rng = np.random.default_rng((seed, tick))
    said = {}
    for name, kind, member in zip(CREW.names, CREW.kinds, CREW.members.tolist(), strict=True):
        word = {"forklift": _forklift, "inventory": _inventory, "quality": _quality}[kind](state, opened, member, rng)
        if kind == "forklift":
            word = word._replace(blocked=0.01 * tick, travelled=0.7 * tick)
        if is_wild and rng.random() < 0.5:
            word = word._replace(
                verb=int(rng.integers(0, 10)),
                subject=int(rng.integers(-2, 120)),
                job=int(rng.integers(-2, 120)),
                phase=int(rng.integers(0, 6)),
                pick_distance=float(rng.choice([-1.0, 3.0, np.nan, np.inf])),
                blocked=float(rng.choice([0.0, np.nan, 5.0])),
            )
        if not is_wild or rng.random() < 0.9:
            said[name] = word
    return said


def _forklift(s: State, opened: Opened, robot: int, rng: np.random.Generator) -> Word:
    goes_on, distance = rng.random() < 0.4, float(rng.random())
    mine = np.flatnonzero((s.job_type[0] != NO_JOB) & (s.job_robot[0] == robot))
    if len(mine):
        is_carried = s.job_phase[0, mine[0]] == CARRYING
        phase = (SET_DOWN if goes_on else LIFTED) if is_carried else (LIFTED if goes_on else TO_PICK)
        return Word(job=int(s.job_serial[0, mine[0]]), phase=phase)
    tables, rules = opened.dispatcher.tables, opened.dispatcher.rules
    is_open = (s.job_type[0] != NO_JOB) & (s.job_phase[0] == OPEN_JOB)
    at_dock = (s.pallet_place[0] >= 0) & (tables.place_type[s.pallet_place[0]] == OUTBOUND)
    free = np.flatnonzero(is_open & ~at_dock if rng.random() < 0.95 else is_open)  # leave to docks what orders may want
    if not len(free) or rng.random() < 0.2:
        there = np.flatnonzero(s.pallet_place[0] >= 0)
        free = np.array([slot for slot in there if is_offered(s, 0, int(slot), tables, rules)])
    if not len(free):
        return Word(NONE, phase=IDLE)
    return Word(CLAIM, int(s.pallet_serial[0, rng.choice(free)]), pick_distance=distance)


def _inventory(s: State, opened: Opened, zone: int, rng: np.random.Generator) -> Word:
    lines = np.flatnonzero(s.line_state[0] == OPEN_LINE)
    if len(lines) and rng.random() < 0.5:
        return Word(RELEASE, int(rng.choice(lines)))
    return Word(REORDER, int(rng.integers(12))) if rng.random() < 0.2 else Word()


def _quality(s: State, opened: Opened, station: int, rng: np.random.Generator) -> Word:
    tables = opened.dispatcher.tables
    places = np.flatnonzero((tables.place_type == INSPECTION) & (tables.place_group == station))
    slots = [slot for slot in s.place_pallet[0, places] if slot >= 0 and s.pallet_state[0, slot] == UNDECIDED]
    if not slots:
        return Word()
    slot = rng.choice(slots)
    verb = INSPECT if not s.pallet_inspections[0, slot] else rng.choice([INSPECT, PASS, PASS, REJECT_PALLET])
    return Word(int(verb), int(s.pallet_serial[0, slot]))


def play(opened: Opened, tick: int, seed: int, *, is_wild: bool = False) -> None:
    """One tick of the scripted fleet."""
    opened.dispatcher.advance(tick)
    opened.dispatcher.resolve(tick, words(opened.dispatcher.state, opened, tick, seed, is_wild=is_wild))


def _say(word: object) -> None:
    os.write(1, f"{word}\n".encode())  # in one go: a kill must not cut a line


def main() -> None:
    url, seed, ticks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rehearsal = open_dispatcher(told("sqlite://"), CREW)
    play(rehearsal, 0, seed)
    rehearsal.ledger.close()
    for _ in sys.stdin:
        process = os.fork()
        if process:
            os.waitpid(process, 0)
            _say("over")
            continue
        _say(os.getpid())
        opened = open_dispatcher(told(url), CREW)
        for tick in range(opened.dispatcher.tick + 1, ticks):
            play(opened, tick, seed)
            _say(tick)
        os._exit(0)


if __name__ == "__main__":
    main()
