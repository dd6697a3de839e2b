"""The numbers of the map importers: the model of config/import.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import Settings, read_settings
from sim.warehouse.floorplan import PLACE_TYPES, PlaceType


class Wanted(Settings):
    """How many places of one type: `groups` docks, stations or zones of up to `each` places."""

    groups: int = Bound(ge=1, le=32)
    each: int = Bound(ge=1, le=500)
    tight: int = Bound(ge=1, le=500)  # in place of `each` where room is scarce
    least: int = Bound(ge=1)  # in all groups together


class CellSettings(Settings):
    """Of grids whose cells are as large as a robot: MovingAI, League of Robot Runners, RWARE."""

    side: float = Bound(ge=1.1, le=3.0)  # m
    most_cells: int = Bound(ge=1)
    most_slots: int = Bound(ge=1, le=5000)


class SpeedMask(Settings):
    """What a value v of a speed mask (0 to 100) means: a limit of base + multiplier * v, as in Nav2's speed filter."""

    kind: Literal["percent", "absolute"]  # of full speed, or m/s
    base: float
    multiplier: float


class GraphSettings(Settings):
    """Of drawn route graphs: VDMA LIF, openTCS, GeoJSON."""

    spacing: float = Bound(ge=0.4, le=3.0)  # m between route nodes along the drawn ways
    margin: float = Bound(ge=0.6, le=100)  # m of floor around everything drawn
    names: dict[PlaceType, tuple[str, ...]]


class ImportSettings(Settings):
    """config/import.yaml; lengths in metres."""

    largest_file: int = Bound(ge=1)  # bytes
    cells: CellSettings
    speed_mask: SpeedMask
    graph: GraphSettings
    largest_image: int = Bound(ge=1)  # pixels
    largest_floor: float = Bound(gt=0)  # m2
    scale_occupied: float = Bound(gt=0, le=1)
    cell: float = Bound(ge=0.02, le=0.25)
    narrowest_gap: float = Bound(ge=0, le=1.1)
    wall_thickness: float = Bound(ge=0.1, le=2)
    rack_length: float = Bound(gt=0)
    one_box_fill: float = Bound(gt=0, le=1)
    most_boxes: int = Bound(ge=10)
    lattices: tuple[Annotated[float, Bound(ge=0.4, le=3)], ...] = Bound(min_length=1)
    approach: float = Bound(ge=0.8, le=3.0)
    gap_behind: float = Bound(ge=0, le=1)
    backing: float = Bound(ge=0, le=1)
    backing_depth: float = Bound(ge=0, le=2)
    pitch: float = Bound(ge=1.0, le=5)
    passing: float = Bound(ge=1.2, le=5)
    ways: tuple[Annotated[float, Bound(ge=1.2, le=6)], ...] = Bound(min_length=1)
    row_end: float = Bound(ge=0, le=5)
    longest_row: int = Bound(ge=2)  # pairs
    tries: int = Bound(ge=1, le=100)
    few_slots: int = Bound(ge=0)
    tight_passing: float = Bound(ge=1.2, le=5)
    tight_pitch: float = Bound(ge=1.0, le=5)
    places: dict[PlaceType, Wanted]

    @model_validator(mode="after")
    def _every_type_is_there(self) -> ImportSettings:
        missing = [kind for kind in PLACE_TYPES if kind not in self.places]
        if missing:
            raise ValueError(f"places: missing {', '.join(missing)}")
        return self

    def tightened(self) -> ImportSettings:
        """The wishes for a floor where room is scarce."""
        places = {kind: wish.model_copy(update={"each": wish.tight}) for kind, wish in self.places.items()}
        return self.model_copy(update={"passing": self.tight_passing, "pitch": self.tight_pitch, "places": places})


def read_import_settings(path: Path | str) -> ImportSettings:
    """Load config/import.yaml; raises ConfigError in words."""
    return read_settings(ImportSettings, path)
