"""Which spot becomes what: docks at the two ends of the floor, stations by the receiving docks, slots in the rest."""

from __future__ import annotations

import numpy as np

from sim.warehouse.floorplan import Place, PlaceType
from sim.warehouse.maps.candidates import Candidates, in_the_way
from sim.warehouse.maps.settings import ImportSettings

SEEDS = 40  # spots tried as the first of a group
NEXT = 1.8  # pitches from a member of a group to the next
SAME_FACE = 0.6  # m that neighbours of a group may stand before or behind each other


def choose_places(candidates: Candidates, settings: ImportSettings) -> list[Place]:
    """Name and type the best spots, in frame grid; fewer than wanted where there is no room.

    Goods come in at the low end of the longer side of the floor and leave at the high end. Groups are filled in
    this order: inbound, outbound, inspection (near inbound), quarantine (near inspection), parking (outer walls,
    half way), and slots wherever there is room left, first where there is floor on both sides of a face.
    """
    if len(candidates.yaw) == 0:
        return []
    choice = _Choice(candidates, settings)
    low, high = candidates.centre.min(axis=0), candidates.centre.max(axis=0)
    axis = int(np.argmax(high - low))
    along = (candidates.centre[:, axis] - low[axis]) / max(high[axis] - low[axis], 1e-9)
    forward = np.cos(candidates.yaw) if axis == 0 else np.sin(candidates.yaw)
    unfit = np.where(candidates.is_outer, 0.0, 10.0)
    inbound = choice.groups("inbound", along + 0.2 * (forward > -0.5) + unfit)
    choice.groups("outbound", (1 - along) + 0.2 * (forward < 0.5) + unfit)
    inspection = choice.groups("inspection", choice.distance_to(inbound))
    choice.groups("quarantine", choice.distance_to(inspection or inbound))
    choice.groups("parking", np.abs(along - 0.5) + unfit)
    choice.slots(along)
    return choice.places


class _Choice:
    """Spots still free, and the places made so far."""

    def __init__(self, candidates: Candidates, settings: ImportSettings) -> None:
        self.candidates, self.settings = candidates, settings
        self.free = np.ones(len(candidates.yaw), dtype=bool)
        self.places: list[Place] = []

    def distance_to(self, chosen: list[int]) -> np.ndarray:
        """Distance (m) of every spot to the middle of the chosen ones [N]; zeros if there are none."""
        centre = self.candidates.centre
        return np.hypot(*(centre - centre[chosen].mean(axis=0)).T) if chosen else np.zeros(len(centre))

    def groups(self, kind: PlaceType, score: np.ndarray) -> list[int]:
        """Make the groups of one type from neighbouring spots, the lowest score first; returns the spots."""
        wanted = self.settings.places[kind]
        taken: list[int] = []
        for group in range(wanted.groups):
            members = self._row(score, wanted.each)
            for number, spot in enumerate(self._in_order(members)):
                letter = chr(ord("a") + number) if wanted.each <= 26 else f"_{number + 1}"
                name = f"{kind}_{group + 1}{letter}" if wanted.groups > 1 else f"{kind}_{number + 1}"
                self._take(spot, name, kind, group)
            taken += members
        return taken

    def slots(self, along: np.ndarray) -> None:
        """Slots in all that is left, split into zones along the longer side."""
        wanted = self.settings.places["slot"]
        spots: list[int] = []
        for spot in np.argsort(self.candidates.is_outer, kind="stable").tolist():
            if self.free[spot] and len(spots) < wanted.groups * wanted.each:
                self.free &= ~in_the_way(self.candidates, spot, self.settings)
                spots.append(spot)
        spots.sort(key=lambda spot: float(along[spot]))
        for number, spot in enumerate(spots):
            self._take(spot, f"slot_{number + 1}", "slot", number * wanted.groups // len(spots))

    def _row(self, score: np.ndarray, count: int) -> list[int]:
        """Up to `count` neighbours at one face; the best-scored seed that has room for all, else the longest row."""
        best: list[int] = []
        open_seeds = self.free.copy()
        for _ in range(SEEDS):
            if not open_seeds.any():
                break
            seed = int(np.where(open_seeds, score, np.inf).argmin())
            row = self._grow(seed, count)
            if len(row) > len(best):
                best = row
            if len(row) == count:
                break
            open_seeds &= np.hypot(*(self.candidates.centre - self.candidates.centre[seed]).T) > self.settings.pitch / 2
        return best

    def _grow(self, seed: int, count: int) -> list[int]:
        centre, yaw = self.candidates.centre, self.candidates.yaw
        forward = np.array([np.cos(yaw[seed]), np.sin(yaw[seed])])
        free = self.free & np.isclose(yaw, yaw[seed]) & (np.abs((centre - centre[seed]) @ forward) <= SAME_FACE)
        row = [seed]
        while len(row) < count:
            free &= ~in_the_way(self.candidates, row[-1], self.settings)
            near = np.hypot(*(centre[:, None] - centre[row]).transpose(2, 0, 1)).min(axis=1)
            near = np.where(free, near, np.inf)
            if near.min() > NEXT * self.settings.pitch:
                break
            row.append(int(near.argmin()))
        return row

    def _in_order(self, spots: list[int]) -> list[int]:
        return sorted(spots, key=lambda spot: tuple(self.candidates.centre[spot].tolist()))

    def _take(self, spot: int, name: str, kind: PlaceType, group: int) -> None:
        self.free &= ~in_the_way(self.candidates, spot, self.settings)
        x, y = self.candidates.centre[spot]
        yaw = float(self.candidates.yaw[spot])
        self.places.append(Place(name=name, type=kind, x=float(x), y=float(y), yaw=yaw, group=group))
