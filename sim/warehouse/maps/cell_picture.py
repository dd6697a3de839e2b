"""A grid map as a PNG: what is free, what is solid, what was marked, and the places that were chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sim.warehouse.colours import PLACE_COLOURS
from sim.warehouse.floorplan import PLACE_TYPES, FloorPlan
from sim.warehouse.floorplan_picture import save_figure

COLOURS = ("#3b3f46", "#f7f6f2", "#bfe3dd")  # solid, free, marked
STRONG = {"slot": "#2f6fb3", "outbound": "#1d9a4a", "inbound": "#e08a00"}  # pale ones are lost on small marks


def picture_cells(plan: FloorPlan, free: np.ndarray, marked: np.ndarray, path: Path | str) -> None:
    """Draw cells [H, W] (row 0 the lowest) with the plan's places to a PNG file, whole or not at all."""
    rows, columns = free.shape
    (x, y), (width, depth) = plan.origin, plan.size
    long = 16.0
    size = (long, max(3.5, long * depth / width + 1.2)) if width >= depth else (max(6.0, long * width / depth), long)
    figure = Figure(figsize=size, dpi=max(140, min(300, int(2.5 * max(rows, columns) / long))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shade = np.where(free, 1 + (marked & free), 0)
    extent = (x, x + width, y, y + depth)
    axes.imshow(
        shade, origin="lower", extent=extent, cmap=ListedColormap(COLOURS), vmin=0, vmax=2, interpolation="nearest"
    )
    dot = float(np.clip(0.45 * 72 * long * plan.lattice / max(width, depth), 1.6, 9.0))  # points, half a cell
    handles = [
        Line2D([], [], linestyle="", marker="s", color=colour, markeredgecolor="#555555", label=label)
        for colour, label in zip(COLOURS, ("solid", "free", "marked by the map"), strict=True)
    ]
    for kind in PLACE_TYPES:
        at = [(plan.places[index].x, plan.places[index].y) for index in plan.of_type(kind)]
        colour = STRONG.get(kind, PLACE_COLOURS[kind][0])
        style: dict[str, Any] = {
            "linestyle": "",
            "marker": "s",
            "color": colour,
            "markeredgecolor": "#222222",
            "markeredgewidth": 0.3,
        }
        if at:
            axes.plot(*zip(*at, strict=True), markersize=dot, **style)
        handles.append(Line2D([], [], markersize=7, label=kind, **style))
    counts = ", ".join(f"{len(plan.of_type(kind))} {kind}" for kind in PLACE_TYPES)
    axes.set_title(f"{plan.name}: {columns - 2} x {rows - 2} cells of {plan.lattice:g} m; {counts}", fontsize=9)
    axes.set_xlabel("x (m)", fontsize=8)
    axes.set_ylabel("y (m)", fontsize=8)
    axes.tick_params(labelsize=7)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7)
    save_figure(figure, path)
