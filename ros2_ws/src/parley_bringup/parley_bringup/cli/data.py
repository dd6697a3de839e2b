"""`parley data` and `parley fit-orders`: public data sets, and the figures drawn from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from policy_core.config import ConfigError
from sim.warehouse.datasets import (
    VARIABLE,
    DataSet,
    DownloadError,
    data_folder,
    download,
    file_state,
    made_files,
    read_datasets,
    set_state,
)
from sim.warehouse.order_fit import fit_orders as fit
from sim.warehouse.order_fit import write_order_settings
from sim.warehouse.orders import read_order_settings


def data(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets; all if none.")] = None,
    fetch: Annotated[bool, typer.Option("--download", help="Download what is not here and whole.")] = False,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help=f"Data folder; default {VARIABLE}.")] = None,
    json_file: JsonFile = None,
) -> None:
    """List the public data sets Parley knows: form, licence, size, and whether they are here and whole.

    Looked for in --to, else in the folder that PARLEY_DATA names, else in ../shared/data beside the checkout.
    With names, also each file with its origin. --download needs a network and either --to or PARLEY_DATA.
    """
    known = read_datasets(home() / "config" / "datasets.yaml")
    strange = sorted(set(names or ()) - set(known))
    if strange:
        raise ConfigError(f"no data set named {', '.join(strange)}; Parley knows {', '.join(known)}.")
    chosen = {name: known[name] for name in (names or known)}
    folder = to or data_folder(home())
    if fetch:
        folder = _target(to)
        _download(chosen, folder)
    write_json(
        json_file, {"folder": str(folder or ""), "data": {name: _plain(chosen[name], folder) for name in chosen}}
    )
    _show(chosen, folder, with_files=bool(names))


def fit_orders(
    source: Annotated[Path, typer.Argument(metavar="DATA", help="Online Retail CSV file, or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Order settings to write (YAML).")],
    base: Annotated[Path | None, typer.Option(help="Where the choices are from; default config/orders.yaml.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Fit arrival profile, lines per order and popularity to real order lines; keep the choices of `base`."""
    chosen = read_order_settings(base or home() / "config" / "orders.yaml")
    fitted = fit(source, chosen, f"parley fit-orders {_public_name(source)} --out {out.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_order_settings(fitted, out)
    write_json(json_file, fitted.model_dump(mode="json"))
    console = open_console()
    console.print(fitted.provenance.note, soft_wrap=True)
    shares = ", ".join(f"{share:.0%}" for share in fitted.lines_per_order)
    console.print(f"orders with 1, 2, 3, 4 pallet lines: {shares}")
    console.print(f"{fitted.lines_per_real_hour:.1f} pallet lines per real hour")
    console.print(f"wrote {out}", soft_wrap=True)


def _target(to: Path | None) -> Path:
    """Where to download to: what was given, or PARLEY_DATA, which may not exist yet."""
    named = os.environ.get(VARIABLE)
    if to is None and not named:
        raise ConfigError(f"where to? Give --to FOLDER, or set {VARIABLE} to the folder you keep data in.")
    folder = to or Path(named or "").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _download(chosen: dict[str, DataSet], folder: Path) -> None:
    for name, dataset in chosen.items():
        try:
            written = download(dataset, folder)
        except DownloadError as error:
            typer.echo(f"parley data: {name}: {error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{name}: {len(written)} file(s) downloaded", err=True)
        for path, made in made_files(dataset).items():
            typer.echo(f"{name}: {path} cannot be downloaded: {made}", err=True)


def _show(chosen: dict[str, DataSet], folder: Path | None, with_files: bool) -> None:
    console = open_console()
    table = Table(box=None, pad_edge=False)
    for heading in ("data set", "form", "kB", "here", "licence"):
        table.add_column(
            heading, no_wrap=heading != "licence", overflow="fold", justify="right" if heading == "kB" else "left"
        )
    for name, dataset in chosen.items():
        size = f"{dataset.size() / 1000:.0f}"
        table.add_row(name, dataset.form, size, set_state(dataset, folder), dataset.licences())
    console.print(f"data folder: {folder or f'none; set {VARIABLE} or give --to'}", soft_wrap=True)
    console.print(table)
    if with_files:
        for name, dataset in chosen.items():
            console.print(f"\n{name}: {dataset.about}", soft_wrap=True)
            for source, file in dataset.files():
                origin = f"{source.repository}@{source.commit[:12]}:{file.origin or file.path}"
                console.print(f"  {file.path}: {file_state(file, folder)}; {origin}", soft_wrap=True)


def _plain(dataset: DataSet, folder: Path | None) -> dict[str, Any]:
    return {
        "form": dataset.form,
        "about": dataset.about,
        "licence": dataset.licences(),
        "bytes": dataset.size(),
        "state": set_state(dataset, folder),
        "path": None if folder is None else str(folder / dataset.folder()),
        "files": [
            {
                "path": file.path,
                "state": file_state(file, folder),
                "bytes": file.bytes,
                "sha256": file.sha256,
                "repository": source.repository,
                "commit": source.commit,
                "origin": file.origin or file.path,
                "licence": source.licence,
            }
            for source, file in dataset.files()
        ],
    }


def _public_name(source: Path) -> str:
    """A path that means something on another machine: under the data folder if it is there, else the bare name."""
    folder = data_folder(home())
    if folder is not None and source.resolve().is_relative_to(folder.resolve()):
        return source.resolve().relative_to(folder.resolve()).as_posix()
    return source.resolve().name
