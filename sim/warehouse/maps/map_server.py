"""Imports a Nav2 map_server map as a floor plan a fleet can work in, and says what it assumed.

A map tells what is free and what is not; what is a dock, a slot or a station it does not tell. The importer finds the
floor, bounds it by boxes, looks for every spot a pallet could stand at, and shares those out. All it guesses is said
in the plan's `assumptions`; the plan is plain YAML to be corrected by hand.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, Area, Box, FloorPlan, Place, SlowArea
from sim.warehouse.maps.candidates import find_candidates
from sim.warehouse.maps.choice import choose_places
from sim.warehouse.maps.floor import HEIGHT, Floor, find_floor
from sim.warehouse.maps.imported import Choices
from sim.warehouse.maps.lattice import lay_routes
from sim.warehouse.maps.masks import keepout_areas, keepout_cells, slow_areas
from sim.warehouse.maps.occupancy import OccupancyGrid, read_map
from sim.warehouse.maps.settings import ImportSettings
from sim.warehouse.maps.traffic import crowding
from sim.warehouse.routes import ROBOT_RADIUS, build_tables

A_SLOT = 0.05  # crowding that one slot more is worth, up to few_slots
Thing = TypeVar("Thing", Box, Place, Area, SlowArea)


def import_map_server(path: Path, settings: ImportSettings, choices: Choices | None = None) -> FloorPlan:
    """Turn a map_server YAML with its image into a floor plan whose places are all mutually reachable.

    Many hands on one floor get into each other's way, so several ways to use it are compared by their `crowding`. A
    floor with room for few slots is also tried with fewer docks, closer together (`tight` in config/import.yaml).
    A keep-out mask takes floor away from ways and places; a speed mask becomes the plan's slow areas.

    Raises:
        ConfigError: the map or a mask cannot be read, or there is no room in it for a fleet; in words.
    """
    grid = read_map(path, settings)
    choices = choices or Choices()
    keepout = None if choices.keepout is None else keepout_cells(choices.keepout, grid, settings)
    floor = find_floor(grid, str(path), settings, keepout)
    full_speed = FloorPlan.model_fields["full_speed"].default if choices.full_speed is None else choices.full_speed
    slow = [] if choices.speed is None else slow_areas(choices.speed, floor, settings, full_speed)
    extras = {"keepout": _moved(floor, keepout_areas(floor)), "slow": _moved(floor, slow), "full_speed": full_speed}
    best: FloorPlan | None = None
    least = np.inf
    fault: ConfigError | None = None
    for wishes in (settings, settings.tightened()):
        candidates = find_candidates(floor, wishes)
        for way_width, number in itertools.product(settings.ways, range(settings.tries)):
            try:
                places = choose_places(floor, candidates, wishes, way_width, number)
                plan = _furnished(path, grid, floor, places, wishes, extras)
            except ConfigError as error:
                fault = fault or error
                continue
            cost = crowding(build_tables(plan)) + A_SLOT * max(0, settings.few_slots - len(plan.of_type("slot")))
            if cost < least:
                best, least = plan, cost
        if best is not None and len(best.of_type("slot")) >= settings.few_slots:
            break
    if best is None:
        raise fault or ConfigError(f"{path}: no room for a fleet.")
    return best


def _furnished(
    path: Path,
    grid: OccupancyGrid,
    floor: Floor,
    spots: list[Place],
    settings: ImportSettings,
    extras: dict[str, Any],
) -> FloorPlan:
    boxes, places = _moved(floor, floor.boxes), _moved(floor, spots)
    _check_count(path, places, settings, "found")
    bare = _plan(path, floor, boxes, places, settings).model_copy(update=extras)
    plan, dropped = lay_routes(bare, settings.lattices)
    _check_count(path, plan.places, settings, "reachable")
    plan = plan.model_copy(update={"places": _renumbered(plan.places)})
    return plan.model_copy(update={"assumptions": _assumptions(plan, grid, floor, dropped, settings)})


def _moved(floor: Floor, things: Iterable[Thing]) -> tuple[Thing, ...]:
    """Boxes, places or areas in frame map: the plan's grid may lie turned in it."""
    x0, y0, yaw = floor.frame
    cosine, sine = np.cos(yaw), np.sin(yaw)

    done = []
    for thing in things:
        x, y = thing.x + floor.corner[0], thing.y + floor.corner[1]
        turned = (thing.yaw + yaw + np.pi) % (2 * np.pi) - np.pi
        at = {
            "x": round(float(x0 + cosine * x - sine * y), 3),
            "y": round(float(y0 + sine * x + cosine * y), 3),
            "yaw": round(float(turned), 6),
        }
        done.append(thing.model_copy(update=at))
    return tuple(done)


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


def _renumbered(places: tuple[Place, ...]) -> tuple[Place, ...]:
    """The places with their final names, numbered in order: slot_7, parking_2, outbound_1b."""
    count: Counter[tuple[str, int]] = Counter()
    groups = {kind: len({place.group for place in places if place.type == kind}) for kind in PLACE_TYPES}
    named = []
    for place in places:
        group = place.group if place.type != "slot" else 0
        count[place.type, group] += 1
        number = count[place.type, group]
        is_lettered = place.type != "slot" and groups[place.type] > 1 and number <= 26
        name = f"{place.type}_{group + 1}{chr(96 + number)}" if is_lettered else f"{place.type}_{number}"
        named.append(place.model_copy(update={"name": name}))
    return tuple(named)


def _check_count(path: Path, places: tuple[Place, ...], settings: ImportSettings, how: str) -> None:
    count = Counter(place.type for place in places)
    groups = {kind: len({place.group for place in places if place.type == kind}) for kind in PLACE_TYPES}
    short = [
        f"{count[kind]} {kind} in {groups[kind]} group(s) (wanted {wish.least} in {wish.groups})"
        for kind, wish in settings.places.items()
        if count[kind] < wish.least or groups[kind] < wish.groups
    ]
    if short:
        raise ConfigError(
            f"{path}: no room for a fleet: {how} only {', '.join(short)}. Check `resolution` (a forklift needs ways "
            f"{2 * ROBOT_RADIUS} m wide and {settings.approach + 1:.1f} m before each pallet), use a larger map, or "
            f"lower `least`, `pitch` or `passing` in config/import.yaml."
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
        f"the floor is the largest connected free area, {area:.0f} m2; {other:.0f} m2 of free cells beyond it or in "
        f"gaps narrower than {settings.narrowest_gap} m count as obstacles",
        f"{unknown:.0%} of the map is unknown; unknown cells count as obstacles",
        f"heights are not in the map: walls {HEIGHT['wall']} m, racks {HEIGHT['rack']} m ({kinds['rack']} boxes of "
        f"obstacles at least {settings.rack_length} m long), others {HEIGHT['obstacle']} m ({kinds['obstacle']} boxes)",
        "pallets stand on the floor, before faces that a robot can approach and in rows in the open; no rack levels",
        f"goods come in at the low end and leave at the high end of the image's {end}, or where there is more space; "
        f"docks are spots at outer walls, as the map shows no doors",
        "inspection is near receiving, quarantine near inspection, parking at outer walls",
        f"zones split the slots along {end}",
        "found " + ", ".join(f"{count[kind]} of {wanted[kind]} {kind}" for kind in PLACE_TYPES),
        f"route nodes every {plan.lattice} m; {dropped} spots without a way for a robot were dropped",
    ]
    if abs(np.sin(2 * floor.frame[2])) > 1e-6:
        said.append(
            f"the map lies turned by {floor.frame[2]:.3f} rad; routes do not follow its aisles, lanes are finer"
        )
    if any(abs(np.sin(2 * (box.yaw - floor.frame[2]))) > 0.1 for box in plan.boxes):
        said.append("no pallets are placed at obstacles that stand at an angle to the walls' grid")
    if plan.keepout:
        area = float(floor.forbidden.sum()) * floor.cell**2
        said.append(
            f"{area:.0f} m2 are kept out of, or cut off by what is: ways and places keep clear; no laser sees them"
        )
    if plan.slow:
        speeds = ", ".join(f"{speed:g}" for speed in sorted({area.speed for area in plan.slow}))
        said.append(
            f"{len(plan.slow)} areas limit the speed to {speeds} m/s (full speed {plan.full_speed:g} m/s): routes "
            f"count the longer time; robots do not slow down there yet"
        )
    return tuple(said)
