"""From units to pallets: which part of a customer order is worth a pallet, and how much goes by hand.

Real orders are in units (6 lanterns, 12 mugs); forklifts move pallets. An order's lines are merged by article
family; a family whose units reach `pallet_units` becomes one pallet line, at most four, the largest first. The rest
is picked by hand and is counted, never silently dropped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sim.warehouse.order_csv import Row
from sim.warehouse.settings import SKUS

MOST_LINES = 4  # pallet lines of one order
OTHER = "other"  # the family of all families without a name of their own; always the last


class PalletOrder(NamedTuple):
    """One order as pallets."""

    number: str
    time: datetime  # of its first line
    families: tuple[int, ...]  # family indices, most units first; 1 to 4, all different


@dataclass
class HandCount:
    """What does not go on a pallet."""

    orders: int = 0  # orders without any pallet line
    lines: int = 0  # merged family lines below the pallet quantity
    units: int = 0
    lines_beyond: int = 0  # large enough, but beyond the fourth of their order


def rank_families(rows: Sequence[Row]) -> tuple[str, ...]:
    """The most frequent families by order lines, then OTHER: SKUS names; ties in alphabetical order."""
    frequency = Counter(row.family for row in rows)
    ranked = sorted(frequency, key=lambda family: (-frequency[family], family))[: SKUS - 1]
    spare = [f"unused {number}" for number in range(1, SKUS - len(ranked))]
    return (*ranked, *spare, OTHER)


def consolidate(rows: Sequence[Row], families: Sequence[str], pallet_units: int) -> tuple[list[PalletOrder], HandCount]:
    """Merge rows to pallet orders, sorted by time (orders of the same time stay in file order)."""
    index = {family: place for place, family in enumerate(families)}
    other = len(families) - 1
    units: dict[str, Counter[int]] = defaultdict(Counter)
    time: dict[str, datetime] = {}
    for row in rows:
        units[row.order][index.get(row.family, other)] += row.units
        time[row.order] = min(row.time, time.get(row.order, row.time))
    orders: list[PalletOrder] = []
    by_hand = HandCount()
    for number, basket in units.items():
        ranked = sorted(basket, key=lambda family: (-basket[family], family))
        large = [family for family in ranked if basket[family] >= pallet_units]
        chosen = tuple(large[:MOST_LINES])
        by_hand.orders += not chosen
        by_hand.lines += len(ranked) - len(large)
        by_hand.lines_beyond += len(large) - len(chosen)
        by_hand.units += sum(basket[family] for family in ranked[len(chosen) :])
        if chosen:
            orders.append(PalletOrder(number, time[number], chosen))
    return sorted(orders, key=lambda order: order.time), by_hand
