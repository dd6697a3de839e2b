"""The camera of the PyBullet world on poses from anywhere: of the fast world, or between two ticks. Nothing moves."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pybullet

from sim.bullet.camera import Camera
from sim.bullet.forklift_urdf import BASE_HEIGHT, JOINTS, forklift_urdf
from sim.warehouse.bodies import Bodies
from sim.warehouse.colours import robot_colour
from sim.warehouse.floorplan import FloorPlan

LIFT = len(JOINTS) - 1


class ShownPallet(NamedTuple):
    """Where a pallet is drawn (m, rad, map; runners above the floor) and what it bears."""

    x: float
    y: float
    yaw: float
    lifted: float
    sku: int


class SceneCamera:
    """One point of view on one floor."""

    def __init__(self, plan: FloorPlan, bodies: Bodies, robots: Sequence[str], width: int, height: int) -> None:
        """Draw what never moves; `robots` are names, `width` and `height` pixels."""
        self._robots = [_Shape(name, bodies, number) for number, name in enumerate(robots)]
        self._pallets = _Stock(0.5 * bodies.pallet.height)
        shown: Any = self._robots
        self._camera = Camera(plan, bodies, shown, width, height)

    def photograph(self, poses: np.ndarray, forks: np.ndarray, pallets: Mapping[int, ShownPallet]) -> np.ndarray:
        """RGB [height, width, 3] uint8 of robots at these poses [R, 3 or more] and fork heights [R] (m)."""
        for shape, pose, fork in zip(self._robots, poses, forks, strict=True):
            shape.pose, shape.fork = pose, float(fork)
        self._pallets.shown = pallets
        shown: tuple[Any, Any] = (self._robots, self._pallets)
        return self._camera.photograph(*shown)

    def close(self) -> None:
        """Give the Bullet client back."""
        self._camera.close()


class _Shape:
    """A robot that is only seen: what `Camera` asks of a Forklift."""

    def __init__(self, name: str, bodies: Bodies, number: int) -> None:
        self.name = name
        self.pose: np.ndarray = np.zeros(3)
        self.fork = 0.0
        self._urdf = forklift_urdf(name, bodies, robot_colour(number))
        self._balance = bodies.forklift.balance
        self._height = 0.0

    def load_look(self, client: int) -> int:
        with tempfile.NamedTemporaryFile("w", suffix=".urdf") as file:
            file.write(self._urdf)
            file.flush()
            flags = pybullet.URDF_IGNORE_COLLISION_SHAPES | pybullet.URDF_USE_INERTIA_FROM_FILE
            flags |= pybullet.URDF_MAINTAIN_LINK_ORDER
            body = pybullet.loadURDF(file.name, (0.0, 0.0, BASE_HEIGHT), flags=flags, physicsClientId=client)
        self._height = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)[0][2]
        return int(body)

    def copy_to(self, client: int, body: int) -> None:
        x, y, yaw = (float(value) for value in self.pose[:3])
        # Bullet places the centre of mass, which lies `balance` along x from the axle.
        there = (x + self._balance * math.cos(yaw), y + self._balance * math.sin(yaw), self._height)
        turn = pybullet.getQuaternionFromEuler((0.0, 0.0, yaw))
        pybullet.resetBasePositionAndOrientation(body, there, turn, physicsClientId=client)
        pybullet.resetJointState(body, LIFT, self.fork, physicsClientId=client)


class _Stock:
    """Pallets that are only seen: what `Camera` asks of Pallets."""

    def __init__(self, middle: float) -> None:
        self._middle = middle
        self.shown: Mapping[int, ShownPallet] = {}

    def ids(self) -> tuple[int, ...]:
        return tuple(self.shown)

    def sku(self, pallet: int) -> int:
        return self.shown[pallet].sku

    def copy_to(self, client: int, body: int, pallet: int) -> None:
        x, y, yaw, lifted, _ = self.shown[pallet]
        turn = pybullet.getQuaternionFromEuler((0.0, 0.0, yaw))
        there = (x, y, lifted + self._middle)
        pybullet.resetBasePositionAndOrientation(body, there, turn, physicsClientId=client)
