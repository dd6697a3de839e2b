"""The floor plan: what stands where, and the places a pallet or a parked robot can take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import ConfigError, Settings, parse_settings, read_yaml

PlaceType = Literal["slot", "inbound", "inspection", "outbound", "quarantine", "parking"]
PLACE_TYPES: tuple[PlaceType, ...] = ("slot", "inbound", "inspection", "outbound", "quarantine", "parking")


class Box(Settings):
    """A fixed obstacle that stands on the floor; x, y is its centre (m, map), yaw left-positive (rad)."""

    kind: Literal["wall", "rack", "station", "obstacle"]
    x: float
    y: float
    length: float = Bound(gt=0, le=200)  # m, along its own x axis
    width: float = Bound(gt=0, le=200)  # m, along its own y axis
    height: float = Bound(1.0, gt=0, le=20)  # m
    yaw: float = 0.0


class Place(Settings):
    """Where one pallet can stand on the floor (or one robot can park).

    A robot docks facing `yaw`: it stops at the approach point, `approach` metres before the centre, and drives in
    straight. `group` is the zone of a slot, the station of an inspection place, the dock of an outbound place.
    """

    name: str
    type: PlaceType
    x: float
    y: float
    yaw: float
    group: int = Bound(0, ge=0, le=31)

    def before(self, distance: float) -> tuple[float, float, float]:
        """The pose (m, rad, map) of a robot that faces the place from `distance` (m) before its centre."""
        return self.x - distance * math.cos(self.yaw), self.y - distance * math.sin(self.yaw), self.yaw


class FloorPlan(Settings):
    """A floor of `size` (m) whose lower left corner lies at `origin` in map; REP-103 axes."""

    name: str
    about: str = ""
    origin: tuple[float, float] = (0.0, 0.0)
    size: tuple[float, float]
    lattice: float = Bound(1.0, ge=0.4, le=3.0)  # m between the nodes of the route graph
    approach: float = Bound(1.5, ge=0.8, le=3.0)  # m from a place's centre to its approach point
    boxes: tuple[Box, ...]
    places: tuple[Place, ...]
    assumptions: tuple[str, ...] = ()  # what an importer guessed, in words

    @model_validator(mode="after")
    def _names_are_unique(self) -> FloorPlan:
        names = [place.name for place in self.places]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"place names must be unique; twice: {', '.join(twice)}")
        return self

    def of_type(self, kind: PlaceType) -> list[int]:
        """Indices of the places of one type."""
        return [index for index, place in enumerate(self.places) if place.type == kind]

    def write(self, path: Path) -> None:
        """Write the plan as YAML, whole or not at all."""
        part = path.with_suffix(path.suffix + ".part")
        part.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        part.replace(path)


def read_floorplan(path: Path | str) -> FloorPlan:
    """Load a plan and check that a fleet could work in it.

    Raises:
        ConfigError: a bad file, or a plan that lacks a kind of place the goods flow needs.
    """
    plan = parse_settings(FloorPlan, read_yaml(Path(path)), source=str(path))
    missing = [kind for kind in PLACE_TYPES if not plan.of_type(kind)]
    if missing:
        raise ConfigError(f"{path}: the plan has no place of type {', '.join(missing)}; add at least one of each.")
    return plan
