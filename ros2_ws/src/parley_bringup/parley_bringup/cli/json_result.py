"""The `--json FILE` that every command takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result here as JSON.")]


def write_json(path: Path | None, result: Any) -> None:
    """Write a result, whole or not at all; nothing where no file was wanted."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    part.replace(path)
