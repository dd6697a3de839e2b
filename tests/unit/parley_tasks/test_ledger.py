"""The ledger gives back exactly what was put in, and refuses what is not its own."""

import sqlite3

import numpy as np
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from parley_tasks import given, schema
from parley_tasks.database import LedgerError
from parley_tasks.history import Memory
from parley_tasks.invariants import faults
from parley_tasks.opening import open_dispatcher
from sim.warehouse.state import State
from tests.support.scripted_decisions import CREW, TOP, play, told


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A ledger after 100 ticks of work or a few more, while robots are under way."""
    place = tmp_path_factory.mktemp("worked") / "ledger.sqlite"
    opened = open_dispatcher(told(f"sqlite:///{place}"), CREW)
    for tick in range(200):
        play(opened, tick, seed=5)
        if tick >= 100 and (opened.dispatcher.state.job_phase > 0).any():
            break
    opened.ledger.close()
    return place


@pytest.fixture
def copy(worked, tmp_path):
    """A copy that may be damaged."""
    place = tmp_path / "ledger.sqlite"
    place.write_bytes(worked.read_bytes())
    return place


def assert_same(state: State, other: State) -> None:
    for field, one, two in zip(State._fields, state, other, strict=True):
        assert one.dtype == two.dtype, field
        np.testing.assert_array_equal(one, two, err_msg=field)


def test_every_field_of_the_state_has_a_column():
    mirrored = [field for mirror in schema.MIRRORS for field in mirror.fields.values()]
    assert sorted([*mirrored, *schema.WORLD_FIELDS, *given.FIELDS]) == sorted([*State._fields, *Memory._fields])


def test_a_world_comes_back_to_the_bit(url):
    opened = open_dispatcher(told(url), CREW)
    for tick in range(40):
        play(opened, tick, seed=5)
        if tick % 8 and tick > 2:
            continue
        again = open_dispatcher(told(url), CREW)
        assert again.dispatcher.tick == tick
        assert_same(again.dispatcher.state, opened.dispatcher.state)
        np.testing.assert_array_equal(again.dispatcher.last_place, opened.dispatcher.last_place)
        assert faults(again.dispatcher.state) == []
        again.ledger.close()


def test_the_same_seed_begins_the_same_world_and_another_seed_another(tmp_path):
    def begun(name, seed):
        return open_dispatcher(told(f"sqlite:///{tmp_path / name}", seed), CREW).dispatcher.state

    first, again, other = begun("a", 2), begun("b", 2), begun("c", 4)
    assert_same(first, again)
    assert not np.array_equal(first.draw_reading, other.draw_reading)


def test_people_can_read_it(worked):
    with sqlite3.connect(worked) as database:
        granted = database.execute(
            "SELECT j.serial, p.name FROM jobs j JOIN now_pallets n ON n.job_serial = j.serial "
            "JOIN now_places p ON p.slot = n.job_target WHERE j.dropped IS NULL AND j.granted IS NOT NULL"
        ).fetchall()
        kpis = dict(database.execute("SELECT name, value FROM now_kpis").fetchall())
        ended = database.execute("SELECT count(*) FROM jobs WHERE dropped IS NOT NULL").fetchone()[0]
        backwards = database.execute(
            "SELECT count(*) FROM jobs WHERE granted < opened OR picked < granted OR dropped < picked"
        ).fetchone()[0]
    assert granted
    assert kpis["distance_m"] > 0
    assert ended >= 5
    assert backwards == 0


def test_the_ledger_of_another_run_is_refused(copy, tmp_path):
    with pytest.raises(LedgerError, match=r"belongs to another run: its seed is 2, this run's is 4"):
        open_dispatcher(told(f"sqlite:///{copy}", seed=4), CREW)
    with pytest.raises(LedgerError, match=r"its duration is 600.0, this run's is 300.0"):
        open_dispatcher(told(f"sqlite:///{copy}", minutes=5.0), CREW)
    warehouse = tmp_path / "warehouse.yaml"
    shipped = (TOP / "config" / "warehouse.yaml").read_text(encoding="utf-8")
    warehouse.write_text(shipped.replace("ship_time: 6.0", "ship_time: 7.0"), encoding="utf-8")
    with pytest.raises(LedgerError, match="its settings is"):
        open_dispatcher(told(f"sqlite:///{copy}")._replace(warehouse=str(warehouse)), CREW)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE now_pallets SET place = 3 WHERE slot = (SELECT max(pallet_slot) FROM now_places WHERE slot <> 3)",
        "DELETE FROM now_places WHERE slot = 7",
        "DELETE FROM orders WHERE number = 2",
        "UPDATE draws SET lead = 0.5 WHERE number = 100",
        "UPDATE now_kpis SET value = value + 1 WHERE name = 'orders_received'",
        "UPDATE now_pallets SET serial = NULL WHERE slot = 1",
    ],
)
def test_rows_that_do_not_belong_together_are_refused(copy, damage):
    with sqlite3.connect(copy) as database:
        assert database.execute(damage).rowcount == 1
    database.close()
    with pytest.raises(LedgerError, match=r"is damaged: .+Move it away"):
        open_dispatcher(told(f"sqlite:///{copy}"), CREW)


def test_a_file_that_is_no_database_is_refused(tmp_path, copy):
    text = tmp_path / "notes.sqlite"
    text.write_text("no database at all, but a text that is long enough to be one" * 40, encoding="utf-8")
    with pytest.raises(LedgerError, match=r"notes.sqlite: file is not a database. It is no SQLite file"):
        open_dispatcher(told(f"sqlite:///{text}"), CREW)
    content = bytearray(copy.read_bytes())
    content[8192:24576] = bytes(16384)
    copy.write_bytes(content)
    with pytest.raises(LedgerError, match=r"malformed.*damaged: move it away"):
        open_dispatcher(told(f"sqlite:///{copy}"), CREW)


def test_a_place_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="Does its folder exist"):
        open_dispatcher(told(f"sqlite:///{tmp_path}/none/ledger.sqlite"), CREW)
    with pytest.raises(LedgerError, match="wanted a SQLAlchemy URL"):
        open_dispatcher(told(str(tmp_path / "ledger.sqlite")), CREW)


def test_the_database_of_something_else_is_refused(tmp_path):
    place = tmp_path / "else.sqlite"
    with sqlite3.connect(place) as database:
        database.execute("CREATE TABLE cats (name TEXT)")
    with pytest.raises(LedgerError, match=r"holds tables of something else \(cats"):
        open_dispatcher(told(f"sqlite:///{place}"), CREW)


def test_a_first_start_that_was_cut_off_begins_anew(tmp_path):
    place = tmp_path / "half.sqlite"
    with sqlite3.connect(place) as database:
        database.execute(str(CreateTable(schema.orders)))
    opened = open_dispatcher(told(f"sqlite:///{place}"), CREW)
    assert opened.dispatcher.tick == -1


def test_two_task_servers_on_one_ledger_do_not_mix(url):
    first, second = open_dispatcher(told(url), CREW), open_dispatcher(told(url), CREW)
    play(first, 0, seed=5)
    with pytest.raises(LedgerError, match="Another task server writes it"):
        play(second, 0, seed=5)
    play(first, 1, seed=5)


def test_the_tables_suit_postgresql():
    for table in schema.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))
