"""Imports openTCS plant models (XML): points, paths and locations; lengths in millimetres there, in metres here."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element

from policy_core.config import ConfigError
from sim.warehouse.floorplan import GraphEdge, GraphNode
from sim.warehouse.maps.files import parse_xml, read_bytes
from sim.warehouse.maps.graph_plan import Station, import_graph, make_graph
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import ImportSettings

FARTHEST = 1e9  # mm


def import_opentcs(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    """Turn a plant model into a floor plan with its graph as drawn.

    Raises:
        ConfigError: not such a file, an attribute missing or no number, a path or link to a point that is not there.
    """
    model = parse_xml(read_bytes(path, settings.largest_file), str(path))
    if model.tag != "model":
        raise ConfigError(f"{path}: the root element is <{model.tag}>; an openTCS plant model begins with <model>.")
    nodes = [GraphNode(name=_text(point, "name", path), **_position(point, path)) for point in model.findall("point")]
    edges: list[GraphEdge] = []
    locked = 0
    for way in model.findall("path"):
        start, end = _text(way, "sourcePoint", path), _text(way, "destinationPoint", path)
        if way.get("locked") == "true":
            locked += 1
            continue
        for one, other, speed in ((start, end, "maxVelocity"), (end, start, "maxReverseVelocity")):
            limit = _number(way, speed, path, 0.0) / 1000
            if limit > 0:
                edges.append(GraphEdge(start=one, end=other, speed=min(limit, 20.0)))
    stations = [
        Station(
            name=_text(place, "name", path),
            words=f"{place.get('name')} {place.get('type', '')}",
            at=tuple(_position(place, path).values()),  # type: ignore[arg-type]
            nodes=tuple(dict.fromkeys(_text(link, "point", path) for link in place.findall("link"))),
        )
        for place in model.findall("location")
    ]
    parks = [point for point in model.findall("point") if point.get("type") == "PARK_POSITION"]
    stations += [
        Station(name=_text(point, "name", path), words="park", at=None, nodes=(_text(point, "name", path),))
        for point in parks
    ]
    blocks = len(model.findall("block"))
    said = ["a path with a reverse velocity may be used in both directions"]
    if blocks:
        said.append(f"{blocks} block(s) for single vehicles are not kept: our robots give way by themselves")
    if locked:
        said.append(f"{locked} locked path(s) are left out")
    graph = make_graph(nodes, edges, str(path))
    return import_graph("opentcs", path, graph, stations, settings, choices, tuple(said))


def _text(element: Element, name: str, path: Path) -> str:
    value = element.get(name)
    if not value:
        seen = element.get("name") or "one without a name"
        raise ConfigError(f"{path}: <{element.tag}> {seen}: has no {name}.")
    return value


def _number(element: Element, name: str, path: Path, default: float | None = None) -> float:
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= FARTHEST:
        raise ConfigError(
            f"{path}: <{element.tag}> {element.get('name')}: {name} is {text!r}; wanted a number within {FARTHEST:g}."
        )
    return value


def _position(element: Element, path: Path) -> dict[str, float]:
    """Where it lies, x and y (m); models before version 6 spell the attributes the other way round."""
    old = element.get("positionX") is None and element.get("xPosition") is not None
    names = ("xPosition", "yPosition") if old else ("positionX", "positionY")
    return {axis: _number(element, name, path) / 1000 for axis, name in zip("xy", names, strict=True)}
