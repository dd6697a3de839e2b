"""The AMRs that somebody puts into a running world: beside the fleet, driven by velocity commands from outside."""

from __future__ import annotations

import zlib

import numpy as np
import pybullet

from sim.bullet.amr import Amr
from sim.bullet.forklift import Pose
from sim.bullet.laser import FleetLaser, amr_starts
from sim.warehouse.bodies import Bodies


class Amrs:
    """The AMRs of one world, by name. Lasers draw their noise from the world's seed and the name alone.

    Args:
        client: Bullet client.
        bodies: what an AMR and its laser are.
        seed: of the world.
    """

    def __init__(self, client: int, bodies: Bodies, seed: int) -> None:
        self._client = client
        self._bodies = bodies
        self._seed = seed
        self._amrs: dict[str, Amr] = {}
        self._lasers: dict[str, FleetLaser] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._amrs

    def __len__(self) -> int:
        return len(self._amrs)

    def __getitem__(self, name: str) -> Amr:
        return self._amrs[name]

    def names(self) -> tuple[str, ...]:
        """Every AMR's name, in the order they came."""
        return tuple(self._amrs)

    def add(self, name: str, x: float, y: float, yaw: float) -> int:
        """Stand an AMR on the floor; returns its Bullet number.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._amrs:
            raise ValueError(f"AMR {name} is in the world already; remove it first or give another name")
        step = 1.0 / self._bodies.physics.frequency
        self._amrs[name] = Amr(self._client, name, (x, y, yaw), self._bodies.amr, step)
        seed = zlib.crc32(f"{self._seed} {name}".encode())
        self._lasers[name] = FleetLaser(self._client, self._bodies.laser, seed, amr_starts(self._bodies))
        return self._amrs[name].body

    def remove(self, name: str) -> int:
        """Take an AMR away; returns the Bullet number it had; raises KeyError if it is not there."""
        body = self._amrs.pop(name).body
        del self._lasers[name]
        pybullet.removeBody(body, physicsClientId=self._client)
        return body

    def command(self, name: str, v: float, w: float) -> None:
        """Tell an AMR how to drive (m/s, rad/s) for the next `amr.command_hold` seconds."""
        self._amrs[name].command(v, w)

    def pose(self, name: str) -> Pose:
        """Where an AMR is and how fast it moves, as of the last step."""
        return self._amrs[name].pose

    def scan(self, name: str) -> np.ndarray:
        """What the laser of an AMR now measures [rays] float32 (m), as `FleetLaser.scan`."""
        pose = np.array([self._amrs[name].pose[:3]])
        return self._lasers[name].scan(pose, np.zeros(1, bool))[0]

    def drive(self) -> None:
        """Drive all by one physics step; call before it."""
        for amr in self._amrs.values():
            amr.drive()

    def read(self) -> None:
        """Refresh all poses; call once after stepping."""
        for amr in self._amrs.values():
            amr.read()
