"""Pictures of the whole floor from above one corner, drawn by Bullet's software renderer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pybullet

from sim.bullet.forklift import Forklift
from sim.bullet.pallets import Pallets
from sim.bullet.scenery import draw_pallet, draw_plan
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
        self._pallet = bodies.pallet
        self._size = (width, height)
        self._view, self._projection = _point_of_view(plan, width / height)
        stage = pybullet.connect(pybullet.DIRECT)
        try:
            draw_plan(stage, plan)
            self._backdrop, self._depth = self._draw(stage)
        finally:
            pybullet.disconnect(physicsClientId=stage)
        self._backdrop[self._depth > 0.9999] = SKY
        self._client = pybullet.connect(pybullet.DIRECT)
        self._robots = {robot.name: robot.load_look(self._client) for robot in robots}
        self._pallets: dict[int, int] = {}

    def photograph(self, robots: Sequence[Forklift], pallets: Pallets) -> np.ndarray:
        """Draw the world as it is now; RGB [height, width, 3] uint8."""
        for robot in robots:
            robot.copy_to(self._client, self._robots[robot.name])
        for pallet in self._pallets.keys() - set(pallets.ids()):
            pybullet.removeBody(self._pallets.pop(pallet), physicsClientId=self._client)
        for pallet in pallets.ids():
            if pallet not in self._pallets:
                self._pallets[pallet] = draw_pallet(self._client, self._pallet, pallets.sku(pallet))
            pallets.copy_to(self._client, self._pallets[pallet], pallet)
        image, depth = self._draw(self._client)
        return np.where((depth < self._depth)[..., None], image, self._backdrop)

    def close(self) -> None:
        """Give the Bullet client back."""
        pybullet.disconnect(physicsClientId=self._client)

    def _draw(self, client: int) -> tuple[np.ndarray, np.ndarray]:
        """RGB [height, width, 3] uint8 and depth [height, width], 1 where nothing is."""
        width, height = self._size
        _, _, pixels, depth, _ = pybullet.getCameraImage(
            width,
            height,
            self._view,
            self._projection,
            shadow=0,
            lightDirection=(-3.0, -6.0, 10.0),
            lightAmbientCoeff=0.62,
            lightDiffuseCoeff=0.42,
            lightSpecularCoeff=0.02,
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=client,
        )
        image = np.reshape(pixels, (height, width, 4))[..., :3].astype(np.uint8)
        return image, np.reshape(depth, (height, width))


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
