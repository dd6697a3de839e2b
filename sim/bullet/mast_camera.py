"""What a camera with depth at the top of a robot's mast sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pybullet

from sim.bullet.forklift import Forklift
from sim.bullet.pallets import Pallets
from sim.bullet.scenery import draw_plan
from sim.bullet.stage import Stage
from sim.warehouse.bodies import Bodies
from sim.warehouse.floorplan import FloorPlan

NEAR = 0.05  # m; what is nearer is not drawn
BEFORE_MAST = 0.03  # m from the mast's front to the lens


class MastCameras:
    """The cameras of all robots of a world; they share one Bullet client that holds the plan's and all bodies' looks.

    Walls are drawn cut off at knee height, as in the pictures of the whole floor, so what stands behind is seen.

    Args:
        plan: what stands on the floor.
        bodies: where the mast is, and what the camera can see.
        robots: everybody who is to be seen.
    """

    def __init__(self, plan: FloorPlan, bodies: Bodies, robots: Sequence[Forklift]) -> None:
        self._settings = bodies.camera
        self._at = (bodies.forklift.front + BEFORE_MAST, bodies.forklift.mast_height)
        self._stage = Stage(bodies.pallet, robots)
        draw_plan(self._stage.client, plan)

    def photograph(
        self, robot: Forklift, robots: Sequence[Forklift], pallets: Pallets, width: int, height: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """RGB [height, width, 3] uint8 and depth [height, width] float32 (m along the optical axis; inf: nothing)."""
        self._stage.follow(robots, pallets)
        reach = self._settings.range
        ahead, high = self._at
        x, y, yaw = robot.pose[:3]
        cos, sin = math.cos(yaw), math.sin(yaw)
        flat, down = math.cos(math.radians(self._settings.pitch_deg)), math.sin(math.radians(self._settings.pitch_deg))
        eye = (x + ahead * cos, y + ahead * sin, high)
        target = (eye[0] + flat * cos, eye[1] + flat * sin, high - down)
        up = (down * cos, down * sin, flat)
        view = pybullet.computeViewMatrix(eye, target, up)
        projection = pybullet.computeProjectionMatrixFOV(self._settings.field_of_view_deg, width / height, NEAR, reach)
        image, buffer = self._stage.draw(width, height, view, projection)
        # The depth buffer holds (1 / NEAR - 1 / depth) / (1 / NEAR - 1 / reach).
        depth = (reach * NEAR / (reach - (reach - NEAR) * buffer.astype(np.float64))).astype(np.float32)
        depth[buffer > 0.9999999] = np.inf
        return image, depth

    def close(self) -> None:
        """Give the Bullet client back."""
        self._stage.close()
