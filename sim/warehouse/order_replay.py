"""Replay of a real order stream: CSV rows become pallet orders on a compressed clock, with an account of the rest."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.consolidation import MOST_LINES, HandCount, PalletOrder, consolidate, rank_families
from sim.warehouse.order_csv import REASONS, Form, OrderRows, RowCount, read_rows
from sim.warehouse.orders import HOUR, OrderSettings, OrderStream, due_times
from sim.warehouse.settings import SKUS


@dataclasses.dataclass(frozen=True)
class ReplaySummary:
    """What was replayed, at which speed, and what was left out and why."""

    form: Form
    files: tuple[str, ...]
    families: tuple[str, ...]  # [SKUS]
    popularity: tuple[float, ...]  # [SKUS] share of pallet lines over the whole input
    speed: float  # real seconds per simulated second
    orders: int  # in this run
    lines: int  # pallet lines in this run
    orders_in_files: int  # with at least one pallet line
    count: RowCount
    by_hand: HandCount

    def plain(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """In a few lines, for people."""
        left_out = ", ".join(f"{self.count.left_out[reason]} {reason}" for reason in REASONS)
        lines = [
            f"{len(self.files)} file(s) of form {self.form}: {self.count.rows} rows, {self.count.used} used; "
            f"left out: {left_out}",
            f"{self.orders_in_files} orders with pallet lines; by hand: {self.by_hand.orders} whole orders, "
            f"{self.by_hand.lines} small lines, {self.by_hand.lines_beyond} lines beyond the fourth, "
            f"{self.by_hand.units} units",
            f"this run: {self.orders} orders, {self.lines} pallet lines at {self.speed:.2f} x real time",
        ]
        return "\n".join([*lines, *(f"  unreadable: {example}" for example in self.count.examples)])


def replay(
    path: Path | str, settings: OrderSettings, speed: float | Literal["auto"], duration: float
) -> tuple[OrderStream, ReplaySummary]:
    """The orders of a CSV file or folder that arrive within `duration` (s); those of the first `backlog` wait at 0.

    Only arrival times are compressed: `speed` real seconds pass in one simulated second; an order is due the same
    time after its arrival at any speed. "auto" finds the speed at which this run has `lines_per_hour` on average.
    Pauses longer than `longest_gap` are cut to it first. Docks take turns.

    Raises:
        ConfigError: nothing usable in the files, no order large enough for a pallet, or a speed that is not positive.
    """
    if speed != "auto" and not 0 < speed < 1e6:
        raise ConfigError(f"order speed: saw {speed}, wanted a number above 0 or 'auto' (1 is real time).")
    source = read_rows(path)
    orders, families, by_hand = pallet_orders(source, settings)
    if not orders:
        raise ConfigError(
            f"{path}: no order has a family of {getattr(settings.consolidation, source.form)} units or more, so there "
            f"is no pallet to move. Lower consolidation.{source.form} in config/orders.yaml."
        )
    clock = order_clock(orders, source.form, settings)
    n_lines = np.array([len(order.families) for order in orders], dtype=np.int32)
    span = settings.backlog + duration
    rate = _auto_speed(clock, n_lines, settings, span) if speed == "auto" else float(speed)
    held = int(np.searchsorted(clock / rate, span, side="left"))
    time = np.maximum(clock[:held] / rate - settings.backlog, 0.0)
    n_lines = n_lines[:held]
    sku = np.full((held, MOST_LINES), -1, dtype=np.int32)
    for row, order in enumerate(orders[:held]):
        sku[row, : len(order.families)] = order.families
    dock = (np.arange(held) % settings.docks).astype(np.int32)
    drawn = np.bincount([family for order in orders for family in order.families], minlength=SKUS)
    summary = ReplaySummary(
        form=source.form,
        files=source.files,
        families=families,
        popularity=tuple((drawn / drawn.sum()).tolist()),
        speed=rate,
        orders=held,
        lines=int(n_lines.sum()),
        orders_in_files=len(orders),
        count=source.account,
        by_hand=by_hand,
    )
    return OrderStream(time, due_times(settings, time, n_lines), dock, n_lines, sku), summary


def pallet_orders(source: OrderRows, settings: OrderSettings) -> tuple[list[PalletOrder], tuple[str, ...], HandCount]:
    """Orders as pallets with the family names they index: the fitted names where the file's families are those."""
    known = source.form == "online_retail"
    families = settings.families if known else rank_families(source.rows)
    orders, by_hand = consolidate(source.rows, families, getattr(settings.consolidation, source.form))
    return orders, families, by_hand


def order_clock(orders: Sequence[PalletOrder], form: Form, settings: OrderSettings) -> np.ndarray:
    """Real seconds since the first order [R], long pauses cut; days without a clock are spread over the profile."""
    moment = [order.time for order in orders]
    if form == "dc_picks":
        moment = _spread_over_days(orders, settings)
    seconds = np.array([(one - moment[0]).total_seconds() for one in moment])
    pause = np.minimum(np.diff(seconds, prepend=seconds[:1]), settings.consolidation.longest_gap)
    return np.cumsum(pause)


def _spread_over_days(orders: Sequence[PalletOrder], settings: OrderSettings) -> list[datetime]:
    """The k-th of a day's n orders comes when (k + 1/2) / n of a day's orders have come by the fitted profile."""
    passed = np.concatenate([[0.0], np.cumsum(settings.profile)])
    in_day = Counter(order.time for order in orders)
    seen: Counter[datetime] = Counter()
    share = np.zeros(len(orders))
    for row, order in enumerate(orders):
        share[row] = (seen[order.time] + 0.5) / in_day[order.time]
        seen[order.time] += 1
    hour = np.interp(share * passed[-1], passed, np.arange(25.0))
    return [order.time + timedelta(hours=float(late)) for order, late in zip(orders, hour, strict=True)]


def _auto_speed(clock: np.ndarray, n_lines: np.ndarray, settings: OrderSettings, duration: float) -> float:
    """The speed at which the lines of the run, or of the whole input if that ends first, come to lines_per_hour."""
    come = np.cumsum(n_lines)
    wanted = settings.lines_per_hour * duration / HOUR
    last = min(int(np.searchsorted(come, wanted)), len(clock) - 1)
    lasting = min(duration, float(come[last]) / settings.lines_per_hour * HOUR)
    return max(float(clock[last]), 1.0) / lasting
