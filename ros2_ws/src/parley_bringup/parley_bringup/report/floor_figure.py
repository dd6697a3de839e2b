"""The picture of a run: the floor plan, where each robot drove, and which pallets were moved from where to where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, Patch, Polygon, Rectangle

from parley_bringup.report import palette
from parley_bringup.report.run_data import JOB_TYPES, GrantedJob, RunData, Trajectory
from sim.warehouse.colours import BOX_COLOURS, PLACE_COLOURS
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.floorplan_picture import draw_plan

PANEL = 7.6  # inches, the longer side of one floor
WASH = 0.4  # how far the plan is faded towards white, so that what moved stands out
ASIDE = 0.09  # m each robot's line is drawn beside the next one's, where they drove the same way
ROBOT = (1.5, 0.9)  # m, how large a robot's last place is marked


def draw_floor(run: RunData, plan: FloorPlan, title: str, subtitle: str, path: Path) -> None:
    """Draw trajectories and moved pallets on two copies of the plan, side by side."""
    scale = PANEL / max(plan.size)
    panel_width, panel_height = plan.size[0] * scale, plan.size[1] * scale
    width, height = 2 * panel_width + 0.5, panel_height + 1.85
    figure = palette.new_figure(width, height, title, subtitle)
    for number, (heading, left) in enumerate([("where the robots drove", 0.15), ("which pallets they moved", 0.35)]):
        corner = (left + number * panel_width) / width, 0.95 / height
        axis = figure.add_axes((*corner, panel_width / width, panel_height / height))
        _draw_faded_plan(axis, plan)
        axis.set_title(heading, loc="left", fontsize=10, color=palette.INK, pad=4)
        entries = _draw_jobs(axis, plan, run.jobs) if number else _draw_trajectories(axis, run.trajectories)
        _legend(figure, entries, (corner[0], 0.93 / height))
    palette.save(figure, path)


def _draw_faded_plan(axis: Axes, plan: FloorPlan) -> None:
    (left, low), (width, height) = plan.origin, plan.size
    draw_plan(axis, plan, with_names=False)
    axis.axis("off")
    axis.add_patch(Rectangle((left, low), width, height, facecolor=palette.PAPER, alpha=WASH, lw=0, zorder=5))
    x, y = left + 0.4 * width, low + 0.012 * height
    axis.plot([x, x + 5.0], [y, y], color=palette.INK, lw=1.6, solid_capstyle="butt", zorder=6)
    axis.text(x + 5.2, y, "5 m", ha="left", va="center", fontsize=7, color=palette.INK, zorder=6)


def _draw_trajectories(axis: Axes, trajectories: dict[str, Trajectory]) -> list[Artist]:
    entries: list[Artist] = []
    for number, (name, way) in enumerate(trajectories.items()):
        colour = palette.robot_colour(number)
        aside = (number - (len(trajectories) - 1) / 2) * ASIDE
        axis.plot(way.x + aside, way.y + aside, color=colour, lw=1.2, alpha=0.8, solid_joinstyle="round", zorder=6)
        start = Circle((way.x[0], way.y[0]), 0.25, facecolor=palette.PAPER, edgecolor=colour, lw=1.4, zorder=7)
        axis.add_patch(start)
        _draw_robot(axis, way.x[-1], way.y[-1], way.yaw[-1], colour)
        length = float(np.hypot(np.diff(way.x), np.diff(way.y)).sum())
        entries.append(Line2D([], [], color=colour, lw=3, label=f"{name}: {length:.0f} m"))
    entries.append(Line2D([], [], color=palette.FAINT, marker="o", markerfacecolor=palette.PAPER, lw=0, label="start"))
    entries.append(Line2D([], [], color=palette.FAINT, marker="p", ms=8, lw=0, label="end"))
    return entries


def _draw_robot(axis: Axes, x: float, y: float, yaw: float, colour: str) -> None:
    outline = np.array([(-0.5, -0.5), (0.2, -0.5), (0.5, 0.0), (0.2, 0.5), (-0.5, 0.5)]) * ROBOT
    turn = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
    axis.add_patch(Polygon(outline @ turn + (x, y), facecolor=colour, edgecolor=palette.PAPER, lw=0.9, zorder=8))


def _draw_jobs(axis: Axes, plan: FloorPlan, jobs: Sequence[GrantedJob]) -> list[Artist]:
    done = dict.fromkeys(JOB_TYPES, 0)
    for job in jobs:
        kind, is_done = JOB_TYPES[job.type], job.dropped is not None
        done[kind] += is_done
        origin, target = plan.places[job.origin], plan.places[job.target]
        arrow = FancyArrowPatch(
            (origin.x, origin.y),
            (target.x, target.y),
            connectionstyle="arc3,rad=0.16",
            arrowstyle="-|>",
            mutation_scale=8,
            shrinkA=0,
            shrinkB=1,
            lw=1.1,
            color=palette.JOBS[kind],
            alpha=0.8 if is_done else 0.5,
            linestyle="-" if is_done else ":",
            zorder=6,
        )
        axis.add_patch(arrow)
        axis.plot(origin.x, origin.y, marker="o", ms=3.2, color=palette.JOBS[kind], alpha=0.85, zorder=7)
    entries: list[Artist] = [
        Line2D([], [], color=palette.JOBS[kind], lw=3, label=f"{kind}: {done[kind]} done") for kind in JOB_TYPES
    ]
    entries.append(Line2D([], [], color=palette.FAINT, lw=1.2, ls=":", label="given, not done"))
    for kind, shades in PLACE_COLOURS.items():
        entries.append(Patch(facecolor=shades[0], edgecolor="#00000055", lw=0.5, alpha=1 - WASH, label=kind))
    entries.append(Patch(facecolor=BOX_COLOURS["rack"], alpha=1 - WASH, label="rack"))
    return entries


def _legend(figure: Figure, entries: list[Artist], upper_left: tuple[float, float]) -> None:
    figure.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=upper_left,
        ncols=4,
        frameon=False,
        fontsize=8.5,
        labelcolor=palette.INK,
        borderaxespad=0.0,
        borderpad=0.1,
        handlelength=1.3,
        columnspacing=1.6,
    )
