"""The warehouse's numbers: the model of config/warehouse.yaml, and the flat forms the kernels take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import ConfigError, Settings, read_settings
from sim.warehouse.bodies import Bodies
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


class Sensing(Settings):
    """What the forklifts' policies sense in simulated worlds."""

    laser: bool


class Jobs(Settings):
    """Life cycle of a job."""

    abandon_after: float = Bound(ge=1, le=600)
    offered: Literal["released", "stock"]


class Battery(Settings):
    """What a truck's battery holds, what work takes out of it, and what a charger puts back."""

    capacity: float = Bound(gt=0, le=100_000)
    initial_share: tuple[float, float]
    idle_power: float = Bound(ge=0, le=5000)
    drive_efficiency: float = Bound(gt=0, le=1)
    lift_efficiency: float = Bound(gt=0, le=1)
    rolling_resistance: float = Bound(ge=0, le=0.5)
    charge_power: float = Bound(gt=0, le=50_000)
    charge_below: float = Bound(ge=0, le=1)
    charge_until: float = Bound(gt=0, le=1)
    limp_below: float = Bound(ge=0, le=1)
    limp_speed: float = Bound(gt=0, le=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Battery:
        low, high = self.initial_share
        if not 0 < low <= high <= 1:
            raise ValueError(f"initial_share must be a range within (0, 1], saw {self.initial_share}")
        if not self.limp_below <= self.charge_below < self.charge_until:
            raise ValueError(
                f"wanted limp_below <= charge_below < charge_until, saw {self.limp_below}, {self.charge_below}, "
                f"{self.charge_until}; a truck would limp before it may charge, or charge without end"
            )
        if self.charge_power <= self.idle_power:
            raise ValueError(
                f"charge_power ({self.charge_power}) must exceed idle_power ({self.idle_power}), else nothing charges"
            )
        return self


class Shifts(Settings):
    """When the quality stations are staffed."""

    length: float = Bound(gt=0, le=86_400)
    handover: float = Bound(ge=0, le=3600)

    @model_validator(mode="after")
    def _somebody_works(self) -> Shifts:
        if self.handover >= self.length:
            raise ValueError(f"handover ({self.handover}) must be shorter than the shift ({self.length})")
        return self


class Outages(Settings):
    """Robots that stop dead in an episode of a simulated world, and when they come back."""

    share: float = Bound(ge=0, le=1)
    after: tuple[float, float]
    back_after: tuple[float, float] | None

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> Outages:
        for name in ("after", "back_after"):
            limits = getattr(self, name)
            if limits is not None and not 0 <= limits[0] <= limits[1]:
                raise ValueError(f"{name} must be a range [low, high] of seconds from 0, saw {list(limits)}")
        return self


class WarehouseSettings(Settings):
    """config/warehouse.yaml."""

    goods: Goods
    quality: Quality
    replenishment: Replenishment
    motion: Motion
    fitted: Fitted
    radio: Radio
    sensing: Sensing
    jobs: Jobs
    battery: Battery
    shifts: Shifts
    outages: Outages
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
            self.jobs.abandon_after,
            self.shifts.length,
            self.shifts.handover,
            self.jobs.offered == "stock",
        )

    def motion_numbers(self) -> MotionNumbers:
        """The numbers the motion kernel takes."""
        return MotionNumbers(**self.motion.model_dump(), **self.fitted.model_dump(exclude={"source"}))

    def battery_numbers(self, bodies: Bodies) -> BatteryNumbers:
        """The numbers the battery kernels take; masses are those of config/bodies.yaml."""
        fields = self.battery.model_dump(exclude={"initial_share"})
        return BatteryNumbers(
            **fields,
            truck_mass=bodies.forklift.mass + bodies.forks.mass,
            fork_mass=bodies.forks.mass,
            load_mass=bodies.pallet.mass,
            half_track=bodies.forklift.track / 2,
        )

    def reward_weights(self) -> np.ndarray:
        """Weight of one unit of each KPI [KPIs]."""
        return np.array([self.reward.get(name, 0.0) for name in KPIS])


class Rules(NamedTuple):
    """Flat numbers for the rules of the goods flow, in seconds and pallets."""

    ship_time: float
    collect_time: float
    inspection_time: float
    lead_low: float
    lead_high: float
    max_pipeline: int
    abandon_after: float
    shift_length: float
    handover: float
    offers_stock: bool


class BatteryNumbers(NamedTuple):
    """Flat numbers for sim/warehouse/battery.py: Wh, W, kg, m, shares; meanings in config/warehouse.yaml."""

    capacity: float
    idle_power: float
    drive_efficiency: float
    lift_efficiency: float
    rolling_resistance: float
    charge_power: float
    charge_below: float
    charge_until: float
    limp_below: float
    limp_speed: float
    truck_mass: float
    fork_mass: float
    load_mass: float
    half_track: float


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


def check_limits(motion: Motion, bodies: Bodies, path: str) -> None:
    """The move skill may not want what the body cannot do.

    Raises:
        ConfigError: it does; `path` is named as where the body's limits are.
    """
    for skill, wanted, body, limit in (
        ("cruise_speed", motion.cruise_speed, "forklift.max_speed", bodies.forklift.max_speed),
        ("dock_speed", motion.dock_speed, "forklift.max_speed", bodies.forklift.max_speed),
        ("yaw_rate", motion.yaw_rate, "forklift.max_turn_rate", bodies.forklift.max_turn_rate),
        ("fork_high", motion.fork_high, "forks.max_height", bodies.forks.max_height),
    ):
        if wanted > limit:
            raise ConfigError(f"motion.{skill} is {wanted}, but {body} in {path} is {limit}; lower the first.")
    touch = bodies.pallet.entry_height - bodies.forks.thickness
    if not motion.fork_low < touch < motion.fork_high:
        raise ConfigError(
            f"motion.fork_low {motion.fork_low} and fork_high {motion.fork_high} must lie below and above "
            f"{touch:.3f} m, where the tines of {path} meet a pallet's deck."
        )
