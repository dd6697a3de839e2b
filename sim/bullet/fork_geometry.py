"""When tines are in a pallet's pockets, and when the pallet is off the floor."""

from __future__ import annotations

import math

from sim.bullet.forklift import Pose
from sim.bullet.pallets import PalletPose
from sim.warehouse.bodies import Bodies

MIN_INSERTED = 0.8  # share of the pallet's length the tines must be under it
MAX_YAW = 0.12  # rad between tines and runners
MIN_LIFTED = 0.01  # m of air under the runners


class ForkGeometry:
    """What the dimensions of forks and pallet allow.

    Attributes:
        touch_height: fork height (m) at which the tines meet the deck of a pallet on the floor.
    """

    def __init__(self, bodies: Bodies) -> None:
        self._front = bodies.forklift.front
        self._tips = self._front + bodies.forks.length
        self._length = bodies.pallet.length
        pocket = bodies.pallet.width - 2 * bodies.pallet.runner_width
        self._play = 0.5 * (pocket - bodies.forks.spread - bodies.forks.width)
        self.touch_height = bodies.pallet.entry_height - bodies.forks.thickness

    def inserted(self, robot: Pose, pallet: PalletPose) -> float:
        """Share of the pallet's length the tines are in [0, 1]; 0 where they are not in its pockets."""
        x, y, yaw = _seen_from(robot, pallet)
        if abs(y) > self._play or abs(yaw) > MAX_YAW or x < self._front:
            return 0.0
        return min(max((self._tips - (x - 0.5 * self._length)) / self._length, 0.0), 1.0)

    def is_carried(self, robot: Pose, pallet: PalletPose) -> bool:
        """Whether the tines are in far enough and the runners are off the floor."""
        return pallet.lifted >= MIN_LIFTED and self.inserted(robot, pallet) >= MIN_INSERTED


def _seen_from(robot: Pose, pallet: PalletPose) -> tuple[float, float, float]:
    """The pallet in base_link (m); yaw (rad) within a quarter turn, as a pallet has two equal ends."""
    dx, dy = pallet.x - robot.x, pallet.y - robot.y
    cos, sin = math.cos(robot.yaw), math.sin(robot.yaw)
    yaw = math.remainder(pallet.yaw - robot.yaw, math.pi)
    return dx * cos + dy * sin, dy * cos - dx * sin, yaw
