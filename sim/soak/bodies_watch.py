"""Whether PyBullet holds the bodies it should: none too many, none in another, none in the floor or on its side."""

from __future__ import annotations

from sim.bullet.world import BulletWorld
from sim.soak.findings import Findings
from sim.soak.limits import SoakLimits
from sim.soak.motion_watch import MotionWatch


class BodiesWatch:
    """Follows one world's bodies: `step` at every motion step, `look` at every tick."""

    def __init__(
        self, findings: Findings, motion: MotionWatch, pallets: MotionWatch, limits: SoakLimits, step: float
    ) -> None:
        """`motion` follows who drives and is carried, `pallets` all pallets; `step`: of one motion step (s)."""
        self._findings, self._motion, self._pallets, self._limits = findings, motion, pallets, limits
        self._step, self._steps = step, 0

    def step(self, world: BulletWorld) -> None:
        """Take where robots and pallets are; swept from the last step, so nothing passes a rack unseen."""
        self._steps += 1
        bodies: dict[str, tuple[float, ...]] = {name: world.pose(name) for name in world.robots}
        for name in world.robots:  # pallets that nobody carries are looked at once a tick
            load = world.carried_by(name)
            if load is not None:
                bodies[f"pallet_{load}"] = world.pallet_pose(load)
        self._motion.look(self._steps * self._step, bodies)

    def look(self, now: float, world: BulletWorld) -> None:
        """Count the bodies, and look how deep they lie in each other."""
        census, inspection = world.inspection.census(), world.inspection
        held = f"{census.bodies} bodies and {census.constraints} constraints, wanted "
        wanted = f"{census.expected_bodies} and {census.expected_constraints}"
        is_right = census.bodies == census.expected_bodies and census.constraints == census.expected_constraints
        self._findings.note("no leaked body", now, "" if is_right else held + wanted)
        limits, measure = self._limits, self._findings.measure
        deep = inspection.deepest_in_walls()
        measure("nobody in a wall or rack (m)", now, deep, limits.sunk, "a body lies in a wall or rack, this deep")
        for name in world.robots:
            measure("trucks upright (rad)", now, inspection.lean(name), limits.tilt, f"{name} leans")
            risen = abs(inspection.risen(name))
            measure("trucks on the floor (m)", now, risen, limits.sunk, f"{name} has left the floor's level by")
        poses = {f"pallet_{pallet}": world.pallet_pose(pallet) for pallet in world.pallets}
        self._pallets.look(now, dict(poses))
        for name, pose in poses.items():
            measure("pallets on the floor (m)", now, -pose.lifted, limits.sunk, f"{name} is in the floor by")
