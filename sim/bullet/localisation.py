"""What robots are told of where they are: the truth, later and less exactly where the settings say so."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

from sim.bullet.forklift import Pose
from sim.warehouse.bodies import Localisation, Odometry


class ToldPoses:
    """Poses as localisation and odometry tell them.

    The error of a pose wanders: a first-order Gauss-Markov process with the standard deviation and the correlation
    time of the settings (Maybeck, Stochastic Models, Estimation, and Control, volume 1, 1979, section 4.11). Errors of
    the speeds are drawn anew at every step, in proportion to the speed, as encoders and gyroscopes have them.

    Args:
        start: true poses at the start.
        localisation: of positions and headings.
        odometry: of speeds.
        step: s between two poses.
        seed: of all errors.
    """

    def __init__(
        self, start: Mapping[str, Pose], localisation: Localisation, odometry: Odometry, step: float, seed: int
    ) -> None:
        self._localisation, self._odometry = localisation, odometry
        self._keeps = math.exp(-step / localisation.wander) if localisation.wander > 0.0 else 0.0
        self._random = np.random.default_rng((seed, 1))
        spread = (localisation.noise, localisation.noise, localisation.turn_noise)
        self._spread = np.array(spread)
        self._error = self._random.standard_normal((len(start), 3)) * self._spread
        self._told: deque[dict[str, Pose]] = deque(maxlen=localisation.delay + 1)
        self.note(start)

    def note(self, poses: Mapping[str, Pose]) -> None:
        """Take the true poses of one step, always of the same robots in the same order."""
        is_exact = not self._spread.any() and self._odometry.speed_noise == self._odometry.turn_noise == 0.0
        self._told.append(dict(poses) if is_exact else self._blurred(poses))

    def __getitem__(self, name: str) -> Pose:
        """What a robot is told now: measured `localisation.delay` steps ago, or at the start."""
        return self._told[0][name]

    def _blurred(self, poses: Mapping[str, Pose]) -> dict[str, Pose]:
        drawn = self._random.standard_normal((len(poses), 5))
        self._error = self._keeps * self._error + math.sqrt(1.0 - self._keeps**2) * drawn[:, :3] * self._spread
        told = {}
        for (name, pose), (x, y, yaw), (v, w) in zip(
            poses.items(), self._error.tolist(), drawn[:, 3:].tolist(), strict=True
        ):
            told[name] = Pose(
                pose.x + x,
                pose.y + y,
                math.remainder(pose.yaw + yaw, math.tau),
                pose.v * (1.0 + self._odometry.speed_noise * v),
                pose.w * (1.0 + self._odometry.turn_noise * w),
            )
        return told
