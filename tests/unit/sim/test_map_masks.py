"""Keep-out and speed masks over a map_server map: what they forbid, what no laser sees, and what routes cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.warehouse.maps.formats import import_map
from sim.warehouse.maps.imported import Choices
from sim.warehouse.maps.settings import read_import_settings
from sim.warehouse.rectangles import area_rectangles, nearest_rectangle
from sim.warehouse.routes import ROBOT_RADIUS, build_tables
from tests.support.map_samples import hall_pixels, map_server
from tests.support.real_data import TOP, real_data

SETTINGS = read_import_settings(TOP / "config" / "import.yaml").model_copy(update={"tries": 1, "ways": (2.0,)})


def mask(folder: Path, name: str, level: int, **changes: object) -> Path:
    """A mask of the whole map at half its resolution, with a block of 3 x 2 m around (10.5, 12.4)."""
    pixels = np.full((80, 110), 254, dtype=np.uint8)
    pixels[13:23, 45:60] = level  # from the top: y 16 - 4.6 .. 16 - 2.6; x 9 .. 12
    return map_server(folder, pixels, name, resolution=0.2, **changes)


def test_no_way_and_no_place_touches_a_keep_out_area_but_the_laser_passes(tmp_path: Path) -> None:
    path, keepout = map_server(tmp_path, hall_pixels()), mask(tmp_path, "keepout", 0)
    free = import_map(path, SETTINGS, Choices()).plan
    plan = import_map(path, SETTINGS, Choices(keepout=keepout)).plan
    block = area_rectangles(plan.keepout)
    inside = nearest_rectangle(np.array([[10.5, 12.4], [9.1, 11.5], [11.9, 13.3]]), block)
    assert (inside == 0).all()
    assert nearest_rectangle(np.array([[10.5, 10.9], [8.5, 12.4]]), block).min() > 0.3
    tables = build_tables(plan)
    node = np.stack([tables.node_x, tables.node_y], axis=1)
    assert nearest_rectangle(node, block).min() >= ROBOT_RADIUS - 2e-3
    at = np.array([(place.x, place.y) for place in plan.places])
    assert nearest_rectangle(at, block).min() >= 0.4
    row, column = (
        int((value - low) / tables.cell) for value, low in zip((10.5, 12.4)[::-1], plan.origin[::-1], strict=True)
    )
    assert tables.clearance[row, column] > 0.5  # what the laser sees: nothing stands there
    assert tables.room[row, column] == 0.0  # what a robot may turn in: not this
    # negative control: without the mask a node lies there
    tables = build_tables(free)
    assert nearest_rectangle(np.stack([tables.node_x, tables.node_y], axis=1), block).min() == 0.0


@pytest.mark.parametrize(
    ("level", "speed"),
    [
        (127, 0.7),  # half grey: value 50, 100 - 50 = 50 % of 1.4 m/s
        (191, 1.05),  # a quarter: 75 %
        (0, None),  # value 100 gives 0 %, which is no limit in Nav2
        (254, None),
    ],
)
def test_a_grey_of_a_speed_mask_is_the_speed_nav2_reads(tmp_path: Path, level: int, speed: float | None) -> None:
    path = map_server(tmp_path, hall_pixels())
    grey = mask(tmp_path, "speed", level, mode="scale", occupied_thresh=1.0, free_thresh=0.0)
    plan = import_map(path, SETTINGS, Choices(speed=grey, full_speed=1.4)).plan
    assert {area.speed for area in plan.slow} == ({speed} if speed else set())
    if speed:
        covered = nearest_rectangle(np.array([[10.5, 12.4]]), area_rectangles(plan.slow))
        assert covered[0] == 0.0
        assert any("limit the speed" in words for words in plan.assumptions)


def test_an_absolute_speed_mask_is_in_metres_per_second(tmp_path: Path) -> None:
    path = map_server(tmp_path, hall_pixels())
    grey = mask(tmp_path, "speed", 204, mode="scale", occupied_thresh=1.0, free_thresh=0.0)  # value 20
    rule = SETTINGS.speed_mask.model_copy(update={"kind": "absolute", "base": 0.2, "multiplier": 0.01})
    plan = import_map(path, SETTINGS.model_copy(update={"speed_mask": rule}), Choices(speed=grey)).plan
    assert {area.speed for area in plan.slow} == {0.4}


def test_a_mask_elsewhere_and_a_mask_of_another_format_are_refused(tmp_path: Path) -> None:
    path = map_server(tmp_path, hall_pixels())
    far = mask(tmp_path, "far", 0, origin=[500, 0, 0])
    with pytest.raises(ConfigError, match="does not lie over the map"):
        import_map(path, SETTINGS, Choices(keepout=far))
    with pytest.raises(ConfigError, match="does not lie over the floor"):
        import_map(path, SETTINGS, Choices(speed=far))
    (tmp_path / "a.txt").write_text("....\n.xx.\n....\n")
    with pytest.raises(ConfigError, match="masks belong to map_server maps"):
        import_map(tmp_path / "a.txt", SETTINGS, Choices(keepout=far))


def test_the_real_masks_of_the_depot(tmp_path: Path) -> None:
    folder = real_data("maps/occupancy/nav2_depot")
    choices = Choices(keepout=folder / "depot_keepout.yaml", speed=folder / "depot_speed.yaml", full_speed=1.4)
    plan = import_map(folder / "depot.yaml", SETTINGS, choices).plan
    assert {area.speed for area in plan.slow} == {0.7, 1.05}
    assert plan.keepout
    tables = build_tables(plan)
    node = np.stack([tables.node_x, tables.node_y], axis=1)
    assert nearest_rectangle(node, area_rectangles(plan.keepout)).min() >= ROBOT_RADIUS - 2e-3
