"""`parley import-map`: from a map that others made to a floor plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES
from sim.warehouse.maps.formats import FORMATS
from sim.warehouse.maps.formats import import_map as import_any
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.settings import ImportSettings, read_import_settings
from sim.warehouse.settings import read_warehouse

MOST_NAMED = 150  # places whose names can be read in a picture; of larger grids the cells are drawn


def import_map(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="The map: YAML, .map, JSON, XML or text.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the floor plan here (YAML).")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what was understood (PNG).")] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help=f"Do not guess: {', '.join(FORMATS)}.")
    ] = None,
    cell: Annotated[float | None, typer.Option(help="Metres per cell of grids that do not tell.")] = None,
    window: Annotated[
        str | None, typer.Option(metavar="C,R,W,H", help="Part of a grid: first column and row, columns, rows.")
    ] = None,
    keepout: Annotated[Path | None, typer.Option(metavar="YAML", help="Keep-out mask of a map_server map.")] = None,
    speed: Annotated[Path | None, typer.Option(metavar="YAML", help="Speed mask of a map_server map.")] = None,
    scenarios: Annotated[
        Path | None, typer.Option(metavar="SCEN", help="Check our planner against a MovingAI scenario file.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="Import settings; default config/import.yaml.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Turn a map into a floor plan, and say what was assumed.

    Look at the picture, correct the plan by hand where the importer guessed badly, and run it:
    parley demo --map plan.yaml
    """
    numbers = read_import_settings(settings or home() / "config" / "import.yaml")
    full_speed = read_warehouse(home() / "config" / "warehouse.yaml").motion.cruise_speed
    choices = Choices(cell, _window(window), keepout, speed, full_speed)
    began = time.perf_counter()
    found = import_any(map_file, numbers, choices, form)
    result = _result(found, out, picture) | {"seconds": round(time.perf_counter() - began, 2)}
    if scenarios is not None:
        result["scenarios"] = _check(map_file, scenarios, found.form, numbers)
    for path in (out, picture):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if picture is not None:
        _draw(found, picture)
    if out is not None:
        found.plan.write(out)
    write_json(json_file, result)
    _tell(open_console(), found, result)
    if scenarios is not None and result["scenarios"]["agreeing"] < result["scenarios"]["scenarios"]:
        raise typer.Exit(1)


def _window(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    words = text.split(",")
    if len(words) != 4 or not all(word.strip().isascii() and word.strip().isdigit() for word in words):
        raise ConfigError(f"--window is {text!r}; wanted first column, first row, columns, rows, like 0,0,60,40.")
    column, row, columns, rows = (int(word) for word in words)
    return column, row, columns, rows


def _check(map_file: Path, scenarios: Path, form: str, settings: ImportSettings) -> dict[str, Any]:
    from sim.warehouse.maps.movingai import free_cells, read_letters
    from sim.warehouse.maps.scenarios import check_scenarios

    if form != "movingai":
        raise ConfigError(f"--scenarios: {map_file} is a {form} map; scenario files belong to MovingAI maps.")
    began = time.perf_counter()
    agreement = check_scenarios(scenarios, free_cells(read_letters(map_file, settings)), settings)
    return {**agreement._asdict(), "seconds": round(time.perf_counter() - began, 2)}


def _draw(found: MapImport, path: Path) -> None:
    from sim.warehouse.floorplan_picture import picture  # matplotlib takes a second to load
    from sim.warehouse.maps.cell_picture import picture_cells
    from sim.warehouse.routes import build_tables

    is_small = not found.hindrance and len(found.plan.places) <= MOST_NAMED
    if found.free is not None and found.marked is not None and not is_small:
        picture_cells(found.plan, found.free, found.marked, path)
    else:
        picture(found.plan, None if found.hindrance else build_tables(found.plan), path)


def _result(found: MapImport, out: Path | None, picture: Path | None) -> dict[str, Any]:
    plan = found.plan
    return {
        "name": plan.name,
        "format": found.form,
        "size": plan.size,
        "origin": plan.origin,
        "lattice": plan.lattice,
        "boxes": len(plan.boxes),
        "places": {kind: len(plan.of_type(kind)) for kind in PLACE_TYPES},
        "counts": found.counts,
        "is_fit_for_a_fleet": not found.hindrance,
        "hindrance": found.hindrance,
        "assumptions": plan.assumptions,
        "out": None if out is None else str(out),
        "picture": None if picture is None else str(picture),
    }


def _tell(console: Console, found: MapImport, result: dict[str, Any]) -> None:
    plan = found.plan
    places = ", ".join(f"{number} {kind}" for kind, number in result["places"].items())
    size = f"{plan.size[0]:.1f} x {plan.size[1]:.1f} m"
    console.print(f"{plan.name} ({found.form}): {size}, {len(plan.boxes)} boxes; {places}", soft_wrap=True)
    if found.counts:
        counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in found.counts.items())
        console.print(f"counted: {counts}; {result['seconds']} s", soft_wrap=True)
    console.print("assumed:")
    for assumption in plan.assumptions:
        console.print(f"  - {assumption}", soft_wrap=True, markup=False)
    check = result.get("scenarios")
    if check is not None:
        console.print(
            f"planner: {check['agreeing']} of {check['scenarios']} listed lengths agree, largest error "
            f"{check['largest_error']:.1e} cells; {check['seconds']} s",
            soft_wrap=True,
        )
        for fault in check["faults"]:
            console.print(f"  - {fault}", soft_wrap=True, markup=False)
    if not found.hindrance:
        console.print("a fleet can work in this plan")
    for path in (result["out"], result["picture"]):
        if path is not None:
            console.print(f"wrote {path}", soft_wrap=True)
