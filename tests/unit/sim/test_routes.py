"""The route graph and its tables, on floors small enough to check by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.warehouse import routes
from sim.warehouse.floorplan import Box, FloorPlan, Place, read_floorplan
from sim.warehouse.routes import Tables, build_tables, free_nodes, unreached_places
from sim.warehouse.skill import nearest_node

CONFIG = Path(__file__).parents[3] / "config"
STEP = 2.0  # m between nodes of the hand-made floors


def hall(columns: int, rows: int, *boxes: Box, places: tuple[Place, ...] = ()) -> FloorPlan:
    """An empty hall of lattice cells, node (c, r) at its cell's middle."""
    size = (columns * STEP, rows * STEP)
    return FloorPlan(name="hall", size=size, lattice=STEP, boxes=boxes, places=places)


def place(name: str, x: float, y: float, yaw: float = 0.0) -> Place:
    return Place(name=name, type="slot", x=x, y=y, yaw=yaw)


def node_at(tables: Tables, x: float, y: float) -> int:
    away = np.hypot(tables.node_x - x, tables.node_y - y)
    assert away.min() < 0.01, f"no node at ({x}, {y})"
    return int(away.argmin())


@pytest.fixture(scope="module")
def tables() -> Tables:
    # A 6 x 6 hall; the two places stand off the nodes and are approached from nodes: (1, 5) and (9, 5).
    two = (place("west", 2.5, 5.0), place("east", 10.5, 5.0))
    return build_tables(hall(6, 6, places=two))


def way(tables: Tables, start: int, goal: int) -> list[int]:
    nodes = [start]
    while nodes[-1] != goal:
        nodes.append(int(tables.next_node[nodes[-1], goal]))
        assert len(nodes) <= len(tables.node_x), "the way never ends"
    return nodes


def test_the_nearest_node_is_found_among_a_patchs_few_as_among_all(tables: Tables) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [
            rng.uniform(0.0, 12.0, (2000, 2)),
            rng.uniform(-9.0, 20.0, (400, 2)),
            np.stack([tables.node_x, tables.node_y], 1),
        ]
    ).astype(float)
    corners = np.array([(x, y) for x in (0.0, 2.0, 4.0, 12.0) for y in (0.0, 6.0, 12.0)])  # as near to several nodes
    for point in [*points, *corners]:
        away = (tables.node_x - point[0]) ** 2 + (tables.node_y - point[1]) ** 2
        assert nearest_node(point, tables) == away.argmin()
    assert nearest_node(np.array([np.nan, 1.0]), tables) == 0
    listed = np.diff(tables.near_start)
    assert listed.min() >= 1 and listed.mean() < 0.3 * len(tables.node_x)


def test_places_are_listed_type_by_type_in_their_order(tables: Tables) -> None:
    for kind, (start, end) in enumerate(pairwise(tables.type_start)):
        assert tables.typed_place[start:end].tolist() == np.flatnonzero(tables.place_type == kind).tolist()


def test_an_approach_point_on_a_lattice_node_is_that_node(tables: Tables) -> None:
    assert tables.place_node.tolist() == [node_at(tables, 1.0, 5.0), node_at(tables, 9.0, 5.0)]


def test_nodes_keep_clear_of_places(tables: Tables) -> None:
    # West's pallet spans 2.1 .. 2.9 m; the node at (3, 5) is 0.1 m from it, a robot needs 0.55 m.
    with pytest.raises(AssertionError, match="no node"):
        node_at(tables, 3.0, 5.0)


def test_with_the_one_way_street_the_way_is_straight_and_against_it_goes_round(tables: Tables) -> None:
    # Row 0 (y = 1) runs west, row 1 (y = 3) runs east; columns 2 (x = 5) south and 3 (x = 7) north.
    east_end, west_end = node_at(tables, 9.0, 1.0), node_at(tables, 3.0, 1.0)
    assert tables.distance[east_end, west_end] == pytest.approx(6.0)
    # Back along row 0 would weigh 3 x 6 = 18. Up column 1 (north), row 1 east, down column 4 (south): 2 + 6 + 2.
    assert tables.distance[west_end, east_end] == pytest.approx(10.0)
    assert {float(tables.node_y[node]) for node in way(tables, west_end, east_end)} == {1.0, 3.0}


def test_distance_is_in_true_metres_where_the_way_goes_against_the_street() -> None:
    # One row only: there is no way round, so east runs against the street, and still counts its true length.
    single = build_tables(hall(4, 1, places=(place("end", 7.5, 1.0), place("start", 0.5, 1.0, np.pi))))
    assert single.distance[node_at(single, 3.0, 1.0), node_at(single, 5.0, 1.0)] == pytest.approx(2.0)


def test_every_way_ends_and_its_steps_add_up_to_the_distance(tables: Tables) -> None:
    count = len(tables.node_x)
    for start in range(count):
        for goal in range(0, count, 5):
            nodes = way(tables, start, goal)
            steps = np.hypot(np.diff(tables.node_x[nodes]), np.diff(tables.node_y[nodes]))
            assert tables.distance[start, goal] == pytest.approx(float(steps.sum()), abs=1e-3)
            assert all(b in tables.neighbours[a] for a, b in pairwise(nodes))


def test_neighbours_are_mutual(tables: Tables) -> None:
    for node, others in enumerate(tables.neighbours):
        assert all(node in tables.neighbours[other] for other in others if other >= 0)


def test_clearance_is_the_distance_to_the_nearest_box_or_floor_edge() -> None:
    box = Box(kind="rack", x=6.0, y=6.0, length=2.0, width=1.0, yaw=np.pi / 2)  # 5.5 .. 6.5 by 5 .. 7
    grid = build_tables(hall(6, 6, box, places=(place("a", 2.5, 3.0), place("b", 2.5, 9.0)))).clearance

    def at(x: float, y: float) -> float:
        return float(grid[int(y / 0.1), int(x / 0.1)])

    assert grid.shape == (120, 120)
    assert at(6.0, 6.0) == 0.0
    assert at(8.55, 6.05) == pytest.approx(2.05, abs=1e-3)
    assert at(6.05, 8.55) == pytest.approx(1.55, abs=1e-3)
    assert at(7.55, 8.05) == pytest.approx(np.hypot(1.05, 1.05), abs=1e-3)
    assert at(0.05, 6.05) == pytest.approx(0.05, abs=1e-3)


def test_a_wall_across_the_hall_names_the_places_behind_it() -> None:
    wall = Box(kind="wall", x=6.0, y=6.0, length=12.0, width=0.2, yaw=np.pi / 2)
    places = (place("a", 2.5, 3.0), place("b", 2.5, 9.0), place("lonely", 10.5, 5.0))
    with pytest.raises(ConfigError, match="no route joins lonely with the other 2 places"):
        build_tables(hall(6, 6, wall, places=places))
    door = wall.model_copy(update={"y": 4.0, "length": 8.0})  # leaves the row y = 9 and above free
    assert unreached_places(hall(6, 6, door, places=places)) == []


def test_a_blocked_approach_and_a_blocked_drive_in_are_named() -> None:
    crate = Box(kind="obstacle", x=1.0, y=5.0, length=0.4, width=0.4)
    post = Box(kind="obstacle", x=9.75, y=5.3, length=0.1, width=0.1)
    places = (place("west", 2.5, 5.0), place("east", 10.5, 5.0))
    with pytest.raises(ConfigError, match=r"west: its approach point \(1.00, 5.00\) is not free"):
        build_tables(hall(6, 6, crate, places=places))
    with pytest.raises(ConfigError, match=r"east: the 0\.8 m wide way"):
        build_tables(hall(6, 6, post, places=places))


def test_places_closer_than_a_metre_are_named() -> None:
    with pytest.raises(ConfigError, match=r"closer than 1\.0 m: one and two"):
        build_tables(hall(6, 6, places=(place("one", 2.5, 5.0), place("two", 2.5, 5.9))))


def test_a_free_node_lies_a_robot_radius_from_everything() -> None:
    plain = len(free_nodes(hall(6, 6)))
    near = Box(kind="obstacle", x=5.0, y=4.3, length=0.2, width=0.2)  # 0.6 m from the node at (5, 5)
    nearer = near.model_copy(update={"y": 4.4})  # 0.5 m
    assert plain == 36
    assert len(free_nodes(hall(6, 6, near))) == 36
    assert len(free_nodes(hall(6, 6, nearer))) == 35


def test_nodes_beside_a_wall_that_no_way_uses_are_known() -> None:
    tables = build_tables(read_floorplan(CONFIG / "floorplans" / "small_dc.yaml"))
    cells = (tables.node_y / tables.cell).astype(int), (tables.node_x / tables.cell).astype(int)
    beside = ~tables.is_roomy
    assert beside.sum() > 10
    assert (tables.clearance[cells][beside] < routes.TURNING_RADIUS + tables.cell).all()
    at, goal = np.meshgrid(tables.place_node, tables.place_node)
    for _ in range(len(tables.node_x)):
        assert tables.is_roomy[at].all()  # all that ways between places use
        at = tables.next_node[at, goal]
    assert (at == goal).all()
