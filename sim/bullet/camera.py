"""Pictures of the whole floor from above one corner, drawn by Bullet's software renderer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pybullet

from sim.bullet.forklift import Forklift
from sim.bullet.pallets import Pallets
from sim.bullet.scenery import draw_plan
from sim.bullet.stage import Stage, draw
from sim.warehouse.bodies import Bodies
from sim.warehouse.floorplan import FloorPlan

FIELD_OF_VIEW_DEG = 30.0
ELEVATION_DEG = 55.0
AZIMUTH_DEG = 10.0  # the camera looks north, turned this much towards the west
FILL = 0.97  # share of the picture the floor may take up
SKY = np.array([236, 240, 244], dtype=np.uint8)


class Camera:
    """One point of view on one world.

    What never moves is drawn once; a picture draws only robots and pallets and lays them over it by depth, which is
    several times as fast. Both live in Bullet clients of their own, so drawing cannot disturb the physics.

    Args:
        plan: what is drawn once.
        bodies: how big a pallet is.
        robots: who is drawn in every picture.
        width: of the picture (pixels).
        height: of the picture (pixels).
    """

    def __init__(self, plan: FloorPlan, bodies: Bodies, robots: Sequence[Forklift], width: int, height: int) -> None:
        self._size = (width, height)
        self._view, self._projection = _point_of_view(plan, width / height)
        client = pybullet.connect(pybullet.DIRECT)
        try:
            draw_plan(client, plan)
            self._backdrop, self._depth = draw(client, width, height, self._view, self._projection)
        finally:
            pybullet.disconnect(physicsClientId=client)
        self._backdrop[self._depth > 0.9999] = SKY
        self._stage = Stage(bodies.pallet, robots)

    def photograph(self, robots: Sequence[Forklift], pallets: Pallets) -> np.ndarray:
        """Draw the world as it is now; RGB [height, width, 3] uint8."""
        self._stage.follow(robots, pallets)
        image, depth = self._stage.draw(*self._size, self._view, self._projection)
        return np.where((depth < self._depth)[..., None], image, self._backdrop)

    def close(self) -> None:
        """Give the Bullet client back."""
        self._stage.close()


def _point_of_view(plan: FloorPlan, aspect: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """View and projection matrix, from just as far away that all corners of the floor are in the picture."""
    (left, low), (length, width) = plan.origin, plan.size
    corners = np.array([(left + a * length, low + b * width, 0.0) for a, b in itertools.product((0, 1), (0, 1))])
    azimuth, elevation = math.radians(AZIMUTH_DEG), math.radians(ELEVATION_DEG)
    flat = math.cos(elevation)
    ahead = np.array([-math.sin(azimuth) * flat, math.cos(azimuth) * flat, -math.sin(elevation)])
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    up = np.cross(right, ahead)
    high = math.tan(math.radians(0.5 * FIELD_OF_VIEW_DEG)) * FILL
    target = corners.mean(axis=0)
    for _ in range(4):  # perspective makes the near edge longer: fit, centre what is seen, fit again
        offset = corners - target
        # A corner is seen where |offset . up| <= high * depth, with depth = distance + offset . ahead.
        upright = np.abs(offset @ up) / high - offset @ ahead
        across = np.abs(offset @ right) / (high * aspect) - offset @ ahead
        distance = float(max(across.max(), upright.max()))
        depth = distance + offset @ ahead
        for axis in (up, right):
            seen = (offset @ axis) / depth
            target = target + axis * 0.5 * (seen.max() + seen.min()) * distance
    eye = target - distance * ahead
    return (
        pybullet.computeViewMatrix(eye.tolist(), target.tolist(), up.tolist()),
        pybullet.computeProjectionMatrixFOV(FIELD_OF_VIEW_DEG, aspect, 0.2 * distance, 3.0 * distance),
    )
