"""The floor plan: what stands where, and the places a pallet or a parked robot can take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import ConfigError, Settings, parse_settings, read_yaml

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the compiled one, where there is one, is 8 times faster
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


class Area(Settings):
    """A rectangle painted on the floor; x, y is its centre (m, map), yaw left-positive (rad). No laser sees it."""

    x: float
    y: float
    length: float = Bound(gt=0, le=1000)  # m, along its own x axis
    width: float = Bound(gt=0, le=1000)  # m, along its own y axis
    yaw: float = 0.0


class SlowArea(Area):
    """Where robots shall not be faster than `speed` (m/s)."""

    speed: float = Bound(gt=0, le=10)


class GraphNode(Settings):
    """A point of a route graph that somebody drew; x, y in m, map."""

    name: str
    x: float = Bound(ge=-1e6, le=1e6)
    y: float = Bound(ge=-1e6, le=1e6)


class GraphEdge(Settings):
    """A straight way from one node to another, one way only: the way back is an edge of its own."""

    start: str
    end: str
    speed: float | None = Bound(None, gt=0, le=20)  # m/s at most; None: the drawing sets no limit


class RouteGraph(Settings):
    """Routes as they were drawn; a plan that has them lays no lattice."""

    nodes: tuple[GraphNode, ...] = Bound(min_length=1)
    edges: tuple[GraphEdge, ...]

    @model_validator(mode="after")
    def _edges_join_nodes(self) -> RouteGraph:
        names = {node.name for node in self.nodes}
        if len(names) < len(self.nodes):
            raise ValueError("names of nodes must be unique")
        lost = [f"{edge.start} to {edge.end}" for edge in self.edges if not {edge.start, edge.end} <= names]
        if lost:
            raise ValueError(f"edges must join nodes that are there; these do not: {', '.join(lost[:6])}")
        return self


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
    keepout: tuple[Area, ...] = ()  # ways and places keep clear of them as of boxes
    slow: tuple[SlowArea, ...] = ()
    full_speed: float = Bound(1.4, gt=0, le=10)  # m/s where nothing limits it; route costs compare limits with it
    graph: RouteGraph | None = None  # routes as drawn, in place of a lattice
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
        optional = {name for name in ("keepout", "slow", "graph") if not getattr(self, name)}
        if not self.slow and self.graph is None:
            optional.add("full_speed")
        content = self.model_dump(mode="json", exclude=optional)
        part = path.with_name(path.name + ".part")
        try:
            with part.open("w", encoding="utf-8") as stream:
                yaml.dump(content, stream, Dumper=_Dumper, sort_keys=False)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


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
