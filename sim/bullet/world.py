"""The warehouse as bodies with mass: forklifts that drive, lift and carry by contact, lasers and a camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import pybullet

from policy_core.config import ConfigError
from sim.bullet.amrs import Amrs
from sim.bullet.camera import Camera
from sim.bullet.carrying import Carrying
from sim.bullet.contacts import Contact, pressed_bodies
from sim.bullet.floor import build_boxes, build_floor
from sim.bullet.forklift import GRAVITY, Forklift, JointStates, Pose
from sim.bullet.inspection import Inspection
from sim.bullet.laser import FleetLaser, truck_starts
from sim.bullet.localisation import ToldPoses
from sim.bullet.mast_camera import MastCameras
from sim.bullet.pallets import PalletPose, Pallets
from sim.bullet.staging import Staging
from sim.warehouse.bodies import Bodies
from sim.warehouse.colours import robot_colour
from sim.warehouse.floorplan import FloorPlan

Start = tuple[str, float, float, float]  # name, x, y (m, map), yaw (rad)


class BulletWorld:
    """One floor with its robots and pallets in a Bullet client of its own.

    Tines lift pallets by contact, so a load can be missed, pushed off, or be too heavy; what keeps it on the tines
    is said in `sim.bullet.carrying`. The same seed and the same calls give the same poses, bit for bit.

    Attributes:
        staging: for who reaches into the world from outside: boxes, AMRs, and bodies that are moved at once.
        amrs: the AMRs that `staging` has put there: commands, poses, lasers.
        inspection: for who counts what Bullet holds and measures how bodies lie.

    Args:
        plan: what stands on the floor.
        robots: name, x, y (m, map) and yaw (rad) of every robot.
        bodies: dimensions, masses, limits, laser and physics settings.
        seed: of laser noise and dropouts.
        move_tick: simulated time of one `step` (s).
        dock_reach: x of a carried pallet's middle in base_link (m).

    Raises:
        ConfigError: the move tick is not a whole number of physics steps, or two robots share a name.
    """

    def __init__(
        self,
        plan: FloorPlan,
        robots: Sequence[Start],
        bodies: Bodies,
        seed: int,
        move_tick: float = 0.1,
        dock_reach: float = 0.7,
    ) -> None:
        frequency = bodies.physics.frequency
        self._substeps = round(move_tick * frequency)
        if self._substeps < 1 or abs(self._substeps - move_tick * frequency) > 1e-6:
            raise ConfigError(
                f"a move tick of {move_tick} s is {move_tick * frequency:.3f} physics steps at {frequency} Hz; "
                "choose physics.frequency or motion.step so that it is a whole number"
            )
        names = [name for name, *_ in robots]
        if len(set(names)) != len(names):
            raise ConfigError(f"robot names must be unique, saw {', '.join(names)}")
        self.plan = plan
        self._bodies = bodies
        self._cameras: dict[tuple[int, int], Camera] = {}
        self._mast_cameras: MastCameras | None = None
        self._client = pybullet.connect(pybullet.DIRECT)
        pybullet.setGravity(0.0, 0.0, -GRAVITY, physicsClientId=self._client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1.0 / frequency,
            numSolverIterations=bodies.physics.iterations,
            deterministicOverlappingPairs=1,
            physicsClientId=self._client,
        )
        self._floor = build_floor(self._client, plan, bodies.floor.friction)
        self._names = build_boxes(self._client, plan)
        standing = (self._floor, *self._names)
        self._robots = {
            name: Forklift(self._client, name, (x, y, yaw), bodies, robot_colour(index))
            for index, (name, x, y, yaw) in enumerate(robots)
        }
        self._names.update({robot.body: name for name, robot in self._robots.items()})
        self._pallets = Pallets(self._client, bodies.pallet)
        self._carrying = Carrying(self._client, bodies, self._pallets, names)
        self._laser = FleetLaser(self._client, bodies.laser, seed, truck_starts(bodies, dock_reach))
        self.amrs = Amrs(self._client, bodies, seed)
        self.staging = Staging(
            self._client, plan, bodies, self._robots, self._pallets, self._carrying, self._names, self.amrs
        )
        self.inspection = Inspection(
            self._client,
            standing,
            self._robots,
            self._pallets,
            self.staging.standing_boxes,
            self._carrying,
            self.amrs,
        )
        # What was measured at this step and before, oldest first; sensors that report late report the oldest.
        self._scans: deque[np.ndarray] = deque(maxlen=bodies.laser.delay + 1)
        self._told = ToldPoses(self._true_poses(), bodies.localisation, bodies.odometry, move_tick, seed)
        if bodies.laser.delay:
            self._scans.append(self._scan())

    @property
    def robots(self) -> tuple[str, ...]:
        """Names of the robots, in the order they were given."""
        return tuple(self._robots)

    @property
    def pallets(self) -> tuple[int, ...]:
        """Ids of the pallets in the world."""
        return self._pallets.ids()

    def command(self, name: str, v: float, w: float, fork_height: float) -> None:
        """Tell a robot what to do until it is told otherwise: m/s, rad/s, m above the floor; clipped to its limits."""
        self._robots[name].command(v, w, fork_height)

    def stand(self, name: str) -> None:
        """Let a robot stand without power, forks and all, until it is commanded again."""
        self._robots[name].stand()

    def step(self) -> None:
        """Advance by one move tick."""
        robots = self._robots.values()
        for _ in range(self._substeps):
            for robot in robots:
                robot.drive()
            self.amrs.drive()
            pybullet.stepSimulation(physicsClientId=self._client)
        for robot in robots:
            was = robot.fork_height
            robot.read()
            self._carrying.update(robot, is_rising=robot.fork_height > was + 1e-4)
            if robot.is_standing:
                robot.brake()
                load = self._carrying.of(robot.name)
                if load is not None:
                    self._pallets.rest(load)
        self.amrs.read()
        self._told.note(self._true_poses())
        if self._bodies.laser.delay:
            self._scans.append(self._scan())

    def pose(self, name: str) -> Pose:
        """Where a robot is and how fast it moves, as of the last step."""
        return self._robots[name].pose

    def told_pose(self, name: str) -> Pose:
        """What localisation and odometry say of a robot; see `sim.bullet.localisation`."""
        return self._told[name]

    def fork_height(self, name: str) -> float:
        """Underside of the tines above the floor (m), as of the last step."""
        return self._robots[name].fork_height

    def joint_states(self, name: str) -> JointStates:
        """Wheels and forks of a robot, in the order of `sim.bullet.forklift_urdf.JOINTS`."""
        return self._robots[name].joints

    def carried_by(self, name: str) -> int | None:
        """The pallet on a robot's forks: tines in its pockets, runners off the floor."""
        return self._carrying.of(name)

    def scans(self) -> np.ndarray:
        """The latest laser scan told of every robot [R, rays] float32 (m), measured `laser.delay` steps ago.

        `inf` where nothing is, NaN where a return was lost.
        """
        return self._scans[0] if self._bodies.laser.delay else self._scan()

    def add_pallet(self, pallet: int, x: float, y: float, yaw: float, sku: int) -> None:
        """Stand a pallet on the floor; raises ValueError if its id is taken."""
        self._pallets.add(pallet, x, y, yaw, sku)

    def remove_pallet(self, pallet: int) -> None:
        """Take a pallet away, from the floor or from the forks; raises KeyError if it is not there."""
        self._carrying.forget(pallet)
        self._pallets.remove(pallet)

    def pallet_pose(self, pallet: int) -> PalletPose:
        """Where a pallet is; raises KeyError if it is not there."""
        return self._pallets.pose(pallet)

    def contacts(self) -> list[Contact]:
        """What robots and their loads press on that they should not: robots, walls, racks, foreign pallets.

        The floor, the load, and a pallet whose pockets the tines are in do not count. A touch between two robots is
        listed once for each of them.
        """
        found: list[Contact] = []
        for name, robot in self._robots.items():
            load = self._carrying.of(name)
            own = (robot.body,) if load is None else (robot.body, self._pallets.body(load))
            pressed = pressed_bodies(self._client, own, frozenset({self._floor, *own}))
            for other, force in pressed.items():
                pallet = self._pallets.of_body(other)
                if pallet is None:
                    found.append(Contact(name, self._names[other], force))
                elif self._carrying.geometry.inserted(robot.pose, self._pallets.pose(pallet)) == 0.0:
                    found.append(Contact(name, f"pallet_{pallet}", force))
        return found

    def camera(self, width: int, height: int) -> np.ndarray:
        """Draw the whole floor from above one corner; RGB [height, width, 3] uint8."""
        if (width, height) not in self._cameras:
            camera = Camera(self.plan, self._bodies, list(self._robots.values()), width, height)
            self._cameras[width, height] = camera
        return self._cameras[width, height].photograph(list(self._robots.values()), self._pallets)

    def robot_camera(self, name: str, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """What the camera on a robot's mast sees.

        Returns:
            RGB [height, width, 3] uint8, and depth [height, width] float32: m along the optical axis, `inf` where
            nothing is within range.
        """
        robots = list(self._robots.values())
        if self._mast_cameras is None:
            self._mast_cameras = MastCameras(self.plan, self._bodies, robots)
        return self._mast_cameras.photograph(self._robots[name], robots, self._pallets, width, height)

    def close(self) -> None:
        """Give the Bullet clients back; a second call does nothing."""
        if self._mast_cameras is not None:
            self._mast_cameras.close()
            self._mast_cameras = None
        while self._cameras:
            self._cameras.popitem()[1].close()
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def _true_poses(self) -> dict[str, Pose]:
        return {name: robot.pose for name, robot in self._robots.items()}

    def _scan(self) -> np.ndarray:
        poses = np.array([robot.pose[:3] for robot in self._robots.values()]).reshape(-1, 3)
        is_loaded = np.array([self._carrying.of(name) is not None for name in self._robots], dtype=bool)
        return self._laser.scan(poses, is_loaded)
