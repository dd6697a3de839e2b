"""Orders: drawn, replayed, fitted; and what becomes of rows that are no goods."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some

from policy_core.config import ConfigError
from sim.warehouse.consolidation import consolidate
from sim.warehouse.family_draw import draw_weights
from sim.warehouse.order_csv import Row, read_rows
from sim.warehouse.order_fit import fit_orders, write_order_settings
from sim.warehouse.order_replay import replay
from sim.warehouse.order_variety import generate_drawn
from sim.warehouse.orders import OrderSettings, OrderStream, due_times, generate, read_order_settings
from sim.warehouse.randomisation import Draw
from sim.warehouse.settings import SKUS
from tests.support.real_data import TOP, real_data

SHIPPED = read_order_settings(TOP / "config" / "orders.yaml")
ALONE = SHIPPED.waves.model_copy(update={"share": 0.0})  # waves have tests of their own
SETTINGS = SHIPPED.model_copy(update={"backlog": 0.0, "waves": ALONE})
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def sold(invoice: str, code: str, units: object, time: str = "2010-12-01 08:00:00") -> str:
    return f"{invoice},{code},THING,{units},{time},1.0,17850.0,United Kingdom\n"


def csv_file(folder: Path, *rows: str, name: str = "day.csv") -> Path:
    path = folder / name
    path.write_text(HEADER + "".join(rows), encoding="utf-8")
    return path


def check_form(stream: OrderStream, duration: float, settings: OrderSettings = SETTINGS) -> None:
    """What every consumer of a stream relies on."""
    count = len(stream.time)
    assert [len(array) for array in stream[:5]] == [count] * 5
    assert stream.sku.shape == (count, 4)
    assert (np.diff(stream.time) >= 0).all()
    assert ((stream.time >= 0) & (stream.time <= duration)).all()
    assert ((stream.n_lines >= 1) & (stream.n_lines <= 4)).all()
    assert ((stream.dock >= 0) & (stream.dock < settings.docks)).all()
    filled = np.arange(4) < stream.n_lines[:, None]
    assert (stream.sku[~filled] == -1).all()
    assert ((stream.sku[filled] >= 0) & (stream.sku[filled] < SKUS)).all()
    for row, lines in zip(stream.sku, stream.n_lines, strict=True):
        assert len(set(row[:lines])) == lines, "the lines of an order are of different families"
    slack = stream.due - stream.time
    np.testing.assert_allclose(slack, settings.service_time + settings.service_time_per_line * stream.n_lines)


# The generator


@pytest.mark.parametrize("duration", [1.0, 300.0, 40_000.0])
def test_drawn_streams_have_the_form(duration: float) -> None:
    check_form(generate(SETTINGS, 3, duration), duration)


def test_the_same_seed_draws_the_same_orders_and_another_seed_others() -> None:
    one, same, other = generate(SETTINGS, 5, 900.0), generate(SETTINGS, 5, 900.0), generate(SETTINGS, 6, 900.0)
    for left, right in zip(one, same, strict=True):
        np.testing.assert_array_equal(left, right)
    assert len(one.time) != len(other.time) or not np.array_equal(one.time, other.time)


def test_runs_of_any_length_have_the_mean_rate() -> None:
    for duration in (300.0, 7200.0):
        lines = [generate(SETTINGS, seed, duration).n_lines.sum() for seed in range(int(120_000 / duration))]
        rate = np.mean(lines) / duration * 3600
        assert rate == pytest.approx(SETTINGS.lines_per_hour, rel=0.05)


def test_families_come_in_their_fitted_shares_though_an_order_repeats_none() -> None:
    stream = generate(SETTINGS, 1, 600 * 3600.0)
    share = np.bincount(stream.sku[stream.sku >= 0], minlength=SKUS) / stream.n_lines.sum()
    np.testing.assert_allclose(share, np.array(SETTINGS.popularity) / sum(SETTINGS.popularity), atol=0.004)
    np.testing.assert_allclose(
        np.bincount(stream.n_lines)[1:] / len(stream.n_lines), SETTINGS.lines_per_order, atol=0.01
    )


def test_drawing_by_the_shares_themselves_would_favour_rare_families() -> None:
    weights = draw_weights(SETTINGS.popularity, SETTINGS.lines_per_order)
    most = int(np.argmax(SETTINGS.popularity))
    assert weights[most] > 1.5 * SETTINGS.popularity[most]


def test_a_long_run_is_busy_when_the_profile_is() -> None:
    peak = tuple(9.0 if hour == 12 else 1.0 if 8 <= hour < 18 else 0.0 for hour in range(24))
    settings = SETTINGS.model_copy(update={"profile": peak, "lines_per_real_hour": SETTINGS.lines_per_hour / 10})
    day = 3600.0  # ten open hours pass in one
    share = [
        np.histogram(generate(settings, seed, day).time, bins=np.linspace(0, day, 11))[0].max() for seed in range(40)
    ]
    total = [len(generate(settings, seed, day).time) for seed in range(40)]
    assert np.sum(share) / np.sum(total) > 0.3  # 9 of 18 in one hour, which may straddle two bins
    flat = settings.model_copy(update={"profile": tuple(float(rate > 0) for rate in peak)})
    even = [np.histogram(generate(flat, seed, day).time, bins=np.linspace(0, day, 11))[0].max() for seed in range(40)]
    assert np.sum(even) / np.sum(total) < 0.25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lines_per_hour": 0}, "lines_per_hour"),
        ({"popularity": [1.0] * 11}, "popularity: wanted 12 entries, saw 11"),
        ({"profile": [0.0] * 24}, "not all zero"),
        ({"popularity": [1.0] + [0.0] * 11}, "fewer families are ever ordered"),
        ({"linesper_hour": 3}, "did you mean 'lines_per_hour'"),
    ],
)
def test_bad_settings_are_refused_by_key(tmp_path: Path, change: dict[str, object], words: str) -> None:
    import yaml

    path = tmp_path / "orders.yaml"
    path.write_text(yaml.safe_dump(SETTINGS.model_dump(mode="json") | change))
    with pytest.raises(ConfigError, match=words):
        read_order_settings(path)


# Consolidation and replay, by hand


def test_units_of_a_family_make_a_pallet_line_largest_first_and_at_most_four() -> None:
    noon = datetime(2010, 12, 1, 12)
    families = (*(f"{number}" for number in range(221, 232)), "other")
    rows = [
        Row("1", "221", 20, noon), Row("1", "221", 10, noon),  # 30 together
        Row("1", "222", 23, noon),  # too few
        Row("1", "223", 50, noon), Row("1", "224", 25, noon), Row("1", "225", 24, noon), Row("1", "226", 24, noon),
        Row("2", "999", 12, noon), Row("2", "998", 12, noon),  # two unnamed families are one: 24
        Row("3", "221", 5, noon),
    ]  # fmt: skip
    orders, by_hand = consolidate(rows, families, 24)
    assert [(order.number, order.families) for order in orders] == [("1", (2, 0, 3, 4)), ("2", (11,))]
    assert (by_hand.orders, by_hand.lines, by_hand.lines_beyond) == (1, 2, 1)
    assert by_hand.units == 23 + 24 + 5


def test_rows_that_are_no_goods_are_counted_by_reason_and_line(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        sold("536365", "85123A", 48),
        sold("C536379", "22423", -1),
        sold("536380", "22423", -5),
        sold("536381", "POST", 1),
        sold("536382", "22423", "many"),
        sold("536383", "22423", 3, time="yesterday"),
        "536384,22423\n",
        sold("", "22423", 3),
    )
    account = read_rows(path).account
    assert (account.rows, account.used) == (8, 1)
    assert dict(account.left_out) == {
        "cancellation": 1, "quantity not positive": 1, "not an article": 1, "unreadable": 4,
    }  # fmt: skip
    assert account.examples == [
        "day.csv, line 6: Quantity is 'many', wanted a whole number",
        "day.csv, line 7: InvoiceDate is 'yesterday', wanted like %Y-%m-%d %H:%M:%S",
        "day.csv, line 8: 2 cells, wanted 8",
        "day.csv, line 9: no InvoiceNo",
    ]


def test_a_file_without_goods_names_the_first_line_of_each_reason(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, sold("C1", "22423", -1), sold("C2", "22423", -1), sold("3", "POST", 1), sold("4", "1", "x")
    )
    with pytest.raises(ConfigError, match="not one usable") as refused:
        read_rows(path)
    assert str(refused.value).splitlines()[1:] == [
        "  day.csv, line 2: C1 (cancellation)",
        "  day.csv, line 4: POST (not an article)",
        "  day.csv, line 5: Quantity is 'x', wanted a whole number",
    ]


def test_a_replay_compresses_arrivals_but_not_the_time_to_deliver(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        sold("1", "22101", 24, "2010-12-01 08:00:00"),
        sold("2", "22101", 24, "2010-12-01 08:04:00"),
        sold("2", "22901", 30, "2010-12-01 08:04:00"),
        sold("3", "22101", 24, "2010-12-01 08:10:00"),
    )
    stream, summary = replay(path, SETTINGS, 2.0, 600.0)
    check_form(stream, 600.0)
    assert stream.time.tolist() == [0.0, 120.0, 300.0]
    assert stream.n_lines.tolist() == [1, 2, 1]
    first, fourth = SETTINGS.families.index("221"), SETTINGS.families.index("229")
    assert stream.sku.tolist() == [[first, -1, -1, -1], [fourth, first, -1, -1], [first, -1, -1, -1]]
    assert (summary.orders, summary.lines, summary.speed) == (3, 4, 2.0)
    assert summary.popularity[first] == pytest.approx(0.75)
    short, _ = replay(path, SETTINGS, 2.0, 200.0)
    assert short.time.tolist() == [0.0, 120.0]


def test_nights_are_cut_to_the_longest_gap(tmp_path: Path) -> None:
    evening, morning = "2010-12-01 18:00:00", "2010-12-02 08:00:00"
    path = csv_file(tmp_path, sold("1", "22101", 24, evening), sold("2", "22101", 24, morning))
    stream, _ = replay(path, SETTINGS, 1.0, 1e6)
    assert stream.time.tolist() == [0.0, SETTINGS.consolidation.longest_gap]


def test_the_american_dates_of_the_original_data_set_are_read(tmp_path: Path) -> None:
    path = csv_file(tmp_path, sold("1", "22101", 24, "12/1/2010 8:26"))
    assert read_rows(path).rows[0].time == datetime(2010, 12, 1, 8, 26)


@pytest.mark.parametrize("duration", [300.0, 3600.0])
def test_automatic_speed_gives_the_wanted_rate(tmp_path: Path, duration: float) -> None:
    times = [f"2010-12-01 {8 + minute // 60:02d}:{minute % 60:02d}:00" for minute in range(0, 590, 1)]
    path = csv_file(tmp_path, *(sold(str(number), "22101", 24, time) for number, time in enumerate(times)))
    stream, summary = replay(path, SETTINGS, "auto", duration)
    assert summary.lines == pytest.approx(SETTINGS.lines_per_hour * duration / 3600, abs=1.5)
    assert stream.time.max() > 0.8 * duration


def test_automatic_speed_keeps_the_rate_where_the_input_ends_early(tmp_path: Path) -> None:
    path = csv_file(tmp_path, *(sold(str(n), "22101", 24, f"2010-12-01 08:{n:02d}:00") for n in range(10)))
    stream, _ = replay(path, SETTINGS, "auto", 1e5)
    assert len(stream.time) == 10
    assert stream.time.max() == pytest.approx(10 / SETTINGS.lines_per_hour * 3600, rel=1e-6)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ConfigError, match="order speed"):
        replay(csv_file(tmp_path, sold("1", "22101", 24)), SETTINGS, speed, 300.0)


# Files that cannot be used


def unusable(folder: Path, what: str) -> Path:
    path = folder / "orders.csv"
    if what == "no file":
        return path
    if what == "empty":
        path.write_text("")
    elif what == "missing column":
        path.write_text(HEADER.replace("Quantity", "Amount") + sold("1", "22101", 3))
    elif what == "not UTF-8":
        path.write_bytes(HEADER.encode() + "1,22101,CAFÉ,3,2010-12-01 08:00:00,1,1,UK\n".encode("latin-1"))
    elif what == "no usable row":
        csv_file(folder, sold("C1", "22101", -3), sold("2", "22101", "x"), name="orders.csv")
    elif what == "no pallet":
        csv_file(folder, sold("1", "22101", 1), name="orders.csv")
    elif what == "empty folder":
        return folder
    elif what == "two forms":
        csv_file(folder, sold("1", "22101", 24), name="a.csv")
        (folder / "b.csv").write_text(",DATE,OrderNumber,SKU,PCS,Alley_Number\n1,12/3/2018,7,9,1,A09\n")
        return folder
    return path


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no file", "no such file or folder"),
        ("empty", "is empty"),
        ("missing column", "Seen: InvoiceNo, StockCode, Description, Amount.* Wanted the columns of online_retail"),
        ("not UTF-8", "not UTF-8 .* iconv"),
        ("no usable row", r"not one usable order line in 2 rows \(1 cancellation, 1 unreadable\)"),
        ("no pallet", "no order has a family of 24 units or more"),
        ("empty folder", "holds no .csv file"),
        ("two forms", "mixes two forms of orders"),
    ],
)
def test_an_unusable_file_is_refused_with_seen_wanted_and_cure(tmp_path: Path, what: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replay(unusable(tmp_path, what), SETTINGS, 1.0, 300.0)


@given(content=some.binary(max_size=120), at=some.integers(0, 400), keeps_header=some.booleans())
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_corrupt_files_raise_nothing_but_config_errors(
    tmp_path: Path, content: bytes, at: int, keeps_header: bool
) -> None:
    whole = (HEADER + sold("536365", "85123A", 48) * 4).encode()
    at = max(at, len(HEADER)) if keeps_header else at
    path = tmp_path / "orders.csv"
    path.write_bytes(whole[:at] + content + whole[at + len(content) :])
    try:
        stream, _ = replay(path, SETTINGS, "auto", 300.0)
        check_form(stream, 300.0)
    except ConfigError:
        pass


# Real data


def test_online_retail_replays_with_every_row_accounted_for() -> None:
    stream, summary = replay(real_data("orders/online_retail"), SETTINGS, "auto", 600.0)
    check_form(stream, 600.0)
    assert summary.count.rows == 22_523
    assert summary.count.left_out["cancellation"] == 329  # the figures of the data set's own description
    assert summary.count.left_out["cancellation"] + summary.count.left_out["quantity not positive"] == 393
    assert summary.count.used + sum(summary.count.left_out.values()) == summary.count.rows
    assert summary.lines == pytest.approx(SETTINGS.lines_per_hour / 6, abs=4)
    assert "cancellation" in summary.text()


def test_dc_pick_lines_replay_with_aisles_as_families() -> None:
    stream, summary = replay(real_data("orders/dc_picks"), SETTINGS, "auto", 600.0)
    check_form(stream, 600.0)
    assert summary.count.used == 2865
    assert summary.orders_in_files == 2084
    assert sorted(summary.families[:-1]) == [f"A{aisle:02d}" for aisle in range(1, 12)]


def test_the_shipped_figures_are_what_the_command_measures(tmp_path: Path) -> None:
    fitted = fit_orders(real_data("orders/online_retail"), SHIPPED, SHIPPED.provenance.command)
    assert fitted == SHIPPED
    write_order_settings(fitted, tmp_path / "orders.yaml")
    assert (tmp_path / "orders.yaml").read_text() == (TOP / "config" / "orders.yaml").read_text()


def test_the_backlog_waits_when_a_run_begins() -> None:
    waiting = SETTINGS.model_copy(update={"backlog": 600.0})
    stream = generate(waiting, 3, 600.0)
    at_once = stream.time == 0.0
    assert 0.2 < at_once.mean() < 0.9, "half of the drawn time lies before the run; quiet hours move the share"
    expected = due_times(waiting, stream.time, stream.n_lines)
    assert (stream.due == expected).all() and (stream.due[at_once] >= waiting.service_time).all()


def test_varied_orders_keep_their_lines_and_lean_to_small_ones_and_to_some_families():
    def many(small: float, skew: float):
        streams = [
            generate_drawn(SETTINGS, np.random.default_rng(seed), 3600.0, Draw(small_orders=small, skew=skew))
            for seed in range(30)
        ]
        lines = np.array([stream.n_lines.sum() for stream in streams])
        counts = [np.bincount(stream.sku[stream.sku >= 0], minlength=SKUS) / stream.n_lines.sum() for stream in streams]
        single = np.mean([np.mean(stream.n_lines == 1) for stream in streams])
        return float(lines.mean()), float(single), float(np.std(counts, axis=0).mean())

    plain, small, skewed = many(0.0, 0.0), many(0.8, 0.0), many(0.0, 1.0)
    assert small[0] == pytest.approx(plain[0], rel=0.1) and skewed[0] == pytest.approx(plain[0], rel=0.15)
    assert plain[1] < 0.5 < 0.85 < small[1]
    assert skewed[2] > 1.5 * plain[2]
    stream = generate_drawn(SETTINGS, np.random.default_rng(1), 3600.0, Draw(small_orders=0.5, skew=1.0))
    assert ((stream.sku >= 0).sum(1) == stream.n_lines).all() and (np.diff(stream.time) >= 0).all()
    for row, count in zip(stream.sku, stream.n_lines, strict=True):
        assert len(set(row[:count].tolist())) == count
