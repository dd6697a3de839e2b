"""Pallets as small pictures: goods in the colour of their family, the family's number, and how inspection judged."""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw

from sim.view.layout import FINE, Layout, font
from sim.warehouse.colours import Colour, sku_colour
from sim.warehouse.state import REJECTED, UNDECIDED

SIDE = 0.62  # m, drawn a little larger than a pallet is
WOOD, AMBER, RED = "#5d4a33", "#ff9f00", "#d3122b"
NUMBERED_FROM = 11  # pixels of a pallet's side; smaller ones bear no number
TURN = 5  # degrees between two pictures of a turned pallet


def rgb(colour: Colour) -> tuple[int, int, int]:
    """A colour as PIL takes it."""
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue


class Stamps:
    """Pictures of pallets in the fine size, each drawn once."""

    def __init__(self, layout: Layout) -> None:
        """Draw at the layout's scale."""
        self._side = max(6, round(SIDE * layout.scale * FINE))
        self.upright = lru_cache(maxsize=None)(self._draw)
        self.turned = lru_cache(maxsize=2048)(self._turn)

    def at(self, sku: int, state: int, yaw: float) -> Image.Image:
        """A pallet that stands at this yaw (rad)."""
        quarter = math.remainder(yaw, math.pi / 2)
        if abs(quarter) < 0.02:
            return self.upright(sku, state)
        return self.turned(sku, state, round(math.degrees(yaw) / TURN) * TURN % 360)

    def _turn(self, sku: int, state: int, degrees: int) -> Image.Image:
        return self._draw(sku, state).rotate(degrees, Image.Resampling.BICUBIC, expand=True)

    def _draw(self, sku: int, state: int) -> Image.Image:
        side = self._side
        image = Image.new("RGBA", (side + 2, side + 2), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        edge = {UNDECIDED: AMBER, REJECTED: RED}.get(state, WOOD)
        thick = max(2, side // 7) if edge != WOOD else max(1, side // 14)
        draw.rectangle((1, 1, side, side), fill=rgb(sku_colour(sku)), outline=edge, width=thick)
        if side >= NUMBERED_FROM * FINE:
            middle = (side / 2 + 1, side / 2 + 1)
            draw.text(middle, f"{sku + 1}", "#ffffff", font(round(side * 0.5), bold=True), anchor="mm",
                      stroke_width=max(1, side // 16), stroke_fill="#00000090")  # fmt: skip
        if state == REJECTED:
            for ends in ((4, 4, side - 3, side - 3), (4, side - 3, side - 3, 4)):
                draw.line(ends, fill="#ffffff", width=2 * thick)
                draw.line(ends, fill=RED, width=thick)
        return image
