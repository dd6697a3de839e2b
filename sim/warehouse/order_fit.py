"""Fit the order generator's figures to a real order stream, and write them with their provenance."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from policy_core.config import ConfigError, parse_settings
from sim.warehouse.consolidation import MOST_LINES, consolidate, rank_families
from sim.warehouse.order_csv import order_files, read_rows
from sim.warehouse.order_replay import order_clock
from sim.warehouse.orders import HOUR, OrderSettings
from sim.warehouse.settings import SKUS

TEMPLATE = """\
# Orders: first what a person chooses, then what was measured. `parley fit-orders` measures anew, keeps the choices and
# rewrites this file. One order line is one pallet of one article family to one outbound dock. A replay of real orders
# (parley demo --orders) uses the choices and brings its own lines.

{lines_per_hour}  # pallet lines per simulated hour, mean of a run
{service_time}  # s from an order's arrival to its due time
{service_time_per_line}  # s more for each of its lines
{backlog}  # s, the orders of so long before the run wait when it begins
{docks}  # outbound docks that orders are spread over

# A share of the orders comes in waves: released together every period (s), and due at a truck's cut-off one period
# later. Chosen, not measured: the real streams say when an order was written, not when its truck leaves.
{waves}

# Units of one family in one order that make a pallet line, by form of the file: 24 units are two inner cartons; pick
# lines are single pieces, so each stands for one pallet. Pauses between orders longer than longest_gap (s) are cut.
{consolidation}

# Measured. Families by frequency (first three characters of the article code) and their share of pallet lines.
{families}
{popularity}
# Share of orders with 1, 2, 3, 4 pallet lines; orders in the hours 0 to 23 of a mean trading day; pallet lines in an
# hour of the real stream, long pauses cut.
{lines_per_order}
{profile}
{lines_per_real_hour}

# Where the figures come from; sha256 is over the bytes of the files in this order.
{provenance}
"""


def fit_orders(data: Path, base: OrderSettings, command: str) -> OrderSettings:
    """Measure arrival profile, lines per order and popularity; everything else is taken from `base`.

    Raises:
        ConfigError: the data cannot be read, give days without a clock, or hold no order worth a pallet.
    """
    source = read_rows(data)
    if source.form == "dc_picks":
        raise ConfigError(f"{data}: gives days without a time of day, so no arrival profile can be fitted to it.")
    families = rank_families(source.rows)
    orders, by_hand = consolidate(source.rows, families, base.consolidation.online_retail)
    if len(orders) < 2:
        raise ConfigError(f"{data}: {len(orders)} order(s) worth a pallet; wanted at least 2 to fit figures to.")
    lines = np.array([len(order.families) for order in orders])
    drawn = np.bincount([family for order in orders for family in order.families], minlength=SKUS)
    hours = Counter(order.time.hour for order in orders)
    days = len({order.time.date() for order in orders})
    real_hours = max(float(order_clock(orders, source.form, base)[-1]) / HOUR, 1 / 60)
    note = (
        f"{source.account.used} of {source.account.rows} rows are goods; {len(orders)} orders with {int(lines.sum())} "
        f"pallet lines on {days} days; by hand: {by_hand.orders} whole orders, {by_hand.lines} small lines, "
        f"{by_hand.lines_beyond} lines beyond the fourth of an order"
    )
    figures = {
        "families": families,
        "popularity": _rounded(drawn / drawn.sum()),
        "lines_per_order": _rounded(np.bincount(lines, minlength=MOST_LINES + 1)[1:] / len(lines)),
        "profile": _rounded(np.array([hours[hour] / days for hour in range(24)])),
        "lines_per_real_hour": round(float(lines.sum()) / real_hours, 3),
        "provenance": {
            "command": command,
            "files": source.files,
            "sha256": _digest(order_files(data)),
            "rows": source.account.rows,
            "note": note,
        },
    }
    return parse_settings(OrderSettings, base.model_dump() | figures, source=f"figures of {data}")


def write_order_settings(settings: OrderSettings, path: Path) -> None:
    """Write config/orders.yaml with its comments, whole or not at all."""
    sections = {
        name: yaml.safe_dump({name: value}, sort_keys=False, width=118, default_flow_style=_flow(value)).rstrip()
        for name, value in settings.model_dump(mode="json").items()
    }
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(TEMPLATE.format(**sections), encoding="utf-8")
    part.replace(path)


def _flow(value: object) -> bool | None:
    """YAML's style: block for a number by itself, otherwise the innermost lists and mappings on one line."""
    return None if isinstance(value, list | dict) else False


def _digest(files: tuple[Path, ...]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


def _rounded(numbers: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(number), 4) for number in numbers)
