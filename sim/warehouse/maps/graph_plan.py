"""From a drawn route graph with stations to a floor plan whose routes are the drawn ones."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan, GraphEdge, GraphNode, Place, PlaceType, RouteGraph
from sim.warehouse.maps.imported import Choices, MapImport, shortfall
from sim.warehouse.maps.settings import ImportSettings
from sim.warehouse.rectangles import PALLET_SIDE, nearest_rectangle, place_rectangles, segments_clear
from sim.warehouse.routes import CLOSEST_PLACES, ROBOT_RADIUS, check_routes

DIRECTIONS = 16  # headings tried for a place whose own is blocked
HERE = 0.1  # m: a station this near its node says nothing about where it lies


class Station(NamedTuple):
    """Something robots serve from nodes of a graph."""

    name: str
    words: str  # all that tells what it is for
    at: tuple[float, float] | None  # m; None: unknown
    nodes: tuple[str, ...]


def import_graph(
    form: str,
    path: Path,
    graph: RouteGraph,
    stations: list[Station],
    settings: ImportSettings,
    choices: Choices,
    said: tuple[str, ...],
) -> MapImport:
    """Make the plan: a place beside each node that a station is served from, and the graph as it is.

    Raises:
        ConfigError: a station at a node that is not there; by name.
    """
    names = {node.name for node in graph.nodes}
    lost = [f"{each.name} at {node}" for each in stations for node in each.nodes if node not in names]
    if lost:
        raise ConfigError(f"{path}: stations at nodes that are not there: {', '.join(lost[:6])}. Mend their names.")
    places, told = _places(graph, stations, settings)
    points = np.array([(node.x, node.y) for node in graph.nodes] + [(place.x, place.y) for place in places])
    low, high = points.min(axis=0) - settings.graph.margin, points.max(axis=0) + settings.graph.margin
    plan = FloorPlan(
        name=path.name.split(".")[0],
        about=f"imported from {path.name}",
        origin=(round(float(low[0]), 3), round(float(low[1]), 3)),
        size=(round(float(high[0] - low[0]), 3), round(float(high[1] - low[1]), 3)),
        lattice=settings.graph.spacing,
        approach=settings.approach,
        boxes=(),
        places=tuple(places),
        graph=graph,
    )
    if choices.full_speed is not None:
        plan = plan.model_copy(update={"full_speed": choices.full_speed})
    counts: dict[str, int | float] = {
        "nodes": len(graph.nodes),
        "edges": len(graph.edges),
        "edges_both_ways": _both_ways(graph),
        "stations": len(stations),
    }
    hindrance = shortfall(plan) or _fault(plan)
    told = (
        *said,
        *told,
        "a route graph draws no walls: the floor is the rectangle around it; lasers see robots and pallets only",
        f"robots drive straight from node to node, also where the drawing has a curve, on points every "
        f"{settings.graph.spacing} m; ways drawn in one direction are used in that one only",
        "speed limits of ways count in the choice of routes; robots do not slow down for them yet",
        f"pallets stand {settings.approach} m from the node that serves them, towards the station",
    )
    if hindrance:
        told = (*told, f"no fleet can work in this plan as it is: {hindrance}")
    return MapImport(form, plan.model_copy(update={"assumptions": told}), hindrance, counts)


def _both_ways(graph: RouteGraph) -> int:
    ways = {(edge.start, edge.end) for edge in graph.edges}
    return sum((end, start) in ways for start, end in ways)


def _fault(plan: FloorPlan) -> str:
    try:
        check_routes(plan)
    except ConfigError as error:
        return str(error)
    return ""


def _kind(station: Station, settings: ImportSettings) -> PlaceType | None:
    words = station.words.lower()
    return next((kind for kind, marks in settings.graph.names.items() if any(mark in words for mark in marks)), None)


def _places(
    graph: RouteGraph, stations: list[Station], settings: ImportSettings
) -> tuple[list[Place], tuple[str, ...]]:
    """A place for each node of each station that names tell the use of; and what was decided, in words."""
    where = {node.name: np.array([node.x, node.y]) for node in graph.nodes}
    ways = np.array([(*where[edge.start], *where[edge.end]) for edge in graph.edges]).reshape(-1, 4)
    wanted: list[tuple[PlaceType, Station, str]] = []
    unknown, blocked = [], []
    for station in stations:
        kind = _kind(station, settings)
        if kind is None or not station.nodes:
            unknown.append(station.name)
            continue
        taken = {(each_kind, node) for each_kind, _, node in wanted}
        wanted += [(kind, station, node) for node in station.nodes if (kind, node) not in taken]
    told = []
    if not any(kind == "quarantine" for kind, _, _ in wanted):
        spare = [index for index, (kind, _, _) in enumerate(wanted) if kind == "inspection"]
        if len(spare) > 1:
            _, station, node = wanted[spare[-1]]
            wanted[spare[-1]] = ("quarantine", station, node)
            told.append(f"nothing is drawn for quarantine; {station.name}, the last place of inspection, serves for it")
    count = {kind: sum(each == kind for each, _, _ in wanted) for kind in PLACE_TYPES}
    places: list[Place] = []
    used: dict[PlaceType, int] = dict.fromkeys(PLACE_TYPES, 0)
    meaning = []
    for kind, station, node in wanted:
        spot = _spot(where[node], station.at, ways, places, settings.approach)
        if spot is None:
            blocked.append(station.name)
            continue
        groups = settings.places[kind].groups
        group = used[kind] * min(groups, count[kind]) // count[kind]
        used[kind] += 1
        places.append(Place(name=f"{kind}_{used[kind]}", type=kind, x=spot[0], y=spot[1], yaw=spot[2], group=group))
        meaning.append(f"{kind}_{used[kind]} = {station.name}")
    if meaning:
        told.append(f"by their names: {', '.join(meaning[:60])}")
    if unknown:
        told.append(
            f"left out, as neither name nor type tells a use, or no node serves them: {', '.join(unknown[:20])}"
        )
    if blocked:
        told.append(f"left out, as no pallet fits beside their node clear of all ways: {', '.join(blocked[:20])}")
    return places, tuple(told)


def _spot(
    node: np.ndarray, station: tuple[float, float] | None, ways: np.ndarray, places: list[Place], approach: float
) -> tuple[float, float, float] | None:
    """x, y (m) and heading (rad) of a place served from a node: towards its station if that is free, else beside."""
    aim = np.zeros(2) if station is None else np.array(station) - node
    towards = float(np.arctan2(aim[1], aim[0])) if np.hypot(*aim) > HERE else None
    turns = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    if towards is None:
        yaws = _away_from_ways(node, ways, turns)
    else:
        yaws = towards + turns[np.argsort(np.minimum(turns, 2 * np.pi - turns), kind="stable")]
    others = place_rectangles(places)
    standing = np.array([place.before(approach)[:2] for place in places]).reshape(-1, 2)
    for yaw in yaws:
        x, y = (round(float(value), 3) for value in node + approach * np.array([np.cos(yaw), np.sin(yaw)]))
        pallet = np.array([[x, y, PALLET_SIDE, PALLET_SIDE, yaw]])
        near = np.hypot(ways[:, 0::2].mean(axis=1) - x, ways[:, 1::2].mean(axis=1) - y) <= (
            np.hypot(ways[:, 2] - ways[:, 0], ways[:, 3] - ways[:, 1]) / 2 + 3.0
        )
        if (
            segments_clear(ways[near, :2], ways[near, 2:], pallet, ROBOT_RADIUS).all()
            and (np.hypot(*(others[:, :2] - (x, y)).T) >= CLOSEST_PLACES).all()
            and segments_clear(node[None], np.array([[x, y]]), others, PALLET_SIDE / 2).all()
            and (nearest_rectangle(standing, pallet) >= ROBOT_RADIUS).all()
        ):
            return x, y, round(float((yaw + np.pi) % (2 * np.pi) - np.pi), 6)
    return None


def _away_from_ways(node: np.ndarray, ways: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Headings, those farthest from the directions of the ways at the node first."""
    at_node = (np.abs(ways[:, :2] - node).max(axis=1) < 1e-6, np.abs(ways[:, 2:] - node).max(axis=1) < 1e-6)
    out = ways[at_node[0], 2:] - node
    back = ways[at_node[1], :2] - node
    along = np.concatenate([out, back])
    if len(along) == 0:
        return turns
    bearing = np.arctan2(along[:, 1], along[:, 0])
    apart = np.abs((turns[:, None] - bearing + np.pi) % (2 * np.pi) - np.pi).min(axis=1)
    return np.asarray(turns[np.argsort(-apart, kind="stable")])


def make_graph(nodes: list[GraphNode], edges: list[GraphEdge], source: str) -> RouteGraph:
    """The graph; raises ConfigError for no node, a name twice, or an edge to nowhere."""
    if not nodes:
        raise ConfigError(f"{source}: draws no node.")
    try:
        return RouteGraph(nodes=tuple(nodes), edges=tuple(edges))
    except ValidationError as error:
        raise ConfigError(f"{source}: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
