"""Orders for pallets over time, and the seeded generator that draws them from fitted figures.

A replay of real orders (sim/warehouse/order_replay.py) gives the same arrays, so no consumer knows the difference.
All numbers come from config/orders.yaml.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import Settings, read_settings
from sim.warehouse.consolidation import MOST_LINES
from sim.warehouse.family_draw import draw_weights
from sim.warehouse.settings import SKUS

HOUR = 3600.0  # s


class OrderStream(NamedTuple):
    """R orders in the order of their arrival."""

    time: np.ndarray  # [R] float64 (s): arrival, from the start of the run
    due: np.ndarray  # [R] float64 (s)
    dock: np.ndarray  # [R] int32: outbound dock
    n_lines: np.ndarray  # [R] int32: 1 to 4
    sku: np.ndarray  # [R, 4] int32: article family of each line; -1 past n_lines
    cutoffs: tuple[float, float] = (0.0, 0.0)  # s: the first truck's cut-off, and the time between two; 0: no waves


class Consolidation(Settings):
    """How many units make a family worth a pallet, for each form of order file."""

    online_retail: int = Bound(ge=1)
    dc_picks: int = Bound(ge=1)
    longest_gap: float = Bound(gt=0, le=86_400)  # s; longer pauses between orders (nights, Sundays) are cut to this


class Waves(Settings):
    """Orders that are let go together, for a truck that leaves at a fixed time."""

    period: float = Bound(gt=0, le=86_400)  # s between two cut-offs, and between two waves
    share: float = Bound(ge=0, le=1)  # of the orders; the rest comes one by one


class Provenance(Settings):
    """Where the figures come from."""

    command: str
    files: tuple[str, ...]
    sha256: str  # over the files' bytes, in the order given
    rows: int
    note: str = ""


class OrderSettings(Settings):
    """config/orders.yaml: first what a person chooses, then what `parley fit-orders` measured."""

    lines_per_hour: float = Bound(gt=0, le=10_000)  # pallet lines per simulated hour, on average over a run
    service_time: float = Bound(gt=0, le=86_400)  # s from arrival to due for any order
    service_time_per_line: float = Bound(ge=0, le=86_400)  # s more for each line
    backlog: float = Bound(ge=0, le=86_400)  # s: the orders of so long before the run wait when it begins
    docks: int = Bound(ge=1, le=32)  # outbound docks that orders are spread over
    waves: Waves
    consolidation: Consolidation
    families: tuple[str, ...]  # [SKUS] names, by frequency; the last stands for all others
    popularity: tuple[float, ...]  # [SKUS] share of pallet lines
    lines_per_order: tuple[float, ...]  # [4] share of orders with 1, 2, 3, 4 pallet lines
    profile: tuple[float, ...]  # [24] orders in each hour of a mean trading day
    lines_per_real_hour: float = Bound(gt=0)  # pallet lines per hour of the real stream, long pauses cut
    provenance: Provenance

    @model_validator(mode="after")
    def _shapes_and_shares(self) -> OrderSettings:
        for name, size in (("families", SKUS), ("popularity", SKUS), ("lines_per_order", MOST_LINES), ("profile", 24)):
            if len(getattr(self, name)) != size:
                raise ValueError(f"{name}: wanted {size} entries, saw {len(getattr(self, name))}")
        for name in ("popularity", "lines_per_order", "profile"):
            numbers = np.asarray(getattr(self, name))
            if not (np.isfinite(numbers).all() and (numbers >= 0).all() and numbers.sum() > 0):
                raise ValueError(f"{name}: wanted numbers >= 0, not all zero; saw {numbers.tolist()}")
        if np.count_nonzero(self.popularity) < np.flatnonzero(self.lines_per_order)[-1] + 1:
            raise ValueError("popularity: fewer families are ever ordered than lines_per_order has lines; lines differ")
        return self


def read_order_settings(path: Path | str) -> OrderSettings:
    """Load config/orders.yaml; raises ConfigError in words."""
    return read_settings(OrderSettings, path)


def generate(settings: OrderSettings, seed: int | Sequence[int], duration: float) -> OrderStream:
    """Draw the orders of one run of `duration` (s).

    Arrivals are Poisson. The run is a window of the fitted day that begins at a random open hour; the day passes so
    fast that the fitted mean rate becomes `lines_per_hour`, and the window is scaled to that mean, so runs of any
    length are equally busy and long ones have quiet and busy hours. What came in the `backlog` before the run waits at
    its start. A share of the orders comes in waves, see `_into_waves`.
    """
    rng = np.random.default_rng(seed)
    size_share = np.asarray(settings.lines_per_order) / sum(settings.lines_per_order)
    orders_per_second = settings.lines_per_hour / HOUR / float(size_share @ np.arange(1, MOST_LINES + 1))
    drawn = settings.backlog + duration
    count = int(rng.poisson(orders_per_second * drawn))
    time = np.sort(_arrivals(settings, rng.random(), rng.random(count), drawn))
    time = np.maximum(time - settings.backlog, 0.0)
    n_lines = rng.choice(np.arange(1, MOST_LINES + 1), size=count, p=size_share).astype(np.int32)
    weight = draw_weights(settings.popularity, settings.lines_per_order)
    # the largest of weight-scaled exponential keys are a draw without replacement (Efraimidis and Spirakis 2006)
    keys = rng.exponential(size=(count, SKUS)) / np.maximum(weight, 1e-12)
    sku = np.argsort(keys, axis=1)[:, :MOST_LINES].astype(np.int32)
    sku[np.arange(MOST_LINES) >= n_lines[:, None]] = -1
    dock = rng.integers(settings.docks, size=count, dtype=np.int32)
    time, due, cutoffs = _into_waves(settings, rng, time, n_lines)
    order = np.argsort(time, kind="stable")
    return OrderStream(time[order], due[order], dock[order], n_lines[order], sku[order], cutoffs)


def due_times(settings: OrderSettings, time: np.ndarray, n_lines: np.ndarray) -> np.ndarray:
    """When orders that arrive at `time` [R] (s) with `n_lines` [R] lines must be complete [R] (s)."""
    return np.asarray(time + settings.service_time + settings.service_time_per_line * n_lines)


def _into_waves(
    settings: OrderSettings, rng: np.random.Generator, time: np.ndarray, n_lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Let a share of the orders go in waves, each at the cut-off of the truck before; gives arrivals and due times [R].

    An order of a wave is released at the start of the period it would have come in, so a run stays as busy as it was.
    It is due at the first cut-off that leaves it the ordinary time: at the period's end, if that is long enough.
    """
    period, share = settings.waves.period, settings.waves.share
    due = due_times(settings, time, n_lines)
    if share == 0.0:
        return time, due, (0.0, 0.0)
    first = rng.uniform(0.0, period)
    is_wave = rng.random(len(time)) < share
    began = first + np.floor((time - first) / period) * period
    released = np.where(is_wave, np.maximum(began, 0.0), time)
    earliest = due_times(settings, released, n_lines)
    cutoff = first + np.ceil((earliest - first) / period - 1e-9) * period
    return released, np.where(is_wave, cutoff, due), (first, period)


def _arrivals(settings: OrderSettings, start: float, share: np.ndarray, duration: float) -> np.ndarray:
    """Arrival times (s) at the shares [R] in [0, 1) of a run that begins at the share `start` of the open day."""
    open_hours = np.array([rate for rate in settings.profile if rate > 0])
    speed = settings.lines_per_hour / settings.lines_per_real_hour
    begin, end = start * len(open_hours), start * len(open_hours) + duration * speed / HOUR
    edge = np.unique(np.concatenate([[begin], np.arange(np.ceil(begin), np.ceil(end)), [end]]))
    rate = open_hours[np.floor((edge[:-1] + edge[1:]) / 2).astype(int) % len(open_hours)]
    passed = np.concatenate([[0.0], np.cumsum(rate * np.diff(edge))])
    hour = np.interp(share * passed[-1], passed, edge)
    return np.asarray((hour - begin) / (end - begin) * duration)
