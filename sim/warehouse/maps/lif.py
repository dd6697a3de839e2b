"""Imports layouts in the VDMA Layout Interchange Format (LIF 1.0.0), the layout companion of VDA 5050."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Bound

from policy_core.config import parse_settings
from sim.warehouse.floorplan import GraphEdge, GraphNode
from sim.warehouse.maps.files import as_text, parse_json, read_bytes
from sim.warehouse.maps.graph_plan import Station, import_graph, make_graph
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import ImportSettings


class _Part(BaseModel):
    """Keys as the standard spells them; those we do not use are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Position(_Part):
    x: float = Bound(ge=-1e6, le=1e6)  # m
    y: float = Bound(ge=-1e6, le=1e6)


class _Node(_Part):
    nodeId: str
    nodePosition: _Position


class _EdgeOfVehicle(_Part):
    maxSpeed: float | None = Bound(None, ge=0, le=1e3)


class _Edge(_Part):
    startNodeId: str
    endNodeId: str
    vehicleTypeEdgeProperties: tuple[_EdgeOfVehicle, ...] = ()


class _Station(_Part):
    stationId: str
    interactionNodeIds: tuple[str, ...]
    stationName: str = ""
    stationDescription: str = ""
    stationPosition: _Position | None = None


class _Layout(_Part):
    layoutId: str
    nodes: tuple[_Node, ...]
    edges: tuple[_Edge, ...]
    stations: tuple[_Station, ...] = ()


class _Lif(_Part):
    layouts: tuple[_Layout, ...] = Bound(min_length=1)


def import_lif(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """Turn the layout with the most nodes into a floor plan with its graph as drawn.

    Raises:
        ConfigError: not such a file, a node twice, or an edge or station at a node that is not there.
    """
    content = parse_json(as_text(read_bytes(path, settings.largest_file), str(path)), str(path))
    layouts = parse_settings(_Lif, content, source=str(path)).layouts
    layout = max(layouts, key=lambda each: len(each.nodes))
    nodes = [GraphNode(name=node.nodeId, x=node.nodePosition.x, y=node.nodePosition.y) for node in layout.nodes]
    edges = []
    closed = 0
    for edge in layout.edges:
        limits = [kind.maxSpeed for kind in edge.vehicleTypeEdgeProperties if kind.maxSpeed is not None]
        if 0.0 in limits:
            closed += 1
            continue
        edges.append(
            GraphEdge(start=edge.startNodeId, end=edge.endNodeId, speed=min(min(limits), 20.0) if limits else None)
        )
    stations = [
        Station(
            name=each.stationName or each.stationId,
            words=f"{each.stationId} {each.stationName} {each.stationDescription}",
            at=None if each.stationPosition is None else (each.stationPosition.x, each.stationPosition.y),
            nodes=tuple(dict.fromkeys(each.interactionNodeIds)),
        )
        for each in layout.stations
    ]
    said = [
        "all vehicle types count as one: an edge's limit is the lowest of theirs; actions and headings are not used"
    ]
    others = [each.layoutId for each in layouts if each is not layout]
    if others:
        said.append(f"one layout is imported, {layout.layoutId}, which has the most nodes; not {', '.join(others[:6])}")
    if closed:
        said.append(f"{closed} edge(s) with a speed of 0 are closed")
    return import_graph("lif", path, make_graph(nodes, edges, str(path)), stations, settings, choices, tuple(said))
