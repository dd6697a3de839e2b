"""From cells as large as a robot to a floor plan: shelves hold slots, walls hold docks, and no free cell is lost.

Every place stands in a cell that is not free, and the robot before it in a free one; so ways stay as the map draws
them. A ring of cells is added around the map, for docks of layouts that end without a wall. Route nodes are the
middles of the free cells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, Box, FloorPlan, Place
from sim.warehouse.maps.cell_places import Spots, choose_cell_places, find_spots
from sim.warehouse.maps.cells import CellMap, largest_part, outer_part
from sim.warehouse.maps.floor import HEIGHT, rectangles_of
from sim.warehouse.maps.imported import Choices, MapImport, shortfall
from sim.warehouse.maps.settings import ImportSettings
from sim.warehouse.routes import MOST_NODES, TURNING_RADIUS, check_routes

LONGEST_BOX = 200.0  # m


def import_cells(
    form: str,
    path: Path,
    cells: CellMap,
    settings: ImportSettings,
    choices: Choices,
    said: tuple[str, ...],
    *,
    is_goal_outbound: bool = False,
    counts: dict[str, int] | None = None,
) -> MapImport:
    """Make the plan, and try whether routes join all its places.

    Args:
        form: the format's name.
        path: of the file, for names and errors.
        cells: the whole map.
        settings: config/import.yaml.
        choices: cell size and window.
        said: what the format's importer assumed.
        is_goal_outbound: goals ship goods; else those at one end receive them.
        counts: of the format's own, for the report.

    Raises:
        ConfigError: no free cell; a window outside the map; goals that robots cannot reach from the largest free area.
    """
    if choices.window is not None:
        cells = cells.window(choices.window, str(path))
    side = settings.cells.side if choices.cell is None else choices.cell
    if not 1.1 <= side <= 3.0:
        raise ConfigError(f"--cell is {side}; wanted 1.1 to 3 m: a robot is 1.1 m wide, and route nodes lie 3 m apart.")
    if not cells.free.any():
        raise ConfigError(f"{path}: no free cell at all.")
    ringed = CellMap(*(np.pad(layer, 1) for layer in cells))
    floor = largest_part(ringed.free)
    _check_goals(path, ringed, floor)
    spots = find_spots(ringed, floor, outer_part(ringed.free))
    places = choose_cell_places(spots, settings, side, is_goal_outbound=is_goal_outbound)
    plan = FloorPlan(
        name=path.stem,
        about=f"imported from {path.name}",
        origin=(-side, -side),
        size=(round(side * ringed.free.shape[1], 3), round(side * ringed.free.shape[0], 3)),
        lattice=side,
        approach=side,
        boxes=_boxes(ringed, floor, places, side, settings),
        places=tuple(places),
    )
    nodes = int(floor.sum())
    marked = ringed.goal if (ringed.pick == ringed.free).all() else ringed.goal | ringed.pick
    counted: dict[str, int | float] = {
        "columns": cells.free.shape[1],
        "rows": cells.free.shape[0],
        "free_cells": int(cells.free.sum()),
        "free_cells_out_of_reach": int(cells.free.sum()) - nodes,
        "parts": int(ndimage.label(cells.free)[1]),
        "faces": len(spots.row),
        **(counts or {}),
    }
    hindrance = shortfall(plan, settings) or _hindrance(plan, nodes)
    told = (*said, *_assumptions(plan, spots, side, counted, settings))
    if hindrance:
        told = (*told, f"no fleet can work in this plan as it is: {hindrance}")
    plan = plan.model_copy(update={"assumptions": told})
    return MapImport(form, plan, hindrance, counted, ringed.free, marked)


def _check_goals(path: Path, cells: CellMap, floor: np.ndarray) -> None:
    row, column = np.nonzero(cells.goal & ~floor)
    if len(row):
        height = cells.free.shape[0]
        named = ", ".join(f"(column {c}, row {height - 1 - r})" for r, c in zip(row[:6], column[:6], strict=True))
        raise ConfigError(
            f"{path}: {len(row)} goal(s) or emitter(s) cannot be reached from the largest free area: {named}, counted "
            f"from 1 at the top left. Open a way of free cells to them, or take them out."
        )


def _boxes(
    cells: CellMap, floor: np.ndarray, places: list[Place], side: float, settings: ImportSettings
) -> tuple[Box, ...]:
    """All cells that are not floor and hold no place, as few rectangles; what is joined with the ring is wall."""
    solid = ~floor
    for place in places:
        solid[int(place.y / side + 1), int(place.x / side + 1)] = False
    outer = outer_part(cells.free) & ~cells.shelf
    boxes = []
    most = int(LONGEST_BOX / side)
    for kind, mask in (("wall", solid & outer), ("rack", solid & ~outer)):
        for column, row, columns, rows in rectangles_of(mask):
            for first in range(0, columns, most):
                for low in range(0, rows, most):
                    wide, high = min(most, columns - first), min(most, rows - low)
                    boxes.append(
                        Box(
                            kind="wall" if kind == "wall" else "rack",
                            x=round((column + first + wide / 2 - 1) * side, 3),
                            y=round((row + low + high / 2 - 1) * side, 3),
                            length=round(wide * side, 3),
                            width=round(high * side, 3),
                            height=HEIGHT[kind],
                        )
                    )
    return tuple(boxes)


def _hindrance(plan: FloorPlan, nodes: int) -> str:
    """Why routes cannot be made; empty if they can."""
    if nodes > MOST_NODES:
        return (
            f"{nodes} free cells are so many route nodes; a table of ways between all pairs would take "
            f"{nodes**2 * 8 / 1e9:.1f} GB, and is made up to {MOST_NODES} nodes. The grid planner finds single ways; "
            f"for a fleet take a part of the map with --window"
        )
    try:
        check_routes(plan)
    except ConfigError as error:
        return str(error)
    return ""


def _assumptions(
    plan: FloorPlan, spots: Spots, side: float, counted: dict[str, int | float], settings: ImportSettings
) -> tuple[str, ...]:
    found = ", ".join(f"{len(plan.of_type(kind))} {kind}" for kind in PLACE_TYPES)
    said = [
        f"a cell is {side:g} m wide; the form does not tell. The lower left corner of the map is (0, 0)",
        "free cells are floor, the middle of each is a route node; a ring of wall cells is put around the map",
        "pallets stand in cells that are not free and have no rack around them there; heights are not in the map",
        f"found {found}; {len(spots.row)} faces in all. Docks lie at the two ends of the longer side",
    ]
    if side < 2 * TURNING_RADIUS:
        said.append(f"in cells below {2 * TURNING_RADIUS:g} m a robot cannot turn between walls")
    if counted["free_cells_out_of_reach"]:
        said.append(
            f"{counted['free_cells_out_of_reach']} free cells are not joined with the largest free area and count as "
            f"obstacles"
        )
    shelves = int(spots.shelves)
    slots = len(plan.of_type("slot"))
    if slots < shelves:
        said.append(
            f"{slots} of {shelves} shelf cells became slots (most_slots {settings.cells.most_slots}; cells inside a "
            f"block have no face)"
        )
    return tuple(said)
