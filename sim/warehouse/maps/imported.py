"""What an import gives: a floor plan, whether a fleet can work in it, and what was counted on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan
from sim.warehouse.maps.settings import ImportSettings


@dataclass(frozen=True)
class Choices:
    """What the user asked for beyond the file itself."""

    cell: float | None = None  # m, side of a grid's cell; None: as in config/import.yaml
    window: tuple[int, int, int, int] | None = None  # first column and row (from the top left), columns, rows
    keepout: Path | None = None  # masks in map_server's form, for map_server maps
    speed: Path | None = None
    full_speed: float | None = None  # m/s where nothing limits it; None: the plan's default


@dataclass(frozen=True)
class MapImport:
    """An imported map. `hindrance` says in words why no fleet can work in the plan; empty if one can."""

    form: str
    plan: FloorPlan
    hindrance: str = ""
    counts: dict[str, int | float] = field(default_factory=dict)
    free: np.ndarray | None = None  # [H, W] bool: cells of a grid form, row 0 the lowest; for the picture
    marked: np.ndarray | None = None  # [H, W] bool: cells that the form marks as docks or pick-up points


def shortfall(plan: FloorPlan, settings: ImportSettings | None = None) -> str:
    """Which places a fleet would miss, in words; empty if none.

    Wanted is one place of each type, and with `settings` the `least` of each; of slots always one only.
    """
    least = {kind: 1 if settings is None or kind == "slot" else settings.places[kind].least for kind in PLACE_TYPES}
    short = [
        f"{len(plan.of_type(kind))} {kind} (wanted {least[kind]})"
        for kind in PLACE_TYPES
        if len(plan.of_type(kind)) < least[kind]
    ]
    return f"too few places for a fleet: {', '.join(short)}" if short else ""
