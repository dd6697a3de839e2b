"""Imports a Nav2 map_server map as a floor plan a fleet can work in, and says what it assumed.

A map tells what is free and what is not; what is a dock, a slot or a station it does not tell. The importer finds the
floor, bounds it by boxes, looks for every spot a pallet could stand at, and shares those out. All it guesses is said
in the plan's `assumptions`; the plan is plain YAML to be corrected by hand.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, Box, FloorPlan, Place
from sim.warehouse.maps.candidates import find_candidates
from sim.warehouse.maps.choice import choose_places
from sim.warehouse.maps.floor import Floor, find_floor
from sim.warehouse.maps.occupancy import OccupancyGrid, read_map
from sim.warehouse.maps.settings import ImportSettings
from sim.warehouse.routes import ROBOT_RADIUS, blocked_places, build_tables, survey

NEARLY_ALL = 0.02  # share of places a lattice may fail to reach before a closer one is tried
PHASES = (0.0, 0.5)  # shifts of the lattice that are tried in x and y, in steps of it


def import_map_server(path: Path, settings: ImportSettings) -> FloorPlan:
    """Turn a map_server YAML with its image into a floor plan whose places are all mutually reachable.

    Raises:
        ConfigError: the map cannot be read, or there is no room in it for a fleet; in words.
    """
    grid = read_map(path, settings)
    floor = find_floor(grid, str(path), settings)
    boxes, places = _in_map(floor, choose_places(find_candidates(floor, settings), settings))
    _check_count(path, places, settings, "found")
    plan, dropped = _with_routes(_plan(path, floor, boxes, places, settings), settings)
    _check_count(path, plan.places, settings, "reachable")
    plan = plan.model_copy(update={"assumptions": _assumptions(plan, grid, floor, dropped, settings)})
    build_tables(plan)
    return plan


def _in_map(floor: Floor, places: list[Place]) -> tuple[tuple[Box, ...], tuple[Place, ...]]:
    """Boxes and places in frame map: the plan's grid may lie turned in it."""
    x0, y0, yaw = floor.frame
    cosine, sine = np.cos(yaw), np.sin(yaw)

    def moved(thing: Box | Place) -> dict[str, float]:
        x, y = thing.x + floor.corner[0], thing.y + floor.corner[1]
        turned = (thing.yaw + yaw + np.pi) % (2 * np.pi) - np.pi
        return {
            "x": round(float(x0 + cosine * x - sine * y), 3),
            "y": round(float(y0 + sine * x + cosine * y), 3),
            "yaw": round(float(turned), 6),
        }

    return (
        tuple(box.model_copy(update=moved(box)) for box in floor.boxes),
        tuple(place.model_copy(update=moved(place)) for place in places),
    )


def _plan(
    path: Path, floor: Floor, boxes: tuple[Box, ...], places: tuple[Place, ...], settings: ImportSettings
) -> FloorPlan:
    """The plan with the tightest upright rectangle around the floor, before routes are laid."""
    rows, columns = floor.solid.shape
    corners = np.array([(0, 0), (columns, 0), (0, rows), (columns, rows)]) * floor.cell + floor.corner
    x0, y0, yaw = floor.frame
    x = x0 + np.cos(yaw) * corners[:, 0] - np.sin(yaw) * corners[:, 1]
    y = y0 + np.sin(yaw) * corners[:, 0] + np.cos(yaw) * corners[:, 1]
    return FloorPlan(
        name=path.stem if path.stem != "map" else path.resolve().parent.name,
        about=f"imported from {path.name}",
        origin=(round(float(x.min()), 3), round(float(y.min()), 3)),
        size=(round(float(np.ptp(x)), 3), round(float(np.ptp(y)), 3)),
        lattice=settings.lattices[0],
        approach=settings.approach,
        boxes=boxes,
        places=places,
    )


def _with_routes(plan: FloorPlan, settings: ImportSettings) -> tuple[FloorPlan, int]:
    """The plan with the widest lattice that reaches nearly all places, without the others; and how many those were."""
    usable = set(place.name for place in plan.places) - set(blocked_places(plan))
    plan, given = _with_only(plan, usable), len(plan.places)
    best: tuple[FloorPlan, list[str]] | None = None
    for lattice in settings.lattices:
        laid = [_laid(plan, lattice, across, along) for across in PHASES for along in PHASES]
        reach = [survey(one) for one in laid]
        first = min(range(len(laid)), key=lambda one: (len(reach[one].apart), -reach[one].edges))
        if best is None or len(reach[first].apart) < len(best[1]):
            best = laid[first], reach[first].apart
        if len(best[1]) <= NEARLY_ALL * len(plan.places):
            break
    assert best is not None
    plan = _with_only(best[0], {place.name for place in plan.places} - set(best[1]))
    return plan, given - len(plan.places)


def _laid(plan: FloorPlan, lattice: float, across: float, along: float) -> FloorPlan:
    """The same floor with its origin moved outwards by shares of a lattice step, which moves the route nodes."""
    shift = across * lattice, along * lattice
    origin = (round(plan.origin[0] - shift[0], 3), round(plan.origin[1] - shift[1], 3))
    size = (round(plan.size[0] + shift[0], 3), round(plan.size[1] + shift[1], 3))
    return plan.model_copy(update={"origin": origin, "size": size, "lattice": lattice})


def _with_only(plan: FloorPlan, names: set[str]) -> FloorPlan:
    return plan.model_copy(update={"places": tuple(place for place in plan.places if place.name in names)})


def _check_count(path: Path, places: tuple[Place, ...], settings: ImportSettings, how: str) -> None:
    count = Counter(place.type for place in places)
    short = [f"{count[kind]} {kind} (wanted {settings.places[kind].least})" for kind in PLACE_TYPES
             if count[kind] < settings.places[kind].least]  # fmt: skip
    if short:
        raise ConfigError(
            f"{path}: no room for a fleet: {how} only {', '.join(short)}. Check `resolution` (a forklift needs ways "
            f"{2 * ROBOT_RADIUS} m wide and {settings.approach + 1:.1f} m before each pallet), use a larger map, or lower "
            f"`least`, `pitch` or `passing` in config/import.yaml."
        )


def _assumptions(
    plan: FloorPlan, grid: OccupancyGrid, floor: Floor, dropped: int, settings: ImportSettings
) -> tuple[str, ...]:
    """What the importer guessed, in words."""
    kinds = Counter(box.kind for box in plan.boxes)
    count = Counter(place.type for place in plan.places)
    unknown = float((~grid.free & ~grid.occupied).mean())
    area = float((~floor.solid).sum()) * floor.cell**2
    other = max(0.0, float(grid.free.sum()) * grid.resolution**2 - area)
    end = "x" if floor.solid.shape[1] >= floor.solid.shape[0] else "y"
    wanted = {kind: wish.groups * wish.each for kind, wish in settings.places.items()}
    said = [
        f"the floor is the largest connected free area, {area:.0f} m2; {other:.0f} m2 of free cells beyond it or in gaps "
        f"narrower than {settings.narrowest_gap} m count as obstacles",
        f"{unknown:.0%} of the map is unknown; unknown cells count as obstacles",
        f"heights are not in the map: walls 2.5 m, racks 2 m ({kinds['rack']} boxes of obstacles at least "
        f"{settings.rack_length} m long), other obstacles 1 m ({kinds['obstacle']} boxes)",
        "every spot in front of a face that a robot can approach may hold a pallet on the floor; racks are not used above",
        f"goods come in at the low end and leave at the high end of the map's {end}; docks are spots at outer walls, as "
        f"the map does not show doors",
        f"inspection is near receiving, quarantine near inspection, parking at outer walls; zones split the slots along {end}",
        "found " + ", ".join(f"{count[kind]} of {wanted[kind]} {kind}" for kind in PLACE_TYPES),
        f"route nodes every {plan.lattice} m; {dropped} spots without a way for a robot were dropped",
    ]
    if abs(np.sin(2 * floor.frame[2])) > 1e-6:
        said.append(f"the map lies turned by {floor.frame[2]:.3f} rad; routes do not follow its aisles, lanes are finer")
    if any(abs(np.sin(2 * (box.yaw - floor.frame[2]))) > 0.1 for box in plan.boxes):
        said.append("no pallets are placed at obstacles that stand at an angle to the walls' grid")
    return tuple(said)
