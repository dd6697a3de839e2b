"""Orders that come in waves and leave with a truck."""

from __future__ import annotations

import numpy as np
import pytest

from sim.warehouse import calendar
from sim.warehouse.orders import due_times, generate, read_order_settings
from sim.warehouse.state import make_state, open_world
from tests.unit.sim.warehouse_world import CONFIG, sensed, settings, tables, world

SHIPPED = read_order_settings(CONFIG / "orders.yaml")


def drawn(share, seed=4, duration=3600.0, **changes):
    waves = SHIPPED.waves.model_copy(update={"share": share, "period": 300.0})
    return generate(SHIPPED.model_copy(update={"waves": waves, **changes}), seed, duration)


def on_grid(time, cutoffs):
    """Which times lie on a cut-off."""
    first, period = cutoffs
    return np.abs((time - first + period / 2) % period - period / 2) < 1e-6


def test_a_wave_is_released_at_the_cutoff_of_the_truck_before_and_due_at_its_own():
    stream = drawn(1.0)
    is_first = stream.time == 0.0  # the wave that was under way when the run began
    assert on_grid(stream.time, stream.cutoffs)[~is_first].all() and on_grid(stream.due, stream.cutoffs).all()
    assert stream.due[~is_first] == pytest.approx(stream.time[~is_first] + 300.0), "the period is long enough for all"
    assert len(np.unique(stream.time)) == pytest.approx(3600 / 300, abs=1)


def test_nobody_gets_less_time_than_an_order_that_comes_by_itself():
    for share in (0.0, 0.4, 1.0):
        stream = drawn(share)
        assert (stream.due >= due_times(SHIPPED, stream.time, stream.n_lines) - 1e-6).all()
    slow = drawn(1.0, service_time=700.0)
    assert (slow.due - slow.time >= 700.0).all() and on_grid(slow.due, slow.cutoffs).all(), "the truck after the next"


def test_a_share_of_the_orders_comes_in_waves_and_the_rest_as_before():
    shares = [
        on_grid(stream.time, stream.cutoffs)[stream.time > 0].mean() for stream in (drawn(0.3, s) for s in range(8))
    ]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.05)


def test_without_waves_nothing_is_changed_and_with_them_a_run_is_as_busy():
    plain, waved = drawn(0.0), drawn(0.5)
    assert plain.cutoffs == (0.0, 0.0)
    assert not on_grid(plain.time, (waved.cutoffs[0], 300.0))[plain.time > 0].any()
    assert plain.due == pytest.approx(due_times(SHIPPED, plain.time, plain.n_lines))
    assert waved.n_lines.sum() == plain.n_lines.sum() and sorted(waved.dock) == sorted(plain.dock)
    assert (np.diff(waved.time) >= 0).all()
    alone = {(round(t, 6), tuple(s)) for t, s in zip(plain.time, plain.sku.tolist(), strict=True)}
    kept = {(round(t, 6), tuple(s)) for t, s in zip(waved.time, waved.sku.tolist(), strict=True)}
    assert 0.3 * len(alone) < len(alone & kept) < 0.7 * len(alone), "the other half comes when it would have come"


def test_the_next_cutoff_is_counted_down_and_told():
    stream = drawn(0.5)
    floor = tables()
    state = make_state(1, floor, 256)
    open_world(state, 0, floor, settings(), stream, np.ones(12), np.random.default_rng(0))
    first = stream.cutoffs[0]
    for now, left in ((0.0, first), (first - 1.0, 1.0), (first + 1.0, 299.0), (first + 650.0, 250.0)):
        state.time[0] = now
        assert calendar.until_cutoff(state, 0) == pytest.approx(left)
    state.wave_period[0] = 0.0
    assert calendar.until_cutoff(state, 0) == calendar.NO_CUTOFF
    env = world(stream)
    assert sensed(env, env.reset(0), "inventory", "cutoff")[0] == pytest.approx(first, rel=1e-5)
    plain = world(drawn(0.0))
    assert sensed(plain, plain.reset(0), "inventory", "cutoff")[0] == calendar.NO_CUTOFF
