"""The warehouse's numbers: the model of config/warehouse.yaml, and the flat forms the kernels take."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import Settings, read_settings
from sim.warehouse.kpis import KPIS

SUPPLIERS = 3
SKUS = 12  # article families; the size of every per-SKU field of the contract


class Goods(Settings):
    """Pallets at rest."""

    initial_fill: float = Bound(ge=0, le=1)
    ship_time: float = Bound(ge=0, le=600)
    collect_time: float = Bound(ge=0, le=3600)
    target_cover: float = Bound(ge=0.5, le=3)


class Quality(Settings):
    """How often pallets are bad, and how well one inspection tells."""

    defect_rates: tuple[float, float, float]
    inspection_time: float = Bound(ge=0.1, le=600)
    reading_noise: float = Bound(ge=0, le=5)

    @model_validator(mode="after")
    def _rates_are_shares(self) -> Quality:
        if not all(0 <= rate <= 1 for rate in self.defect_rates):
            raise ValueError(f"defect_rates must lie in [0, 1], saw {self.defect_rates}")
        return self


class Replenishment(Settings):
    """Reorders: how long they take and how many may run."""

    lead_time: tuple[float, float]
    max_pipeline: int = Bound(ge=1, le=64)


class Motion(Settings):
    """The move skill, the same in both simulators and on the robot."""

    cruise_speed: float = Bound(ge=0.1, le=3)
    dock_speed: float = Bound(ge=0.05, le=1)
    yaw_rate: float = Bound(ge=0.1, le=3)
    acceleration: float = Bound(ge=0.1, le=5)
    step: float = Bound(ge=0.02, le=0.5)
    fork_low: float = Bound(ge=0, le=0.1)
    fork_high: float = Bound(ge=0.05, le=0.5)
    fork_speed: float = Bound(ge=0.01, le=1)
    dock_reach: float = Bound(ge=0.3, le=2)
    lookahead: float = Bound(ge=0.2, le=3)
    give_way_after: float = Bound(ge=0.5, le=60)
    resolve_after: float = Bound(ge=1, le=120)


class Fitted(Settings):
    """How a truck's drive follows the move skill's commands; numbers that `parley fit-motion` finds."""

    drive_lag: float = Bound(ge=0, le=2)
    drive_acceleration: float = Bound(ge=0.1, le=1000)
    turn_lag: float = Bound(ge=0, le=2)
    turn_acceleration: float = Bound(ge=0.1, le=1000)
    source: str = Bound(min_length=1)


class Radio(Settings):
    """Who hears whom."""

    range: float = Bound(ge=1, le=1000)
    loss: float = Bound(ge=0, le=1)


class Jobs(Settings):
    """Life cycle of a job."""

    abandon_after: float = Bound(ge=1, le=600)


class WarehouseSettings(Settings):
    """config/warehouse.yaml."""

    goods: Goods
    quality: Quality
    replenishment: Replenishment
    motion: Motion
    fitted: Fitted
    radio: Radio
    jobs: Jobs
    reward: dict[str, float]

    @model_validator(mode="after")
    def _rewards_are_kpis(self) -> WarehouseSettings:
        strange = sorted(set(self.reward) - set(KPIS))
        if strange:
            raise ValueError(f"reward has no KPI named {', '.join(strange)}; known: {', '.join(KPIS)}")
        return self

    def rules(self) -> Rules:
        """The numbers the rule kernels take."""
        low, high = self.replenishment.lead_time
        return Rules(
            self.goods.ship_time,
            self.goods.collect_time,
            self.quality.inspection_time,
            low,
            high,
            self.replenishment.max_pipeline,
        )

    def motion_numbers(self) -> MotionNumbers:
        """The numbers the motion kernel takes."""
        return MotionNumbers(**self.motion.model_dump(), **self.fitted.model_dump(exclude={"source"}))

    def reward_weights(self) -> np.ndarray:
        """Weight of one unit of each KPI [KPIs]."""
        return np.array([self.reward.get(name, 0.0) for name in KPIS])


class Rules(NamedTuple):
    """Flat numbers for sim/warehouse/rules.py, in seconds and pallets."""

    ship_time: float
    collect_time: float
    inspection_time: float
    lead_low: float
    lead_high: float
    max_pipeline: int


class MotionNumbers(NamedTuple):
    """Flat numbers for sim/warehouse/motion.py, SI units; meanings in config/warehouse.yaml."""

    cruise_speed: float
    dock_speed: float
    yaw_rate: float
    acceleration: float
    step: float
    fork_low: float
    fork_high: float
    fork_speed: float
    dock_reach: float
    lookahead: float
    give_way_after: float
    resolve_after: float
    drive_lag: float
    drive_acceleration: float
    turn_lag: float
    turn_acceleration: float


def read_warehouse(path: Path | str) -> WarehouseSettings:
    """Load config/warehouse.yaml; raises ConfigError in words."""
    return read_settings(WarehouseSettings, path)
