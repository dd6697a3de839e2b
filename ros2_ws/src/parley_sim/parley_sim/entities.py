"""The entities of a running world by name: robots, pallets, boxes, AMRs; who may come, go and be moved. No ROS in here.

Robots have the names of the fleet, the ledger's pallets are called `pallet_7`, what was spawned has the name it was
given. The ledger's pallets and the robots can be moved, but neither made nor taken away: the fleet believes in them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from parley_sim.refusal import Refusal, failed, unsupported
from parley_sim.resource import AmrResource, PalletResource, Resource, read_resource
from sim.bullet.blocks import Block
from sim.bullet.boxes import BoxSize
from sim.bullet.staging import BodyState, Entity
from sim.bullet.world import BulletWorld

FRAMES = ("", "world", "map")  # names of the one frame in which poses and velocities are taken
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
KINDS = {PalletResource: "pallet", AmrResource: "amr", BoxSize: "box"}  # in the names of those that are given none
OF_THE_LEDGER = re.compile(r"pallet_\d+")
UPRIGHT = 0.05  # rad a body may be asked to lean, to get what was read a moment ago
ON_FLOOR = 0.05  # m it may be asked to be above or below the floor, likewise
NEARLY = 1e-3  # m/s and rad/s that count as zero where nothing can move; of a quaternion's length from 1, ten times

Triple = tuple[float, float, float]


class WantedPose(NamedTuple):
    """A pose of a request: frame, position (m), quaternion x, y, z, w."""

    frame: str
    position: Triple
    turn: tuple[float, float, float, float]


class Spawned(NamedTuple):
    """Something that was put into the world, as which body, and where it began: x, y (m), yaw (rad)."""

    what: Resource
    key: Entity
    spot: Triple


class Entities:
    """Names the bodies of one world and keeps the rules of who may touch what.

    Args:
        world: where they are.
    """

    def __init__(self, world: BulletWorld) -> None:
        self._world = world
        self._spawned: dict[str, Spawned] = {}
        self._pallets_made = 0

    # --- who is there

    def names(self) -> list[str]:
        """Every entity: robots in fleet order, then pallets, boxes and AMRs."""
        world = self._world
        return [*world.robots, *(f"pallet_{pallet}" for pallet in world.pallets if pallet >= 0), *self._spawned]

    def state(self, name: str) -> BodyState:
        """Where an entity is and how it moves; raises Refusal if it is not there."""
        return self._world.staging.state(self._key(name))

    def category(self, name: str) -> str:
        """Its constant in simulation_interfaces/EntityCategory."""
        spawned = self._spawned.get(name)
        if name in self._world.robots or (spawned is not None and isinstance(spawned.what, AmrResource)):
            return "CATEGORY_ROBOT"
        stands_fast = spawned is not None and isinstance(spawned.what, BoxSize) and not spawned.what.mass
        return "CATEGORY_STATIC_OBJECT" if stands_fast else "CATEGORY_DYNAMIC_OBJECT"

    def select(
        self, pattern: str, categories: Iterable[str] = (), is_within: Callable[[Block], bool] | None = None
    ) -> list[str]:
        """Names that fulfil all that is asked.

        Args:
            pattern: regular expression that is found in the name, as Python reads it; empty: any.
            categories: one of them; none: any.
            is_within: holds of the room the entity takes up.

        Raises:
            Refusal: the pattern is no regular expression.
        """
        try:
            wanted = re.compile(pattern)
        except re.error as error:
            raise failed(f"filter '{pattern}' is no regular expression: {error}") from None
        allowed = set(categories)
        return [
            name
            for name in self.names()
            if wanted.search(name)
            and (not allowed or self.category(name) in allowed)
            and (is_within is None or is_within(self._world.staging.block(self._key(name))))
        ]

    def label(self, name: str) -> str:
        """What an entity is called that the world calls `name`: spawned pallets have only a number there."""
        return next((known for known, each in self._spawned.items() if f"pallet_{each.key}" == name), name)

    # --- coming, going, moving

    def spawn(self, name: str, allow_renaming: bool, uri: str, text: str, namespace: str, pose: WantedPose) -> str:
        """Stand something on the floor; returns the name it has got.

        Raises:
            Refusal: with the standard's result for the first thing that is wrong.
        """
        what = read_resource(uri, text)
        if namespace:
            raise unsupported(
                f"entity_namespace is '{namespace}', but only AMRs have topics, under their names; leave it empty"
            )
        name = self._fresh_name(name, allow_renaming, KINDS[type(what)])
        spot = _spot(pose)
        staging = self._world.staging
        if isinstance(what, AmrResource):
            block = staging.amr_block(*spot)
        else:
            block = staging.block_at(None if isinstance(what, PalletResource) else what, *spot)
        self._check_room(block, None)
        if isinstance(what, PalletResource):
            self._pallets_made += 1
            key: Entity = -self._pallets_made  # a ledger's ids begin at 0
        else:
            key = name
        self._spawned[name] = Spawned(what, key, spot)
        self._stand(self._spawned[name])
        return name

    def delete(self, name: str) -> None:
        """Take away what was spawned; raises Refusal for all else."""
        key = self._key(name)
        if name in self._world.robots:
            raise failed(f"{name} is a robot of the fleet: its agent would drive on blindly. Take it out of the fleet")
        if name not in self._spawned:
            raise failed(f"{name} stands in the task server's ledger, which would bring it back; only spawned ones go")
        del self._spawned[name]
        if isinstance(key, int):
            self._world.remove_pallet(key)
        elif key in self._world.amrs:
            self._world.staging.remove_amr(key)
        else:
            self._world.staging.remove_box(key)

    def place(self, name: str, pose: WantedPose | None, linear: Sequence[float], angular: Sequence[float]) -> None:
        """Move an entity at once.

        Args:
            name: who.
            pose: where to; None: it stays.
            linear: its velocity from then on (m/s, map).
            angular: its turn rate from then on (rad/s).

        Raises:
            Refusal: it is not there, cannot be there, or cannot move like that.
        """
        key = self._key(name)
        if not all(math.isfinite(value) for value in (*linear, *angular)):
            raise failed(f"the twist of {name} is {[*linear, *angular]}; wanted finite numbers")
        if max(abs(linear[2]), abs(angular[0]), abs(angular[1])) > NEARLY:
            raise failed(f"the twist of {name} leaves the floor; wanted only linear x and y, and angular z")
        block = self._world.staging.block(key)
        x, y = self._world.staging.state(key).position[:2]
        spot = (x, y, block.yaw) if pose is None else _spot(pose)
        if pose is not None:
            self._check_room(self._world.staging.block_at(key, *spot), key)
        try:
            self._world.staging.place(key, *spot, velocity=(linear[0], linear[1], angular[2]))
        except ValueError as error:
            raise failed(str(error)) from None

    def despawn(self) -> None:
        """Take away all that was spawned."""
        for name in tuple(self._spawned):
            self.delete(name)

    def move_to(self, world: BulletWorld) -> None:
        """Go on in a new world, with what was spawned where it began."""
        self._world = world
        for spawned in self._spawned.values():
            self._stand(spawned)

    def _stand(self, spawned: Spawned) -> None:
        if isinstance(spawned.what, PalletResource) and isinstance(spawned.key, int):
            self._world.add_pallet(spawned.key, *spawned.spot, spawned.what.sku)
        elif isinstance(spawned.key, str) and isinstance(spawned.what, AmrResource):
            self._world.staging.add_amr(spawned.key, *spawned.spot)
        elif isinstance(spawned.key, str) and isinstance(spawned.what, BoxSize):
            self._world.staging.add_box(spawned.key, spawned.what, *spawned.spot)

    def _key(self, name: str) -> Entity:
        if name in self._world.robots:
            return name
        if name in self._spawned:
            return self._spawned[name].key
        if OF_THE_LEDGER.fullmatch(name) and int(name.removeprefix("pallet_")) in self._world.pallets:
            return int(name.removeprefix("pallet_"))
        raise Refusal("RESULT_NOT_FOUND", f"nothing is called '{name}' here; ask get_entities for the names")

    def _fresh_name(self, name: str, may_rename: bool, kind: str) -> str:
        if name and not NAME.fullmatch(name):
            raise Refusal("NAME_INVALID", f"name is '{name}', wanted a letter, then up to 63 letters, digits or _")
        is_taken, is_reserved = name in self.names(), bool(OF_THE_LEDGER.fullmatch(name))
        if name and not is_taken and not is_reserved:
            return name
        if not may_rename:
            if is_taken:
                raise Refusal("NAME_NOT_UNIQUE", f"'{name}' is there already; give another name or allow renaming")
            said = f"'{name}' is kept for the ledger's pallets" if name else "name is empty"
            raise Refusal("NAME_INVALID", f"{said}; give another name or allow renaming")
        stem, number, taken = name or f"spawned_{kind}", 1, set(self.names())
        while f"{stem}_{number}" in taken:
            number += 1
        return f"{stem}_{number}"

    def _check_room(self, block: Block, but: Entity | None) -> None:
        staging = self._world.staging
        if not staging.is_on_floor(block):
            raise Refusal("INVALID_POSE", f"({block.x:.2f}, {block.y:.2f}) does not lie within the floor, all of it")
        other = staging.in_the_way(block, but)
        if other is not None:
            raise failed(f"({block.x:.2f}, {block.y:.2f}) is not free: {self.label(other)} stands there")


def _spot(pose: WantedPose) -> Triple:
    """x, y (m) and yaw (rad) of a pose upright on the floor; raises Refusal for any other."""
    numbers = (*pose.position, *pose.turn)
    if pose.frame not in FRAMES:
        raise Refusal("INVALID_POSE", f"frame_id is '{pose.frame}', wanted map, world or an empty one")
    if not all(math.isfinite(number) for number in numbers):
        raise Refusal("INVALID_POSE", f"position and orientation are {list(numbers)}; wanted finite numbers")
    x, y, z, w = pose.turn
    if abs(math.hypot(x, y, z, w) - 1.0) > 10 * NEARLY:
        raise Refusal("INVALID_POSE", f"the quaternion is {math.hypot(x, y, z, w):.3f} long, wanted 1")
    if 2.0 * math.hypot(x, y) > UPRIGHT:
        raise Refusal("INVALID_POSE", f"the quaternion {list(pose.turn)} leans; wanted a turn about z alone")
    if abs(pose.position[2]) > ON_FLOOR:
        raise Refusal("INVALID_POSE", f"z is {pose.position[2]:.2f} m, wanted 0: all stands on the floor")
    return pose.position[0], pose.position[1], 2.0 * math.atan2(z, w)
