"""Importing map_server maps: pixel meanings, whole plans, real maps, and files that are not maps."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from parley_bringup.cli.main import main
from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan
from sim.warehouse.maps.floor import rectangles_of
from sim.warehouse.maps.map_server import import_map_server
from sim.warehouse.maps.occupancy import read_map
from sim.warehouse.maps.settings import read_import_settings
from sim.warehouse.routes import build_tables
from tests.support.real_data import TOP, real_data

SETTINGS = read_import_settings(TOP / "config" / "import.yaml")
QUICK = SETTINGS.model_copy(update={"tries": 1, "ways": (2.0, 1.6)})  # one way to share the spots out
RESOLUTION = 0.1
REAL = {  # map: least slots
    "maps/occupancy/aws_small_warehouse_005/map.yaml": 16,
    "maps/occupancy/nav2_depot/depot.yaml": 24,
    "maps/occupancy/isaac_carter_warehouse/carter_warehouse_navigation.yaml": 60,
}


def depot_pixels() -> np.ndarray:
    """A hall of 20 x 14 m with two racks, as map_server draws it: free 254, occupied 0, unknown 205; row 0 on top."""
    pixels = np.full((160, 220), 205, dtype=np.uint8)
    pixels[9:151, 9:211] = 0
    pixels[10:150, 10:210] = 254
    pixels[60:70, 60:160] = 0
    pixels[95:105, 60:160] = 0
    return pixels


def write_map(folder: Path, pixels: np.ndarray, image: str = "map.pgm", **changes: object) -> Path:
    """A map_server YAML with its image in the folder."""
    Image.fromarray(pixels).save(folder / image)
    header: dict[str, object] = {"image": image, "resolution": RESOLUTION, "origin": [-1.0, -2.0, 0.0], "negate": 0}
    header |= {"occupied_thresh": 0.65, "free_thresh": 0.196} | changes
    path = folder / "hall.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in header.items()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> FloorPlan:
    return import_map_server(write_map(tmp_path_factory.mktemp("hall"), depot_pixels()), SETTINGS)


@pytest.mark.parametrize(
    ("mode", "thresholds", "negate", "level", "seen"),
    [
        ("trinary", (0.65, 0.196), 0, 254, "free"),
        ("trinary", (0.65, 0.196), 0, 220, "free"),  # (255 - 220) / 255 = 0.137
        ("trinary", (0.65, 0.196), 0, 205, "unknown"),  # 0.19608, just above free_thresh
        ("trinary", (0.65, 0.25), 0, 205, "free"),
        ("trinary", (0.65, 0.196), 0, 89, "occupied"),  # 0.651
        ("trinary", (0.65, 0.196), 0, 90, "unknown"),  # 0.647
        ("trinary", (0.65, 0.196), 1, 254, "occupied"),
        ("trinary", (0.65, 0.196), 1, 0, "free"),
        ("scale", (1.0, 0.0), 0, 191, "free"),  # a speed mask: a quarter occupied
        ("scale", (1.0, 0.0), 0, 60, "occupied"),  # 0.76 of the way
        ("scale", (0.9, 0.5), 0, 100, "free"),  # 0.608 is 27 % of the way from 0.5 to 0.9
        ("raw", (0.65, 0.196), 0, 64, "free"),
        ("raw", (0.65, 0.196), 0, 65, "occupied"),
        ("raw", (0.65, 0.196), 0, 101, "unknown"),
    ],
)
def test_a_pixel_means_what_map_server_says(
    tmp_path: Path, mode: str, thresholds: tuple[float, float], negate: int, level: int, seen: str
) -> None:
    occupied, free = thresholds
    pixels = np.full((2, 3), level, dtype=np.uint8)
    path = write_map(tmp_path, pixels, mode=mode, negate=negate, occupied_thresh=occupied, free_thresh=free)
    grid = read_map(path, SETTINGS)
    found = "free" if grid.free.all() else "occupied" if grid.occupied.all() else "unknown"
    assert found == seen
    assert not (grid.free & grid.occupied).any()


def test_transparent_pixels_are_unknown_in_mode_scale_only(tmp_path: Path) -> None:
    pixels = np.dstack([np.full((2, 2, 3), 255, np.uint8), np.array([[255, 0], [255, 255]], np.uint8)])
    scale = read_map(write_map(tmp_path, pixels, "map.png", mode="scale"), SETTINGS)
    assert scale.free.tolist() == [[True, True], [True, False]]  # row 0 is the lowest
    assert read_map(write_map(tmp_path, pixels, "map.png", mode="trinary"), SETTINGS).free.all()


def test_all_forms_of_the_same_image_give_the_same_cells(tmp_path: Path) -> None:
    grey = depot_pixels()
    colour = np.repeat(grey[..., None], 3, axis=2)
    opaque = np.dstack([colour, np.full(grey.shape, 255, np.uint8)])
    deep = grey.astype(np.uint16) * 257
    wanted = read_map(write_map(tmp_path, grey), SETTINGS)
    for pixels in (grey, colour, opaque, deep):
        grid = read_map(write_map(tmp_path, pixels, "map.png"), SETTINGS)
        np.testing.assert_array_equal(grid.free, wanted.free)
        np.testing.assert_array_equal(grid.occupied, wanted.occupied)
    indexed = Image.fromarray(grey).convert("P")
    indexed.save(tmp_path / "map.png")
    np.testing.assert_array_equal(read_map(tmp_path / "hall.yaml", SETTINGS).free, wanted.free)


def test_the_hall_becomes_a_plan_with_every_kind_of_place(hall: FloorPlan) -> None:
    for kind in PLACE_TYPES:
        wish = SETTINGS.places[kind]
        assert len(hall.of_type(kind)) >= wish.least, kind
        assert {hall.places[index].group for index in hall.of_type(kind)} == set(range(wish.groups)), kind
    assert len(hall.of_type("slot")) >= 24
    tables = build_tables(hall)
    assert np.isfinite(tables.distance).all()


def test_the_racks_of_the_hall_are_found_where_they_stand(hall: FloorPlan) -> None:
    racks = sorted((box for box in hall.boxes if box.kind == "rack"), key=lambda box: box.y)
    # Rows 95..104 from the top of 160 rows of 0.1 m, with the origin at (-1, -2): y 3.5 .. 4.5; rows 60..69: 7 .. 8.
    assert [(box.x, box.y, box.length, box.width) for box in racks] == [(10.0, 4.0, 10.0, 1.0), (10.0, 7.5, 10.0, 1.0)]


def test_goods_come_in_at_one_end_and_leave_at_the_other(hall: FloorPlan) -> None:
    x = {kind: np.mean([hall.places[i].x for i in hall.of_type(kind)]) for kind in ("inbound", "outbound")}
    assert x["inbound"] < 5.0
    assert x["outbound"] > 15.0
    assert any("goods come in at the low end" in words for words in hall.assumptions)


def test_a_map_turned_by_a_right_angle_gives_the_same_plan_turned(tmp_path: Path, hall: FloorPlan) -> None:
    turned = import_map_server(write_map(tmp_path, depot_pixels(), origin=[-1.0, -2.0, np.pi / 2]), SETTINGS)

    def corner_frame(plan: FloorPlan, yaw: float) -> np.ndarray:
        """Places seen from the image's corner: along its rows, along its columns, heading."""
        spots = np.array([(place.x + 1.0, place.y + 2.0, place.yaw - yaw) for place in plan.places])
        cosine, sine = np.cos(yaw), np.sin(yaw)
        seen = np.stack([spots[:, 0] * cosine + spots[:, 1] * sine, spots[:, 1] * cosine - spots[:, 0] * sine], axis=1)
        return np.column_stack([seen, np.cos(spots[:, 2]), np.sin(spots[:, 2])])

    kinds = [place.type for place in hall.places]
    # The lattice may reach other slots once turned, but docks and stations stay.
    fixed = [index for index, kind in enumerate(kinds) if kind not in ("slot", "parking")]
    assert [place.type for place in turned.places][: len(fixed)] == kinds[: len(fixed)]
    np.testing.assert_allclose(corner_frame(turned, np.pi / 2)[fixed], corner_frame(hall, 0.0)[fixed], atol=2e-3)


def test_gaps_no_robot_passes_are_closed_and_wider_ones_stay_open(tmp_path: Path) -> None:
    pixels = depot_pixels()
    pixels[10:150, 110:112] = 0
    narrow, wide = pixels.copy(), pixels.copy()
    narrow[76:84, 110:112] = 254  # 0.8 m
    wide[72:90, 110:112] = 254  # 1.8 m
    halves = import_map_server(write_map(tmp_path, narrow), QUICK)
    whole = import_map_server(write_map(tmp_path, wide), QUICK)
    assert max(place.x for place in halves.places) - min(place.x for place in halves.places) < 11.0
    assert max(place.x for place in whole.places) - min(place.x for place in whole.places) > 16.0


@given(some.integers(1, 9), some.integers(1, 9), some.data())
@settings(max_examples=60, deadline=None)
def test_rectangles_cover_exactly_the_cells(rows: int, columns: int, data: some.DataObject) -> None:
    flat = data.draw(some.lists(some.booleans(), min_size=rows * columns, max_size=rows * columns))
    cells = np.array(flat).reshape(rows, columns)
    covered = np.zeros(cells.shape, dtype=int)
    for column, row, width, height in rectangles_of(cells):
        covered[row : row + height, column : column + width] += 1
    np.testing.assert_array_equal(covered, cells.astype(int))


@pytest.mark.parametrize("path", REAL)
def test_a_real_map_becomes_a_plan_a_fleet_can_work_in(path: str) -> None:
    plan = import_map_server(real_data(path), SETTINGS)
    tables = build_tables(plan)
    assert len(plan.of_type("slot")) >= REAL[path]
    assert len(plan.of_type("parking")) >= 4
    assert {plan.places[index].group for index in plan.of_type("outbound")} == {0, 1}
    assert len(plan.boxes) <= SETTINGS.most_boxes
    assert np.isfinite(tables.distance).all()
    # every place lies on a free cell of the map, with room for its pallet
    grid = read_map(real_data(path), SETTINGS)
    for place in plan.places:
        column = (place.x - grid.origin[0]) / grid.resolution + np.arange(-7, 8)
        row = (place.y - grid.origin[1]) / grid.resolution + np.arange(-7, 8)
        assert grid.free[np.ix_(row.astype(int), column.astype(int))].all(), place.name


def broken(tmp_path: Path, what: str) -> Path:
    path = write_map(tmp_path, depot_pixels())
    text = path.read_text()
    if what == "no image":
        (tmp_path / "map.pgm").unlink()
    elif what == "no image key":
        text = text.replace("image:", "picture:")
    elif what == "zero resolution":
        text = text.replace("resolution: 0.1", "resolution: 0")
    elif what == "negative resolution":
        text = text.replace("resolution: 0.1", "resolution: -0.05")
    elif what == "crossed thresholds":
        text = text.replace("0.65", "0.1")
    elif what == "unknown only":
        Image.fromarray(np.full((50, 50), 205, np.uint8)).save(tmp_path / "map.pgm")
    elif what == "occupied only":
        Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "map.pgm")
    elif what == "too small":
        text = text.replace("resolution: 0.1", "resolution: 0.02")
    elif what == "too large a floor":
        text = text.replace("resolution: 0.1", "resolution: 1.0")
    elif what == "too many pixels":
        Image.new("1", (8000, 8000)).save(tmp_path / "map.png")
        text = text.replace("map.pgm", "map.png")
    elif what == "not an image":
        (tmp_path / "map.pgm").write_bytes(b"P5\n10 10\n255\nshort")
    elif what == "far origin":
        text = text.replace("-1.0, -2.0, 0.0", "1.0e+300, 0.0, .nan")
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no image", "names the image map.pgm, which is not"),
        ("no image key", "image: missing"),
        ("zero resolution", "resolution: Input should be greater than 0"),
        ("negative resolution", "resolution: Input should be greater than 0"),
        ("crossed thresholds", "free_thresh 0.196 is above occupied_thresh 0.1"),
        ("unknown only", "no known cell at all"),
        ("occupied only", "no free cell"),
        ("too small", "no room for a fleet"),
        ("too large a floor", "wanted at most 5000 m2"),
        ("too many pixels", "limit of 40 megapixels"),
        ("not an image", "not a readable PGM or PNG image"),
        ("far origin", "wanted .x, y, yaw."),
    ],
)
def test_a_bad_map_is_refused_in_words(tmp_path: Path, what: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        import_map_server(broken(tmp_path, what), SETTINGS)


@given(cut=some.integers(0, 400), at=some.integers(0, 399), value=some.integers(0, 255), text=some.text(max_size=30))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_corrupt_files_raise_nothing_but_config_errors(
    tmp_path: Path, cut: int, at: int, value: int, text: str
) -> None:
    path = write_map(tmp_path, depot_pixels()[:20, :20], "map.png")
    content = bytearray((tmp_path / "map.png").read_bytes())
    content[min(at, len(content) - 1)] = value
    (tmp_path / "map.png").write_bytes(bytes(content[:cut] if cut < 200 else content))
    if at % 3 == 0:
        lines = path.read_text().splitlines()
        lines[at % len(lines)] = lines[at % len(lines)].split(":")[0] + ": " + text
        path.write_text("\n".join(lines), encoding="utf-8")
    with contextlib.suppress(ConfigError):
        import_map_server(path, QUICK)


@given(
    seed=some.integers(0, 2**32 - 1), resolution=some.sampled_from([0.03, 0.1, 0.2]), yaw=some.sampled_from([0, 0.4])
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_random_floor_becomes_a_sound_plan_or_is_refused(
    tmp_path: Path, seed: int, resolution: float, yaw: float
) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.full((120, 140), 254, dtype=np.uint8)
    for _ in range(8):
        row, column, rows, columns = (*rng.integers(0, 140, 2), *rng.integers(1, 40, 2))
        pixels[row : row + rows, column : column + columns] = rng.choice([0, 205, 254])
    path = write_map(tmp_path, pixels, resolution=resolution, origin=[3.0, 4.0, yaw])
    with contextlib.suppress(ConfigError):
        plan = import_map_server(path, QUICK)
        build_tables(plan)


def test_the_command_writes_plan_picture_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_map(tmp_path, depot_pixels())
    out, drawn, result = (tmp_path / "new" / name for name in ("plan.yaml", "plan.png", "result.json"))
    words = ["import-map", str(path), "--out", str(out), "--picture", str(drawn), "--json", str(result)]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert {file.name for file in out.parent.iterdir()} == {"plan.yaml", "plan.png", "result.json"}
    assert "assumed:" in capsys.readouterr().out


def test_the_command_leaves_nothing_behind_when_it_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(tmp_path, "unknown only")
    with pytest.raises(SystemExit) as ended:
        main(["import-map", str(path), "--out", str(tmp_path / "new" / "plan.yaml")])
    assert ended.value.code == 2
    assert not (tmp_path / "new").exists()
    assert "no known cell" in capsys.readouterr().err
