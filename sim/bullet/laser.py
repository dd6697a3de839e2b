"""The fleet's laser scanners: one batched ray test for all robots."""

from __future__ import annotations

import numpy as np
import pybullet

from sim.warehouse.bodies import Bodies, Laser

MARGIN = 0.03  # m; rays start this far outside the robot's own outline
RAYS_AT_ONCE = 16000  # Bullet refuses more than 16384 in one batch


class FleetLaser:
    """Ranges around every robot, from the middle of its axle, first ray along x, counting left.

    A ray starts outside the robot's own chassis, and beyond its own load while it carries one: what a real truck
    masks out of its scans. Noise and dropouts come from the seed alone.

    Args:
        client: Bullet client.
        settings: of the laser.
        seed: of noise and dropouts.
        starts: how far from the middle rays start, empty and loaded (m) [2, rays].
    """

    def __init__(self, client: int, settings: Laser, seed: int, starts: np.ndarray) -> None:
        self._client = client
        self.settings = settings
        self._random = np.random.default_rng(seed)
        self._angles = ray_angles(settings)
        self._start = starts

    def scan(self, poses: np.ndarray, is_loaded: np.ndarray) -> np.ndarray:
        """Measure.

        Args:
            poses: x, y (m, map), yaw (rad) of the robots [R, 3].
            is_loaded: whether each robot carries a pallet [R] bool.

        Returns:
            Ranges [R, rays] float32 (m); `inf` where nothing is within range, NaN where a return was lost (REP-117).
        """
        robots, rays, reach = len(poses), self.settings.rays, self.settings.range
        start = self._start[is_loaded.astype(np.int64)]
        angle = poses[:, 2:3] + self._angles
        ray = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        ends = np.empty((2, robots, rays, 3))
        ends[..., 2] = self.settings.height
        ends[0, ..., :2] = poses[:, None, :2] + start[..., None] * ray
        ends[1, ..., :2] = poses[:, None, :2] + reach * ray
        fraction = self._fractions(ends.reshape(2, -1, 3)).reshape(robots, rays)
        distance = start + fraction * (reach - start)
        noise = self._random.standard_normal((robots, rays), dtype=np.float32)
        is_lost = self._random.random((robots, rays), dtype=np.float32) < self.settings.dropout
        measured = np.maximum(distance + self.settings.noise * noise, 0.0)
        measured[fraction >= 1.0] = np.inf
        measured[is_lost] = np.nan
        return measured.astype(np.float32)

    def _fractions(self, ends: np.ndarray) -> np.ndarray:
        """How far each ray gets, as a share of its length [rays]; 1 where it hits nothing."""
        found: list[float] = []
        for first in range(0, ends.shape[1], RAYS_AT_ONCE):
            part = ends[:, first : first + RAYS_AT_ONCE].tolist()
            hits = pybullet.rayTestBatch(part[0], part[1], physicsClientId=self._client)
            found.extend([hit[2] for hit in hits])
        return np.array(found)


def truck_starts(bodies: Bodies, dock_reach: float) -> np.ndarray:
    """Where a forklift's rays start, empty and loaded [2, rays] (m); a load's middle is `dock_reach` (m) along x."""
    truck, pallet, angles = bodies.forklift, bodies.pallet, ray_angles(bodies.laser)
    ends = (truck.rear - MARGIN, truck.front + MARGIN)
    bare = _exit_distance(angles, ends, 0.5 * truck.width + MARGIN)
    front = dock_reach + 0.5 * pallet.length + MARGIN
    load = _exit_distance(angles, (0.0, front), 0.5 * pallet.width + MARGIN)
    return np.stack([bare, np.maximum(bare, load)])


def amr_starts(bodies: Bodies) -> np.ndarray:
    """Where an AMR's rays start [2, rays] (m); it carries nothing that hides them."""
    end, side = 0.5 * bodies.amr.length + MARGIN, 0.5 * bodies.amr.width + MARGIN
    return np.tile(_exit_distance(ray_angles(bodies.laser), (-end, end), side), (2, 1))


def ray_angles(settings: Laser) -> np.ndarray:
    """Of all rays, from x to the left [rays] (rad)."""
    return np.arange(settings.rays) * (2.0 * np.pi / settings.rays)


def _exit_distance(angles: np.ndarray, x_range: tuple[float, float], side: float) -> np.ndarray:
    """Where rays from the origin leave the box x_range by +-side (m) [rays]; the origin lies in it or on its edge."""
    cos, sin = np.cos(angles), np.sin(angles)
    with np.errstate(divide="ignore"):
        along = np.where(cos > 0, x_range[1], x_range[0]) / np.where(cos == 0, np.nan, cos)
        across = side / np.abs(sin)
    return np.fmin(np.nan_to_num(along, nan=np.inf), across)
