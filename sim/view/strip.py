"""The strip beside the floor: clock, KPIs, and what every agent does."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from sim.view.backdrop import FAINT, INK, LINE
from sim.view.layout import MARGIN, Layout, font
from sim.view.scene import DEAD, EMPTY, Scene

CLOCK, FIGURE, AGENT, TITLE = 34, 20, 33, 26  # pixels of height
TROUBLE = "#c0271c"


class Strip:
    """Writes into the right part of a picture."""

    def __init__(
        self, layout: Layout, agents: Sequence[str], colours: Sequence[tuple[int, int, int]], length: float
    ) -> None:
        """`colours` are the agents' own; `length` is what the run will take (s), 0 if that is not known."""
        self._left, self._right = layout.strip[0] + MARGIN + 4, layout.strip[2] - MARGIN
        self._bottom = layout.size[1] - MARGIN
        self._agents, self._colours, self._length = agents, colours, length

    def draw(self, draw: ImageDraw.ImageDraw, scene: Scene) -> None:
        """Write the scene's figures."""
        y = MARGIN
        of = f" / {_clock(self._length)}" if self._length else ""
        draw.text((self._left, y), _clock(scene.time), INK, font(26, bold=True))
        start = self._left + draw.textlength(_clock(scene.time), font(26, bold=True))
        draw.text((start, y + 11), of, FAINT, font(14))
        y += CLOCK
        if self._length:
            share = min(1.0, scene.time / self._length)
            draw.rectangle((self._left, y, self._right, y + 4), fill=LINE)
            draw.rectangle((self._left, y, self._left + share * (self._right - self._left), y + 4), fill="#3b82c4")
        y += 14
        for label, value, is_trouble in figures(scene):
            draw.text((self._left, y), label, FAINT, font(12))
            draw.text((self._right, y), value, TROUBLE if is_trouble else INK, font(12, bold=True), anchor="ra")
            y += FIGURE
        y += 8
        draw.line((self._left, y, self._right, y), fill=LINE)
        y += 10
        room = max(0, (self._bottom - y) // AGENT)
        shown = len(self._agents) if len(self._agents) <= room else max(0, room - 1)
        for agent, colour, words in list(zip(self._agents, self._colours, scene.doing, strict=True))[:shown]:
            draw.ellipse((self._left, y + 3, self._left + 10, y + 13), fill=colour)
            draw.text((self._left + 17, y), agent, INK, font(12, bold=True))
            is_trouble = words.startswith(("blocked", EMPTY, DEAD))
            draw.text((self._left + 17, y + 15), words, TROUBLE if is_trouble else FAINT, font(11))
            y += AGENT
        if shown < len(self._agents):
            draw.text((self._left, y), f"and {len(self._agents) - shown} more", FAINT, font(11))


def figures(scene: Scene) -> list[tuple[str, str, bool]]:
    """Label, value and whether it is trouble."""
    kpis = scene.kpis
    done = kpis["orders_done"]
    return [
        ("orders done", f"{done:.0f}", False),
        ("open orders", f"{scene.open_orders}", False),
        ("on time", f"{kpis['on_time_share']:.0%}" if done else "-", False),
        ("lines shipped", f"{kpis['lines_shipped']:.0f}", False),
        ("pallets stored", f"{kpis['pallets_stored']:.0f}", False),
        ("defects shipped", f"{kpis['defects_shipped']:.0f}", kpis["defects_shipped"] > 0),
        ("contacts", f"{kpis['contacts']:.0f}", kpis["contacts"] > 0),
        ("blocked", f"{kpis['blocked_s']:.0f} s", False),
        ("driven", f"{kpis['distance_m']:.0f} m", False),
    ]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
