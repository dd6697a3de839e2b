"""The ledger's tables.

`now_*` hold the present of the warehouse, one row per place, pallet slot, order slot and so on: exactly the arrays of
a `State`. The other tables are the run's history, one row per pallet, job, order line and so on, for people and
reports. Times are seconds of simulated time; `family` is an article family, `slot` a row of the arrays.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Boolean, Column, Double, Integer, MetaData, String, Table, Text

VERSION = 3  # of this layout; a ledger of another version is refused

metadata = MetaData()


def _table(table_name: str, key: str | tuple[str, ...], **columns: type[Integer | Double | Boolean | Text]) -> Table:
    """One table; `key` names its integer primary key columns, the others may be empty."""
    keys = (key,) if isinstance(key, str) else key
    return Table(
        table_name,
        metadata,
        *(Column(each, Integer, primary_key=True, autoincrement=False) for each in keys),
        *(Column(each, kind) for each, kind in columns.items()),
    )


run = _table(
    "run",
    "number",
    version=Integer,
    began=Text,  # wall clock, ISO 8601
    seed=Integer,
    duration=Double,
    tick=Double,
    floorplan=Text,
    settings=Text,
    orders=Text,
    fleet=Text,
    given=Text,  # digest of the orders and draws below, which never change
)
draws = _table(
    "draws",
    "number",
    supplier=Integer,
    defective=Boolean,
    lead=Double,
    reading_1=Double,
    reading_2=Double,
    reading_3=Double,
    reading_4=Double,
)
orders = _table("orders", "number", arrival=Double, due=Double, dock=Integer, came=Double, done=Double)
order_lines = _table(
    "order_lines", ("order_number", "line"), family=Integer, released=Double, shipped=Double, pallet=Integer
)
pallets = _table("pallets", "serial", family=Integer, supplier=Integer, arrived=Double, left=Double, left_from=Text)
jobs = _table(
    "jobs",
    "serial",
    pallet=Integer,
    type=Text,
    family=Integer,
    origin=Text,
    robot=Text,
    target=Text,
    opened=Double,
    granted=Double,
    picked=Double,
    dropped=Double,
    withdrawn=Double,  # without a robot: an order took the pallet where it stood
)
reorders = _table("reorders", "number", family=Integer, agent=Integer, placed=Double, due=Double, arrived=Double)
inspections = _table(
    "inspections", "number", pallet=Integer, station=Integer, ended=Double, mean_reading=Double, count=Integer
)
judgements = _table(
    "judgements",
    "pallet",
    place=Text,
    time=Double,
    verdict=Text,
    mean_reading=Double,
    inspections=Integer,
    supplier=Integer,
)
counters = Table(  # of others, as last heard: see dispatcher.py
    "counters", metadata, Column("name", String(80), primary_key=True), Column("value", Double)
)
events = _table("events", "number", tick=Integer, time=Double, what=Text, about=Text)


NAMED = ("now_kpis", "now_places")  # mirrors whose rows bear a name, for people


class Mirror(NamedTuple):
    """A table whose row r holds entry r of some arrays: column name to field of `State` or `Memory`."""

    table: Table
    fields: dict[str, str]


def _mirror(table_name: str, **columns: tuple[str, type[Integer | Double | Boolean]]) -> Mirror:
    names = {"name": Text} if table_name in NAMED else {}
    table = _table(table_name, "slot", **names, **{column: kind for column, (_, kind) in columns.items()})
    return Mirror(table, {column: field for column, (field, _) in columns.items()})


now_world = _table(
    "now_world",
    "number",
    tick=Integer,
    time=Double,
    next_pallet=Integer,
    next_job=Integer,
    stream_next=Integer,
    draw_next=Integer,
    shift_start=Double,
    wave_first=Double,
    wave_period=Double,
)
WORLD_FIELDS = (
    "time",
    "next_pallet",
    "next_job",
    "stream_next",
    "draw_next",
    "shift_start",
    "wave_first",
    "wave_period",
)
MIRRORS = (
    _mirror("now_kpis", value=("kpi", Double)),
    _mirror("now_places", pallet_slot=("place_pallet", Integer), reserved_slot=("place_reserved", Integer)),
    _mirror(
        "now_pallets",
        serial=("pallet_serial", Integer),
        family=("pallet_sku", Integer),
        state=("pallet_state", Integer),
        place=("pallet_place", Integer),
        last_place=("last_place", Integer),
        since=("pallet_since", Double),
        supplier=("pallet_supplier", Integer),
        defective=("pallet_defective", Boolean),
        mean_reading=("pallet_reading", Double),
        inspections=("pallet_inspections", Integer),
        draw=("pallet_draw", Integer),
        line_slot=("pallet_line", Integer),
        job_type=("job_type", Integer),
        job_phase=("job_phase", Integer),
        job_serial=("job_serial", Integer),
        job_robot=("job_robot", Integer),
        job_target=("job_target", Integer),
        job_opened=("job_opened", Double),
    ),
    _mirror(
        "now_orders",
        number=("order_number", Integer),
        is_active=("order_active", Boolean),
        arrival=("order_arrival", Double),
        due=("order_due", Double),
        dock=("order_dock", Integer),
    ),
    _mirror("now_lines", family=("line_sku", Integer), state=("line_state", Integer)),
    _mirror("now_families", recent=("recent", Double), target_stock=("target_stock", Double)),
    _mirror(
        "now_reorders",
        number=("reorder_number", Integer),
        family=("reorder_sku", Integer),
        agent=("reorder_agent", Integer),
        due=("reorder_eta", Double),
    ),
    _mirror("now_stations", pallet_slot=("station_pallet", Integer), until=("station_until", Double)),
    _mirror("now_suppliers", seen=("supplier_seen", Double), rejected=("supplier_rejected", Double)),
)
