"""`parley import-map`: from a map_server map to a floor plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan
from sim.warehouse.maps.map_server import import_map_server
from sim.warehouse.maps.settings import read_import_settings


def import_map(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Nav2 map_server YAML; its image lies beside it.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the floor plan here (YAML).")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what was understood (PNG).")] = None,
    settings: Annotated[Path | None, typer.Option(help="Import settings; default config/import.yaml.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Turn a Nav2 map_server map into a floor plan, and say what was assumed.

    Look at the picture, correct the plan by hand where the importer guessed badly, and run it:
    parley demo --map plan.yaml
    """
    plan = import_map_server(map_file, read_import_settings(settings or home() / "config" / "import.yaml"))
    for path in (out, picture):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if out is not None:
        plan.write(out)
    if picture is not None:
        _draw(plan, picture)
    write_json(json_file, _result(plan, out, picture))
    console = open_console()
    places = ", ".join(f"{len(plan.of_type(kind))} {kind}" for kind in PLACE_TYPES)
    size = f"{plan.size[0]:.1f} x {plan.size[1]:.1f} m"
    console.print(f"{plan.name}: {size}, {len(plan.boxes)} boxes; {places}", soft_wrap=True)
    console.print("assumed:")
    for assumption in plan.assumptions:
        console.print(f"  - {assumption}", soft_wrap=True)
    for path in (out, picture):
        if path is not None:
            console.print(f"wrote {path}", soft_wrap=True)


def _draw(plan: FloorPlan, path: Path) -> None:
    from sim.warehouse.floorplan_picture import picture  # matplotlib takes a second to load
    from sim.warehouse.routes import build_tables

    picture(plan, build_tables(plan), path)


def _result(plan: FloorPlan, out: Path | None, picture: Path | None) -> dict[str, Any]:
    return {
        "name": plan.name,
        "size": plan.size,
        "origin": plan.origin,
        "lattice": plan.lattice,
        "boxes": len(plan.boxes),
        "places": {kind: len(plan.of_type(kind)) for kind in PLACE_TYPES},
        "assumptions": plan.assumptions,
        "out": None if out is None else str(out),
        "picture": None if picture is None else str(picture),
    }
