"""What a world is given when it opens and never changes: its orders and its chance, as rows of the ledger."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select

from parley_tasks import schema
from sim.warehouse.state import State

FIELDS = (
    "draw_supplier",
    "draw_defective",
    "draw_lead",
    "draw_reading",
    "stream_time",
    "stream_due",
    "stream_dock",
    "stream_sku",
)


def digest(state: State) -> str:
    """SHA-256 over all that is given."""
    sha = hashlib.sha256()
    for field in FIELDS:
        sha.update(field.encode() + np.ascontiguousarray(getattr(state, field)).tobytes())
    return sha.hexdigest()


def write(connection: Connection, state: State) -> None:
    """Insert the rows of `draws`, `orders` and `order_lines`."""
    draws = zip(state.draw_supplier[0], state.draw_defective[0], state.draw_lead[0], state.draw_reading[0], strict=True)
    connection.execute(
        insert(schema.draws),
        [
            _row(number, supplier=supplier, defective=defective, lead=lead)
            | {f"reading_{count + 1}": float(value) for count, value in enumerate(readings)}
            for number, (supplier, defective, lead, readings) in enumerate(draws)
        ],
    )
    count = int(np.isfinite(state.stream_time[0]).sum())
    if not count:
        return
    columns = zip(state.stream_time[0], state.stream_due[0], state.stream_dock[0], strict=True)
    orders = [_row(number, arrival=time, due=due, dock=dock) for number, (time, due, dock) in enumerate(columns)]
    connection.execute(insert(schema.orders), orders[:count])
    lines = [
        {"order_number": number, "line": line, "family": int(sku)}
        for number, skus in enumerate(state.stream_sku[0, :count])
        for line, sku in enumerate(skus)
        if sku >= 0
    ]
    connection.execute(insert(schema.order_lines), lines)


def read(connection: Connection, state: State) -> None:
    """Fill the given arrays of a state that is otherwise empty."""
    for row in connection.execute(select(schema.draws)).all():
        number = row.number
        state.draw_supplier[0, number], state.draw_defective[0, number] = row.supplier, row.defective
        state.draw_lead[0, number] = row.lead
        state.draw_reading[0, number] = row.reading_1, row.reading_2, row.reading_3, row.reading_4
    for row in connection.execute(select(schema.orders)).all():
        state.stream_time[0, row.number], state.stream_due[0, row.number] = row.arrival, row.due
        state.stream_dock[0, row.number] = row.dock
    for row in connection.execute(select(schema.order_lines)).all():
        state.stream_sku[0, row.order_number, row.line] = row.family


def _row(number: int, **values: np.generic) -> dict[str, Any]:
    return {"number": number, **{name: value.item() for name, value in values.items()}}
