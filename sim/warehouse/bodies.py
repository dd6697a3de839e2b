"""What robots and pallets are made of: the model of config/bodies.yaml, for simulators, skills and guards alike."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import Settings, read_settings


class ForkliftBody(Settings):
    """The truck without its forks: chassis, mast, drive and what the drive can do."""

    length: float = Bound(ge=0.3, le=2)
    axle: float = Bound(ge=-0.5, le=0.5)
    width: float = Bound(ge=0.3, le=2)
    height: float = Bound(ge=0.2, le=2)
    mast_height: float = Bound(ge=0.5, le=4)
    mass: float = Bound(ge=20, le=5000)
    balance: float = Bound(ge=-1, le=0)
    wheel_radius: float = Bound(ge=0.02, le=0.5)
    track: float = Bound(ge=0.1, le=2)
    wheel_friction: float = Bound(ge=0.1, le=2)
    rotor_inertia: float = Bound(ge=0.01, le=20)
    drive_force: float = Bound(ge=50, le=20000)
    max_speed: float = Bound(ge=0.1, le=5)
    max_turn_rate: float = Bound(ge=0.1, le=5)
    acceleration: float = Bound(ge=0.1, le=5)
    turn_acceleration: float = Bound(ge=0.1, le=20)
    dead_time: float = Bound(ge=0, le=1)
    lag: float = Bound(ge=0, le=2)
    slip: float = Bound(ge=0, le=0.5)

    @property
    def front(self) -> float:
        """X of the chassis' front, where the forks begin (m, base_link)."""
        return 0.5 * self.length - self.axle

    @property
    def rear(self) -> float:
        """X of the chassis' rear (m, base_link); negative."""
        return -0.5 * self.length - self.axle


class Forks(Settings):
    """Two tines on a carriage that the mast lifts."""

    length: float = Bound(ge=0.2, le=2)
    width: float = Bound(ge=0.02, le=0.5)
    spread: float = Bound(ge=0.1, le=1)
    thickness: float = Bound(ge=0.01, le=0.2)
    mass: float = Bound(ge=1, le=500)
    max_height: float = Bound(ge=0.1, le=3)
    speed: float = Bound(ge=0.01, le=1)
    rated_load: float = Bound(ge=10, le=3000)
    friction: float = Bound(ge=0.1, le=2)


class AmrBody(Settings):
    """A low platform on a differential drive in its middle, which a scenario may put beside the fleet."""

    length: float = Bound(ge=0.3, le=2)
    width: float = Bound(ge=0.3, le=2)
    height: float = Bound(ge=0.1, le=2)
    mass: float = Bound(ge=10, le=2000)
    mass_height: float = Bound(ge=0.02, le=1)
    wheel_radius: float = Bound(ge=0.02, le=0.5)
    track: float = Bound(ge=0.1, le=2)
    wheel_friction: float = Bound(ge=0.1, le=2)
    rotor_inertia: float = Bound(ge=0.001, le=20)
    drive_force: float = Bound(ge=10, le=20000)
    max_speed: float = Bound(ge=0.1, le=5)
    max_turn_rate: float = Bound(ge=0.1, le=5)
    acceleration: float = Bound(ge=0.1, le=5)
    turn_acceleration: float = Bound(ge=0.1, le=20)
    command_hold: float = Bound(ge=0.1, le=600)

    @model_validator(mode="after")
    def _wheels_fit(self) -> AmrBody:
        if self.track >= self.width:
            raise ValueError(f"amr.track is {self.track} m, wanted less than amr.width, {self.width} m")
        if self.mass_height >= self.height:
            raise ValueError(f"amr.mass_height is {self.mass_height} m, wanted less than amr.height, {self.height} m")
        return self


class Laser(Settings):
    """A planar scanner over the middle of the axle, the same on every robot and AMR."""

    rays: int = Bound(ge=8, le=2000)
    range: float = Bound(ge=1, le=100)
    height: float = Bound(ge=0.05, le=3)
    noise: float = Bound(ge=0, le=0.5)
    dropout: float = Bound(ge=0, le=1)
    delay: int = Bound(ge=0, le=50)


class Localisation(Settings):
    """How a robot learns where it is."""

    delay: int = Bound(ge=0, le=50)
    noise: float = Bound(ge=0, le=0.5)
    turn_noise: float = Bound(ge=0, le=0.5)
    wander: float = Bound(ge=0, le=600)


class Odometry(Settings):
    """How a robot learns how fast it moves."""

    speed_noise: float = Bound(ge=0, le=1)
    turn_noise: float = Bound(ge=0, le=1)


class MastCamera(Settings):
    """A camera with depth at the top of the mast."""

    pitch_deg: float = Bound(ge=-30, le=90)
    field_of_view_deg: float = Bound(ge=20, le=120)
    range: float = Bound(ge=2, le=100)


class PalletBody(Settings):
    """A two-way pallet on runners with a box of goods; its origin lies on the floor below its middle."""

    length: float = Bound(ge=0.3, le=2)
    width: float = Bound(ge=0.3, le=2)
    runner_width: float = Bound(ge=0.02, le=0.3)
    entry_height: float = Bound(ge=0.05, le=0.3)
    deck: float = Bound(ge=0.01, le=0.2)
    load_height: float = Bound(ge=0, le=2)
    mass: float = Bound(ge=1, le=3000)
    friction: float = Bound(ge=0.1, le=2)

    @property
    def height(self) -> float:
        """Floor to the top of the goods."""
        return self.entry_height + self.deck + self.load_height


class FloorSurface(Settings):
    """What everything stands and drives on."""

    friction: float = Bound(ge=0.02, le=1.5)


class Physics(Settings):
    """How finely the contact physics is solved."""

    frequency: int = Bound(ge=30, le=1000)
    iterations: int = Bound(ge=1, le=200)


class Bodies(Settings):
    """config/bodies.yaml."""

    forklift: ForkliftBody
    forks: Forks
    amr: AmrBody
    laser: Laser
    localisation: Localisation
    odometry: Odometry
    camera: MastCamera
    pallet: PalletBody
    floor: FloorSurface
    physics: Physics

    @model_validator(mode="after")
    def _forks_fit_pallet(self) -> Bodies:
        outer = self.forks.spread + self.forks.width
        pocket = self.pallet.width - 2 * self.pallet.runner_width
        if outer >= pocket:
            raise ValueError(f"the tines are {outer:.2f} m wide over all, the pallet's pocket is {pocket:.2f} m")
        if self.forks.thickness >= self.pallet.entry_height:
            raise ValueError("forks.thickness must be less than pallet.entry_height, or the tines cannot go under")
        return self


def read_bodies(path: Path | str) -> Bodies:
    """Load config/bodies.yaml; raises ConfigError in words."""
    return read_settings(Bodies, path)
