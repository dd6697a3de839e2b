"""`parley fit-motion`: what the fast world's trucks do with a command, fitted to trucks with mass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from sim.bullet.motion_fit import FITTED, run_fit, write_fitted
from sim.warehouse.bodies import read_bodies
from sim.warehouse.settings import read_warehouse

COLUMNS = {
    "position_rms_m": "position, rms (m)",
    "position_95_m": "position, 95 % (m)",
    "yaw_rms_rad": "yaw, rms (rad)",
    "job_mean_s": "job, mean (s)",
    "job_rms_s": "job, rms (s)",
}


def fit_motion(
    bodies: Annotated[Path | None, typer.Option(help="Settings of the bodies; default config/bodies.yaml.")] = None,
    warehouse: Annotated[Path | None, typer.Option(help="Warehouse settings; default config/warehouse.yaml.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=200, help="Jobs driven in PyBullet to fit to.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of which jobs.")] = 0,
    write: Annotated[bool, typer.Option("--write", help="Put the numbers into the warehouse settings.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Drive single trucks in PyBullet and fit the fast world's motion to them.

    The figures are of jobs that were not fitted to: how far a body that is played the truck's commands for 3 s is from
    it, and how far apart whole jobs end when each follows its own.
    """
    bodies_file = bodies or home() / "config" / "bodies.yaml"
    warehouse_file = warehouse or home() / "config" / "warehouse.yaml"
    result = run_fit(read_warehouse(warehouse_file), read_bodies(bodies_file), jobs, seed)
    table = Table("", *COLUMNS.values(), *FITTED, box=SIMPLE_HEAD, header_style="bold")
    values = {"at once": {}, "before": result["before"], "fitted": result["fitted"]}
    for name, figures in result["residuals"].items():
        cells = [f"{figures[key]:.3f}" for key in COLUMNS]
        table.add_row(name, *cells, *[f"{values[name][key]:g}" if key in values[name] else "" for key in FITTED])
    truck = next(iter(result["residuals"].values()))["job_truck_mean_s"]
    table.add_row("truck", "", "", "", f"{truck:.3f}")
    console = open_console()
    console.print(table)
    if write:
        source = f"parley fit-motion --jobs {jobs} --seed {seed}, bodies {result['bodies']}"
        write_fitted(warehouse_file, result["fitted"], source)
        console.print(f"wrote {warehouse_file}", soft_wrap=True)
    write_json(json_file, result)
