"""A floor plan as a PNG: what stands where, every place by name, and the routes with their one-way arrows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D

from sim.warehouse.colours import BOX_COLOURS, PLACE_COLOURS
from sim.warehouse.floorplan import FloorPlan, RouteGraph
from sim.warehouse.rectangles import PALLET_SIDE
from sim.warehouse.routes import Tables, approach_points, one_way_edges

KEEPOUT_COLOUR, SLOW_COLOUR = "#f3c6c6", "#f2b84b"


def picture(plan: FloorPlan, tables: Tables | None, path: Path | str) -> None:
    """Draw the plan to a PNG file, whole or not at all; without `tables` the routes are left out."""
    figure = Figure(figsize=_size(plan), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw_plan(axes, plan)
    if tables is not None:
        draw_routes(axes, plan, tables)
    elif plan.graph is not None:
        draw_graph(axes, plan.graph)
    counts = ", ".join(f"{len(plan.of_type(kind))} {kind}" for kind in PLACE_COLOURS)
    axes.set_title(f"{plan.name}: {plan.size[0]:.1f} x {plan.size[1]:.1f} m; {counts}", fontsize=9)
    shades = [
        (kind, shade[0]) for kind, shade in (*PLACE_COLOURS.items(), *((k, (c,)) for k, c in BOX_COLOURS.items()))
    ]
    shades += [("keep out", KEEPOUT_COLOUR)] if plan.keepout else []
    shades += [("slow", SLOW_COLOUR)] if plan.slow else []
    handles = [Rectangle((0, 0), 1, 1, facecolor=shade, edgecolor="#555555", linewidth=0.5) for _, shade in shades]
    figure.legend(handles, [kind for kind, _ in shades], loc="outside lower center", ncols=len(shades), fontsize=7)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a PNG, whole or not at all."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        figure.savefig(part, format="png")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def draw_plan(axes: Axes, plan: FloorPlan, *, with_names: bool = True) -> None:
    """Boxes and places on given axes, in metres of the map."""
    (x, y), (width, depth) = plan.origin, plan.size
    axes.add_patch(Rectangle((x, y), width, depth, facecolor="#f7f6f2", edgecolor="none", zorder=0))
    for area in plan.keepout:
        axes.add_patch(
            _rectangle(
                axes, area.x, area.y, area.length, area.width, area.yaw,
                facecolor=KEEPOUT_COLOUR, edgecolor="none", zorder=0.6,
            )
        )  # fmt: skip
    for slow in plan.slow:
        strength = 1 - min(slow.speed / plan.full_speed, 1.0)
        axes.add_patch(
            _rectangle(
                axes, slow.x, slow.y, slow.length, slow.width, slow.yaw,
                facecolor=SLOW_COLOUR, edgecolor="none", alpha=0.15 + 0.5 * strength, zorder=0.5,
            )
        )  # fmt: skip
    for box in plan.boxes:
        colour = BOX_COLOURS[box.kind]
        axes.add_patch(_rectangle(axes, box.x, box.y, box.length, box.width, box.yaw, facecolor=colour, zorder=4))
    for place, approach in zip(plan.places, approach_points(plan), strict=True):
        shades = PLACE_COLOURS[place.type]
        axes.add_patch(
            _rectangle(
                axes, place.x, place.y, PALLET_SIDE, PALLET_SIDE, place.yaw,
                facecolor=shades[place.group % len(shades)], edgecolor="#555555", linewidth=0.5, zorder=3,
            )
        )  # fmt: skip
        axes.plot([approach[0], place.x], [approach[1], place.y], color="#999999", linewidth=0.4, zorder=2)
        if with_names:
            label = place.name.removeprefix("slot_").replace("_", "\n")
            axes.text(place.x, place.y, label, fontsize=4.5, ha="center", va="center", zorder=6)
    axes.set_xlim(x - 0.3, x + width + 0.3)
    axes.set_ylim(y - 0.3, y + depth + 0.3)
    axes.set_aspect("equal")
    axes.set_xlabel("x (m)", fontsize=8)
    axes.set_ylabel("y (m)", fontsize=8)
    axes.tick_params(labelsize=7)


def draw_routes(axes: Axes, plan: FloorPlan, tables: Tables) -> None:
    """Edges of the route graph; an arrow shows the way a lattice edge prefers, links to approach points have none."""
    node = np.stack([tables.node_x, tables.node_y], axis=-1)
    start, slot = np.nonzero(tables.neighbours >= 0)
    edges = np.stack([node[start], node[tables.neighbours[start, slot]]], axis=1)
    axes.add_collection(LineCollection(list(edges), colors="#b8b8b8", linewidths=0.5, zorder=1))
    start, end = one_way_edges(plan, tables)
    middle, along = (node[start] + node[end]) / 2, node[end] - node[start]
    arrow: dict[str, Any] = {
        "angles": "xy",
        "scale_units": "xy",
        "scale": 3.0,
        "pivot": "mid",
        "width": 0.0012,
        "color": "#c46a2b",
    }
    axes.quiver(*middle.T, *along.T, zorder=2, **arrow)
    axes.scatter(tables.node_x, tables.node_y, s=2, color="#777777", zorder=2)


def draw_graph(axes: Axes, graph: RouteGraph) -> None:
    """A drawn route graph by itself: its nodes by name, and each way with an arrow in its middle."""
    where = {node.name: np.array([node.x, node.y]) for node in graph.nodes}
    start = np.array([where[edge.start] for edge in graph.edges]).reshape(-1, 2)
    end = np.array([where[edge.end] for edge in graph.edges]).reshape(-1, 2)
    axes.add_collection(
        LineCollection(list(np.stack([start, end], axis=1)), colors="#c46a2b", linewidths=0.8, zorder=1)
    )
    third, along = start + (end - start) * 0.6, end - start
    length = np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    arrow: dict[str, Any] = {"angles": "xy", "pivot": "mid", "width": 0.0016, "headwidth": 6, "color": "#c46a2b"}
    axes.quiver(*third.T, *(along / length).T, scale=120, zorder=2, **arrow)
    for name, (x, y) in where.items():
        axes.plot([x], [y], marker="o", markersize=4, color="#555555", zorder=3)
        axes.annotate(name, (x, y), xytext=(3, 3), textcoords="offset points", fontsize=5, zorder=6)


def _rectangle(axes: Axes, x: float, y: float, length: float, width: float, yaw: float, **style: Any) -> Rectangle:
    patch = Rectangle((-length / 2, -width / 2), length, width, **style)
    patch.set_transform(Affine2D().rotate(yaw).translate(x, y) + axes.transData)
    return patch


def _size(plan: FloorPlan) -> tuple[float, float]:
    """Inches of the figure: 16 on the longer side."""
    longest = max(plan.size)
    return 16 * plan.size[0] / longest + 0.6, 16 * plan.size[1] / longest + 0.7
