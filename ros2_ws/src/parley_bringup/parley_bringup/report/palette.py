"""Colours shared by the figures of a run: one meaning, one colour, readable in print and with colour blindness.

What stands on the floor has its colours in sim/warehouse/floorplan_picture.py.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

INK, FAINT, PAPER, ABSENT = "#1f2933", "#66727f", "#ffffff", "#e4e7eb"
# Okabe and Ito 2008, "Color Universal Design", then darker relatives for larger fleets.
ROBOTS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b4b8a", "#7f7f00", "#8c2d04", "#005a5a")
JOBS = {"inbound": "#0072b2", "store": "#009e73", "pick": "#d55e00", "reject": "#b2182b"}
KINDS = {"forklift": "#0072b2", "inventory": "#00795a", "quality": "#a04c8c"}
VERBS = {
    "none": "#ffffff00",
    "claim": "#0072b2",
    "yield": "#e69f00",
    "reroute": "#8c2d04",
    "release": "#009e73",
    "reorder": "#5b4b8a",
    "inspect": "#56b4e9",
    "pass": "#7fbf3f",
    "reject": "#d7191c",
}


def robot_colour(number: int) -> str:
    """Colour of the robot at one place of the fleet order."""
    return ROBOTS[number % len(ROBOTS)]


def new_figure(width: float, height: float, title: str, subtitle: str = "") -> Figure:
    """A figure of a size in inches with its title, free of the global state of pyplot."""
    figure = Figure(figsize=(width, height), facecolor=PAPER, dpi=150)
    figure.text(0.15 / width, 1 - 0.15 / height, title, fontsize=13, weight="bold", color=INK, va="top")
    figure.text(0.15 / width, 1 - 0.44 / height, subtitle, fontsize=9, color=FAINT, va="top")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    figure.savefig(part, format="png")
    part.replace(path)
