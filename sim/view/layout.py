"""Where things go in a picture: floor on the left under a heading, legend below it, figures in a strip on the right."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from policy_core.config import ConfigError
from sim.warehouse.floorplan import FloorPlan

SMALLEST = (640, 400)  # pixels; below, the words of the strip do not fit
LARGEST = 4096
HEADING, LEGEND, MARGIN = 40, 58, 12  # pixels
STRIP_SHARE, STRIP_LEAST, STRIP_MOST = 0.25, 216, 320
EDGE = 0.3  # m of floor around the plan
FINE = 2  # what moves is drawn at this many times the picture's size and then made small, for smooth edges

Box = tuple[int, int, int, int]  # left, top, right, bottom (pixels)


class Layout:
    """The parts of a picture, and metres of the map as its pixels.

    Attributes:
        floor: where the floor lies in the picture.
        strip: where the figures lie.
        scale: pixels of the picture in a metre.
    """

    def __init__(self, plan: FloorPlan, width: int, height: int) -> None:
        """Fit the plan.

        Raises:
            ConfigError: the picture is too small or too large, or has an odd side, which films cannot have.
        """
        if width < SMALLEST[0] or height < SMALLEST[1] or max(width, height) > LARGEST or width % 2 or height % 2:
            raise ConfigError(
                f"picture size: saw {width}x{height} pixels, wanted even numbers from {SMALLEST[0]}x{SMALLEST[1]} to "
                f"{LARGEST}x{LARGEST}"
            )
        self.size = (width, height)
        strip = int(min(max(STRIP_SHARE * width, STRIP_LEAST), STRIP_MOST))
        room_x, room_y = width - strip - 2 * MARGIN, height - HEADING - LEGEND
        self._least = (plan.origin[0] - EDGE, plan.origin[1] - EDGE)
        span = (plan.size[0] + 2 * EDGE, plan.size[1] + 2 * EDGE)
        self.scale = min(room_x / span[0], room_y / span[1])
        wide, high = math.ceil(self.scale * span[0]), math.ceil(self.scale * span[1])
        left, top = MARGIN + (room_x - wide) // 2, HEADING + (room_y - high) // 2
        self.floor: Box = (left, top, left + wide, top + high)
        self.strip: Box = (width - strip, 0, width, height)

    def on_floor(self, x: float, y: float) -> tuple[float, float]:
        """A point of the map (m) in the fine picture of the floor."""
        high = self.floor[3] - self.floor[1]
        return (x - self._least[0]) * self.scale * FINE, (high - (y - self._least[1]) * self.scale) * FINE

    def in_picture(self, x: float, y: float) -> tuple[float, float]:
        """A point of the map (m) in the whole picture."""
        across, down = self.on_floor(x, y)
        return self.floor[0] + across / FINE, self.floor[1] + down / FINE

    def outline(
        self, pose: tuple[float, float, float], low_x: float, high_x: float, half: float
    ) -> list[tuple[float, float]]:
        """A rectangle's corners in the fine picture: low_x to high_x ahead of a pose (m, rad), half to each side."""
        x, y, yaw = pose
        cos, sin = math.cos(yaw), math.sin(yaw)
        corners = ((low_x, -half), (high_x, -half), (high_x, half), (low_x, half))
        return [self.on_floor(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners]


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ConfigError("pictures need matplotlib's fonts, and matplotlib is not installed; install it with pip.")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name), size)
