"""Colours that mean the same in every picture of a warehouse: what stands there, article families, robots."""

from __future__ import annotations

import colorsys

from sim.warehouse.floorplan import PlaceType
from sim.warehouse.settings import SKUS

Colour = tuple[float, float, float]  # red, green, blue [0, 1]

ROBOT_COLOURS: tuple[Colour, ...] = (
    (0.96, 0.72, 0.10),
    (0.88, 0.30, 0.20),
    (0.20, 0.58, 0.85),
    (0.45, 0.72, 0.28),
    (0.65, 0.40, 0.75),
)

BOX_COLOURS = {"wall": "#3b3f46", "rack": "#4a6fa5", "station": "#7b5ea7", "obstacle": "#8c8c8c"}
PLACE_COLOURS: dict[PlaceType, tuple[str, ...]] = {  # by group, where groups of a type are told apart
    "slot": ("#cfe3f7", "#d6efd0"),
    "inbound": ("#f6c667",),
    "inspection": ("#d9c2f0",),
    "outbound": ("#7fcf9a",),
    "quarantine": ("#ef9a9a",),
    "parking": ("#e4e4e4",),
}


def robot_colour(number: int) -> Colour:
    """Of the robot at one place of the fleet order."""
    return ROBOT_COLOURS[number % len(ROBOT_COLOURS)]


def sku_colour(sku: int) -> Colour:
    """Of an article family: hues around the circle, every second one darker."""
    return colorsys.hsv_to_rgb(sku / SKUS, 0.62, 0.92 if sku % 2 == 0 else 0.68)
