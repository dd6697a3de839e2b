"""Routes that somebody drew, cut into pieces as short as a lattice's steps, lest robots lose their place on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.floorplan import RouteGraph

MOST_POINTS = 100_000


def drawn_graph(
    graph: RouteGraph, name: str, step: float, most_neighbours: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The graph's nodes and the points between them.

    Two edges there and back between the same nodes become one two-way way with the lower limit of both, so that robots
    that meet head-on know it.

    Args:
        graph: nodes and one-way edges.
        name: of the plan, for errors.
        step: m between points of a way, at most.
        most_neighbours: ways out of one node, at most.

    Returns:
        node [V, 2] (m, map): the graph's first, in its order; edge [L, 2]; is_one_way [L]; speed limit [L] (m/s, inf).

    Raises:
        ConfigError: a node with too many ways out of it, by name; or ways too long for `step`.
    """
    index = {node.name: number for number, node in enumerate(graph.nodes)}
    limit: dict[tuple[int, int], float] = {}
    for edge in graph.edges:
        way = index[edge.start], index[edge.end]
        if way[0] != way[1]:
            limit[way] = min(limit.get(way, np.inf), np.inf if edge.speed is None else edge.speed)
    out = np.bincount([start for start, _ in limit], minlength=len(index))
    if out.max(initial=0) > most_neighbours:
        crowded = [node.name for node, count in zip(graph.nodes, out, strict=True) if count > most_neighbours]
        raise ConfigError(
            f"floor plan '{name}': more than {most_neighbours} ways lead out of {', '.join(crowded[:6])}. Draw another "
            f"node beside, and share the ways between them."
        )
    points = [np.array([node.x, node.y]) for node in graph.nodes]
    edges: list[tuple[int, int]] = []
    is_one_way: list[bool] = []
    speeds: list[float] = []
    for (start, end), speed in limit.items():
        is_two_way = (end, start) in limit
        if is_two_way and start > end:
            continue
        away = float(np.hypot(*(points[end] - points[start])))
        if len(points) + away / step > MOST_POINTS:
            raise ConfigError(
                f"floor plan '{name}': the drawn ways are so long that a point every {step} m makes more than "
                f"{MOST_POINTS} of them. Check the unit of the coordinates (metres), or widen the lattice."
            )
        pieces = max(1, int(np.ceil(away / step - 1e-6)))
        between = [points[start] + (points[end] - points[start]) * k / pieces for k in range(1, pieces)]
        stops = [start, *range(len(points), len(points) + len(between)), end]
        points += between
        edges += pairwise(stops)
        is_one_way += [not is_two_way] * pieces
        speeds += [min(speed, limit[end, start]) if is_two_way else speed] * pieces
    return (
        np.array(points).reshape(-1, 2),
        np.array(edges, dtype=np.int64).reshape(-1, 2),
        np.array(is_one_way, dtype=bool),
        np.array(speeds, dtype=np.float64),
    )
