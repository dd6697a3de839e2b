"""Lays the route lattice over an imported floor: how wide its steps are, and where its nodes fall."""

from __future__ import annotations

import numpy as np

from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.routes import approach_points, blocked_places, free_nodes, unreached_places

SPARE_SLOTS = 0.06  # share of slots that may be given up for a wider lattice
PHASES = (0.0, 0.25, 0.5, 0.75)  # shifts of the lattice that are tried in x and y, in steps of it
SURVEYED = 3  # of the shifts, the most promising ones are examined in full
ON_LANE = 0.15  # m: an approach point this near a lane lies on it


def lay_routes(plan: FloorPlan, lattices: tuple[float, ...]) -> tuple[FloorPlan, int]:
    """The plan with the widest lattice that reaches all but a few slots, less the places it does not reach.

    Lanes a wide step apart let robots pass each other, so a wide lattice is worth some slots and one parking place
    in three; it is not worth a dock or an inspection place.

    Returns:
        The plan, and how many places it lost.
    """
    given = len(plan.places)
    plan = _without(plan, set(blocked_places(plan)))
    spare = SPARE_SLOTS * len(plan.of_type("slot"))
    slots = {place.name for place in plan.places if place.type == "slot"}
    parking = {place.name for place in plan.places if place.type == "parking"}
    best, least = plan, np.inf
    for lattice in lattices:
        shifts = [_laid(plan, lattice, right, up) for right in PHASES for up in PHASES]
        shifts.sort(key=lambda laid: -(len(free_nodes(laid)) + 2 * _on_lanes(laid)))
        for laid in shifts[:SURVEYED]:
            lost = set(unreached_places(laid))
            may_lose = lost & slots if len(lost & parking) > len(parking) // 3 else lost & (slots | parking)
            cost = len(may_lose) + given * len(lost - may_lose)
            if cost < least:
                best, least = _without(laid, lost), cost
        if least <= spare:
            break
    return best, given - len(best.places)


def _on_lanes(plan: FloorPlan) -> int:
    """How many approach points lie on a lane that passes before their place."""
    steps = (approach_points(plan) - plan.origin) / plan.lattice - 0.5
    off = np.abs(steps - steps.round()) * plan.lattice
    heading = np.array([(abs(np.cos(place.yaw)), abs(np.sin(place.yaw))) for place in plan.places]).reshape(-1, 2)
    return int(((off * heading).sum(axis=1) <= ON_LANE).sum())


def _laid(plan: FloorPlan, lattice: float, right: float, up: float) -> FloorPlan:
    """The same floor with its lower left corner moved outwards by shares of a step, which moves the nodes."""
    shift = right * lattice, up * lattice
    origin = (round(plan.origin[0] - shift[0], 3), round(plan.origin[1] - shift[1], 3))
    size = (round(plan.size[0] + shift[0], 3), round(plan.size[1] + shift[1], 3))
    return plan.model_copy(update={"origin": origin, "size": size, "lattice": lattice})


def _without(plan: FloorPlan, names: set[str]) -> FloorPlan:
    return plan.model_copy(update={"places": tuple(place for place in plan.places if place.name not in names)})
