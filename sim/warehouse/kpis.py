"""What is counted, once for all: training, both simulators and the task server use these names in this order."""

from __future__ import annotations

from collections.abc import Mapping

KPIS: tuple[str, ...] = (
    "orders_done",
    "orders_on_time",
    "lines_shipped",
    "pallets_received",  # inbound pallets brought to inspection
    "pallets_stored",
    "defects_shipped",
    "false_rejects",  # sound pallets rejected
    "inspections",
    "stock_outs",  # order lines that came when no zone held a free pallet of the family
    "over_orders",  # reorders placed above the target stock of the family
    "claim_conflicts",  # decisions lost to another agent that wanted the same thing at the same tick
    "contacts",  # a robot began to touch a robot, wall or rack
    "near_misses",  # two robots came closer than 0.25 m
    "blocked_s",  # robot-seconds behind another robot
    "late_s",  # order-seconds past the due time
    "distance_m",
    "orders_received",
    "lines_received",
    "energy_wh",  # taken up by driving, lifting and idling
    "charging_s",  # robot-seconds on a charger with a battery that is not full
    "flat_s",  # robot-seconds with an empty battery
    "pallets_in_vain",  # stock brought to an outbound dock when no order wanted it
)
KPI = {name: index for index, name in enumerate(KPIS)}

(
    ORDERS_DONE,
    ORDERS_ON_TIME,
    LINES_SHIPPED,
    PALLETS_RECEIVED,
    PALLETS_STORED,
    DEFECTS_SHIPPED,
    FALSE_REJECTS,
    INSPECTIONS,
    STOCK_OUTS,
    OVER_ORDERS,
    CLAIM_CONFLICTS,
    CONTACTS,
    NEAR_MISSES,
    BLOCKED_S,
    LATE_S,
    DISTANCE_M,
    ORDERS_RECEIVED,
    LINES_RECEIVED,
    ENERGY_WH,
    CHARGING_S,
    FLAT_S,
    PALLETS_IN_VAIN,
) = range(len(KPIS))


def derive(counts: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Add rates and shares to the raw counts of a run of `seconds` of simulated time."""
    hours = max(seconds, 1e-9) / 3600.0
    done = counts["orders_done"]
    return {
        **{name: float(counts[name]) for name in KPIS},
        "orders_per_hour": done / hours,
        "lines_per_hour": counts["lines_shipped"] / hours,
        "on_time_share": counts["orders_on_time"] / done if done else 0.0,
        "seconds": float(seconds),
    }
