"""Importing every format: what a small file of each becomes, what the real ones do, and what is refused in words."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parley_bringup.cli.main import main
from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan, GraphEdge, GraphNode, Place, RouteGraph, read_floorplan
from sim.warehouse.maps.formats import FORMATS, import_map, recognise
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import read_import_settings
from sim.warehouse.routes import MOST_NODES, build_tables, one_way_edges
from tests.support import map_samples as samples
from tests.support.real_data import TOP, real_data

ALL = read_import_settings(TOP / "config" / "import.yaml")
SETTINGS = ALL.model_copy(update={"tries": 1, "ways": (2.0,)})  # one way to share the spots out
REAL = {  # file: format, whether a fleet can work in it
    "movingai/warehouse-10-20-10-2-1.map": ("movingai", True),
    "movingai/warehouse-20-40-10-2-1.map": ("movingai", False),
    "lorr/warehouse_small/warehouse_small_10.json": ("lorr", True),
    "lorr/warehouse_small/warehouse_small_50.json": ("lorr", True),
    "lorr/warehouse_small/warehouse_small_100.json": ("lorr", True),
    "lorr/warehouse_small/warehouse_small_200.json": ("lorr", True),
    "lorr/warehouse_small/maps/warehouse_small.map": ("lorr_map", True),
    "lorr/sortation_large/sortation_large_2000.json": ("lorr", False),
    "rware/rware-tiny.txt": ("rware", True),
    "rware/rware-small.txt": ("rware", True),
    "rware/rware-readme-round.txt": ("rware", True),
    "graph/opentcs-Demo-01.xml": ("opentcs", True),
    "graph/vdma-lif-example.lif.json": ("lif", False),
    "occupancy/nav2_depot/depot.yaml": ("map_server", True),
    "occupancy/nav2_depot/depot_graph.geojson": ("geojson", False),
    "occupancy/aws_small_warehouse_005/map.yaml": ("map_server", True),
    "occupancy/isaac_carter_warehouse/carter_warehouse_navigation.yaml": ("map_server", True),
}


def imported(path: Path, choices: Choices | None = None) -> MapImport:
    return import_map(path, SETTINGS, choices or Choices())


@pytest.mark.parametrize("form", FORMATS)
def test_a_small_file_of_every_format_is_recognised_and_becomes_a_plan(tmp_path: Path, form: str) -> None:
    path = samples.write(tmp_path, form)
    assert recognise(path, SETTINGS) == form
    found = imported(path)
    assert found.form == form
    assert found.plan.assumptions
    if form == "geojson":  # names no stations
        assert "0 slot" in found.hindrance
        return
    assert found.hindrance == ""
    tables = build_tables(found.plan)
    ends = tables.place_node
    assert np.isfinite(tables.distance[np.ix_(ends, ends)]).all()
    assert all(found.plan.of_type(kind) for kind in PLACE_TYPES)
    found.plan.write(tmp_path / "plan.yaml")
    assert read_floorplan(tmp_path / "plan.yaml") == found.plan


@pytest.mark.parametrize("name", REAL)
def test_every_public_map_imports(name: str) -> None:
    form, is_fit = REAL[name]
    found = import_map(real_data(f"maps/{name}"), ALL if form == "map_server" else SETTINGS, Choices())
    assert found.form == form
    assert (found.hindrance == "") == is_fit, found.hindrance
    assert any("no fleet can work" in words for words in found.plan.assumptions) != is_fit


def test_rware_shelves_are_slots_and_goals_outbound_docks(tmp_path: Path) -> None:
    plan = imported(samples.write(tmp_path, "rware")).plan
    side = SETTINGS.cells.side
    assert len(plan.of_type("slot")) == samples.rware().count("x")
    docks = [plan.places[index] for index in plan.of_type("outbound")]
    stands = sorted((round(x / side, 3), round(y / side, 3)) for x, y, _ in (dock.before(side) for dock in docks))
    assert stands == [(4.5, 0.5), (5.5, 0.5)]  # the middles of the two goal cells, in cells
    assert min(plan.places[index].y for index in plan.of_type("inbound")) > 6 * side  # at the other end


def test_free_cells_of_a_grid_are_the_route_nodes(tmp_path: Path) -> None:
    found = imported(samples.write(tmp_path, "movingai"), Choices(cell=1.4))
    tables = build_tables(found.plan)
    assert found.plan.lattice == 1.4
    assert len(tables.node_x) == samples.HALL.count(".") == found.counts["free_cells"]
    column = tables.node_x / 1.4 - 0.5
    row = tables.node_y / 1.4 - 0.5
    from_top = np.array([list(line) for line in samples.HALL.splitlines()])[::-1]
    assert (from_top[row.round().astype(int), column.round().astype(int)] == ".").all()


def test_a_window_takes_that_part_from_the_top_left(tmp_path: Path) -> None:
    whole = imported(samples.write(tmp_path, "movingai"))
    part = imported(tmp_path / "hall.map", Choices(window=(2, 1, 5, 4)))
    assert part.free is not None
    lines = [line[2:7] for line in samples.HALL.splitlines()[1:5]][::-1]
    assert ["".join("." if cell else "@" for cell in row) for row in part.free[1:-1, 1:-1]] == lines
    assert whole.plan.size != part.plan.size
    with pytest.raises(ConfigError, match=r"window 12,0,5,4 does not lie inside the map of 16 columns and 12 rows"):
        imported(tmp_path / "hall.map", Choices(window=(12, 0, 5, 4)))


def test_a_grid_with_too_many_cells_for_tables_still_imports_and_says_so(tmp_path: Path) -> None:
    lines = ["." * 90] * 90
    racked = [line[:10] + "@" * 20 + line[30:] if 40 <= number < 50 else line for number, line in enumerate(lines)]
    rows = "\n".join(racked) + "\n"
    (tmp_path / "wide.map").write_text(samples.movingai(rows))
    found = imported(tmp_path / "wide.map")
    assert f"up to {MOST_NODES} nodes" in found.hindrance
    assert found.counts["free_cells"] == 8100 - 200
    with pytest.raises(ConfigError, match=f"at most {MOST_NODES} nodes"):
        build_tables(found.plan)


def test_drawn_one_way_routes_are_used_one_way_only(tmp_path: Path) -> None:
    one_way = imported(samples.write(tmp_path, "opentcs")).plan
    (tmp_path / "both.xml").write_text(samples.opentcs(reverse=500))
    both = imported(tmp_path / "both.xml").plan
    round_trip = 2 * (18 + 10)
    for plan, back in ((one_way, round_trip - 6), (both, 6)):
        tables = build_tables(plan)
        nodes = [int(np.hypot(tables.node_x - x, tables.node_y - y).argmin()) for x, y in samples.RING]
        assert tables.distance[nodes[0], nodes[1]] == pytest.approx(6, abs=1e-3)
        assert tables.distance[nodes[1], nodes[0]] == pytest.approx(back, abs=1e-3)
    assert len(one_way_edges(one_way, build_tables(one_way))[0]) > 0
    assert len(one_way_edges(both, build_tables(both))[0]) == 0


def test_a_way_that_must_be_slow_is_avoided_where_another_is_faster() -> None:
    """Two ways from a to b: 10 m straight, 12 m round. At full speed the short one wins, at a quarter of it not."""

    def plan(speed: float | None) -> FloorPlan:
        nodes = tuple(GraphNode(name=n, x=x, y=y) for n, x, y in (("a", 0, 0), ("b", 10, 0), ("c", 5, 3.3166)))
        pairs = [
            ("a", "b", speed),
            ("b", "a", None),
            ("a", "c", None),
            ("c", "a", None),
            ("c", "b", None),
            ("b", "c", None),
        ]
        edges = tuple(GraphEdge(start=one, end=other, speed=limit) for one, other, limit in pairs)
        ends = (
            Place(name="one", type="slot", x=-1.5, y=0, yaw=np.pi),
            Place(name="two", type="slot", x=11.5, y=0, yaw=0),
        )
        graph = RouteGraph(nodes=nodes, edges=edges)
        return FloorPlan(name="two ways", origin=(-5, -5), size=(20, 15), boxes=(), places=ends, graph=graph)

    for speed, metres in ((None, 10.0), (1.3, 10.0), (0.35, 12.0)):
        tables = build_tables(plan(speed))
        start, goal = tables.place_node
        assert tables.distance[start, goal] == pytest.approx(metres, abs=1e-2), speed


def test_stations_that_cannot_reach_each_other_are_named(tmp_path: Path) -> None:
    text = samples.opentcs(
        extra='<point name="X" positionX="30000" positionY="0" type="HALT_POSITION"/>'
        '<location name="storage far" positionX="33000" positionY="0" type="t"><link point="X"/></location>'
    )
    (tmp_path / "apart.xml").write_text(text)
    found = imported(tmp_path / "apart.xml")
    assert "no route joins slot_3" in found.hindrance
    assert any("slot_3 = storage far" in words for words in found.plan.assumptions)


def test_a_goal_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    (tmp_path / "shut.txt").write_text("......\n.xxx..\n.xgx..\n.xxx..\n......\n")
    with pytest.raises(ConfigError, match=r"cannot be reached from the largest free area: \(column 3, row 3\)"):
        imported(tmp_path / "shut.txt")


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and then ends."""
    told = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(told)) + b"IHDR" + told + struct.pack(">I", zlib.crc32(b"IHDR" + told))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def huge_image(folder: Path, width: int, height: int) -> Path:
    path = samples.map_server(folder, np.full((4, 4), 254, np.uint8))
    (folder / "hall.pgm").write_bytes(png_header(width, height))
    return path


def text_file(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return write


def header(**changes: object) -> Callable[[Path], Path]:
    return lambda folder: samples.map_server(folder, samples.hall_pixels(), **changes)


LAUGHS = '<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><model>&b;</model>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE m SYSTEM "file:///etc/hostname"><model/>'
ALIASES = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nimage: [*b, *b]\nresolution: 0.1\norigin: [0, 0, 0]\n"
NO_MAP = '{"mapFile": "no.map", "agentFile": "a", "taskFile": "t", "teamSize": 1}'
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "NaN resolution": (header(resolution=".nan"), "resolution"),
    "infinite resolution": (header(resolution=".inf"), "resolution"),
    "a word as resolution": (header(resolution="fine"), "resolution"),
    "100 megapixels": (lambda folder: huge_image(folder, 10_000, 10_000), "limit of 40 megapixels"),
    "gigapixels": (lambda folder: huge_image(folder, 60_000, 60_000), "40 megapixels"),
    "YAML aliases": (text_file("a.yaml", ALIASES), "line 2: holds YAML aliases"),
    "deep YAML": (text_file("a.yaml", "image: " + "[" * 5000), "deep nesting"),
    "no file": (lambda folder: folder / "nothing.map", "no such file"),
    "a folder": (lambda folder: folder, "is a folder"),
    "empty": (text_file("a.txt", ""), "is no map we know .it is empty"),
    "prose": (text_file("a.txt", "Dear map, hello"), "is no map we know .it begins with b'Dear map"),
    "JSON of another kind": (text_file("a.json", '{"robots": 3}'), "JSON has the keys robots"),
    "JSON list": (text_file("a.json", "[1, 2]"), "a JSON without keys"),
    "cut JSON": (text_file("a.json", samples.lif()[:200]), "is not valid JSON"),
    "deep JSON": (text_file("a.json", "[" * 200_000), "nested deeper"),
    "JSON NaN": (text_file("a.json", samples.lif().replace('"x": 6', '"x": NaN')), "holds NaN"),
    "LIF with a word as x": (text_file("a.json", samples.lif().replace('"x": 6', '"x": "six"')), "nodePosition.x"),
    "LIF of numbers": (text_file("a.json", '{"layouts": 3}'), "layouts"),
    "LIF edge": (text_file("a.json", samples.lif().replace('"endNodeId": "n3"', '"endNodeId": "q"')), "n2 to q"),
    "LIF station nowhere": (text_file("a.json", samples.lif().replace('["n2"]', '["q"]')), "nodes that are not there"),
    "LIF node twice": (text_file("a.json", samples.lif().replace('"nodeId": "n1"', '"nodeId": "n0"')), "unique"),
    "GeoJSON beyond any float": (text_file("a.json", samples.geojson().replace("[6, ", f"[{10**400}, ")), "feature"),
    "billion laughs": (text_file("a.xml", LAUGHS), "declares a document type"),
    "outside entity": (text_file("a.xml", OUTSIDE), "declares a document type"),
    "deep XML": (text_file("a.xml", "<model>" * 200), "more than 100 deep"),
    "cut XML": (text_file("a.xml", samples.opentcs()[:500]), "is not valid XML"),
    "other XML": (text_file("a.xml", "<sdf version='1.6'/>"), "root element is <sdf>"),
    "openTCS NaN": (text_file("a.xml", samples.opentcs().replace('"6000"', '"NaN"')), "positionX is 'NaN'"),
    "openTCS no name": (text_file("a.xml", samples.opentcs().replace('name="P3" ', "")), "has no name"),
    "openTCS way": (text_file("a.xml", samples.opentcs().replace('Point="P2"', 'Point="Q"')), "edges must join nodes"),
    "map of unlike rows": (text_file("a.map", samples.movingai("....\n...\n")), "row 2 has 3 cells, row 1 has 4"),
    "map cut short": (text_file("a.map", samples.movingai()[:120]), "cut short"),
    "map of fewer rows": (text_file("a.map", samples.movingai().replace("height 12", "height 13")), "says 13 rows"),
    "strange letter": (text_file("a.map", samples.movingai("..\n.#\n")), "row 2 holds '#' at column 2"),
    "all solid": (text_file("a.map", samples.movingai("@@\n@@\n")), "no free cell"),
    "no header": (text_file("a.map", "....\n....\n"), "does not begin like a MovingAI map"),
    "RWARE letter": (text_file("a.txt", "..xx\n..x\n"), "row 2 has 3 cells"),
    "LoRR without a map": (text_file("a.json", NO_MAP),
                           r"no.map: no such file"),
    "LoRR team": (lambda folder: samples.lorr(folder, team=3), "teamSize 3, but hall.agents has 2"),
    "LoRR start twice": (lambda folder: samples.lorr(folder, starts="2\n0\n0\n"), "two robots start in one cell"),
    "LoRR rack": (lambda folder: samples.lorr(folder, starts="2\n0\n35\n"), "line 3: cell 35 is an obstacle"),
    "LoRR word": (lambda folder: samples.lorr(folder, tasks="1\nhere\n"), "line 2: 'here'"),
    "LoRR cut": (lambda folder: samples.lorr(folder, tasks="3\n66,16\n"), "announces 3 lines, has 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_in_words_and_nothing_is_written(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[what]
    path = make(tmp_path)
    with pytest.raises(ConfigError, match=words):
        imported(path)
    before = set(tmp_path.rglob("*"))
    made = ["--out", str(tmp_path / "new" / "p.yaml"), "--picture", str(tmp_path / "new" / "p.png")]
    with pytest.raises(SystemExit) as ended:
        main(["import-map", str(path), *made])
    assert ended.value.code == 2
    assert set(tmp_path.rglob("*")) == before
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "movingai")
    small = SETTINGS.model_copy(update={"largest_file": path.stat().st_size - 1})
    with pytest.raises(ConfigError, match="raise largest_file"):
        import_map(path, small, Choices())
    import_map(path, SETTINGS.model_copy(update={"largest_file": path.stat().st_size}), Choices())


@pytest.mark.parametrize("form", ["movingai", "opentcs", "rware", "geojson"])
def test_the_command_draws_and_writes_every_kind(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = samples.write(tmp_path, form)
    out, drawn, told = (tmp_path / "new" / name for name in ("plan.yaml", "plan.png", "told.json"))
    with pytest.raises(SystemExit) as ended:
        main(["import-map", str(path), "--out", str(out), "--picture", str(drawn), "--json", str(told)])
    assert ended.value.code == 0
    assert {file.name for file in out.parent.iterdir()} == {"plan.yaml", "plan.png", "told.json"}
    assert json.loads(told.read_text())["is_fit_for_a_fleet"] == (form != "geojson")
    assert ("a fleet can work in this plan" in capsys.readouterr().out) == (form != "geojson")


def test_the_command_checks_scenarios_and_fails_where_they_disagree(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "movingai")
    for length, code in (("3.0", 0), ("4.0", 1)):
        (tmp_path / "hall.scen").write_text(f"version 1\n0\thall.map\t16\t12\t0\t0\t3\t0\t{length}\n")
        with pytest.raises(SystemExit) as ended:
            main(["import-map", str(path), "--scenarios", str(tmp_path / "hall.scen")])
        assert ended.value.code == code


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = imported(samples.write(tmp_path, "rware")).plan
    before = set(tmp_path.iterdir())

    def full_disk(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        plan.write(tmp_path / "plan.yaml")
    assert set(tmp_path.iterdir()) == before
