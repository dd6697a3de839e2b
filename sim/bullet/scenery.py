"""How a world looks from outside: shapes that are drawn and cannot be touched."""

from __future__ import annotations

import pybullet

from sim.bullet.pallets import pallet_boxes
from sim.warehouse.bodies import PalletBody
from sim.warehouse.colours import sku_colour
from sim.warehouse.floorplan import Box, FloorPlan, PlaceType

Triple = tuple[float, float, float]
Colour = tuple[float, float, float, float]
Part = tuple[Triple, Triple, Colour]  # half extents, middle (m), colour

CONCRETE: Colour = (0.78, 0.79, 0.80, 1.0)
WOOD: Colour = (0.72, 0.53, 0.32, 1.0)
STEEL: Colour = (0.20, 0.33, 0.55, 1.0)
SHELF: Colour = (0.85, 0.52, 0.20, 1.0)
BOX_COLOURS: dict[str, Colour] = {
    "wall": (0.62, 0.64, 0.66, 1.0),
    "station": (0.42, 0.60, 0.50, 1.0),
    "obstacle": (0.50, 0.45, 0.42, 1.0),
}
PAINT: dict[PlaceType, Colour] = {
    "slot": (0.68, 0.71, 0.76, 1.0),
    "inbound": (0.55, 0.72, 0.90, 1.0),
    "inspection": (0.95, 0.85, 0.45, 1.0),
    "outbound": (0.58, 0.80, 0.58, 1.0),
    "quarantine": (0.90, 0.55, 0.52, 1.0),
    "parking": (0.70, 0.70, 0.70, 1.0),
}
PLACE_SIZE = 0.8  # m, side of a painted square
WALL_LOOK = 0.5  # m; walls are drawn cut off at knee height so that the camera can look in
SHAPES_AT_ONCE = 16  # Bullet's limit for one shape array


def draw_plan(client: int, plan: FloorPlan) -> None:
    """Draw the concrete, the painted places and the boxes of a plan."""
    (left, low), (length, width) = plan.origin, plan.size
    middle = (left + 0.5 * length, low + 0.5 * width, -0.05)
    half = 0.5 * PLACE_SIZE
    slab = ((0.5 * length + 0.3, 0.5 * width + 0.3, 0.05), middle, CONCRETE)
    parts = [slab, *[((half, half, 0.004), (place.x, place.y, 0.0), PAINT[place.type]) for place in plan.places]]
    for first in range(0, len(parts), SHAPES_AT_ONCE):
        _stand(client, parts[first : first + SHAPES_AT_ONCE], (0.0, 0.0, 0.0), 0.0)
    for box in plan.boxes:
        _stand(client, _box_parts(box), (box.x, box.y, 0.5 * box.height), box.yaw)


def draw_pallet(client: int, pallet: PalletBody, sku: int) -> int:
    """Draw a pallet with goods in the colour of their family, somewhere; returns its Bullet number."""
    goods = (*sku_colour(sku), 1.0)
    *wood, load = pallet_boxes(pallet)
    parts = [(half, at, WOOD) for half, at in wood]
    inset = (0.96 * load[0][0], 0.96 * load[0][1], load[0][2])
    return _stand(client, [*parts, (inset, load[1], goods)], (0.0, 0.0, 0.0), 0.0)


def _box_parts(box: Box) -> list[Part]:
    if box.kind == "rack":
        return _rack_parts(box)
    drawn = min(box.height, WALL_LOOK) if box.kind == "wall" else box.height
    half = (0.5 * box.length, 0.5 * box.width, 0.5 * drawn)
    return [(half, (0.0, 0.0, 0.5 * (drawn - box.height)), BOX_COLOURS[box.kind])]


def _rack_parts(box: Box) -> list[Part]:
    """Four posts and three shelves."""
    post = min(0.05, 0.2 * box.width, 0.2 * box.length)
    reach, side, high = 0.5 * box.length - post, 0.5 * box.width - post, 0.5 * box.height
    corners = [(along * reach, across * side, 0.0) for along in (-1, 1) for across in (-1, 1)]
    shelf = (0.5 * box.length, 0.5 * box.width, 0.03)
    posts: list[Part] = [((post, post, high), corner, STEEL) for corner in corners]
    return posts + [(shelf, (0.0, 0.0, level * high - 0.03), SHELF) for level in (-0.6, 0.2, 1.0)]


def _stand(client: int, parts: list[Part], at: Triple, yaw: float) -> int:
    look = pybullet.createVisualShapeArray(
        shapeTypes=[pybullet.GEOM_BOX] * len(parts),
        halfExtents=[half for half, _, _ in parts],
        visualFramePositions=[middle for _, middle, _ in parts],
        rgbaColors=[colour for _, _, colour in parts],
        physicsClientId=client,
    )
    return int(
        pybullet.createMultiBody(
            0,
            -1,
            look,
            basePosition=at,
            baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, yaw)),
            physicsClientId=client,
        )
    )
