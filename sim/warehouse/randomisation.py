"""Domain randomisation: each world and episode draws its own numbers from ranges (config/randomisation.yaml).

What was drawn changes the settings that rules, motion, battery and bodies are made from, so both simulators use it the
same way: `drawn_settings` for config/warehouse.yaml, `drawn_bodies` for config/bodies.yaml.
After Tobin et al., Domain Randomization for Transferring Deep Neural Networks from Simulation to the Real World, IROS
2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import ConfigError, Settings, read_settings
from sim.warehouse.bodies import Bodies
from sim.warehouse.settings import WarehouseSettings

Range = tuple[float, float]
LIMITS = {  # what a range may span
    "mass": (0.2, 5.0),
    "friction": (0.2, 2.0),
    "speed": (0.3, 1.05),
    "acceleration": (0.3, 1.2),
    "lag": (0.0, 0.5),
    "laser_noise": (0.0, 0.5),
    "reading_noise": (0.0, 3.0),
    "defects": (0.0, 4.0),
    "demand": (0.1, 4.0),
    "lead_time": (0.1, 10.0),
    "battery": (0.1, 10.0),
    "charge": (0.01, 1.0),
    "outages": (0.0, 1.0),
    "link_loss": (0.0, 0.9),
}
LATER = {  # drawn after all others, in this order, so that what was drawn before they were there is the same
    "link_delay": (0.0, 2.0),
    "small_orders": (0.0, 1.0),
    "skew": (0.0, 2.0),
    "fill": (0.1, 1.4),
}


class Draw(NamedTuple):
    """What one world drew for one episode; the defaults change nothing."""

    mass: float = 1.0
    friction: float = 1.0
    speed: float = 1.0
    acceleration: float = 1.0
    lag: float = 0.0
    laser_noise: float = 0.0
    reading_noise: float = 1.0
    defects: float = 1.0
    demand: float = 1.0
    lead_time: float = 1.0
    battery: float = 1.0
    charge: float = -1.0  # below 0: as config/warehouse.yaml has it
    outages: float = -1.0  # below 0: as config/warehouse.yaml has it
    link_loss: float = -1.0  # below 0: as the run has it
    robots: float = -1.0  # below 0: all
    link_delay: float = -1.0  # below 0: as the run has it
    small_orders: float = 0.0
    skew: float = 0.0
    fill: float = 1.0


class Randomisation(Settings):
    """config/randomisation.yaml; units and meanings there."""

    mass: Range
    friction: Range
    speed: Range
    acceleration: Range
    lag: Range
    laser_noise: Range
    reading_noise: Range
    defects: Range
    demand: Range
    lead_time: Range
    battery: Range
    charge: Range
    outages: Range
    link_loss: Range
    link_delay: Range
    small_orders: Range
    skew: Range
    fill: Range
    robots: tuple[int, int] | None = Bound(None)
    floorplans: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> Randomisation:
        for name, (least, most) in (LIMITS | LATER).items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name}: wanted a range [low, high] within [{least:g}, {most:g}], saw [{low}, {high}]"
                )
        if self.robots is not None and not 1 <= self.robots[0] <= self.robots[1]:
            raise ValueError(f"robots: wanted a range [low, high] from 1, saw {list(self.robots)}")
        return self

    def draw(self, rng: np.random.Generator) -> Draw:
        """One world's numbers for one episode, uniform in their ranges."""
        drawn = {name: float(rng.uniform(*getattr(self, name))) for name in LIMITS}
        low, high = self.robots or (-1, -1)
        drawn["robots"] = float(rng.integers(low, high + 1))
        return Draw(**drawn, **{name: float(rng.uniform(*getattr(self, name))) for name in LATER})


def read_randomisation(path: Path | str) -> Randomisation:
    """Load config/randomisation.yaml; raises ConfigError in words."""
    return read_settings(Randomisation, path)


def no_ranges(settings: WarehouseSettings) -> Randomisation:
    """Ranges that change none of these numbers, for a world that draws only what somebody puts in their place."""
    spared = {"charge": settings.battery.initial_share[0], "outages": settings.outages.share}
    spared |= {"link_loss": 0.0, "link_delay": 0.0}
    values = {name: spared.get(name, Draw._field_defaults[name]) for name in LIMITS | LATER}
    return Randomisation.model_validate({name: (value, value) for name, value in values.items()})


def with_robots(ranges: Randomisation, robots: Sequence[int], forklifts: int) -> Randomisation:
    """The same ranges, with at least and at most so many robots at work.

    Raises:
        ConfigError: it is no range of numbers from 1 to the forklifts of the world.
    """
    if not (len(robots) == 2 and all(isinstance(each, int) for each in robots) and 1 <= robots[0] <= robots[1]):
        raise ConfigError(f"robots: saw {list(robots)}, wanted a range of whole numbers [low, high] from 1")
    if robots[1] > forklifts:
        raise ConfigError(
            f"robots: saw {list(robots)}, but the world has {forklifts} forklift(s); wanted no more. Ask for more "
            "forklifts, or for fewer robots."
        )
    return ranges.model_copy(update={"robots": (robots[0], robots[1])})


def drawn_settings(settings: WarehouseSettings, draw: Draw) -> WarehouseSettings:
    """The warehouse's settings as a world drew them."""
    quality, motion = settings.quality, settings.motion
    low, high = settings.replenishment.lead_time
    changes = {
        "goods": settings.goods.model_copy(update={"initial_fill": min(1.0, settings.goods.initial_fill * draw.fill)}),
        "quality": quality.model_copy(
            update={
                "defect_rates": tuple(min(rate * draw.defects, 1.0) for rate in quality.defect_rates),
                "reading_noise": quality.reading_noise * draw.reading_noise,
            }
        ),
        "replenishment": settings.replenishment.model_copy(
            update={"lead_time": (low * draw.lead_time, high * draw.lead_time)}
        ),
        "motion": motion.model_copy(
            update={
                "cruise_speed": motion.cruise_speed * draw.speed,
                "dock_speed": motion.dock_speed * draw.speed,
                "yaw_rate": motion.yaw_rate * min(draw.speed, 1.0),
                "acceleration": motion.acceleration * draw.acceleration,
            }
        ),
        "fitted": settings.fitted.model_copy(
            update={
                "drive_lag": settings.fitted.drive_lag + draw.lag,
                "turn_lag": settings.fitted.turn_lag + draw.lag,
            }
        ),
        "battery": settings.battery.model_copy(update={"capacity": settings.battery.capacity * draw.battery}),
    }
    if draw.charge >= 0.0:
        least, most = draw.charge, max(draw.charge, settings.battery.initial_share[1])
        changes["battery"] = changes["battery"].model_copy(update={"initial_share": (least, most)})
    if draw.outages >= 0.0:
        changes["outages"] = settings.outages.model_copy(update={"share": draw.outages})
    return settings.model_copy(update=changes)


def drawn_bodies(bodies: Bodies, draw: Draw) -> Bodies:
    """The bodies as a world drew them: masses of truck and load, every friction, the drive's lag, the laser's noise."""
    truck, forks, pallet = bodies.forklift, bodies.forks, bodies.pallet
    return bodies.model_copy(
        update={
            "forklift": truck.model_copy(
                update={
                    "mass": truck.mass * draw.mass,
                    "wheel_friction": truck.wheel_friction * draw.friction,
                    "lag": truck.lag + draw.lag,
                }
            ),
            "laser": bodies.laser.model_copy(update={"noise": max(bodies.laser.noise, draw.laser_noise)}),
            "forks": forks.model_copy(
                update={"mass": forks.mass * draw.mass, "friction": forks.friction * draw.friction}
            ),
            "pallet": pallet.model_copy(
                update={"mass": pallet.mass * draw.mass, "friction": pallet.friction * draw.friction}
            ),
        }
    )
