"""Whether bodies move as bodies can: finite, on the floor, no further than their speed allows, through no box."""

from __future__ import annotations

import numpy as np

from sim.soak.findings import Findings
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.rectangles import box_rectangles
from sim.warehouse.routes import Tables


def crossed(start: np.ndarray, end: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """Which straight ways from start [N, 2] to end [N, 2] touch which rectangles [B, 5]: bool [N, B].

    Exact, by slabs in each rectangle's own axes (Kay and Kajiya, Ray Tracing Complex Scenes, SIGGRAPH 1986, section 3);
    so a rack is seen however thin it is and however far the way.
    """
    cos, sin = np.cos(rectangles[:, 4]), np.sin(rectangles[:, 4])
    enter, leave = np.zeros((len(start), len(rectangles))), np.ones((len(start), len(rectangles)))
    offset = start[:, None, :] - rectangles[None, :, :2]
    way = (end - start)[:, None, :]
    for axis, half in (
        (np.stack([cos, sin], -1), rectangles[:, 2] / 2),
        (np.stack([-sin, cos], -1), rectangles[:, 3] / 2),
    ):
        at, along = (offset * axis).sum(-1), (way * axis).sum(-1)
        still = np.abs(along) < 1e-12
        safe = np.where(still, 1.0, along)
        one, other = (-half - at) / safe, (half - at) / safe
        inside = np.abs(at) <= half
        enter = np.maximum(enter, np.where(still, np.where(inside, 0.0, 2.0), np.minimum(one, other)))
        leave = np.minimum(leave, np.where(still, np.where(inside, 1.0, -1.0), np.maximum(one, other)))
    return np.asarray(enter <= leave)


class MotionWatch:
    """Follows named bodies from look to look.

    Args:
        findings: takes what is seen.
        plan: whose boxes nobody may pass through.
        tables: of the plan.
        top_speed: m/s no body exceeds.
        jump: m it may be off that all the same.
    """

    def __init__(self, findings: Findings, plan: FloorPlan, tables: Tables, top_speed: float, jump: float) -> None:
        self._findings = findings
        self._boxes = box_rectangles(plan.boxes)
        self._named = [f"{box.kind}_{index}" for index, box in enumerate(plan.boxes)]
        self._tables = tables
        self._low = np.array(plan.origin)
        self._high = self._low + plan.size
        self._top_speed, self._jump = top_speed, jump
        self._last: dict[str, tuple[float, float]] = {}
        self._then = 0.0

    def look(self, now: float, bodies: dict[str, tuple[float, ...]]) -> None:
        """Take where every body is now (s): x, y (m, map) and whatever else must be finite.

        A body that was not there at the last look is only asked to be finite and on the floor.
        """
        note, elapsed = self._findings.note, now - self._then
        names = list(bodies)
        values = np.array([bodies[name][:2] for name in names]).reshape(-1, 2)
        finite = np.array([bool(np.isfinite(bodies[name]).all()) for name in names], bool)
        lost = [name for name, is_finite in zip(names, finite, strict=True) if not is_finite]
        note("finite", now, f"{lost[0]} is at {bodies[lost[0]]}" if lost else "", len(names))
        outside = finite & ((values < self._low) | (values > self._high)).any(axis=1)
        note("on the floor", now, _first(names, values, outside), len(names))
        known = np.array([name in self._last for name in names], bool) & finite
        rows = np.flatnonzero(known)
        start = np.array([self._last[names[row]] for row in rows]).reshape(-1, 2)
        moved = (start != values[rows]).any(axis=1)
        rows, start = rows[moved], start[moved]
        end = values[rows]
        way = np.hypot(*(end - start).T) if len(rows) else np.zeros(0)
        most = self._top_speed * elapsed + self._jump
        far = way > most
        text = ""
        if far.any():
            row = int(np.argmax(way))
            text = f"{names[rows[row]]} moved {way[row]:.2f} m in {elapsed:.2f} s, at most {most:.2f} m"
        note("no jump", now, text, int(known.sum()))
        near = way >= self._free_around(start)
        start, end, rows = start[near], end[near], rows[near]
        through = crossed(start, end, self._boxes)
        text = ""
        if through.any():
            row, box = (int(index) for index in np.argwhere(through)[0])
            text = f"{names[rows[row]]} went from {_at(start[row])} to {_at(end[row])} through {self._named[box]}"
        note("no way through a box", now, text, int(known.sum()))
        good = zip(names, values.tolist(), finite.tolist(), strict=True)
        self._last = {name: (x, y) for name, (x, y), is_finite in good if is_finite}
        self._then = now

    def _free_around(self, points: np.ndarray) -> np.ndarray:
        """Metres from each point [N, 2] in which no box can be: the clearance of its cell, less the cell's diagonal."""
        tables = self._tables
        columns, rows = ((points - tables.grid_origin) / tables.cell).astype(int).T
        height, width = tables.clearance.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        free = np.zeros(len(points))
        free[inside] = tables.clearance[rows[inside], columns[inside]] - 1.5 * tables.cell
        return free


def _at(point: np.ndarray) -> str:
    return f"({point[0]:.2f}, {point[1]:.2f})"


def _first(names: list[str], values: np.ndarray, faulty: np.ndarray) -> str:
    rows = np.flatnonzero(faulty)
    return f"{names[rows[0]]} is at {_at(values[rows[0]])}, off the floor" if len(rows) else ""
