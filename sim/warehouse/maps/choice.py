"""Which spot becomes what: docks at the two ends of the floor, stations by the receiving docks, slots in the rest."""

from __future__ import annotations

import copy

import numpy as np

from sim.warehouse.floorplan import Place, PlaceType
from sim.warehouse.maps.candidates import Candidates, in_the_way, spots_in_the_way
from sim.warehouse.maps.floor import Floor
from sim.warehouse.maps.floor_rows import find_floor_rows
from sim.warehouse.maps.passage import Passage, Spot
from sim.warehouse.maps.settings import ImportSettings

SEEDS = 40  # spots tried as the first of a group
NEXT = 1.8  # pitches from a member of a group to the next
WANDER = 6.0  # m that a group may lie off its best spot in all tries but the first
CROWDED = 1.5  # of the floor's length: what a dock in the roomiest part of the floor is worth
SIDEWAYS = 4.0  # m that a dock at the side of the floor must be nearer to the end than one at the end wall
SAME_FACE = 0.6  # m that neighbours of a group may stand before or behind each other


def choose_places(
    floor: Floor, candidates: Candidates, settings: ImportSettings, way_width: float, number: int
) -> list[Place]:
    """Give the best spots a type and a passing name, in frame grid; fewer than wanted where there is no room.

    Goods come in at the low end of the longer side of the floor and leave at the high end, where there is space for
    robots. Groups are filled in this order: inbound, outbound, inspection (near inbound), quarantine (near
    inspection), parking (outer walls, half way), then slots.

    Args:
        floor: what was found in the map.
        candidates: all spots that could be used.
        settings: how many places are wanted, and how far apart.
        way_width: m that the ways between places stay wide.
        number: of the try. Try 0 takes the best spots; others wander off them, each try always the same way.
    """
    if len(candidates.yaw) == 0:
        return []
    rng, wander = np.random.default_rng(number), WANDER if number else 0.0
    choice = _Choice(floor, candidates, settings, way_width)
    low, high = candidates.centre.min(axis=0), candidates.centre.max(axis=0)
    axis = int(np.argmax(high - low))
    along, length = candidates.centre[:, axis] - low[axis], high[axis] - low[axis]
    forward = np.cos(candidates.yaw) if axis == 0 else np.sin(candidates.yaw)
    unfit = np.where(candidates.is_outer, 0.0, 5 * length)
    dock = unfit + CROWDED * length * (1 - candidates.space)

    def near(score: np.ndarray) -> np.ndarray:
        return score + rng.uniform(0.0, wander, len(score))

    inbound = choice.groups("inbound", along + SIDEWAYS * (forward > -0.5) + dock)
    choice.groups("outbound", length - along + SIDEWAYS * (forward < 0.5) + dock)
    inspection = choice.groups("inspection", near(choice.distance_to(inbound)))
    choice.groups("quarantine", near(choice.distance_to(inspection or inbound)))
    choice.groups("parking", near(np.abs(along - length / 2) + unfit))
    choice.slots(axis)
    return choice.places


class _Choice:
    """Spots still free, and the places made so far."""

    def __init__(self, floor: Floor, candidates: Candidates, settings: ImportSettings, way_width: float) -> None:
        self.floor, self.candidates, self.settings = floor, candidates, settings
        self.free = np.ones(len(candidates.yaw), dtype=bool)
        self.passage = Passage(floor, settings.approach, way_width)
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
            members = self._in_order(self._row(score, wanted.each))
            self.passage.admit([self._spot(spot) for spot in members])
            for number, spot in enumerate(members):
                self._take(spot, f"{kind}_{group + 1}_{number + 1}", kind, group)
            taken += members
        return taken

    def slots(self, axis: int) -> None:
        """Slots at the faces that are left and in the open, split into zones along the longer side.

        Whichever gives more comes first: the faces or the rows in the open.
        """
        wanted = self.settings.places["slot"]
        most = wanted.groups * wanted.each
        found = self._fill(most, is_rows_first=False)
        if len(found) < most:
            other = self._fill(most, is_rows_first=True)
            found = other if len(other) > len(found) else found
        found.sort(key=lambda spot: (spot[axis], spot[1 - axis]))
        for number, (x, y, yaw) in enumerate(found):
            zone = number * wanted.groups // len(found)
            self.places.append(Place(name=f"slot_{number + 1}", type="slot", x=x, y=y, yaw=yaw, group=zone))

    def _fill(self, most: int, is_rows_first: bool) -> list[Spot]:
        """Up to `most` more spots; only tried, nothing is taken."""
        passage = copy.copy(self.passage)
        standing = [(place.x, place.y, place.yaw) for place in self.places]
        if is_rows_first:
            rows = find_floor_rows(self.floor, passage, standing, most, self.settings)
            return rows + self._at_faces(passage, rows, most - len(rows))
        faces = self._at_faces(passage, [], most)
        return faces + find_floor_rows(self.floor, passage, standing + faces, most - len(faces), self.settings)

    def _at_faces(self, passage: Passage, standing: list[Spot], most: int) -> list[Spot]:
        """Spots at faces, first those with floor on both sides, that leave those already `standing` their way."""
        free = self.free.copy()
        for spot in standing:
            free &= ~spots_in_the_way(self.candidates, np.array(spot[:2]), spot[2], self.settings)
        found: list[Spot] = []
        for index in np.argsort(self.candidates.is_outer, kind="stable").tolist():
            if free[index] and len(found) < most and passage.admit([self._spot(index)]):
                free &= ~in_the_way(self.candidates, index, self.settings)
                found.append(self._spot(index))
        return found

    def _spot(self, index: int) -> Spot:
        x, y = self.candidates.centre[index]
        return float(x), float(y), float(self.candidates.yaw[index])

    def _row(self, score: np.ndarray, count: int) -> list[int]:
        """Up to `count` neighbours at one face; the best-scored seed that has room for all, else the longest row."""
        best: list[int] = []
        open_seeds = self.free.copy()
        for _ in range(SEEDS):
            if not open_seeds.any():
                break
            seed = int(np.where(open_seeds, score, np.inf).argmin())
            row = self._grow(seed, count)
            if len(row) > len(best) and copy.copy(self.passage).admit([self._spot(spot) for spot in row]):
                best = row
            if len(best) == count:
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
        """From left to right or from below upwards along their face."""
        if not spots:
            return []
        yaw = self.candidates.yaw[spots[0]]
        along = np.abs([np.sin(yaw), np.cos(yaw)])
        return sorted(spots, key=lambda spot: float(self.candidates.centre[spot] @ along))

    def _take(self, spot: int, name: str, kind: PlaceType, group: int) -> None:
        self.free &= ~in_the_way(self.candidates, spot, self.settings)
        x, y, yaw = self._spot(spot)
        self.places.append(Place(name=name, type=kind, x=x, y=y, yaw=yaw, group=group))
