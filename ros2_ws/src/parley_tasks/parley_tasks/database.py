"""A database connection that speaks in words when something is wrong with it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

BUSY = 5.0  # s another program may hold the lock of an SQLite file before a commit fails


class LedgerError(ValueError):
    """The ledger cannot be used; the text says what was seen, what was wanted and how to cure it."""


class Database:
    """One connection, opened at once.

    Args:
        url: SQLAlchemy URL, such as sqlite:///run/ledger.sqlite or postgresql+psycopg://user@host/name.

    Raises:
        LedgerError: no such database, no driver for it, no access, or a damaged file.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            self.place = parsed.render_as_string(hide_password=True)
            is_sqlite = parsed.get_backend_name() == "sqlite"
            self._engine = create_engine(parsed, connect_args={"timeout": BUSY} if is_sqlite else {})
        except (ArgumentError, NoSuchModuleError):
            raise LedgerError(
                f"database '{url}': wanted a SQLAlchemy URL such as sqlite:////home/me/ledger.sqlite (four slashes: an "
                f"absolute path) or postgresql+psycopg://user@host/name."
            ) from None
        except ModuleNotFoundError as error:
            raise LedgerError(
                f"{self.place}: its driver '{error.name}' is missing; pip install {error.name}."
            ) from None
        if is_sqlite:
            event.listen(self._engine, "connect", _tune_sqlite)
        with self.in_words():
            self._connection = self._engine.connect()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing of what is done inside; committed at the end."""
        with self.in_words(), self._connection.begin():
            yield self._connection

    @contextlib.contextmanager
    def in_words(self) -> Iterator[None]:
        """Turn database errors into a LedgerError."""
        try:
            yield
        except DBAPIError as error:
            reason = " ".join(str(error.orig).split())
            raise LedgerError(f"{self.place}: {reason}. {_cure(reason)}") from None

    def close(self) -> None:
        """Give everything back; an open transaction is undone."""
        self._connection.close()
        self._engine.dispose()


def _tune_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """Readers never wait, and a commit costs no disk flush.

    With synchronous=NORMAL a commit survives the death of every process at any moment. Only a power failure may take
    the last seconds, never the consistency; then the simulated world is gone too. A site whose pallets are real runs
    the ledger on a database server.
    """
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({verdict})")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _cure(reason: str) -> str:
    """What helps, by what the driver said."""
    for sign, cure in (
        ("not a database", "It is no SQLite file, or damaged: move it away to begin anew, or name another."),
        ("malformed", "The file is damaged: move it away to begin anew, or restore a copy."),
        ("unable to open", "Does its folder exist, and may you write there?"),
        ("readonly", "You may not write there; name another place."),
        ("locked", f"Another program has held its lock for {BUSY:.0f} s; close that program."),
        ("full", "Free some space on that disk."),
        ("onnect", "Does the server run, and are user, password and name right?"),
    ):
        if sign in reason:
            return cure
    return "The ledger needs a database it can read and write."
