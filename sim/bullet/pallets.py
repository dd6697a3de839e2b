"""Pallets of goods in Bullet: rigid bodies that come, sleep, are carried and go."""

from __future__ import annotations

import math
from typing import NamedTuple

import pybullet

from sim.bullet import groups
from sim.warehouse.bodies import PalletBody

SLEEP_BELOW = 0.02  # m/s and rad/s; slower pallets that nobody touches fall asleep and cost nothing

Triple = tuple[float, float, float]


class PalletPose(NamedTuple):
    """Middle of a pallet (m, rad in map) and how far its runners are above the floor (m)."""

    x: float
    y: float
    yaw: float
    lifted: float


class Pallets:
    """The pallets of one world, by id; shapes are made once and shared, so coming and going leaks nothing."""

    def __init__(self, client: int, settings: PalletBody) -> None:
        self._client = client
        self._settings = settings
        self._middle = 0.5 * settings.height  # height of the centre of mass above the runners
        self._shape = _collision_shape(client, settings)
        self._skus: dict[int, int] = {}
        self._bodies: dict[int, int] = {}
        self._ids: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def __contains__(self, pallet: int) -> bool:
        return pallet in self._bodies

    def ids(self) -> tuple[int, ...]:
        """Every pallet's id, in the order they came."""
        return tuple(self._bodies)

    def body(self, pallet: int) -> int:
        """Bullet's number for a pallet."""
        return self._bodies[pallet]

    def sku(self, pallet: int) -> int:
        """Article family of a pallet."""
        return self._skus[pallet]

    def of_body(self, body: int) -> int | None:
        """The pallet behind a Bullet number, if it is one."""
        return self._ids.get(body)

    def add(self, pallet: int, x: float, y: float, yaw: float, sku: int) -> None:
        """Stand a pallet on the floor.

        Raises:
            ValueError: the id is taken.
        """
        if pallet in self._bodies:
            raise ValueError(f"pallet {pallet} is in the world already; remove it first or give another id")
        body = pybullet.createMultiBody(
            baseMass=self._settings.mass,
            baseCollisionShapeIndex=self._shape,
            basePosition=(x, y, self._middle),
            baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, yaw)),
            useMaximalCoordinates=True,
            physicsClientId=self._client,
        )
        pybullet.changeDynamics(
            body,
            -1,
            lateralFriction=self._settings.friction,
            activationState=pybullet.ACTIVATION_STATE_ENABLE_SLEEPING | pybullet.ACTIVATION_STATE_SLEEP,
            sleepThreshold=SLEEP_BELOW,
            physicsClientId=self._client,
        )
        pybullet.setCollisionFilterGroupMask(
            body, -1, groups.PALLETS, groups.COLLIDES_WITH[groups.PALLETS], physicsClientId=self._client
        )
        self._bodies[pallet] = body
        self._ids[body] = pallet
        self._skus[pallet] = sku

    def rest(self, pallet: int) -> None:
        """Put a pallet to sleep until something moves it."""
        pybullet.changeDynamics(
            self._bodies[pallet],
            -1,
            activationState=pybullet.ACTIVATION_STATE_ENABLE_SLEEPING | pybullet.ACTIVATION_STATE_SLEEP,
            physicsClientId=self._client,
        )

    def remove(self, pallet: int) -> None:
        """Take a pallet out of the world; raises KeyError if it is not there."""
        body = self._bodies.pop(pallet)
        del self._ids[body], self._skus[pallet]
        pybullet.removeBody(body, physicsClientId=self._client)

    def pose(self, pallet: int) -> PalletPose:
        """Where a pallet is; raises KeyError if it is not there."""
        (x, y, z), turn = pybullet.getBasePositionAndOrientation(self._bodies[pallet], physicsClientId=self._client)
        yaw = math.atan2(2.0 * (turn[3] * turn[2] + turn[0] * turn[1]), 1.0 - 2.0 * (turn[1] ** 2 + turn[2] ** 2))
        return PalletPose(x, y, yaw, z - self._middle)

    def copy_to(self, client: int, body: int, pallet: int) -> None:
        """Put a body of another Bullet client where a pallet is."""
        there, turn = pybullet.getBasePositionAndOrientation(self._bodies[pallet], physicsClientId=self._client)
        pybullet.resetBasePositionAndOrientation(body, there, turn, physicsClientId=client)


def pallet_boxes(settings: PalletBody) -> list[tuple[Triple, Triple]]:
    """Half extents and middles (m, from the centre of mass) of two runners, deck and goods, in this order."""
    s = settings
    middle = 0.5 * s.height
    side = 0.5 * (s.width - s.runner_width)
    runner = (0.5 * s.length, 0.5 * s.runner_width, 0.5 * s.entry_height)
    runner_z, deck_z = 0.5 * s.entry_height - middle, s.entry_height + 0.5 * s.deck - middle
    return [
        (runner, (0.0, side, runner_z)),
        (runner, (0.0, -side, runner_z)),
        ((0.5 * s.length, 0.5 * s.width, 0.5 * s.deck), (0.0, 0.0, deck_z)),
        ((0.5 * s.length, 0.5 * s.width, 0.5 * s.load_height), (0.0, 0.0, deck_z + 0.5 * (s.deck + s.load_height))),
    ]


def _collision_shape(client: int, settings: PalletBody) -> int:
    """Two runners, and deck and goods as one box: three shapes cost less than four."""
    left, right, deck, _ = pallet_boxes(settings)
    body_height = settings.deck + settings.load_height
    block = ((deck[0][0], deck[0][1], 0.5 * body_height), (0.0, 0.0, 0.5 * (settings.height - body_height)))
    boxes = [left, right, block]
    return int(
        pybullet.createCollisionShapeArray(
            shapeTypes=[pybullet.GEOM_BOX] * len(boxes),
            halfExtents=[half for half, _ in boxes],
            collisionFramePositions=[at for _, at in boxes],
            physicsClientId=client,
        )
    )
