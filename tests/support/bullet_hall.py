"""A small hall for tests of the PyBullet world: 20 x 10 m, walls around, one rack in the north."""

from __future__ import annotations

from pathlib import Path

from sim.bullet.world import BulletWorld, Start
from sim.warehouse.bodies import Bodies, read_bodies
from sim.warehouse.floorplan import Box, FloorPlan, Place

BODIES = read_bodies(Path(__file__).parents[2] / "config" / "bodies.yaml")
HALL = FloorPlan(
    name="hall",
    size=(20.0, 10.0),
    boxes=(
        Box(kind="wall", x=10, y=0, length=20.2, width=0.2, height=2.5),
        Box(kind="wall", x=10, y=10, length=20.2, width=0.2, height=2.5),
        Box(kind="wall", x=0, y=5, length=0.2, width=10.2, height=2.5),
        Box(kind="wall", x=20, y=5, length=0.2, width=10.2, height=2.5),
        Box(kind="rack", x=10, y=9, length=6, width=0.8, height=2.0),
    ),
    places=(
        Place(name="park_1", type="parking", x=2, y=2, yaw=0.0),
        Place(name="slot_1", type="slot", x=9, y=5, yaw=0.0),
    ),
)
EAST_WALL = 19.9  # m, x of its inner face
LOW, HIGH = 0.03, 0.15  # m, forks for entering and for driving
REACH = 0.40  # m from a docked robot to its pallet


def hall(*robots: Start, bodies: Bodies = BODIES, seed: int = 1) -> BulletWorld:
    """A world in the hall; without robots given, one named `robot` in its middle, facing east."""
    return BulletWorld(HALL, robots or (("robot", 5.0, 5.0, 0.0),), bodies, seed)


def run(
    world: BulletWorld, seconds: float, v: float = 0.0, w: float = 0.0, forks: float = LOW, robot: str = ""
) -> None:
    """Hold one command for a while."""
    world.command(robot or world.robots[0], v, w, forks)
    for _ in range(round(seconds * 10)):
        world.step()


def with_pallet_on_forks(bodies: Bodies = BODIES) -> BulletWorld:
    """A world whose one robot has just lifted pallet 1."""
    world = hall(bodies=bodies)
    world.add_pallet(1, 5.0 + REACH, 5.0, 0.0, 4)
    run(world, 0.5)
    run(world, 2.5, forks=HIGH)
    return world


def drive_along_x(world: BulletWorld, x: float, top_speed: float, forks: float) -> None:
    """Drive the one robot east along y = 5 to `x` as the move skill would, and stop there."""
    robot = world.robots[0]
    while (left := x - world.pose(robot).x) > 0.015:
        pose = world.pose(robot)
        heading = max(-0.25, min(0.25, 1.2 * (5.0 - pose.y)))
        run(world, 0.1, v=min(top_speed, 0.05 + 0.8 * left), w=2.0 * (heading - pose.yaw), forks=forks)
    run(world, 0.5, forks=forks)
