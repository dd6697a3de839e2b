"""Every floor plan that is shipped is one a fleet can work in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from policy_core.config import ConfigError
from sim.warehouse.floorplan import FloorPlan, read_floorplan
from sim.warehouse.floorplan_picture import picture
from sim.warehouse.observe import QUEUE
from sim.warehouse.orders import read_order_settings
from sim.warehouse.routes import build_tables

TOP = Path(__file__).resolve().parents[3]
DOCKS = read_order_settings(TOP / "config" / "orders.yaml").docks
PLANS = sorted((TOP / "config" / "floorplans").glob("*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_shipped_plan_has_all_a_fleet_needs(path: Path) -> None:
    plan = read_floorplan(path)
    tables = build_tables(plan)
    assert len(plan.of_type("parking")) >= 4
    stations = 4 if path.stem == "wide_dc" else 2
    for kind, groups in (("slot", 2), ("inspection", stations), ("outbound", DOCKS), ("inbound", 2)):
        assert {plan.places[index].group for index in plan.of_type(kind)} == set(range(groups)), kind  # type: ignore[arg-type]
    between = tables.distance[np.ix_(tables.place_node, tables.place_node)]
    assert np.isfinite(between).all()
    assert between.max() < 2 * sum(plan.size)


def test_the_plan_for_twelve_trucks_has_a_dock_place_for_each_and_an_inspector_sees_every_place() -> None:
    plan = read_floorplan(TOP / "config" / "floorplans" / "wide_dc.yaml")
    dock, station = ([plan.places[index].group for index in plan.of_type(kind)] for kind in ("outbound", "inspection"))
    assert min(dock.count(0), dock.count(1)) >= 12, "a truck holds one from the moment it takes a job"
    assert max(station.count(group) for group in station) <= QUEUE
    assert len(plan.of_type("parking")) >= 16


def test_fleets_can_train_on_the_narrow_plan_and_the_default_one_by_turns() -> None:
    floors = [read_floorplan(TOP / "config" / "floorplans" / f"{name}_dc.yaml") for name in ("small", "narrow")]
    for kind in ("slot", "inspection"):
        crews = {len({floor.places[index].group for index in floor.of_type(kind)}) for floor in floors}  # type: ignore[arg-type]
        assert len(crews) == 1, kind


def test_the_default_plan_is_as_its_header_says() -> None:
    plan = read_floorplan(TOP / "config" / "floorplans" / "small_dc.yaml")
    assert plan.size == (30.0, 20.0)
    assert {kind: len(plan.of_type(kind)) for kind in ("slot", "inbound", "inspection", "outbound")} == {
        "slot": 56, "inbound": 4, "inspection": 6, "outbound": 6,
    }  # fmt: skip


def test_slots_stand_in_bays_without_touching_the_rack() -> None:
    plan = read_floorplan(TOP / "config" / "floorplans" / "small_dc.yaml")
    racks = [box for box in plan.boxes if box.kind == "rack"]
    for place in (plan.places[index] for index in plan.of_type("slot")):
        gaps = [max(abs(place.x - box.x) - box.length / 2, abs(place.y - box.y) - box.width / 2) - 0.4 for box in racks]
        assert min(gaps) >= 0.1, place.name


def test_a_picture_is_a_png_and_leaves_no_part(tmp_path: Path) -> None:
    plan = read_floorplan(TOP / "config" / "floorplans" / "small_dc.yaml")
    picture(plan, build_tables(plan), tmp_path / "plan.png")
    with Image.open(tmp_path / "plan.png") as image:
        assert image.width > 1000
    assert [file.name for file in tmp_path.iterdir()] == ["plan.png"]


def test_a_plan_survives_writing_and_reading(tmp_path: Path) -> None:
    plan = read_floorplan(TOP / "config" / "floorplans" / "small_dc.yaml")
    plan.write(tmp_path / "copy.yaml")
    assert read_floorplan(tmp_path / "copy.yaml") == plan


def test_a_plan_without_a_kind_of_place_is_refused(tmp_path: Path) -> None:
    plan = read_floorplan(TOP / "config" / "floorplans" / "small_dc.yaml")
    without = tuple(place for place in plan.places if place.type != "quarantine")
    FloorPlan(**plan.model_dump() | {"places": without}).write(tmp_path / "plan.yaml")
    with pytest.raises(ConfigError, match="no place of type quarantine"):
        read_floorplan(tmp_path / "plan.yaml")
