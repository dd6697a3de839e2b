"""What the PyBullet world costs beside a hand-written loop over the same bodies, and what its settings cost in truth.

Times are CPU seconds of this one process, taken in turns; rows say the median of the rounds.
"""

from __future__ import annotations

import importlib.util
import math
import time
from statistics import median
from typing import Any

import numpy as np
import pybullet

from sim.bullet.contacts import pressed_bodies
from sim.bullet.forklift import GRAVITY, LEFT, LIFT, LIFT_GAIN, RIGHT
from sim.bullet.world import BulletWorld
from sim.warehouse.bodies import Bodies, read_bodies
from sim.warehouse.floorplan import Box, FloorPlan
from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import TOP

ROUNDS = 5
STEP = 0.1  # s, between two commands
STEPS = {8: 40, 32: 16, 100: 8}  # in one round, by robots
RAW = {"frequency": 240, "iterations": 50}  # PyBullet's own choice
SHIPPED = read_bodies(TOP / "config" / "bodies.yaml")
RACKS = 40
CELL = 3.0  # m, room of one robot


def bodies_with(**physics: int) -> Bodies:
    return SHIPPED.model_copy(update={"physics": SHIPPED.physics.model_copy(update=physics)})


def floor(robots: int) -> tuple[FloorPlan, list[tuple[str, float, float, float]]]:
    """Robots on a grid with room to circle, and racks on the rows between them and outside."""
    side = math.ceil(math.sqrt(robots))
    length = CELL * side + 12.0
    starts = [
        (f"r{row}", 6.0 + CELL * (row % side), 6.0 + CELL * (row // side), 0.7 * row % math.tau)
        for row in range(robots)
    ]
    racks = [Box(kind="rack", x=1.0 + n % 2, y=0.5 + n * length / RACKS, length=0.8, width=0.3) for n in range(RACKS)]
    return FloorPlan(name="bench", size=(length, length), boxes=tuple(racks), places=()), starts


def told(step: int, robot: int) -> tuple[float, float, float]:
    """Small circles, each robot at its own time: nobody stands and nobody is met."""
    return 0.45 + 0.1 * math.sin(0.2 * step + robot), 0.9 if robot % 2 else -0.9, 0.15


class RawLoop:
    """What a person writes by hand over the same bodies: motors told once a step, all poses and contacts read."""

    def __init__(self, robots: int, bodies: Bodies) -> None:
        plan, starts = floor(robots)
        self._world = BulletWorld(plan, starts, bodies, 0)  # builds the bodies; from here on it is only raw calls
        self._client = self._world._client
        self._robots = [forklift.body for forklift in self._world._robots.values()]
        self._floor = self._world._floor
        self._limits = bodies.forklift
        self._substeps = round(STEP * bodies.physics.frequency)
        self._force = 1.02 * GRAVITY * (bodies.forks.mass + bodies.forks.rated_load)
        self._lift_speed = bodies.forks.speed
        for body in self._robots:
            pybullet.changeDynamics(
                body,
                -1,
                activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING | pybullet.ACTIVATION_STATE_WAKE_UP,
                physicsClientId=self._client,
            )

    def step(self, number: int) -> list[tuple[Any, ...]]:
        client, limits = self._client, self._limits
        torque = 0.5 * limits.drive_force * limits.wheel_radius
        for row, body in enumerate(self._robots):
            v, w, height = told(number, row)
            half = 0.5 * limits.track * w
            speeds = ((v - half) / limits.wheel_radius, (v + half) / limits.wheel_radius)
            pybullet.setJointMotorControlArray(
                body,
                (LEFT, RIGHT),
                pybullet.VELOCITY_CONTROL,
                targetVelocities=speeds,
                forces=(torque, torque),
                physicsClientId=client,
            )
            pybullet.setJointMotorControl2(
                body,
                LIFT,
                pybullet.POSITION_CONTROL,
                targetPosition=height,
                positionGain=LIFT_GAIN,
                maxVelocity=self._lift_speed,
                force=self._force,
                physicsClientId=client,
            )
        for _ in range(self._substeps):
            pybullet.stepSimulation(physicsClientId=client)
        read = []
        for body in self._robots:
            where = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
            speed = pybullet.getBaseVelocity(body, physicsClientId=client)
            joints = pybullet.getJointStates(body, (LEFT, RIGHT, LIFT), physicsClientId=client)
            touched = pressed_bodies(client, (body,), frozenset({self._floor, body}))
            read.append((where, speed, joints, touched))
        return read

    def close(self) -> None:
        self._world.close()


class OurLoop:
    """A `BulletWorld`: commands, a step, poses, contacts."""

    def __init__(self, robots: int, bodies: Bodies) -> None:
        self.world = BulletWorld(*floor(robots), bodies, 0)

    def step(self, number: int) -> list[Any]:
        for row, name in enumerate(self.world.robots):
            self.world.command(name, *told(number, row))
        self.world.step()
        return [*(self.world.pose(name) for name in self.world.robots), *self.world.contacts()]

    def close(self) -> None:
        self.world.close()


def in_turns(sides: dict[str, Any], steps: int) -> dict[str, list[float]]:
    """CPU seconds a step of every side, round by round; the first round warms up."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(ROUNDS + 1):
        for name, side in sides.items():
            began = time.process_time()
            for step in range(steps):
                side.step(turn * steps + step)
            if turn:
                spent[name].append((time.process_time() - began) / steps)
    return spent


def ratio(spent: dict[str, list[float]], slow: str, quick: str) -> float:
    """How many times as fast, round by round, in the median."""
    return median(a / b for a, b in zip(spent[slow], spent[quick], strict=True))


def test_beside_a_raw_loop(record: Record) -> None:
    rows = []
    for robots, steps in STEPS.items():
        raw = bodies_with(**RAW)
        sides = {"raw": RawLoop(robots, raw), "same": OurLoop(robots, raw), "shipped": OurLoop(robots, SHIPPED)}
        spent = in_turns(sides, steps)
        for side in sides.values():
            side.close()
        rows.append(
            {
                "robots": robots,
                "raw_ms": 1e3 * median(spent["raw"]),
                "same_physics_ms": 1e3 * median(spent["same"]),
                "same_x_raw": ratio(spent, "raw", "same"),
                "shipped_ms": 1e3 * median(spent["shipped"]),
                "shipped_x_raw": ratio(spent, "raw", "shipped"),
                "real_time_factor": STEP / median(spent["shipped"]),
                "agent_steps_per_s": robots / median(spent["shipped"]),
            }
        )
    physics = {"raw": RAW, "shipped": SHIPPED.physics.model_dump()}
    record("PyBullet world and raw loop", {"step_s": STEP, "rounds": ROUNDS, "racks": RACKS, **physics}, rows)


def test_what_shipped_settings_cost_in_truth(record: Record) -> None:
    rows = []
    for seconds in (10.0, 30.0):
        ends = []
        for bodies in (SHIPPED, bodies_with(**RAW)):
            loop = OurLoop(8, bodies)
            for step in range(round(seconds / STEP)):
                loop.step(step)
            ends.append(np.array([loop.world.pose(name)[:3] for name in loop.world.robots]))
            loop.close()
        apart = ends[0] - ends[1]
        way = seconds * 0.45
        away = np.hypot(apart[:, 0], apart[:, 1])
        rows.append(
            {
                "seconds": seconds,
                "way_m": way,
                "position_mean_m": float(away.mean()),
                "position_most_m": float(away.max()),
                "yaw_most_rad": float(np.abs(np.remainder(apart[:, 2] + math.pi, math.tau) - math.pi).max()),
            }
        )
    record("PyBullet world: shipped physics against 24 x 1/240 s", {"robots": 8, "drive": "open loop, circles"}, rows)


def test_laser(record: Record) -> None:
    rows = []
    for robots in STEPS:
        world = BulletWorld(*floor(robots), SHIPPED, 0)
        spent = []
        for turn in range(ROUNDS + 1):
            began = time.process_time()
            world.scans()
            if turn:
                spent.append(time.process_time() - began)
        world.close()
        rays = robots * SHIPPED.laser.rays
        rows.append(
            {
                "robots": robots,
                "ms_per_fleet_scan": 1e3 * median(spent),
                "us_per_ray": 1e6 * median(spent) / rays,
                "robot_scans_per_s": robots / median(spent),
            }
        )
    record("PyBullet laser", {"rays": SHIPPED.laser.rays, "range_m": SHIPPED.laser.range, "rounds": ROUNDS}, rows)


def test_beside_pybullet_fleet(record: Record) -> None:
    if importlib.util.find_spec("pybullet_fleet") is None:
        print("\npybullet-fleet is not installed, so it is left out; with it on the path (pip install pybullet-fleet")
        print("into an environment of its own, which wants an older numpy) the comparison runs by itself")
        return
    rows = []
    for robots, steps in STEPS.items():
        sides: dict[str, Any] = {"ours": OurLoop(robots, SHIPPED), "pybullet-fleet": PeerLoop(robots)}
        spent = in_turns(sides, steps)
        moved = sides["pybullet-fleet"].moved()
        for side in sides.values():
            side.close()
        rates = {f"{name}_robot_steps_per_s": robots / median(each) for name, each in spent.items()}
        rows.append({"robots": robots, **rates, "peer_moved_share": moved})
    note = "pybullet-fleet moves bodies along paths without forces; ours drives wheels, with contacts"
    record("PyBullet world and pybullet-fleet", {"step_s": STEP, "rounds": ROUNDS, "note": note}, rows)


class PeerLoop:
    """pybullet-fleet as its 100-robot example has it: kinematic, one goal after another, states of all read."""

    def __init__(self, robots: int) -> None:
        import pybullet_fleet as peer

        self._pose = peer.Pose
        grid = {"count": robots, "columns": math.ceil(math.sqrt(robots)), "spacing": [CELL, CELL, 0.0]}
        robot = {
            "name": "robot",
            "urdf_path": "robots/mobile_robot.urdf",
            "use_fixed_base": False,
            "controller": {"type": "omni"},
            "manager": "fleet",
            "grid": {**grid, "offset": [0.0, 0.0, 0.3]},
        }
        drive = {"type": "batch_omni", "max_linear_vel": 2.0, "max_linear_accel": 5.0}
        world = {
            "timestep": STEP,
            "target_rtf": 0,
            "gui": False,
            "physics": False,
            "monitor": False,
            "log_level": "error",
        }
        self._core = peer.MultiRobotSimulationCore.from_dict(
            {"simulation": world, "managers": [{"name": "fleet", "fleet_controller": drive}], "entities": [robot]}
        )
        self._robots = [each for each in self._core.sim_objects if isinstance(each, peer.Agent)]
        assert len(self._robots) == robots
        self._start = [each.get_pose().position[:2] for each in self._robots]
        self._core.initialize_simulation()

    def step(self, number: int) -> list[Any]:
        if number % 10 == 0:  # a metre to and fro: nobody stands
            for robot in self._robots:
                pose = robot.get_pose()
                robot.set_goal_pose(
                    self._pose.from_yaw(pose.x + (-2.0) ** (number // 10 % 2), pose.y, pose.z, pose.yaw)
                )
        self._core.step_once()
        return [robot.get_pose() for robot in self._robots]

    def moved(self) -> float:
        """Share of the robots that are not where they began."""
        now = [each.get_pose().position[:2] for each in self._robots]
        return float(np.mean([math.dist(a, b) > 0.05 for a, b in zip(now, self._start, strict=True)]))

    def close(self) -> None:
        pybullet.disconnect(physicsClientId=self._core.client)
