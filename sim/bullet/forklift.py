"""One pallet stacker in Bullet: a differential drive, two casters, and forks on a prismatic joint."""

from __future__ import annotations

import math
import tempfile
from collections import deque
from typing import NamedTuple

import pybullet

from sim.bullet import groups
from sim.bullet.forklift_urdf import BASE_HEIGHT, JOINTS, LINKS, forklift_urdf
from sim.warehouse.bodies import Bodies

LEFT, RIGHT, LIFT = range(len(JOINTS))
GRAVITY = 9.81
TRIM_GAIN = 0.3  # share of a wheel's speed error that is trimmed away per move tick
TRIM_MOST = 0.5  # rad/s
TRIM_BELOW = 1e-4  # rad/s; smaller errors are left
LIFT_GAIN = 0.3  # share of the forks' height error made good per physics step
STILL = 0.02  # m/s and rad/s; below it a robot that is told to stand stands
LIFTED = 0.003  # m; nearer than this the forks are where they shall be
LAGGED = 1e-3  # m/s and rad/s; a lagging drive that is this near its command has reached it
BRAKE_AFTER = 3  # move ticks of standing still before the parking brake falls in


class Pose(NamedTuple):
    """Where a robot is (m, rad in map) and how fast it moves (m/s along its x axis, rad/s left-positive)."""

    x: float
    y: float
    yaw: float
    v: float
    w: float


class JointStates(NamedTuple):
    """Positions and velocities of JOINTS: wheels (rad, rad/s), then the forks (m, m/s)."""

    positions: tuple[float, float, float]
    velocities: tuple[float, float, float]


class Forklift:
    """A body that follows (v, w, fork height) as well as its motors, tyres and limits allow.

    The drive speeds up and brakes at the body's acceleration, a little at every physics step, so that neither the
    tyres nor a pallet on the tines slip in normal driving. Where the settings say so, the drive answers late
    (`dead_time`), behind its command (`lag`), and its wheels turn more than the truck moves (`slip`). The lift is a
    motor with a force limit: a load above `forks.rated_load` stays where it is. A robot that stands with nothing to do
    sets its parking brake: its body sleeps in Bullet, which costs nothing and does not creep, until a command or a
    push wakes it.

    Args:
        client: Bullet client that owns the body.
        name: the robot's name.
        start: x, y (m, map) and yaw (rad) of the middle of the driven axle.
        bodies: dimensions, masses and limits.
        colour: red, green, blue of the chassis, [0, 1].
    """

    def __init__(
        self,
        client: int,
        name: str,
        start: tuple[float, float, float],
        bodies: Bodies,
        colour: tuple[float, float, float],
    ) -> None:
        self.name = name
        self._client = client
        self._limits = bodies.forklift
        self._forks = bodies.forks
        self._step = 1.0 / bodies.physics.frequency
        self._wanted = (0.0, 0.0)
        late = round(bodies.forklift.dead_time * bodies.physics.frequency)
        self._on_the_way = deque([(0.0, 0.0)] * late)  # commands the drive has not felt yet, oldest first
        self._share = 1.0 - math.exp(-self._step / bodies.forklift.lag) if bodies.forklift.lag > 0.0 else 1.0
        self._lagged = (0.0, 0.0)
        self._grip = 1.0 - bodies.forklift.slip  # way per turned wheel
        self._ramped = (0.0, 0.0)
        self._driven: tuple[float, float] | None = None  # wheel speeds (rad/s) the motors were last told
        self._trim = (0.0, 0.0)
        self._stood = 0  # move ticks
        self._lift_target = math.nan  # m; told by the first command
        self._is_dead = False  # stands without power, see `stand`
        self._start = start
        self._urdf = forklift_urdf(name, bodies, colour)
        self.body = self._load()
        self.pose = Pose(*start, 0.0, 0.0)
        self.joints = JointStates((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        self.command(0.0, 0.0, 0.0)

    def command(self, v: float, w: float, fork_height: float) -> None:
        """Set the wanted speeds (m/s, rad/s) and fork height (m above the floor); clipped to the body's limits.

        Raises:
            ValueError: a number is not finite.
        """
        if not (math.isfinite(v) and math.isfinite(w) and math.isfinite(fork_height)):
            raise ValueError(f"{self.name}: wanted finite numbers, saw v {v}, w {w}, fork height {fork_height}")
        self._is_dead = False
        limits = self._limits
        wanted = (
            min(max(v, -limits.max_speed), limits.max_speed),
            min(max(w, -limits.max_turn_rate), limits.max_turn_rate),
        )
        height = min(max(fork_height, 0.0), self._forks.max_height)
        if wanted != self._wanted or height != self._lift_target:
            self._wake()
        self._wanted = wanted
        if height != self._lift_target:
            self._lift_target = height
            pybullet.setJointMotorControl2(
                self.body,
                LIFT,
                pybullet.POSITION_CONTROL,
                targetPosition=height,
                positionGain=LIFT_GAIN,
                maxVelocity=self._forks.speed,
                force=1.02 * GRAVITY * (self._forks.mass + self._forks.rated_load),
                physicsClientId=self._client,
            )

    def stand(self) -> None:
        """Stop where it is, forks and all, until the next command; may be said again at every step.

        Forks that are where they were told to be hold that height: the sensed one, which a load presses below it, would
        sink a little with every stand. Forks on their way stop at the sensed height, taken once.
        """
        if not self._is_dead:
            is_there = abs(self.fork_height - self._lift_target) < LIFTED
            self.command(0.0, 0.0, self._lift_target if is_there else self.fork_height)
            self._is_dead = True

    def drive(self) -> None:
        """Bring the wheels one physics step nearer to the wanted speeds; call before every physics step."""
        limits = self._limits
        self._on_the_way.append(self._wanted)
        wanted = self._on_the_way.popleft()
        self._lagged = (
            _behind(self._lagged[0], wanted[0], self._share),
            _behind(self._lagged[1], wanted[1], self._share),
        )
        v = _approach(self._ramped[0], self._lagged[0], limits.acceleration * self._step)
        w = _approach(self._ramped[1], self._lagged[1], limits.turn_acceleration * self._step)
        self._ramped = (v, w)
        left, right = self._wheel_speeds()
        driven = (left + self._trim[0], right + self._trim[1])
        if driven == self._driven:
            return
        self._driven = driven
        torque = 0.5 * limits.drive_force * limits.wheel_radius
        pybullet.setJointMotorControlArray(
            self.body,
            (LEFT, RIGHT),
            pybullet.VELOCITY_CONTROL,
            targetVelocities=driven,
            forces=(torque, torque),
            physicsClientId=self._client,
        )

    def read(self) -> None:
        """Refresh `pose` and `joints` from Bullet; call once after stepping."""
        (x, y, _), turn = pybullet.getBasePositionAndOrientation(self.body, physicsClientId=self._client)
        (vx, vy, _), (_, _, w) = pybullet.getBaseVelocity(self.body, physicsClientId=self._client)
        yaw = math.atan2(2.0 * (turn[3] * turn[2] + turn[0] * turn[1]), 1.0 - 2.0 * (turn[1] ** 2 + turn[2] ** 2))
        cos, sin = math.cos(yaw), math.sin(yaw)
        # Bullet reports the centre of mass, which lies `balance` along x from the axle.
        behind = self._limits.balance
        self.pose = Pose(x - behind * cos, y - behind * sin, yaw, vx * cos + vy * sin, w)
        states = pybullet.getJointStates(self.body, (LEFT, RIGHT, LIFT), physicsClientId=self._client)
        positions, seen = zip(*(state[:2] for state in states), strict=True)
        self.joints = JointStates(self._as_turned(positions), self._as_turned(seen))
        left, right = self._wheel_speeds()
        self._trim = (_trimmed(self._trim[0], left - seen[LEFT]), _trimmed(self._trim[1], right - seen[RIGHT]))
        is_told_to_stand = self._wanted == self._ramped == (0.0, 0.0) and not any(map(any, self._on_the_way))
        is_still = max(abs(self.pose.v), abs(self.pose.w), abs(seen[LIFT])) < STILL
        is_lifted = abs(self.fork_height - self._lift_target) < LIFTED
        self._stood = self._stood + 1 if is_told_to_stand and is_still and is_lifted else 0

    @property
    def fork_height(self) -> float:
        """Underside of the tines above the floor (m)."""
        return self.joints.positions[LIFT]

    @property
    def is_standing(self) -> bool:
        """Whether the robot has nothing to do and stands, so that the parking brake may fall in."""
        return self._stood >= BRAKE_AFTER

    def brake(self) -> None:
        """Set the parking brake."""
        _set_activation(
            self._client, self.body, pybullet.ACTIVATION_STATE_ENABLE_SLEEPING | pybullet.ACTIVATION_STATE_SLEEP
        )

    def place(self, x: float, y: float, yaw: float, v: float, w: float) -> None:
        """Put the robot elsewhere at once, moving at v (m/s) and w (rad/s); its command holds on from there."""
        behind, (cos, sin) = self._limits.balance, (math.cos(yaw), math.sin(yaw))
        (_, _, z), _ = pybullet.getBasePositionAndOrientation(self.body, physicsClientId=self._client)
        there, turn = (x + behind * cos, y + behind * sin, z), pybullet.getQuaternionFromEuler((0.0, 0.0, yaw))
        pybullet.resetBasePositionAndOrientation(self.body, there, turn, physicsClientId=self._client)
        moving = (v * cos - w * behind * sin, v * sin + w * behind * cos, 0.0)
        pybullet.resetBaseVelocity(self.body, moving, (0.0, 0.0, w), physicsClientId=self._client)
        self._ramped, self._trim, self._driven = (v, w), (0.0, 0.0), None
        for wheel, speed in zip((LEFT, RIGHT), self._wheel_speeds(), strict=True):
            pybullet.resetJointState(
                self.body, wheel, self.joints.positions[wheel], speed, physicsClientId=self._client
            )
        self._wake()
        self.pose = Pose(x, y, yaw, v, w)

    def load_look(self, client: int) -> int:
        """Load the body again into a Bullet client that only draws; returns its number there."""
        return self._load_urdf(client, pybullet.URDF_IGNORE_COLLISION_SHAPES)

    def copy_to(self, client: int, body: int) -> None:
        """Put a body made by `load_look` where this robot is."""
        there, turn = pybullet.getBasePositionAndOrientation(self.body, physicsClientId=self._client)
        pybullet.resetBasePositionAndOrientation(body, there, turn, physicsClientId=client)
        for joint, position in enumerate(self.joints.positions):
            pybullet.resetJointState(body, joint, position, physicsClientId=client)

    def _wake(self) -> None:
        # Only the brake may put the body to sleep: Bullet itself would after 2 s of slow work, such as lifting.
        self._stood = 0
        _set_activation(
            self._client, self.body, pybullet.ACTIVATION_STATE_DISABLE_SLEEPING | pybullet.ACTIVATION_STATE_WAKE_UP
        )

    def _wheel_speeds(self) -> tuple[float, float]:
        """Left and right wheel speed (rad/s) that bring the ramped command about, what slips left out."""
        v, w = self._ramped
        half, radius = 0.5 * self._limits.track * w, self._limits.wheel_radius
        return self._grip * (v - half) / radius, self._grip * (v + half) / radius

    def _as_turned(self, joints: tuple[float, float, float]) -> tuple[float, float, float]:
        """What encoders say of the joints: slipping wheels turn more than the body moves."""
        return joints[LEFT] / self._grip, joints[RIGHT] / self._grip, joints[LIFT]

    def _load(self) -> int:
        body = self._load_urdf(self._client, pybullet.URDF_IGNORE_VISUAL_SHAPES)
        for link, group in LINKS.items():
            pybullet.setCollisionFilterGroupMask(
                body, link, group, groups.COLLIDES_WITH[group], physicsClientId=self._client
            )
        return body

    def _load_urdf(self, client: int, flags: int) -> int:
        x, y, yaw = self._start
        with tempfile.NamedTemporaryFile("w", suffix=".urdf") as file:
            file.write(self._urdf)
            file.flush()
            return int(
                pybullet.loadURDF(
                    file.name,
                    basePosition=(x, y, BASE_HEIGHT),
                    baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, yaw)),
                    flags=flags | pybullet.URDF_USE_INERTIA_FROM_FILE | pybullet.URDF_MAINTAIN_LINK_ORDER,
                    physicsClientId=client,
                )
            )


def _set_activation(client: int, body: int, state: int) -> None:
    pybullet.changeDynamics(body, -1, activationState=state, physicsClientId=client)


def _approach(value: float, target: float, most: float) -> float:
    """Move `value` towards `target` by `most` at most."""
    return min(max(target, value - most), value + most)


def _behind(value: float, target: float, share: float) -> float:
    """One physics step of a first-order lag; ends at the target, not just before it."""
    value += share * (target - value)
    return target if share == 1.0 or abs(target - value) < LAGGED else value


def _trimmed(trim: float, error: float) -> float:
    """The integral part of a wheel's speed control (rad/s): without it a truck that leans on a caster creeps."""
    if abs(error) < TRIM_BELOW:
        return trim
    return min(max(trim + TRIM_GAIN * error, -TRIM_MOST), TRIM_MOST)
