"""One autonomous mobile robot (AMR) in Bullet: a platform on a differential drive with two casters."""

from __future__ import annotations

import math
import tempfile

import pybullet

from sim.bullet import groups
from sim.bullet.amr_urdf import JOINTS, LINKS, amr_urdf
from sim.bullet.forklift import Pose
from sim.warehouse.bodies import AmrBody

LEFT, RIGHT = range(len(JOINTS))
TRIM_GAIN = 0.3  # share of a wheel's speed error that is trimmed away per move tick
TRIM_MOST = 0.5  # rad/s


class Amr:
    """A body that follows (v, w) as well as its motors, tyres and limits allow.

    A command holds for `command_hold` seconds; one that comes later finds it braking, as drives do whose master has
    gone. It never sleeps in Bullet.

    Args:
        client: Bullet client that owns the body.
        name: the robot's name.
        start: x, y (m, map) and yaw (rad) of its middle.
        settings: dimensions, masses and limits.
        step: of the physics (s).
    """

    def __init__(
        self, client: int, name: str, start: tuple[float, float, float], settings: AmrBody, step: float
    ) -> None:
        self.name = name
        self._client = client
        self._limits = settings
        self._step = step
        self._wanted = self._ramped = (0.0, 0.0)
        self._holds = 0.0  # s the command has left
        self._trim = (0.0, 0.0)
        self.pose = Pose(*start, 0.0, 0.0)
        self.body = self._load(start)

    def command(self, v: float, w: float) -> None:
        """Set the wanted speeds (m/s, rad/s), clipped to the body's limits.

        Raises:
            ValueError: a number is not finite.
        """
        if not (math.isfinite(v) and math.isfinite(w)):
            raise ValueError(f"{self.name}: wanted finite numbers, saw v {v}, w {w}")
        limits = self._limits
        self._wanted = (
            min(max(v, -limits.max_speed), limits.max_speed),
            min(max(w, -limits.max_turn_rate), limits.max_turn_rate),
        )
        self._holds = limits.command_hold

    def drive(self) -> None:
        """Bring the wheels one physics step nearer to the wanted speeds; call before every physics step."""
        limits = self._limits
        wanted = self._wanted if self._holds > 0.0 else (0.0, 0.0)
        self._holds -= self._step
        most = (limits.acceleration * self._step, limits.turn_acceleration * self._step)
        v, w = (min(max(aim, now - way), now + way) for aim, now, way in zip(wanted, self._ramped, most, strict=True))
        self._ramped = (v, w)
        torque = 0.5 * limits.drive_force * limits.wheel_radius
        pybullet.setJointMotorControlArray(
            self.body,
            (LEFT, RIGHT),
            pybullet.VELOCITY_CONTROL,
            targetVelocities=[speed + trim for speed, trim in zip(self._wheel_speeds(), self._trim, strict=True)],
            forces=(torque, torque),
            physicsClientId=self._client,
        )

    def read(self) -> None:
        """Refresh `pose` from Bullet; call once after stepping."""
        (x, y, _), turn = pybullet.getBasePositionAndOrientation(self.body, physicsClientId=self._client)
        (vx, vy, _), (_, _, w) = pybullet.getBaseVelocity(self.body, physicsClientId=self._client)
        yaw = math.atan2(2.0 * (turn[3] * turn[2] + turn[0] * turn[1]), 1.0 - 2.0 * (turn[1] ** 2 + turn[2] ** 2))
        self.pose = Pose(x, y, yaw, vx * math.cos(yaw) + vy * math.sin(yaw), w)
        seen = [state[1] for state in pybullet.getJointStates(self.body, (LEFT, RIGHT), physicsClientId=self._client)]
        left, right = (
            min(max(trim + TRIM_GAIN * (aim - speed), -TRIM_MOST), TRIM_MOST)
            for trim, aim, speed in zip(self._trim, self._wheel_speeds(), seen, strict=True)
        )
        self._trim = (left, right)

    def place(self, x: float, y: float, yaw: float, v: float, w: float) -> None:
        """Put the robot elsewhere at once, moving at v (m/s) and w (rad/s); its command holds on from there."""
        (_, _, z), _ = pybullet.getBasePositionAndOrientation(self.body, physicsClientId=self._client)
        turn = pybullet.getQuaternionFromEuler((0.0, 0.0, yaw))
        pybullet.resetBasePositionAndOrientation(self.body, (x, y, z), turn, physicsClientId=self._client)
        moving = (v * math.cos(yaw), v * math.sin(yaw), 0.0)
        pybullet.resetBaseVelocity(self.body, moving, (0.0, 0.0, w), physicsClientId=self._client)
        self._ramped, self._trim = (v, w), (0.0, 0.0)
        for wheel, speed in zip((LEFT, RIGHT), self._wheel_speeds(), strict=True):
            pybullet.resetJointState(self.body, wheel, 0.0, speed, physicsClientId=self._client)
        self.pose = Pose(x, y, yaw, v, w)

    def _wheel_speeds(self) -> tuple[float, float]:
        """Left and right wheel speed (rad/s) that bring the ramped command about."""
        v, w = self._ramped
        half, radius = 0.5 * self._limits.track * w, self._limits.wheel_radius
        return (v - half) / radius, (v + half) / radius

    def _load(self, start: tuple[float, float, float]) -> int:
        x, y, yaw = start
        with tempfile.NamedTemporaryFile("w", suffix=".urdf") as file:
            file.write(amr_urdf(self.name, self._limits))
            file.flush()
            body = int(
                pybullet.loadURDF(
                    file.name,
                    basePosition=(x, y, 0.0),
                    baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, yaw)),
                    flags=pybullet.URDF_IGNORE_VISUAL_SHAPES
                    | pybullet.URDF_USE_INERTIA_FROM_FILE
                    | pybullet.URDF_MAINTAIN_LINK_ORDER,
                    physicsClientId=self._client,
                )
            )
        for part, group in LINKS.items():
            pybullet.setCollisionFilterGroupMask(
                body, part, group, groups.COLLIDES_WITH[group], physicsClientId=self._client
            )
        pybullet.changeDynamics(
            body, -1, activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING, physicsClientId=self._client
        )
        return body
