"""`parley report`: figures and numbers of a run, made again from its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.rivals_table import read_rivals, show_rivals
from parley_bringup.cli.terminal import open_console
from parley_bringup.report.build import build
from parley_bringup.report.tables import kpi_table, process_table


def report(
    run_dir: Annotated[Path, typer.Argument(help="A run folder, as `parley demo` leaves it.")],
    json_file: JsonFile = None,
) -> None:
    """Make figures and KPI table from a run folder again, also of a run that was interrupted."""
    show_report(open_console(), run_dir, json_file)


def show_report(
    console: Console, run_dir: Path, json_file: Path | None, play_rivals: Callable[[], None] | None = None
) -> None:
    """Build the report of one run and print its tables; then, if asked to, play its rivals, and show them."""
    made = build(run_dir)
    console.print(kpi_table([made.summary]))
    if made.summary.processes:
        console.print(process_table(made.summary.processes))
    for note in made.notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
    if play_rivals is not None:
        play_rivals()
    rivals = read_rivals(run_dir)
    if rivals is not None:
        show_rivals(console, rivals)
    console.print(f"run folder: {run_dir}", soft_wrap=True, highlight=False)
    result = {"run_dir": run_dir, "summary": made.summary.model_dump(mode="json"), "files": made.files}
    told = None if rivals is None else rivals.model_dump()
    write_json(json_file, {**result, "notes": made.notes, "rivals": told})


def show_comparison(console: Console, run_dirs: Sequence[Path], title: str, json_file: Path | None) -> None:
    """Build the reports of several runs and print their KPIs side by side."""
    runs = [build(run_dir).summary for run_dir in run_dirs]
    console.print(kpi_table(runs, title=title))
    for run_dir in run_dirs:
        console.print(f"run folder: {run_dir}", soft_wrap=True, highlight=False)
    write_json(json_file, {"run_dirs": run_dirs, "runs": [run.model_dump(mode="json") for run in runs]})
