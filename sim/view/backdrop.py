"""What never moves in a picture: floor, boxes, places, and the legend below them."""

from __future__ import annotations

from PIL import Image, ImageColor, ImageDraw

from sim.view.layout import EDGE, FINE, HEADING, LEGEND, MARGIN, Layout, font
from sim.view.stamps import Stamps
from sim.warehouse.colours import BOX_COLOURS, PLACE_COLOURS
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.rectangles import PALLET_SIDE
from sim.warehouse.state import PASSED, REJECTED, UNDECIDED

PAPER, FLOOR, STRIP, INK, FAINT, LINE = "#ffffff", "#f4f3ee", "#f7f8fa", "#1f2933", "#66727f", "#d9dde3"


def draw_backdrop(plan: FloorPlan, layout: Layout, stamps: Stamps, heading: str, *, with_links: bool) -> Image.Image:
    """The picture without anything that changes, the floor in the fine size pasted in small."""
    picture = Image.new("RGB", layout.size, PAPER)
    left, top, *_ = layout.floor
    picture.paste(draw_floor(plan, layout).reduce(FINE), (left, top))
    draw = ImageDraw.Draw(picture)
    draw.rectangle(layout.strip, fill=STRIP)
    draw.line((layout.strip[0], 0, layout.strip[0], layout.size[1]), fill=LINE)
    draw.text((MARGIN, HEADING // 2), heading, INK, font(15, bold=True), anchor="lm")
    _legend(picture, layout, stamps, with_links=with_links)
    return picture


def draw_floor(plan: FloorPlan, layout: Layout) -> Image.Image:
    """The floor in the fine size."""
    left, top, right, bottom = layout.floor
    image = Image.new("RGB", ((right - left) * FINE, (bottom - top) * FINE), PAPER)
    draw = ImageDraw.Draw(image)
    (x, y), (length, width) = plan.origin, plan.size
    draw.rectangle((*layout.on_floor(x - EDGE, y + width + EDGE), *layout.on_floor(x + length + EDGE, y - EDGE)), FLOOR)
    half = PALLET_SIDE / 2
    for place in plan.places:
        shades = PLACE_COLOURS[place.type]
        shade = _washed(shades[place.group % len(shades)])
        corners = layout.outline((place.x, place.y, place.yaw), -half, half, half)
        draw.polygon(corners, fill=shade, outline=_darker(shade), width=FINE)
    for box in plan.boxes:
        corners = layout.outline((box.x, box.y, box.yaw), -box.length / 2, box.length / 2, max(box.width, 0.08) / 2)
        draw.polygon(corners, fill=BOX_COLOURS[box.kind])
    return image


def _legend(picture: Image.Image, layout: Layout, stamps: Stamps, *, with_links: bool) -> None:
    """Two lines: what places are for, and how pallets stand."""
    draw = ImageDraw.Draw(picture)
    line = layout.size[1] - LEGEND + 18
    x = MARGIN
    for kind, shades in PLACE_COLOURS.items():
        for shade in shades:
            draw.rectangle((x, line - 5, x + 10, line + 5), fill=_washed(shade), outline=_darker(_washed(shade)))
            x += 13
        x = _label(draw, x + 2, line, kind)
    line += 22
    x = MARGIN
    for state, words in ((PASSED, "pallet, passed"), (UNDECIDED, "undecided"), (REJECTED, "rejected")):
        small = stamps.upright(0, state).reduce(FINE)
        picture.paste(small, (x, line - small.height // 2), small)
        x = _label(draw, x + small.width + 4, line, words)
    x = _label(draw, x, line, "number: article family")
    if with_links:
        draw.line((x, line, x + 22, line), fill="#8a4fbf", width=3)
        _label(draw, x + 27, line, "listens to")


def _label(draw: ImageDraw.ImageDraw, x: int, line: int, words: str) -> int:
    """Write one entry; returns where the next one begins."""
    draw.text((x, line), words, FAINT, font(11), anchor="lm")
    return int(x + draw.textlength(words, font(11))) + 14


def _washed(colour: str) -> tuple[int, int, int]:
    """A colour nearer to the floor's, so that what stands on it is seen."""
    pair = zip(ImageColor.getrgb(colour), ImageColor.getrgb(FLOOR), strict=False)
    red, green, blue = (round(0.6 * one + 0.4 * other) for one, other in pair)
    return red, green, blue


def _darker(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (round(0.8 * part) for part in colour)
    return red, green, blue
