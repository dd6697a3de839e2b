"""Imports route graphs of the Nav2 route server (GeoJSON): points with an id, lines from one id to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Bound

from policy_core.config import ConfigError, parse_settings
from sim.warehouse.floorplan import GraphEdge, GraphNode
from sim.warehouse.maps.files import as_text, parse_json, read_bytes
from sim.warehouse.maps.graph_plan import import_graph, make_graph
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import ImportSettings

FARTHEST = 1e6  # m


class _Properties(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: int
    startid: int | None = None
    endid: int | None = None


class _Geometry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    type: str
    coordinates: list[Any]


class _Feature(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    properties: _Properties
    geometry: _Geometry


class _Collection(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    features: tuple[_Feature, ...] = Bound(min_length=1)


def import_geojson(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """Turn a route graph into a plan of routes; it names no stations, so no fleet can work in it by itself.

    Raises:
        ConfigError: not such a file, a node twice, or an edge to a node that is not there.
    """
    content = parse_json(as_text(read_bytes(path, settings.largest_file), str(path)), str(path))
    features = parse_settings(_Collection, content, source=str(path)).features
    nodes, edges = [], []
    for feature in features:
        told = feature.properties
        if feature.geometry.type == "Point":
            x, y = _point(feature.geometry.coordinates, told.id, path)
            nodes.append(GraphNode(name=str(told.id), x=x, y=y))
        elif told.startid is not None and told.endid is not None:
            edges.append(GraphEdge(start=str(told.startid), end=str(told.endid)))
        else:
            raise ConfigError(f"{path}: feature {told.id} is neither a Point nor has startid and endid.")
    said = ("a Nav2 route graph names no stations: add places by hand, or use the map it was drawn on",)
    return import_graph("geojson", path, make_graph(nodes, edges, str(path)), [], settings, choices, said)


def _point(values: list[Any], name: int, path: Path) -> tuple[float, float]:
    numbers = [value for value in values[:2] if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != 2 or not all(abs(value) <= FARTHEST for value in numbers):  # floats cannot hold every integer
        raise ConfigError(f"{path}: feature {name}: coordinates {str(values)[:40]}; wanted [x, y] in metres.")
    return float(numbers[0]), float(numbers[1])
