"""Keeps the pallet bodies in the world in step with the ledger: what is listed exists, what is not is gone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sim.bullet.world import BulletWorld
from sim.warehouse.floorplan import FloorPlan

ASTRAY = 0.5  # m between a pallet and its place by the ledger that is worth a word
FREE = 0.75  # m; nearer than this to another pallet a new one would stand in it
ROBOT_CLEAR = 0.75  # m; nearer than this to a robot a new pallet would stand in its chassis or mast


class LedgerPallet(NamedTuple):
    """One line of the ledger: place index, or -1 while `carrier` has it."""

    id: int
    sku: int
    place: int
    carrier: str


class LedgerBodies:
    """Adds and removes bodies; never moves one, for physics alone says where a pallet is.

    Pallets that somebody else has put into the world have ids below 0, and are left alone.

    Args:
        world: where the bodies are.
        plan: whose places the ledger speaks of.
        dock_reach: x of a carried pallet's middle in base_link (m).
    """

    def __init__(self, world: BulletWorld, plan: FloorPlan, dock_reach: float) -> None:
        self._world = world
        self._plan = plan
        self._dock_reach = dock_reach
        self._told: set[tuple[int, str]] = set()

    def match(self, ledger: Sequence[LedgerPallet]) -> list[str]:
        """Make the world hold exactly these pallets; returns what is odd, in words, each oddity once."""
        words: list[str] = []
        listed = {pallet.id for pallet in ledger}
        for gone in {pallet for pallet in self._world.pallets if pallet >= 0} - listed:
            self._world.remove_pallet(gone)
            self._told -= {told for told in self._told if told[0] == gone}
        there = set(self._world.pallets)
        for pallet in ledger:
            if pallet.id in there:
                self._compare(pallet, words)
            else:
                self._stand(pallet, words)
        return words

    def _stand(self, pallet: LedgerPallet, words: list[str]) -> None:
        """Put a new pallet on its place; a place that is not free is tried again with the next list."""
        if not -1 <= pallet.place < len(self._plan.places):
            self._say(pallet, "place", f"has place {pallet.place}, but the plan has {len(self._plan.places)}", words)
            return
        if pallet.place < 0 and pallet.carrier not in self._world.robots:
            self._say(pallet, "carrier", f"is carried by '{pallet.carrier}', which is not simulated here", words)
            return
        x, y, yaw = self._spot(pallet)
        others = [self._world.pallet_pose(other)[:2] for other in self._world.pallets]
        robots = [self._world.pose(name)[:2] for name in self._world.robots if name != pallet.carrier]
        is_taken = any(math.dist((x, y), other) < FREE for other in others)
        is_taken |= self._world.staging.box_at(x, y, yaw)
        if is_taken or any(math.dist((x, y), robot) < ROBOT_CLEAR for robot in robots):
            self._say(pallet, "taken", f"cannot appear at ({x:.2f}, {y:.2f}) yet: something stands there", words)
            return
        self._world.add_pallet(pallet.id, x, y, yaw, pallet.sku)

    def _spot(self, pallet: LedgerPallet) -> tuple[float, float, float]:
        if pallet.place >= 0:
            place = self._plan.places[pallet.place]
            return place.x, place.y, place.yaw
        pose = self._world.pose(pallet.carrier)
        reach = self._dock_reach
        return pose.x + reach * math.cos(pose.yaw), pose.y + reach * math.sin(pose.yaw), pose.yaw

    def _compare(self, pallet: LedgerPallet, words: list[str]) -> None:
        is_carried = any(self._world.carried_by(name) == pallet.id for name in self._world.robots)
        if is_carried or not 0 <= pallet.place < len(self._plan.places):
            return
        place, body = self._plan.places[pallet.place], self._world.pallet_pose(pallet.id)
        away = math.dist((place.x, place.y), (body.x, body.y))
        if away > ASTRAY:
            self._say(pallet, place.name, f"stands {away:.2f} m from {place.name}, where the ledger has it", words)

    def _say(self, pallet: LedgerPallet, about: str, text: str, words: list[str]) -> None:
        if (pallet.id, about) not in self._told:
            self._told.add((pallet.id, about))
            words.append(f"pallet {pallet.id} {text}")
