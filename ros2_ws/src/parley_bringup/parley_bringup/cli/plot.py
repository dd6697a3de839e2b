"""`parley plot`: learning curves, with intervals over seeds."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

from parley_bringup.cli.json_result import JsonFile, write_json
from policy_core.config import ConfigError
from policy_core.ppo.curves import Band, make_band, read_curve

LABELS = {"frames": "agent frames", "cpu": "CPU seconds of collecting and learning"}


def plot(
    runs: Annotated[
        list[str],
        typer.Argument(help='NAME=PATTERN, such as "messages=runs/m-*": run folders or JSON results of several seeds.'),
    ],
    figure: Annotated[str, typer.Option(help="What to draw, as in TensorBoard.")] = "evaluation/return",
    over: Annotated[str, typer.Option(help="frames, or cpu for CPU seconds.")] = "frames",
    out: Annotated[Path, typer.Option(help="The picture (PNG, SVG or PDF).")] = Path("curves.png"),
    json_file: JsonFile = None,
) -> None:
    """Draw learning curves: for each NAME the mean over its runs, with the 95 % bootstrap interval as a band.

    parley plot "attention=runs/attention-*" "silent=runs/silent-*" --figure episode/return
    """
    if over not in LABELS:
        raise ConfigError(f"--over: saw '{over}'; wanted frames or cpu")
    bands = {}
    for asked in runs:
        name, _, pattern = asked.rpartition("=")
        paths = sorted(Path(path) for path in glob.glob(pattern))
        if not paths:
            raise ConfigError(f"{pattern}: no run folder or JSON file of that name; quote patterns with *")
        bands[name or pattern] = make_band([read_curve(path, figure, over) for path in paths])
    draw(bands, figure, LABELS[over]).savefig(out, dpi=150)
    for name, band in bands.items():
        last = f"{band.mean[-1]:.3f} [{band.low[-1]:.3f}, {band.high[-1]:.3f}]"
        typer.echo(f"{name}: {last} after {band.spent[-1]:,.0f} {LABELS[over]}, {band.seeds} run(s)")
    typer.echo(f"wrote {out}")
    plain = {
        name: {part: each.tolist() if hasattr(each, "tolist") else each for part, each in band._asdict().items()}
        for name, band in bands.items()
    }
    write_json(json_file, {"figure": figure, "over": over, "bands": plain})


def draw(bands: dict[str, Band], figure: str, spent: str) -> Figure:
    """The picture: a line and a band for each name."""
    picture = Figure(figsize=(7, 4.2), layout="constrained")
    axes = picture.add_subplot()
    for name, band in bands.items():
        (line,) = axes.plot(band.spent, band.mean, label=f"{name} ({band.seeds} seed{'s' * (band.seeds > 1)})")
        axes.fill_between(band.spent, band.low, band.high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel=spent, ylabel=figure.removeprefix("evaluation/"))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return picture
