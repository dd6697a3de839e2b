"""What a scenario does to a world from outside: put boxes into it, move bodies at once, ask who is where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pybullet

from sim.bullet.amrs import Amrs
from sim.bullet.blocks import Block
from sim.bullet.boxes import Boxes, BoxSize
from sim.bullet.carrying import Carrying
from sim.bullet.forklift import Forklift
from sim.bullet.pallets import Pallets
from sim.warehouse.bodies import Bodies
from sim.warehouse.floorplan import FloorPlan

Triple = tuple[float, float, float]
Entity = str | int  # the name of a robot, an AMR or a box; the id of a pallet


class BodyState(NamedTuple):
    """Where a body is and how it moves, all in map.

    Position (m): of a robot or an AMR its base_link, of others the middle of the underside. Quaternion x, y, z, w.
    Velocities (m/s, rad/s) at that position.
    """

    position: Triple
    turn: tuple[float, float, float, float]
    linear: Triple
    angular: Triple


class Staging:
    """Reaches into one world between two steps.

    Args:
        client: Bullet client.
        plan: what stands on the floor for good.
        bodies: dimensions and limits.
        robots: the robots of the world by name.
        pallets: its pallets.
        carrying: who carries what.
        names: what contacts call a body, by Bullet number; boxes and AMRs are added to it.
        amrs: the AMRs of the world.
    """

    def __init__(
        self,
        client: int,
        plan: FloorPlan,
        bodies: Bodies,
        robots: Mapping[str, Forklift],
        pallets: Pallets,
        carrying: Carrying,
        names: dict[int, str],
        amrs: Amrs,
    ) -> None:
        self._client = client
        self._plan = plan
        self._bodies = bodies
        self._robots = robots
        self._pallets = pallets
        self._carrying = carrying
        self._names = names
        self._amrs = amrs
        self._boxes = Boxes(client, bodies.pallet.friction)
        self._fixed = {
            f"{box.kind}_{index}": Block(box.x, box.y, box.yaw, box.length, box.width, 0.0, box.height)
            for index, box in enumerate(plan.boxes)
        }

    @property
    def standing_boxes(self) -> Boxes:
        """The boxes in the world, as Bullet has them."""
        return self._boxes

    @property
    def boxes(self) -> tuple[str, ...]:
        """Names of the boxes in the world."""
        return self._boxes.names()

    def add_box(self, name: str, size: BoxSize, x: float, y: float, yaw: float) -> None:
        """Stand a box on the floor; raises ValueError if a robot, an AMR or a box has its name."""
        self._check_name(name)
        self._names[self._boxes.add(name, size, x, y, yaw)] = name

    def remove_box(self, name: str) -> None:
        """Take a box away; raises KeyError if it is not there."""
        del self._names[self._boxes.remove(name)]

    def add_amr(self, name: str, x: float, y: float, yaw: float) -> None:
        """Stand an AMR on the floor; raises ValueError if a robot, an AMR or a box has its name."""
        self._check_name(name)
        self._names[self._amrs.add(name, x, y, yaw)] = name

    def remove_amr(self, name: str) -> None:
        """Take an AMR away; raises KeyError if it is not there."""
        del self._names[self._amrs.remove(name)]

    def box_size(self, name: str) -> BoxSize:
        """How big a box is; raises KeyError if it is not there."""
        return self._boxes.size(name)

    def state(self, entity: Entity) -> BodyState:
        """Where a robot, AMR, box or pallet is and how it moves; raises KeyError if it is not there."""
        body = self._body(entity)
        (x, y, z), turn = pybullet.getBasePositionAndOrientation(body, physicsClientId=self._client)
        linear, angular = pybullet.getBaseVelocity(body, physicsClientId=self._client)
        if isinstance(entity, str) and entity in self._robots:
            pose = self._robots[entity].pose
            (vx, vy, vz), w = linear, angular[2]  # of the centre of mass, which does not lie over the axle
            linear = (vx - w * (pose.y - y), vy + w * (pose.x - x), vz)
            return BodyState((pose.x, pose.y, 0.0), turn, linear, angular)
        if entity in self._amrs:
            return BodyState((x, y, 0.0), turn, linear, angular)
        height = self._bodies.pallet.height if isinstance(entity, int) else self._boxes.size(entity).height
        return BodyState((x, y, z - 0.5 * height), turn, linear, angular)

    def place(self, entity: Entity, x: float, y: float, yaw: float, velocity: Triple = (0.0, 0.0, 0.0)) -> None:
        """Put a body elsewhere on the floor at once.

        Args:
            entity: a robot, AMR, box or pallet.
            x: new position (m, map).
            y: new position (m, map).
            yaw: new heading (rad).
            velocity: along x and y of the map (m/s) and about z (rad/s).

        Raises:
            KeyError: it is not there.
            ValueError: it is carried, it carries something, or it cannot move like that; in words.
        """
        self._check_is_free(entity)
        vx, vy, w = velocity
        if isinstance(entity, str) and (entity in self._robots or entity in self._amrs):
            cos, sin = math.cos(yaw), math.sin(yaw)
            v, aside = vx * cos + vy * sin, vy * cos - vx * sin
            limits = self._bodies.amr if entity in self._amrs else self._bodies.forklift
            if abs(aside) > 1e-3 or abs(v) > limits.max_speed + 1e-6 or abs(w) > limits.max_turn_rate + 1e-6:
                raise ValueError(
                    f"{entity} is to move at {v:.3f} m/s ahead, {aside:.3f} m/s aside and {w:.3f} rad/s; it cannot "
                    f"move aside, and at most at {limits.max_speed} m/s and {limits.max_turn_rate} rad/s"
                )
            robot = self._amrs[entity] if entity in self._amrs else self._robots[entity]
            robot.place(x, y, yaw, v, w)
            return
        if isinstance(entity, str) and not self._boxes.size(entity).mass and velocity != (0.0, 0.0, 0.0):
            raise ValueError(f"{entity} stands fast and cannot have a velocity; give zeros, or spawn it with a mass")
        body = self._body(entity)
        height = self._bodies.pallet.height if isinstance(entity, int) else self._boxes.size(entity).height
        turn = pybullet.getQuaternionFromEuler((0.0, 0.0, yaw))
        pybullet.resetBasePositionAndOrientation(body, (x, y, 0.5 * height), turn, physicsClientId=self._client)
        pybullet.resetBaseVelocity(body, (vx, vy, 0.0), (0.0, 0.0, w), physicsClientId=self._client)
        pybullet.changeDynamics(
            body,
            -1,
            activationState=pybullet.ACTIVATION_STATE_ENABLE_SLEEPING | pybullet.ACTIVATION_STATE_WAKE_UP,
            physicsClientId=self._client,
        )

    def block(self, entity: Entity) -> Block:
        """The room a robot with its forks, an AMR, a box or a pallet takes up; raises KeyError if it is not there."""
        (x, y, z), turn, *_ = self.state(entity)
        yaw = math.atan2(2.0 * (turn[3] * turn[2] + turn[0] * turn[1]), 1.0 - 2.0 * (turn[1] ** 2 + turn[2] ** 2))
        return self.block_at(entity, x, y, yaw, z)

    def block_at(self, entity: Entity | BoxSize | None, x: float, y: float, yaw: float, z: float = 0.0) -> Block:
        """The room it would take up elsewhere; a size stands for a box that is not there yet, None for a pallet."""
        if isinstance(entity, str) and entity in self._robots:
            truck = self._bodies.forklift
            front = truck.front + self._bodies.forks.length
            ahead = 0.5 * (truck.rear + front)
            x, y = x + ahead * math.cos(yaw), y + ahead * math.sin(yaw)
            return Block(x, y, yaw, front - truck.rear, truck.width, z, z + truck.mast_height)
        if entity in self._amrs:
            return self.amr_block(x, y, yaw, z)
        if entity is None or isinstance(entity, int):
            pallet = self._bodies.pallet
            return Block(x, y, yaw, pallet.length, pallet.width, z, z + pallet.height)
        size = self._boxes.size(entity) if isinstance(entity, str) else entity
        return Block(x, y, yaw, size.length, size.width, z, z + size.height)

    def amr_block(self, x: float, y: float, yaw: float, z: float = 0.0) -> Block:
        """The room an AMR would take up."""
        amr = self._bodies.amr
        return Block(x, y, yaw, amr.length, amr.width, z, z + amr.height)

    def is_on_floor(self, block: Block) -> bool:
        """Whether a block lies within the plan's floor."""
        (left, low), (length, width) = self._plan.origin, self._plan.size
        return all(left <= x <= left + length and low <= y <= low + width for x, y in block.corners())

    def in_the_way(self, block: Block, but: Entity | None = None) -> str | None:
        """What stands where a block would be: the name of the first wall, rack, robot, box or pallet that does."""
        for name, other in self._others(but):
            if block.overlaps(other):
                return name
        return None

    def box_at(self, x: float, y: float, yaw: float) -> bool:
        """Whether a box or an AMR stands where a pallet would be."""
        pallet = self.block_at(None, x, y, yaw)
        return any(pallet.overlaps(self.block(name)) for name in (*self._boxes.names(), *self._amrs.names()))

    def _others(self, but: Entity | None) -> Iterator[tuple[str, Block]]:
        yield from self._fixed.items()
        for name in (*self._robots, *self._amrs.names(), *self._boxes.names()):
            if name != but:
                yield name, self.block(name)
        for pallet in self._pallets.ids():
            if pallet != but:
                yield f"pallet_{pallet}", self.block(pallet)

    def _body(self, entity: Entity) -> int:
        if isinstance(entity, int):
            return self._pallets.body(entity)
        if entity in self._amrs:
            return self._amrs[entity].body
        return self._robots[entity].body if entity in self._robots else self._boxes.body(entity)

    def _check_name(self, name: str) -> None:
        kinds = {"a robot": self._robots, "an AMR": self._amrs, "a box": self._boxes}
        for kind, known in kinds.items():
            if name in known:
                raise ValueError(f"{kind} is called {name}; give another name")

    def _check_is_free(self, entity: Entity) -> None:
        for robot in self._robots:
            load = self._carrying.of(robot)
            if load is not None and entity in (robot, load):
                raise ValueError(f"{robot} carries pallet_{load}; let it put the pallet down first")
