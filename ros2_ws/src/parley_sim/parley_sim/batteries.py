"""The batteries of simulated robots: the same kernels as in training, fed with what the bodies really did. No ROS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.bullet.forklift import Pose
from sim.warehouse.battery import is_docked, power, spend
from sim.warehouse.floorplan import Place
from sim.warehouse.settings import BatteryNumbers, Motion


class Batteries:
    """What R robots hold in energy, and what they have used; robot number n charges at parking place n.

    Args:
        shares: of the capacity, at the start [R].
        homes: where each robot parks [R].
        numbers: of battery and truck.
        motion: of the move skill.
    """

    def __init__(self, shares: np.ndarray, homes: Sequence[Place], numbers: BatteryNumbers, motion: Motion) -> None:
        self.energy = np.asarray(shares, float) * numbers.capacity  # [R] Wh
        self.charging = np.zeros(len(shares), np.bool_)
        self.count_anew()
        self._numbers = numbers
        self._homes = homes
        self._step, self._reach = motion.step, motion.dock_reach
        self._speed = np.zeros(len(shares))  # m/s, of the last step
        self._forks: list[float | None] = [None] * len(shares)  # m, at the last step

    def count_anew(self) -> None:
        """Begin at nothing used; the batteries stay as they are."""
        self.counted = {"energy_wh": 0.0, "charging_s": 0.0, "flat_s": 0.0}  # so far, all robots together

    def share(self, robot: int) -> float:
        """How much of its capacity a battery holds [0, 1]."""
        return float(self.energy[robot]) / self._numbers.capacity

    def is_empty(self, robot: int) -> bool:
        """Nothing is left: the robot stands still."""
        return bool(self.energy[robot] <= 0.0)

    def use(self, robot: int, pose: Pose, forks: float, is_loaded: bool) -> None:
        """One motion step: `pose` and height of the forks (m) after it."""
        before = self._forks[robot]
        lift = 0.0 if before is None else (forks - before) / self._step
        watts = power(self._speed[robot], pose.v, pose.w, lift, is_loaded, self._step, self._numbers)
        home = self._homes[robot]
        stands = np.array([pose.x, pose.y, pose.yaw, pose.v])
        charges = is_docked(stands, home.x, home.y, home.yaw, self._reach)
        energy, used, is_filling = spend(self.energy[robot], watts, charges, self._step, self._numbers)
        self.energy[robot], self.charging[robot] = energy, is_filling
        self._speed[robot], self._forks[robot] = pose.v, forks
        self.counted["energy_wh"] += used
        self.counted["charging_s"] += self._step * is_filling
        self.counted["flat_s"] += self._step * (energy <= 0.0)
