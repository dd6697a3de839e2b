"""Which cells of a grid become places: slots in shelves, docks at goals or outer walls, stations near the docks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.warehouse.floorplan import Place, PlaceType
from sim.warehouse.maps.cells import HEADINGS, CellMap
from sim.warehouse.maps.settings import ImportSettings

GOLDEN = 0.6180339887498949  # multiples of it, less whole numbers, spread evenly without falling into rows
OFF_MIDDLE = 0.05  # cells nearer to the end that a dock one cell off the middle of the wall is worth


class Spots(NamedTuple):
    """N cells with a face: a pallet can stand in it and a robot before it."""

    row: np.ndarray  # [N] of the pallet
    column: np.ndarray  # [N]
    yaw: np.ndarray  # [N] (rad): heading of a robot that docks
    stand_row: np.ndarray  # [N] of the robot
    stand_column: np.ndarray  # [N]
    is_shelf: np.ndarray  # [N] bool
    is_outer: np.ndarray  # [N] bool
    is_goal: np.ndarray  # [N] bool: the robot stands on a goal
    shelves: int  # cells of shelves, with a face or without


def find_spots(cells: CellMap, floor: np.ndarray, outer: np.ndarray) -> Spots:
    """Every solid cell beside the floor, once for each side it can be reached from.

    Goals in the open, with no wall beside them, have no spot.
    """
    found: list[np.ndarray] = []
    rows, columns = floor.shape
    for down, right, yaw in HEADINGS:
        row, column = np.nonzero(floor)
        at_row, at_column = row + down, column + right
        inside = (at_row >= 0) & (at_row < rows) & (at_column >= 0) & (at_column < columns)
        row, column, at_row, at_column = row[inside], column[inside], at_row[inside], at_column[inside]
        is_shelf = cells.shelf[at_row, at_column] & cells.pick[row, column]
        is_outer = outer[at_row, at_column] & ~cells.shelf[at_row, at_column]
        use = ~cells.free[at_row, at_column] & (is_shelf | is_outer | cells.goal[row, column])
        columns_of = (
            at_row,
            at_column,
            np.full(len(row), yaw),
            row,
            column,
            is_shelf,
            is_outer,
            cells.goal[row, column],
        )
        found.append(np.stack([each[use].astype(np.float64) for each in columns_of]))
    table = np.concatenate(found, axis=1)
    order = np.lexsort((table[0], table[1]))
    at_row, at_column, yaws, row, column, is_shelf, is_outer, is_goal = table[:, order]
    whole = [each.astype(np.int64) for each in (at_row, at_column, row, column)]
    shelf, wall, goal = (each.astype(bool) for each in (is_shelf, is_outer, is_goal))
    return Spots(whole[0], whole[1], yaws, whole[2], whole[3], shelf, wall, goal, int(cells.shelf.sum()))


def choose_cell_places(spots: Spots, settings: ImportSettings, side: float, *, is_goal_outbound: bool) -> list[Place]:
    """Give spots a type and a name, as wished for in config/import.yaml.

    Outbound docks come first: at goals, else at outer walls at the high end of the longer side. Inbound docks are at
    the other end, inspection near inbound, quarantine near inspection, parking half way along the floor.
    """
    choice = _Choice(spots, settings, side)
    if len(spots.row) == 0:
        return []
    middle = np.stack([spots.stand_column, spots.stand_row], axis=1).astype(float)
    low, high = middle.min(axis=0), middle.max(axis=0)
    axis = int(np.argmax(high - low))
    along = middle[:, axis] - low[axis]
    aside = OFF_MIDDLE * np.abs(middle[:, 1 - axis] - (low + high)[1 - axis] / 2)
    length = float(high[axis] - low[axis])
    docks = spots.is_goal if spots.is_goal.any() else spots.is_outer
    if is_goal_outbound and spots.is_goal.any():
        each = spots.is_goal & ~spots.is_shelf
        choice.one_each("outbound", each if each.any() else spots.is_goal)
        away = np.hypot(*(middle - middle[spots.is_goal].mean(axis=0)).T)
        inbound = choice.groups("inbound", spots.is_outer & ~spots.is_goal, -away)
    else:
        choice.groups("outbound", docks, length - along + aside)
        inbound = choice.groups("inbound", docks, along + aside)
    walls = spots.is_outer & ~spots.is_goal
    inspection = choice.groups("inspection", walls, choice.distance_to(inbound))
    choice.groups("quarantine", walls, choice.distance_to(inspection or inbound))
    choice.groups("parking", walls, np.abs(along - length / 2))
    choice.slots(axis)
    return choice.places


class _Choice:
    def __init__(self, spots: Spots, settings: ImportSettings, side: float) -> None:
        self.spots, self.settings, self.side = spots, settings, side
        self.free = np.ones(len(spots.row), dtype=bool)
        self.stands = np.ones(len(spots.row), dtype=bool)  # the cell before it is nobody's yet
        self.places: list[Place] = []

    def distance_to(self, chosen: list[int]) -> np.ndarray:
        """Cells from every spot to the middle of the chosen ones [N]; zeros if there are none."""
        if not chosen:
            return np.zeros(len(self.spots.row))
        row, column = self.spots.row, self.spots.column
        return np.hypot(row - row[chosen].mean(), column - column[chosen].mean())

    def one_each(self, kind: PlaceType, wanted: np.ndarray) -> None:
        """A place, and a group of its own, for every cell that one of the wanted spots [N] is reached from."""
        group = 0
        for index in np.flatnonzero(wanted).tolist():
            if self.free[index] and self.stands[index] and group < 32:
                self._take(index, kind, f"{kind}_{group + 1}", group)
                group += 1

    def groups(self, kind: PlaceType, wanted: np.ndarray, score: np.ndarray) -> list[int]:
        """As many groups of neighbours as wished for, the lowest score [N] first; returns the spots."""
        wish = self.settings.places[kind]
        taken: list[int] = []
        for group in range(wish.groups):
            usable = self.free & self.stands & wanted
            if not usable.any():
                break
            seed = int(np.where(usable, score, np.inf).argmin())
            for number in range(wish.each):
                near = self.free & self.stands & wanted & (self.spots.yaw == self.spots.yaw[seed])
                if not near.any():
                    break
                away = np.hypot(self.spots.row - self.spots.row[seed], self.spots.column - self.spots.column[seed])
                index = int(np.where(near, away, np.inf).argmin())
                letter = chr(97 + number) if number < 26 else f"_{number + 1}"
                self._take(index, kind, f"{kind}_{group + 1}{letter}", group)
                taken.append(index)
        return taken

    def slots(self, axis: int) -> None:
        """Shelf cells, each once, at most `most_slots` all over the floor, split into zones along the longer side."""
        spots = self.spots
        faces = np.flatnonzero(self.free & spots.is_shelf)
        _, first = np.unique(np.stack([spots.column[faces], spots.row[faces]]), axis=1, return_index=True)
        usable = faces[np.sort(first)].tolist()
        most = self.settings.cells.most_slots
        if len(usable) > most:
            spread = np.argsort(np.arange(len(usable)) * GOLDEN % 1.0, kind="stable")[:most]
            usable = [usable[n] for n in spread.tolist()]
        position = (spots.column, spots.row)
        usable.sort(key=lambda index: (int(position[axis][index]), int(position[1 - axis][index])))
        zones = self.settings.places["slot"].groups
        for number, index in enumerate(usable):
            self._take(index, "slot", f"slot_{number + 1}", number * zones // len(usable))

    def _take(self, index: int, kind: PlaceType, name: str, group: int) -> None:
        spots = self.spots
        self.free &= (spots.row != spots.row[index]) | (spots.column != spots.column[index])
        if kind != "slot":  # two docks must not be served from one cell
            at = spots.stand_row[index], spots.stand_column[index]
            self.stands &= (spots.stand_row != at[0]) | (spots.stand_column != at[1])
        x, y = ((int(cell) - 0.5) * self.side for cell in (spots.column[index], spots.row[index]))
        yaw = float(spots.yaw[index])
        self.places.append(Place(name=name, type=kind, x=round(x, 3), y=round(y, 3), yaw=round(yaw, 6), group=group))
