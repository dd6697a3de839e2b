"""The standing part of a world: floor, walls, racks and stations as Bullet bodies."""

from __future__ import annotations

import pybullet

from sim.bullet import groups
from sim.warehouse.floorplan import FloorPlan

BEYOND = 20.0  # m of floor outside the plan


def build_floor(client: int, plan: FloorPlan, friction: float) -> int:
    """Put a floor under the plan and some way beyond its edge; returns its Bullet number.

    `friction` multiplies that of what touches it.
    """
    (left, low), (length, width) = plan.origin, plan.size
    half = (0.5 * length + BEYOND, 0.5 * width + BEYOND, 0.5)
    # A box, not GEOM_PLANE: a plane has no bounds, so every part of every robot is tested against it (15 % slower).
    floor = _stand(client, half, (left + 0.5 * length, low + 0.5 * width, -half[2]), 0.0)
    pybullet.changeDynamics(floor, -1, lateralFriction=friction, physicsClientId=client)
    _set_group(client, floor, groups.FLOOR)
    return floor


def build_boxes(client: int, plan: FloorPlan) -> dict[int, str]:
    """Stand the plan's boxes on the floor; returns Bullet numbers with a name such as `rack_3`."""
    names: dict[int, str] = {}
    for index, box in enumerate(plan.boxes):
        half = (0.5 * box.length, 0.5 * box.width, 0.5 * box.height)
        body = _stand(client, half, (box.x, box.y, half[2]), box.yaw)
        _set_group(client, body, groups.FIXED)
        names[body] = f"{box.kind}_{index}"
    return names


def _stand(client: int, half: tuple[float, float, float], at: tuple[float, float, float], yaw: float) -> int:
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    return int(
        pybullet.createMultiBody(
            0,
            shape,
            basePosition=at,
            baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, yaw)),
            useMaximalCoordinates=True,
            physicsClientId=client,
        )
    )


def _set_group(client: int, body: int, group: int) -> None:
    pybullet.setCollisionFilterGroupMask(body, -1, group, groups.COLLIDES_WITH[group], physicsClientId=client)
