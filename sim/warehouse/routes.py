"""The route graph of a floor plan, and every table a world looks up while it runs.

Nodes stand on a lattice wherever a robot is clear of boxes and places (full or empty), plus one at the approach
point of each place. Rows and columns are soft one-way streets in alternating directions, after the highways of
Cohen, Uras and Koenig (Feasibility Study: Using Highways for Bounded-Suboptimal Multi-Agent Path Finding, SoCS
2015; with others, Improved Solvers for Bounded-Suboptimal Multi-Agent Path Finding, IJCAI 2016): odd columns run
north, odd rows run east, so two lanes side by side keep right. Going against one is allowed and weighs three times
its length, as do the links to approach points, lest they serve as a way round the streets.

A plan with a drawn graph has no lattice: its ways are the drawn ones (drawn_graph.py), one way where they are.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from policy_core.config import ConfigError
from sim.warehouse.drawn_graph import drawn_graph
from sim.warehouse.floor_grids import CLEARANCE_CELL, PATCH, check_cells, clearance_grid, near_nodes
from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan
from sim.warehouse.rectangles import (
    PALLET_SIDE,
    area_rectangles,
    box_rectangles,
    nearest_rectangle,
    place_rectangles,
    segments_clear,
)

ROBOT_RADIUS = 0.55  # m: the disc that must clear everything along a route
TURNING_RADIUS = 0.80  # m swept by the forks when a robot turns on a node
TIGHT = 4.0  # how many times its length an edge weighs where a robot cannot turn freely
AGAINST_THE_WAY = 3.0  # how many times its length an edge weighs against its one-way direction
LINK_REACH = 1.6  # lattice steps from an approach point to the lattice nodes it may join
MOST_NEIGHBOURS = 8  # edges of one node
LINKS_PER_PLACE = 4
SAME_POINT = 0.01  # m: an approach point this near a lattice node is that node
CLOSEST_PLACES = 1.0  # m between the centres of two places
MOST_NODES = 6000  # a table of all pairs takes 8 bytes a pair (288 MB), and five times that while it is made


class Tables(NamedTuple):
    """Static arrays of one floor plan, for lookup in compiled loops. P places, V route nodes, H x W cells."""

    place_type: np.ndarray  # [P] int8: index into PLACE_TYPES
    place_group: np.ndarray  # [P] int32: zone of a slot, dock of an inbound or outbound place, station
    place_x: np.ndarray  # [P] float32 (m, map)
    place_y: np.ndarray  # [P] float32 (m, map)
    place_yaw: np.ndarray  # [P] float32 (rad): heading of a robot that docks here
    place_node: np.ndarray  # [P] int32: the route node at the approach point
    typed_place: np.ndarray  # [P] int32: the places in the order of their types, of a type in the order of places
    type_start: np.ndarray  # [types + 1] int32: where in `typed_place` each type begins, and where the last one ends
    node_x: np.ndarray  # [V] float32 (m, map)
    node_y: np.ndarray  # [V] float32 (m, map)
    distance: np.ndarray  # [V, V] float32 (m): along the chosen way from row to column; one-way streets make it unequal
    next_node: np.ndarray  # [V, V] int32: the next node on the way from row to column; the row itself when there. Ways
    # to one node lie side by side in memory (Fortran order), for ways are followed to their ends
    near_node: np.ndarray  # [...] int32: the nodes that can be nearest to a point of a patch, ascending, patch by patch
    near_start: (
        np.ndarray
    )  # [patches + 1] int32: where in `near_node` each patch begins; patches go row by row, as cells
    near_shape: np.ndarray  # [2] int32: rows and columns of patches
    neighbours: np.ndarray  # [V, 8] int32: nodes joined by an edge; -1 where there is none
    is_roomy: np.ndarray  # [V] bool: False right beside a wall and off all ways between places; nobody gives way there
    clearance: np.ndarray  # [H, W] float32 (m): cell centre to the nearest box or floor edge; 0 inside. Row 0 is y min
    room: np.ndarray  # [H, W] float32 (m): cell centre to the nearest box, place or floor edge; 0 inside
    grid_origin: np.ndarray  # [2] float32 (m, map): lower left corner of cell (0, 0)
    cell: float  # m
    approach: float  # m from a place's centre to its approach point
    patch: float  # m: side of a patch


class _Graph(NamedTuple):
    node: np.ndarray  # [V, 2] float64
    column: np.ndarray  # [V, 2] int64: lattice column and row; -1 for a node off the lattice
    edge: np.ndarray  # [L, 2] int64: each once
    is_one_way: np.ndarray  # [L] bool: only from its first node to its second
    speed: np.ndarray  # [L] float64 (m/s): limit that a drawn edge has of its own; inf without
    place_node: np.ndarray  # [P] int64


def build_tables(plan: FloorPlan) -> Tables:
    """Everything a world looks up about one plan.

    Raises:
        ConfigError: places too close together, an approach that is not free, or places no route joins; by name. Or a
            floor too large for tables of all pairs of nodes.
    """
    graph = _checked_graph(plan)
    distance, next_node = _ways(graph, plan)
    place_type = np.array([PLACE_TYPES.index(place.type) for place in plan.places], dtype=np.int8)
    near_node, near_start, near_shape = near_nodes(plan, graph.node)
    return Tables(
        place_type=place_type,
        place_group=np.array([place.group for place in plan.places], dtype=np.int32),
        place_x=np.array([place.x for place in plan.places], dtype=np.float32),
        place_y=np.array([place.y for place in plan.places], dtype=np.float32),
        place_yaw=np.array([place.yaw for place in plan.places], dtype=np.float32),
        place_node=graph.place_node.astype(np.int32),
        typed_place=np.argsort(place_type, kind="stable").astype(np.int32),
        type_start=np.searchsorted(np.sort(place_type), np.arange(len(PLACE_TYPES) + 1)).astype(np.int32),
        node_x=graph.node[:, 0].astype(np.float32),
        node_y=graph.node[:, 1].astype(np.float32),
        distance=distance.astype(np.float32),
        next_node=np.asfortranarray(next_node.astype(np.int32)),
        near_node=near_node,
        near_start=near_start,
        near_shape=near_shape,
        neighbours=_neighbours(graph),
        is_roomy=~_is_tight(graph, plan) | _on_the_way(next_node, graph.place_node),
        clearance=clearance_grid(plan, _fixed(plan)),
        room=clearance_grid(plan, _blocked(plan)),
        grid_origin=np.array(plan.origin, dtype=np.float32),
        cell=CLEARANCE_CELL,
        approach=float(plan.approach),
        patch=PATCH,
    )


def check_routes(plan: FloorPlan) -> None:
    """Raise what `build_tables` would, without the time and memory that its tables take."""
    _checked_graph(plan)


def _checked_graph(plan: FloorPlan) -> _Graph:
    _check_size(plan)
    _check_places(plan)
    graph = _largest_part(plan, _graph(plan))
    if len(graph.node) > MOST_NODES:
        raise _too_many_nodes(plan, f"{len(graph.node)} route nodes")
    return graph


def unreached_places(plan: FloorPlan) -> list[str]:
    """Places that no route joins with most others, by name; empty for a sound plan."""
    return _apart(plan, _graph(plan))[1]


def free_nodes(plan: FloorPlan) -> np.ndarray:
    """Lattice nodes a robot can stand on: column and row [V, 2]."""
    columns, rows = (int(side / plan.lattice) for side in plan.size)
    column = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    free = nearest_rectangle(_node_position(plan, column), _blocked(plan)) >= ROBOT_RADIUS - 1e-3
    return np.asarray(column[free])


def one_way_edges(plan: FloorPlan, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Edges in their preferred (of a drawn graph: their only) direction: start [L] and end [L] nodes."""
    if plan.graph is not None:
        start, slot = np.nonzero(tables.neighbours >= 0)
        end = tables.neighbours[start, slot]
        alone = ~(tables.neighbours[end] == start[:, None]).any(axis=1)
        return start[alone], end[alone]
    node = np.stack([tables.node_x, tables.node_y], axis=-1)
    column = (node - plan.origin) / plan.lattice - 0.5
    on_lattice = (np.abs(column - column.round()) * plan.lattice < SAME_POINT).all(axis=-1)
    column = np.where(on_lattice[:, None], column.round(), -1).astype(np.int64)
    start, slot = np.nonzero(tables.neighbours >= 0)
    end = tables.neighbours[start, slot]
    preferred = _direction(column[start], column[end]) > 0
    return start[preferred], end[preferred]


def approach_points(plan: FloorPlan) -> np.ndarray:
    """Where a robot stands before it drives in, for every place: [P, 2] (m, map)."""
    return np.array([place.before(plan.approach)[:2] for place in plan.places]).reshape(-1, 2)


def blocked_places(plan: FloorPlan) -> dict[str, str]:
    """Places a robot cannot use as drawn, each with the reason in words; empty for a sound plan."""
    fixed = np.concatenate([_fixed(plan), area_rectangles(plan.keepout)])
    pallets = place_rectangles(plan.places)
    approaches = approach_points(plan)
    faults: dict[str, str] = {}
    for index, place in enumerate(plan.places):
        others = np.concatenate([fixed, np.delete(pallets, index, axis=0)])
        point, centre = approaches[index][None], np.array([[place.x, place.y]])
        if not segments_clear(point, point, np.concatenate([others, pallets[index : index + 1]]), ROBOT_RADIUS)[0]:
            x, y = approaches[index]
            faults[place.name] = f"its approach point ({x:.2f}, {y:.2f}) is not free"
            continue
        if not segments_clear(point, centre, others, PALLET_SIDE / 2)[0]:
            faults[place.name] = f"the {PALLET_SIDE} m wide way from its approach point to its centre is not free"
    return faults


def _check_size(plan: FloorPlan) -> None:
    """Refuse, before anything large is made, what tables cannot hold."""
    check_cells(plan)
    nodes = int(plan.size[0] / plan.lattice) * int(plan.size[1] / plan.lattice)
    if plan.graph is None and nodes > 4 * MOST_NODES:
        raise _too_many_nodes(plan, f"{nodes} spots for route nodes")


def _too_many_nodes(plan: FloorPlan, seen: str) -> ConfigError:
    return ConfigError(
        f"floor plan '{plan.name}': {seen}; a table of all pairs holds at most {MOST_NODES} nodes. Use a part of the "
        f"floor (parley import-map --window), or a wider lattice than {plan.lattice} m."
    )


def _check_places(plan: FloorPlan) -> None:
    centre = np.array([(place.x, place.y) for place in plan.places]).reshape(-1, 2)
    apart = np.hypot(*(centre[:, None] - centre[None]).transpose(2, 0, 1))
    first, second = np.nonzero(np.triu(apart < CLOSEST_PLACES - 1e-6, k=1))
    if len(first):
        pairs = ", ".join(
            f"{plan.places[a].name} and {plan.places[b].name}" for a, b in zip(first[:6], second[:6], strict=True)
        )
        raise ConfigError(
            f"floor plan '{plan.name}': places closer than {CLOSEST_PLACES} m: {pairs}. Move them apart or drop one."
        )
    faults = blocked_places(plan)
    if faults:
        named = "\n".join(f"  {name}: {fault}" for name, fault in list(faults.items())[:12])
        raise ConfigError(
            f"floor plan '{plan.name}': {len(faults)} place(s) a robot cannot use\n{named}\n"
            f"  Keep {ROBOT_RADIUS} m around an approach point, {plan.approach} m before the place, free."
        )


def _fixed(plan: FloorPlan) -> np.ndarray:
    """All that never moves [B + 4, 5]: the boxes, and a strip along each edge so that nothing leaves the floor."""
    (x, y), (width, depth), strip = plan.origin, plan.size, 10.0
    edges = [
        (x - strip / 2, y + depth / 2, strip, depth + 2 * strip, 0.0),
        (x + width + strip / 2, y + depth / 2, strip, depth + 2 * strip, 0.0),
        (x + width / 2, y - strip / 2, width, strip, 0.0),
        (x + width / 2, y + depth + strip / 2, width, strip, 0.0),
    ]
    return np.concatenate([box_rectangles(plan.boxes), np.array(edges)])


def _blocked(plan: FloorPlan) -> np.ndarray:
    """All that routes keep clear of [B, 5]: what never moves, keep-out areas, and every place, full or empty."""
    return np.concatenate([_fixed(plan), area_rectangles(plan.keepout), place_rectangles(plan.places)])


def _node_position(plan: FloorPlan, column: np.ndarray) -> np.ndarray:
    """Lattice nodes [V, 2] (m, map) at the middle of cells of the lattice."""
    return np.asarray(np.add(plan.origin, (column + 0.5) * plan.lattice))


def _graph(plan: FloorPlan) -> _Graph:
    blocked = _blocked(plan)
    if plan.graph is None:
        node, column, edge = _lattice(plan, blocked)
        return _join_places(plan, blocked, _all_ways(node, column, edge))
    node, edge, is_one_way, speed = drawn_graph(plan.graph, plan.name, plan.lattice, MOST_NEIGHBOURS)
    if len(node) > 4 * MOST_NODES:
        raise _too_many_nodes(plan, f"{len(node)} route nodes along the drawn ways")
    bad = edge[~segments_clear(node[edge[:, 0]], node[edge[:, 1]], blocked, ROBOT_RADIUS)]
    if len(bad):
        near = ", ".join(f"({x:.1f}, {y:.1f})" for x, y in node[bad[:6, 0]])
        raise ConfigError(
            f"floor plan '{plan.name}': {len(bad)} piece(s) of the drawn ways pass closer than {ROBOT_RADIUS} m to a "
            f"box, a place, a keep-out area or the edge of the floor, near {near}. Move the way or what stands there."
        )
    column = np.full((len(node), 2), -1)
    none = np.zeros(0, dtype=np.int64)
    return _join_places(plan, blocked, _Graph(node, column, edge, is_one_way, speed, none))


def _all_ways(node: np.ndarray, column: np.ndarray, edge: np.ndarray) -> _Graph:
    """A graph of two-way edges without limits; no place is joined yet."""
    none = np.zeros(0, dtype=np.int64)
    return _Graph(node, column, edge, np.zeros(len(edge), dtype=bool), np.full(len(edge), np.inf), none)


def _lattice(plan: FloorPlan, blocked: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free lattice nodes [V, 2], their column and row [V, 2], and the clear edges between neighbours [L, 2]."""
    column = free_nodes(plan)
    node = _node_position(plan, column)
    index = {(int(c), int(r)): i for i, (c, r) in enumerate(column)}
    pairs = [(i, index[step]) for (c, r), i in index.items() for step in ((c + 1, r), (c, r + 1)) if step in index]
    edge = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return node, column, edge[segments_clear(node[edge[:, 0]], node[edge[:, 1]], blocked, ROBOT_RADIUS)]


def _join_places(plan: FloorPlan, blocked: np.ndarray, graph: _Graph) -> _Graph:
    """Add the approach points, each joined to its nearest free nodes as long as those have room for an edge."""
    node, column, edge = graph.node, graph.column, graph.edge
    approaches = approach_points(plan)
    degree = np.bincount(edge.ravel(), minlength=len(node)).tolist() if len(edge) else [0] * len(node)
    place_node = np.zeros(len(plan.places), dtype=np.int64)
    extra: list[np.ndarray] = []
    waiting: deque[tuple[int, list[int]]] = deque()
    for index, point in enumerate(approaches):
        away = np.hypot(*(node - point).T) if len(node) else np.zeros(0)
        if len(away) and away.min() < SAME_POINT:
            place_node[index] = away.argmin()
            continue
        near = np.flatnonzero(away <= LINK_REACH * plan.lattice)
        near = near[segments_clear(np.repeat(point[None], len(near), axis=0), node[near], blocked, ROBOT_RADIUS)]
        place_node[index] = len(node) + len(extra)
        extra.append(point)
        waiting.append((int(place_node[index]), near[np.argsort(away[near], kind="stable")].tolist()))
    links: list[tuple[int, int]] = []
    taken: Counter[int] = Counter()
    while waiting:  # one link per place and turn, so that no place takes all the room
        name, candidates = waiting.popleft()
        while candidates and degree[candidates[0]] >= MOST_NEIGHBOURS:
            candidates.pop(0)
        if candidates and taken[name] < LINKS_PER_PLACE:
            degree[candidates[0]] += 1
            taken[name] += 1
            links.append((name, candidates.pop(0)))
            waiting.append((name, candidates))
    return _Graph(
        node=np.concatenate([node, np.array(extra).reshape(-1, 2)]),
        column=np.concatenate([column, np.full((len(extra), 2), -1)]),
        edge=np.concatenate([edge, np.array(links, dtype=np.int64).reshape(-1, 2)]),
        is_one_way=np.concatenate([graph.is_one_way, np.zeros(len(links), dtype=bool)]),
        speed=np.concatenate([graph.speed, np.full(len(links), np.inf)]),
        place_node=place_node,
    )


def _apart(plan: FloorPlan, graph: _Graph) -> tuple[np.ndarray, list[str]]:
    """Which nodes are in the part of the graph that holds most places: bool [V]; and the places outside it."""
    size = len(graph.node)
    start, end, _ = _directed(graph)
    joined = csr_matrix((np.ones(len(start)), (start, end)), shape=(size, size))
    _, part = connected_components(joined, directed=True, connection="strong")  # there and back again
    of_place = part[graph.place_node]
    main = np.bincount(of_place).argmax() if len(of_place) else np.bincount(part).argmax()
    return part == main, [place.name for place, where in zip(plan.places, of_place, strict=True) if where != main]


def _largest_part(plan: FloorPlan, graph: _Graph) -> _Graph:
    """Only the nodes that routes between places can use.

    Raises:
        ConfigError: some places lie in another part of the floor than most; they are named.
    """
    keep, apart = _apart(plan, graph)
    if apart:
        raise ConfigError(
            f"floor plan '{plan.name}': no route joins {', '.join(apart[:12])}{' ...' if len(apart) > 12 else ''} "
            f"with the other {len(plan.places) - len(apart)} places. A robot needs a way {2 * ROBOT_RADIUS} m wide; "
            f"widen the way, move the places, or try a smaller lattice than {plan.lattice} m."
        )
    return _part(graph, keep)


def _part(graph: _Graph, keep: np.ndarray) -> _Graph:
    """Only the nodes to keep, bool [V], and the edges between them."""
    new_index = np.cumsum(keep) - 1
    kept = keep[graph.edge].all(axis=1)
    edge = new_index[graph.edge[kept]]
    place_node = new_index[graph.place_node]
    return _Graph(graph.node[keep], graph.column[keep], edge, graph.is_one_way[kept], graph.speed[kept], place_node)


def _directed(graph: _Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every edge in each direction it may be used: start [D], end [D] and speed limit [D] (m/s)."""
    back = ~graph.is_one_way
    start, end = np.concatenate([graph.edge, graph.edge[back, ::-1]]).T
    return start, end, np.concatenate([graph.speed, graph.speed[back]])


def _ways(graph: _Graph, plan: FloorPlan) -> tuple[np.ndarray, np.ndarray]:
    """True metres [V, V] and next node [V, V] of the ways that respect the one-way streets and room to turn best."""
    size = len(graph.node)
    start, end, speed = _directed(graph)
    metres = np.hypot(*(graph.node[end] - graph.node[start]).T)
    weight = np.where(_direction(graph.column[start], graph.column[end]) <= 0, AGAINST_THE_WAY, 1.0) * metres
    is_tight = _is_tight(graph, plan)
    weight *= np.where(is_tight[start] | is_tight[end], TIGHT, 1.0)
    for area in plan.slow:
        inside = nearest_rectangle((graph.node[start] + graph.node[end]) / 2, area_rectangles([area])) == 0
        speed[inside] = np.minimum(speed[inside], area.speed)
    weight *= np.maximum(plan.full_speed / speed, 1.0)
    backwards = csr_matrix((weight, (end, start)), shape=(size, size))
    before = dijkstra(backwards, directed=True, return_predecessors=True)[1]
    here = np.arange(size)
    next_node = before.T.copy()  # [from, to]: on the way back from `to`, the node before `from`
    next_node[here, here] = here
    step = np.zeros((size, size))
    step[start, end] = metres
    distance = step[here[:, None], next_node]
    at = next_node
    while (at != here).any():  # each turn doubles how far along its way every pair has come
        distance = distance + distance[at, here]
        at = at[at, here]
    return distance, next_node


def _is_tight(graph: _Graph, plan: FloorPlan) -> np.ndarray:
    """Lattice nodes on which a robot cannot turn without sweeping over something that stands: bool [V]."""
    return np.asarray((nearest_rectangle(graph.node, _fixed(plan)) < TURNING_RADIUS) & (graph.column[:, 0] >= 0))


def _on_the_way(next_node: np.ndarray, place_node: np.ndarray) -> np.ndarray:
    """Nodes that some way from place to place uses: bool [V].

    Nobody else may be sent there: a robot that gave way on a tight node brushed the wall beside it, for there it can
    only be driven straight past the wall, and to give way it turns in and out.
    """
    found = np.zeros(len(next_node), dtype=bool)
    goal = np.unique(place_node)
    at = np.repeat(goal[:, None], len(goal), axis=1)  # from every place to every other, a node at a time
    while True:
        found[at] = True
        after = next_node[at, goal[None, :]]
        if np.array_equal(after, at):
            return found
        at = after


def _direction(column: np.ndarray, to_column: np.ndarray) -> np.ndarray:
    """Each directed edge [L]: 1 with its one-way street, -1 against it, 0 if an end is an approach point."""
    step = to_column - column
    eastward = np.where(column[:, 1] % 2 == 1, 1, -1)
    northward = np.where(column[:, 0] % 2 == 1, 1, -1)
    on_lattice = (column[:, 0] >= 0) & (to_column[:, 0] >= 0)
    direction: np.ndarray = on_lattice * np.sign(step[:, 0] * eastward + step[:, 1] * northward)
    return direction


def _neighbours(graph: _Graph) -> np.ndarray:
    table = np.full((len(graph.node), MOST_NEIGHBOURS), -1, dtype=np.int32)
    used = np.zeros(len(graph.node), dtype=np.int64)
    for one, other, is_one_way in zip(*graph.edge.T, graph.is_one_way, strict=True):
        table[one, used[one]] = other
        used[one] += 1
        if not is_one_way:
            table[other, used[other]] = one
            used[other] += 1
    return table
