"""Which robot carries which pallet, and the grip that keeps a carried pallet where it lies on the tines."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import pybullet

from sim.bullet.fork_geometry import ForkGeometry
from sim.bullet.forklift import GRAVITY, LIFT, Forklift
from sim.bullet.forklift_urdf import tine_friction
from sim.bullet.pallets import Pallets
from sim.warehouse.bodies import Bodies


class Load(NamedTuple):
    """A carried pallet, who carries it, and the Bullet constraint that grips it."""

    robot: Forklift
    pallet: int
    grip: int


class Carrying:
    """Follows which pallets are on whose forks.

    The tines lift a pallet by contact alone. Contact friction of a solver with few iterations creeps, though: at
    60 Hz and 20 iterations a pallet slid 14 cm along the tines in two minutes of hard driving (4 cm at 240 Hz and
    50 iterations). So a pallet that is truly on the forks - tines in its pockets over 80 % of its length, runners off
    the floor - is gripped by a fixed joint instead, which can hold as much as dry friction could: friction x weight.
    The grip ends when the pallet nears the floor or has been pushed off its place.

    Args:
        client: Bullet client.
        bodies: dimensions, friction and mass.
        pallets: the pallets of the world.
        robots: names of the robots.
    """

    def __init__(self, client: int, bodies: Bodies, pallets: Pallets, robots: Collection[str]) -> None:
        self._client = client
        self._pallets = pallets
        self._friction = tine_friction(bodies)
        self._hold = bodies.forks.friction * bodies.pallet.mass * GRAVITY
        self._loads: dict[str, Load | None] = dict.fromkeys(robots)
        self.geometry = ForkGeometry(bodies)

    def of(self, robot: str) -> int | None:
        """The pallet on a robot's forks."""
        load = self._loads[robot]
        return None if load is None else load.pallet

    def update(self, robot: Forklift, is_rising: bool) -> None:
        """Look again at one robot; only rising forks can take a pallet up, so only then all pallets are looked at."""
        load = self._loads[robot.name]
        if load is not None:
            if not self.geometry.is_carried(robot.pose, self._pallets.pose(load.pallet)):
                self._release(load)
        elif is_rising and robot.fork_height > self.geometry.touch_height:
            taken = {load.pallet for load in self._loads.values() if load is not None}
            for pallet in self._pallets.ids():
                if pallet not in taken and self.geometry.is_carried(robot.pose, self._pallets.pose(pallet)):
                    self._loads[robot.name] = Load(robot, pallet, self._grip(robot, pallet))
                    return

    def forget(self, pallet: int) -> None:
        """Let go of a pallet that is about to leave the world."""
        for load in tuple(self._loads.values()):
            if load is not None and load.pallet == pallet:
                self._release(load)

    def _grip(self, robot: Forklift, pallet: int) -> int:
        body = self._pallets.body(pallet)
        forks, turn = pybullet.getLinkState(robot.body, LIFT, physicsClientId=self._client)[:2]
        there, heading = pybullet.getBasePositionAndOrientation(body, physicsClientId=self._client)
        inverse = pybullet.invertTransform(forks, turn)
        at, angle = pybullet.multiplyTransforms(*inverse, there, heading)
        grip = pybullet.createConstraint(
            robot.body,
            LIFT,
            body,
            -1,
            pybullet.JOINT_FIXED,
            jointAxis=(0.0, 0.0, 0.0),
            parentFramePosition=at,
            childFramePosition=(0.0, 0.0, 0.0),
            parentFrameOrientation=angle,
            physicsClientId=self._client,
        )
        pybullet.changeConstraint(grip, maxForce=self._hold, physicsClientId=self._client)
        self._set_friction(robot, 0.0)  # from now on the grip is the friction; both together would fight
        return int(grip)

    def _release(self, load: Load) -> None:
        pybullet.removeConstraint(load.grip, physicsClientId=self._client)
        self._set_friction(load.robot, self._friction)
        self._loads[load.robot.name] = None

    def _set_friction(self, robot: Forklift, friction: float) -> None:
        pybullet.changeDynamics(robot.body, LIFT, lateralFriction=friction, physicsClientId=self._client)
