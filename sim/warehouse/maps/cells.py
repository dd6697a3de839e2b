"""Grid maps whose cells are as large as a robot: the common form of MovingAI, League of Robot Runners and RWARE."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from policy_core.config import ConfigError
from sim.warehouse.maps.settings import ImportSettings

HEADINGS = ((0, 1, 0.0), (0, -1, np.pi), (1, 0, np.pi / 2), (-1, 0, -np.pi / 2))  # row, column, yaw of the next cell


class CellMap(NamedTuple):
    """Cells [H, W]; row 0 is the lowest, although files have it on top."""

    free: np.ndarray  # bool: a robot may stand here
    shelf: np.ndarray  # bool: not free; a pallet may stand here
    pick: np.ndarray  # bool: free cells from which shelves are served; all free ones where the form does not say
    goal: np.ndarray  # bool: free cells where goods are handed over; none where the form does not say

    def window(self, window: tuple[int, int, int, int], source: str) -> CellMap:
        """The part from a column and row of the file (from its top left), so many columns and rows.

        Raises:
            ConfigError: the window does not lie inside the map.
        """
        column, row, columns, rows = window
        height, width = self.free.shape
        if min(column, row) < 0 or min(columns, rows) < 1 or column + columns > width or row + rows > height:
            raise ConfigError(
                f"{source}: the window {column},{row},{columns},{rows} does not lie inside the map of {width} columns "
                f"and {height} rows. Give first column, first row, columns, rows, counted from 0 at the top left."
            )
        low = height - row - rows
        return CellMap(*(cells[low : low + rows, column : column + columns] for cells in self))


def read_rows(text: str, source: str, allowed: str, settings: ImportSettings) -> np.ndarray:
    """Lines of single characters as an array [H, W] of str, row 0 the lowest.

    Raises:
        ConfigError: no line, lines of unlike length, too many cells, or a character that means nothing; with its line.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or not lines[0]:
        raise ConfigError(f"{source}: holds no rows of cells.")
    width = len(lines[0])
    if width * len(lines) > settings.cells.most_cells:
        raise ConfigError(
            f"{source}: {width} x {len(lines)} cells; wanted at most {settings.cells.most_cells}. Raise most_cells in "
            f"config/import.yaml."
        )
    for number, line in enumerate(lines, start=1):
        if len(line) != width:
            raise ConfigError(f"{source}: row {number} has {len(line)} cells, row 1 has {width}; wanted equal rows.")
        strange = sorted(set(line) - set(allowed))
        if strange:
            raise ConfigError(
                f"{source}: row {number} holds {strange[0]!r} at column {line.index(strange[0]) + 1}; wanted only "
                f"{' '.join(allowed)}"
            )
    return np.array([list(line) for line in reversed(lines)])


def outer_part(free: np.ndarray) -> np.ndarray:
    """Cells that are not free and joined, also across corners, with the cells at the border [H, W] bool."""
    label, _ = ndimage.label(np.pad(~free, 1, constant_values=True), np.ones((3, 3), dtype=bool))
    return np.asarray((label == label[0, 0])[1:-1, 1:-1])


def largest_part(free: np.ndarray) -> np.ndarray:
    """The largest area of free cells joined side by side [H, W] bool; all False without any."""
    label, count = ndimage.label(free)
    if count == 0:
        return np.zeros_like(free)
    return np.asarray(label == int(np.bincount(label.ravel())[1:].argmax()) + 1)
