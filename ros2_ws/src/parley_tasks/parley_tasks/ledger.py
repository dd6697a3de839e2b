"""The ledger: one world's `State` in a database, after every tick in one transaction.

A tick counts once its transaction is committed. A task server that is killed at any moment reads the ledger and goes
on with the world as it was then, to the bit. Only the rows that a tick changed are written; the tables are made to be
read by people too (schema.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, Table, Update, bindparam, func, insert, inspect, select

from parley_tasks import given, schema
from parley_tasks.database import Database, LedgerError
from parley_tasks.history import Chronicler, Memory, Names, Page, Row, insert_pallet, new_memory
from parley_tasks.invariants import faults
from parley_tasks.schema import Mirror
from sim.warehouse.kpis import KPIS
from sim.warehouse.routes import Tables
from sim.warehouse.state import State, make_state

ONLY = 0  # number of the single row of `run` and `now_world`


class Identity(NamedTuple):
    """What makes a run this run; a ledger of another one is refused."""

    seed: int
    duration: float  # s for which orders were drawn or replayed
    tick: float  # s
    floorplan: str  # name and digest
    settings: str  # digest of the warehouse's settings
    orders: str  # where orders come from
    fleet: str  # agents in fleet order


class Ledger:
    """An open ledger. First `load`, or `create` where that finds nothing; then `commit` tick by tick.

    Args:
        url: SQLAlchemy URL.
        identity: the run it must belong to.
        tables: of the floor plan.
        names: words for indices, for the history.
        counters: names of the counters of others that are kept (see `commit`).

    Raises:
        LedgerError: the database cannot be used. All methods may raise it; nothing is half-written then.
    """

    def __init__(self, url: str, identity: Identity, tables: Tables, names: Names, counters: Sequence[str]) -> None:
        self._database = Database(url)
        self._identity = identity
        self._tables = tables
        self._names = names
        self._statements: dict[tuple[Table, tuple[str, ...]], Update] = {}
        self._chronicler: Chronicler
        self._memory: Memory
        self._last: State  # as committed
        self.counters = dict.fromkeys(counters, 0.0)  # as committed
        self.tick = -1  # of the last commit; -1: opened, no tick yet

    @property
    def last_place(self) -> np.ndarray:
        """Where the pallet of each slot stood last [L], -1; as committed."""
        place: np.ndarray = self._memory.last_place[0]
        return place

    def load(self) -> State | None:
        """The world as it was committed last; None if the database is empty.

        Raises:
            LedgerError: it holds another run or something else, or it is damaged.
        """
        with self._database.transaction() as connection:
            found = set(inspect(connection).get_table_names())
            if schema.run.name not in found:  # empty, or a first start was killed between two tables
                strange = sorted(found - set(schema.metadata.tables))
                if strange:
                    raise LedgerError(
                        f"{self._database.place}: holds tables of something else ({', '.join(strange[:3])} ...). "
                        "Give the ledger a database of its own."
                    )
                return None
            row = connection.execute(select(schema.run)).mappings().first()
            if row is None:
                return None
            self._check_run(dict(row))
            try:
                return self._read(connection, str(row["given"]))
            except (IndexError, TypeError, OverflowError) as error:
                raise self._damaged(str(error)) from None

    def create(self, state: State) -> None:
        """Begin the run with a world that was just opened."""
        memory = new_memory(state)
        page = Page(self.tick, float(state.time[0]), first_event=0)
        for slot in np.flatnonzero(state.pallet_serial[0] >= 0).tolist():
            insert_pallet(page, state, slot)
        page.tell("run began", f"seed {self._identity.seed}, {self._identity.orders}")
        with self._database.transaction() as connection:
            schema.metadata.create_all(connection)
        with self._database.transaction() as connection:
            given.write(connection, state)
            _insert(connection, schema.now_world, [{"number": ONLY, "tick": self.tick, **_world_row(state)}])
            labels = {"now_kpis": KPIS, "now_places": self._names.places}
            arrays = _arrays(state, memory)
            for mirror in schema.MIRRORS:
                every = np.arange(arrays[next(iter(mirror.fields.values()))].shape[1])
                rows = _rows(mirror, arrays, every, "slot")
                for row, name in zip(rows, labels.get(mirror.table.name, ()), strict=False):
                    row["name"] = name
                _insert(connection, mirror.table, rows)
            counters = [{"name": name, "value": value} for name, value in self.counters.items()]
            _insert(connection, schema.counters, counters)
            self._write(connection, page)
            began = datetime.now(timezone.utc).isoformat(timespec="seconds")
            run = {"number": ONLY, "version": schema.VERSION, "began": began, "given": given.digest(state)}
            _insert(connection, schema.run, [{**run, **self._identity._asdict()}])
        self._follow(state, memory, next_event=1, next_inspection=0)

    def commit(
        self, tick: int, state: State, counters: Mapping[str, float], remarks: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Make a tick count.

        Args:
            tick: its number, greater than the last one's.
            state: the world after the tick.
            counters: what others have counted so far, as taken into account in the state's KPIs.
            remarks: further events for the log: what, about.

        Raises:
            LedgerError: not written, and the tick does not count; also if another task server writes this ledger.
        """
        page = self._chronicler.page(self._last, state, tick, remarks)
        with self._database.transaction() as connection:
            world = {"key_number": ONLY, "key_tick": self.tick, "tick": tick, **_world_row(state)}
            if self._update(connection, schema.now_world, [world]) != 1:
                raise LedgerError(
                    f"{self._database.place}: tick {self.tick} is no longer its latest. Another task server writes it; "
                    "stop one of the two."
                )
            arrays, before = _arrays(state, self._memory), _arrays(self._last, self._remembered)
            for mirror in schema.MIRRORS:
                changed = _changed(mirror, arrays, before)
                self._update(connection, mirror.table, _rows(mirror, arrays, changed, "key_slot"))
            heard = [{"key_name": k, "value": v} for k, v in counters.items() if v != self.counters[k]]
            self._update(connection, schema.counters, heard)
            self._write(connection, page)
        self.tick = tick
        self.counters.update(counters)
        for kept, now in zip((*self._last, *self._remembered), (*state, *self._memory), strict=True):
            np.copyto(kept, now)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _check_run(self, row: Row) -> None:
        if row["version"] != schema.VERSION:
            raise LedgerError(
                f"{self._database.place}: is a ledger of version {row['version']}, wanted {schema.VERSION}. Finish "
                "that run with the Parley that began it, or name another database."
            )
        for name, wanted in self._identity._asdict().items():
            if row[name] != wanted:
                raise LedgerError(
                    f"{self._database.place}: belongs to another run: its {name} is {row[name]}, this run's is "
                    f"{wanted}. Name another database, or move this one away."
                )

    def _read(self, connection: Connection, digest: str) -> State:
        orders = connection.execute(select(func.count()).select_from(schema.orders)).scalar_one()
        state = make_state(1, self._tables, orders_held=max(1, orders))
        memory = new_memory(state)
        given.read(connection, state)
        if given.digest(state) != digest:
            raise self._damaged("its orders and draws are not those the run began with")
        arrays = _arrays(state, memory)
        for mirror in schema.MIRRORS:
            columns = [mirror.table.c[column] for column in mirror.fields]
            rows = connection.execute(select(*columns).order_by(mirror.table.c.slot)).all()
            if len(rows) != arrays[next(iter(mirror.fields.values()))].shape[1]:
                raise self._damaged(f"{mirror.table.name} has {len(rows)} rows")
            for field, values in zip(mirror.fields.values(), zip(*rows, strict=True), strict=True):
                arrays[field][0] = values
        world = connection.execute(select(schema.now_world)).mappings().one()
        for field in schema.WORLD_FIELDS:
            arrays[field][0] = world[field]
        wrong = faults(state)
        if wrong:
            raise self._damaged("; ".join(wrong[:3]))
        self.tick = int(world["tick"])
        heard = connection.execute(select(schema.counters.c.name, schema.counters.c.value)).all()
        self.counters.update({name: value for name, value in heard})
        self._follow(
            state, memory, _next_number(connection, schema.events), _next_number(connection, schema.inspections)
        )
        return state

    def _damaged(self, what: str) -> LedgerError:
        return LedgerError(
            f"{self._database.place}: is damaged: {what}. Move it away to begin anew, or restore a copy."
        )

    def _follow(self, state: State, memory: Memory, next_event: int, next_inspection: int) -> None:
        """Remember what the database holds, to write only what changes from here on."""
        self._last = State(*(array.copy() for array in state))
        self._memory = memory
        self._remembered = Memory(*(array.copy() for array in memory))
        self._chronicler = Chronicler(self._names, memory, next_event, next_inspection)

    def _write(self, connection: Connection, page: Page) -> None:
        for table, rows in page.inserts.items():
            _insert(connection, table, rows)
        for (table, _), rows in page.updates.items():
            self._update(connection, table, rows)

    def _update(self, connection: Connection, table: Table, rows: Sequence[Row]) -> int:
        """Set columns where those named by `key_...` have the given values; says how many rows a single one met.

        All rows have the same columns.
        """
        if not rows:
            return 0
        names = tuple(rows[0])
        if (table, names) not in self._statements:
            keys = [name for name in names if name.startswith("key_")]
            where = [table.c[name.removeprefix("key_")] == bindparam(name) for name in keys]
            self._statements[table, names] = table.update().where(*where)
        return connection.execute(self._statements[table, names], rows if len(rows) > 1 else rows[0]).rowcount


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _world_row(state: State) -> Row:
    return {field: getattr(state, field)[0].item() for field in schema.WORLD_FIELDS}


def _arrays(state: State, memory: Memory) -> dict[str, np.ndarray]:
    return {**state._asdict(), **memory._asdict()}


def _changed(mirror: Mirror, arrays: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows of a mirror that differ."""
    fields = list(mirror.fields.values())
    differs = arrays[fields[0]][0] != before[fields[0]][0]
    for field in fields[1:]:
        differs |= arrays[field][0] != before[field][0]
    return np.flatnonzero(differs)


def _rows(mirror: Mirror, arrays: Mapping[str, np.ndarray], slots: np.ndarray, key: str) -> list[Row]:
    """Rows of a mirror as plain values."""
    if not len(slots):
        return []
    columns = [slots.tolist(), *(arrays[field][0, slots].tolist() for field in mirror.fields.values())]
    names = (key, *mirror.fields)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _next_number(connection: Connection, table: Table) -> int:
    last = connection.execute(select(func.max(table.c.number))).scalar_one()
    return 0 if last is None else int(last) + 1
