"""The floor from above: robots with forks and load, pallets, routes, who listens to whom; figures beside it.

The backdrop is drawn once. A frame lays robots and pallets over it with PIL at twice the size, makes that small, and
writes names and figures: about 10 ms of one core for 960 x 640 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sim.view.backdrop import INK, draw_backdrop, draw_floor
from sim.view.layout import FINE, Layout, font
from sim.view.scene import Scene
from sim.view.stamps import Stamps, rgb
from sim.view.strip import Strip
from sim.warehouse.bodies import Bodies
from sim.warehouse.colours import robot_colour
from sim.warehouse.floorplan import FloorPlan

STILL_COLOURS = {"inventory": (0, 121, 90), "quality": (160, 76, 140)}
OTHER_COLOUR = (90, 98, 108)
LINK = (138, 79, 191)
LEAST_SHARE = 0.18  # of attention; fainter links are left out
BOW = 10  # pixels by which a link bends aside
ALONG = np.linspace(0.0, 1.0, 9)[:, None]  # points of a link
MAST = 0.10  # m, drawn depth of the mast
STEEL, DARK = "#3a3f47", "#22262c"
PARKED_SPEED = 0.02  # m/s; below, no wedge shows the way


class TopDown:
    """Draws scenes of one floor with one fleet.

    Args:
        plan: the floor.
        agents: names, robots first.
        size: width and height (pixels, even).
        bodies: how big a robot is.
        heading: what stands above the floor.
        length: simulated time the run will take (s), for the clock; 0: not known.
        with_links: whether scenes say who listens to whom, for the legend.

    Raises:
        ConfigError: the size cannot be used.
    """

    def __init__(
        self,
        plan: FloorPlan,
        agents: Sequence[str],
        size: tuple[int, int],
        bodies: Bodies,
        *,
        heading: str = "",
        length: float = 0.0,
        with_links: bool = False,
    ) -> None:
        self._layout = Layout(plan, *size)
        self._body, self._forks = bodies.forklift, bodies.forks
        self._agents = tuple(agents)
        self._stamps = Stamps(self._layout)
        self._backdrop = draw_backdrop(plan, self._layout, self._stamps, heading or plan.name, with_links=with_links)
        self._floor = draw_floor(plan, self._layout)
        self._strip = Strip(self._layout, self._agents, [self._colour(n) for n in range(len(agents))], length)

    def draw(self, scene: Scene) -> np.ndarray:
        """One picture [height, width, 3] uint8."""
        floor = self._floor.copy()
        draw = ImageDraw.Draw(floor, "RGBA")
        self._draw_ways(draw, scene)
        there = [(robot, pose) for robot, pose in enumerate(scene.robots) if not np.isnan(pose[0])]
        for _, pose in there:
            self._draw_tines(draw, pose)  # below the pallets
        for pallet in scene.pallets.values():
            if pallet.carrier < 0:
                self._stamp(floor, pallet.x, pallet.y, pallet.sku, pallet.state, pallet.yaw)
                if pallet.is_inspected:
                    self._ring(draw, pallet.x, pallet.y, 0.62, STILL_COLOURS["quality"], 0.07)
        for robot, pose in there:
            self._draw_robot(draw, robot, pose)
        for pallet in scene.pallets.values():
            if pallet.carrier >= 0:
                self._stamp(floor, pallet.x, pallet.y, pallet.sku, pallet.state, pallet.yaw)
        self._draw_links(draw, scene)
        picture = self._backdrop.copy()
        picture.paste(floor.reduce(FINE), self._layout.floor[:2])
        writer = ImageDraw.Draw(picture)
        self._draw_names(writer, scene)
        self._strip.draw(writer, scene)
        return np.asarray(picture)

    def _colour(self, agent: int) -> tuple[int, int, int]:
        kind = self._agents[agent].rsplit("_", 1)[0]
        if kind == "forklift":
            return rgb(robot_colour(agent))
        return STILL_COLOURS.get(kind, OTHER_COLOUR)

    def _draw_ways(self, draw: ImageDraw.ImageDraw, scene: Scene) -> None:
        width = max(2, round(0.07 * self._layout.scale * FINE))
        for robot, way in enumerate(scene.ways):
            if len(way) < 2:
                continue
            colour = self._colour(robot)
            points = [self._layout.on_floor(x, y) for x, y in _rest(way, scene.robots[robot, :2])]
            draw.line(points, fill=(*colour, 150), width=width, joint="curve")
            self._ring(draw, float(way[-1, 0]), float(way[-1, 1]), 0.55, colour, 0.07)

    def _draw_tines(self, draw: ImageDraw.ImageDraw, pose: np.ndarray) -> None:
        x, y, yaw = (float(value) for value in pose[:3])
        front, forks = self._body.front, self._forks
        for side in (-0.5, 0.5):
            shift = side * forks.spread
            root = (x - shift * np.sin(yaw), y + shift * np.cos(yaw), yaw)
            draw.polygon(self._layout.outline(root, front, front + forks.length, forks.width / 2), fill=STEEL)

    def _draw_robot(self, draw: ImageDraw.ImageDraw, robot: int, pose: np.ndarray) -> None:
        x, y, yaw, speed = (float(value) for value in pose)
        at, body, outline = (x, y, yaw), self._body, self._layout.outline
        half = body.width / 2
        draw.polygon(outline(at, body.rear, body.front, half), fill=self._colour(robot), outline=DARK, width=FINE)
        draw.polygon(outline(at, body.front - MAST, body.front, half), fill=DARK)
        if abs(speed) > PARKED_SPEED:  # a wedge that points the way it drives
            tip, tail = (body.front - 1.5 * MAST, body.rear + 0.12)
            tip, tail = (tip, tail) if speed > 0 else (tail, tip)
            corners = outline(at, tail, tip, 0.6 * half)
            front = outline(at, tip, tip, 0.0)[0]
            draw.polygon([corners[0], front, corners[3]], fill="#ffffffd0")

    def _draw_links(self, draw: ImageDraw.ImageDraw, scene: Scene) -> None:
        """A line from who speaks to who listens, the stronger the more of its attention the listener gives."""
        if scene.links is None:
            return
        points = [self._layout.on_floor(*at) for at in (*scene.robots[:, :2], *scene.stands)]
        for listener, speaker in zip(*np.nonzero(scene.links >= LEAST_SHARE), strict=True):
            share = float(scene.links[listener, speaker])
            (x, y), (to_x, to_y) = points[speaker], points[listener]
            far = max(float(np.hypot(to_x - x, to_y - y)), 1.0)
            aside = BOW * FINE * np.array([(y - to_y) / far, (to_x - x) / far])  # the two ways beside each other
            ends = np.array([(x, y), (to_x, to_y)])
            curve = (1 - ALONG) * ends[0] + ALONG * ends[1] + 4 * ALONG * (1 - ALONG) * aside
            colour = (*LINK, round(30 + 225 * min(1.0, share)))
            width = round(FINE * (0.6 + 3.5 * share))
            draw.line([tuple(point) for point in curve.tolist()], fill=colour, width=width, joint="curve")

    def _draw_names(self, draw: ImageDraw.ImageDraw, scene: Scene) -> None:
        for number, agent in enumerate(self._agents):
            is_robot = number < len(scene.robots)
            at = scene.robots[number, :2] if is_robot else scene.stands[number - len(scene.robots)]
            if np.isnan(at[0]):
                continue
            x, y = self._layout.in_picture(float(at[0]), float(at[1]))
            if not is_robot:
                draw.polygon([(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)], self._colour(number), "#ffffff")
            draw.text((x, y + (0.62 * self._layout.scale if is_robot else 8)), short_name(agent), INK,
                      font(10, bold=True), anchor="mt", stroke_width=2, stroke_fill="#ffffff")  # fmt: skip

    def _ring(
        self, draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int], line: float
    ) -> None:
        across, down = self._layout.on_floor(x, y)
        reach = radius * self._layout.scale * FINE
        width = max(2, round(line * self._layout.scale * FINE))
        draw.ellipse((across - reach, down - reach, across + reach, down + reach), outline=colour, width=width)

    def _stamp(self, image: Image.Image, x: float, y: float, sku: int, state: int, yaw: float) -> None:
        stamp = self._stamps.at(sku, state, yaw)
        across, down = self._layout.on_floor(x, y)
        image.paste(stamp, (round(across - stamp.width / 2), round(down - stamp.height / 2)), stamp)


def short_name(agent: str) -> str:
    """Forklift_1 is F1, inventory_2 is I2, quality_1 is Q1."""
    kind, _, number = agent.rpartition("_")
    return f"{kind[:1].upper()}{number}"


def _rest(way: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What lies ahead of a point [2] on a way [n, 2]: the point, then the ends of the nearest segment and all later."""
    start, step = way[:-1], np.diff(way, axis=0)
    share = ((at - start) * step).sum(1) / np.maximum((step * step).sum(1), 1e-9)
    foot = start + np.clip(share, 0.0, 1.0)[:, None] * step
    nearest = int(np.argmin(((foot - at) ** 2).sum(1)))
    return np.concatenate([at[None], way[nearest + 1 :]])
