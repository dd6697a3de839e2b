"""Where a condition's floor plan and orders are, what keeps it from being measured, and a digest of all behind it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from parley_bringup.paths import home
from parley_bringup.study.settings import DATA, UNROUNDED, Condition, Policy, StudySettings
from sim.warehouse.order_csv import order_files

CONFIGS = ("warehouse.yaml", "bodies.yaml", "orders.yaml", "contract.yaml", "import.yaml")
OWN_PLAN = "config/floorplans/small_dc.yaml"


def locate(text: str, data: Path | None) -> Path:
    """A path of config/study.yaml: under the data folder after `data:`, else from Parley's own folder."""
    if text.startswith(DATA):
        return (data or Path(DATA)) / text.removeprefix(DATA)
    return home() / text


def plan_of(condition: Condition, data: Path | None) -> Path:
    """Its floor plan or map."""
    return locate(condition.map or OWN_PLAN, data)


def days_of(condition: Condition, data: Path | None) -> list[Path]:
    """The CSV files of its orders, one drawn for each episode; none: the generator."""
    return list(order_files(locate(condition.orders, data))) if condition.orders else []


def hindrance(condition: Condition, data: Path | None) -> str:
    """Why nobody can be measured under this condition; empty if they can."""
    for text in (condition.map, condition.orders):
        if text.startswith(DATA) and data is None:
            return f"{text}: there is no data folder; set PARLEY_DATA to one (`parley data --download` fills it)"
        if text and not locate(text, data).exists():
            return f"{locate(text, data)} is not there; `parley data` lists what Parley knows and downloads it"
    return ""


def policy_hindrance(condition: Condition, policy: Policy) -> str:
    """Why this policy cannot be measured under this condition; empty if it can."""
    if condition.bits < UNROUNDED and policy == "contract-net":
        return "its messages name jobs by numbers up to two million, which no grid of 16 bits can tell apart"
    return ""


def digest_of(settings: StudySettings, condition: Condition, data: Path | None) -> str:
    """Of all settings and inputs that an episode under this condition depends on, but the seed and the program."""
    dull = {"name", "about", "seeds", "policies", "minutes"}
    told = [condition.model_dump_json(exclude=dull), str(settings.minutes_of(condition))]
    told += [str(settings.dies_after) if condition.dies else "", str(settings.joins_after) if condition.joins else ""]
    digest = hashlib.sha256("\n".join(told).encode())
    files = [home() / "config" / name for name in CONFIGS]
    plan = plan_of(condition, data)  # an image lies beside a map of the data folder
    plans = sorted(path for path in plan.parent.iterdir() if path.is_file()) if DATA in condition.map else [plan]
    for path in [*files, *plans, *days_of(condition, data)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
