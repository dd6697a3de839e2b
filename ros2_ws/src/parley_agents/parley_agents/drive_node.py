"""The moving side of a forklift agent's node: sensors in, guarded commands out, once a motion step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from parley_agents import convert
from parley_agents.forklift import ForkliftBody
from parley_agents.hub_node import TICK
from parley_agents.managed_node import ManagedNode
from parley_agents.tally import Tally
from parley_msgs.msg import ForkCommand
from sensor_msgs.msg import JointState, LaserScan

FORK_JOINT = "fork_joint"
SILENCE = 0.5  # s, wall; a robot that follows the wall clock is told to stop when its sensors are silent for so long


class Drive:
    """Topics of one robot, relative to its namespace: odom, scan, joint_states, cmd_vel, fork_command.

    In lockstep a step is ready when odometry, scan, joints and the fleet's poses carry the same stamp. In paced mode
    every set of poses is a step, with the latest of the rest; the guard stops the robot if those are stale.

    Args:
        on_facts: called when a sensor has spoken.
    """

    def __init__(
        self, node: ManagedNode, body: ForkliftBody, robots: tuple[str, ...], step: float, on_facts: Callable[[], None]
    ) -> None:
        self.sent_at = 0.0  # s, wall, of the last command
        self._node = node
        self._body = body
        self._robots = robots
        self._step = step
        self._on_facts = on_facts
        self._is_lockstep = node.run_settings.clock == "lockstep"
        self._stamps = dict.fromkeys(("odom", "scan", "joints", "poses"), -1.0)
        self._last_sent = -1
        self._command = node.create_publisher(TwistStamped, "cmd_vel", TICK)
        self._forks = node.create_publisher(ForkCommand, "fork_command", TICK)
        self._subscriptions = [
            node.create_subscription(Odometry, "odom", self._hear_odom, TICK),
            node.create_subscription(LaserScan, "scan", self._hear_scan, TICK),
            node.create_subscription(JointState, "joint_states", self._hear_joints, TICK),
        ]

    @property
    def stamp(self) -> float:
        """Time of the latest poses (s)."""
        return self._stamps["poses"]

    def ready_step(self) -> int | None:
        """Number of the motion step whose facts are all there and that has not been answered yet."""
        stamps = set(self._stamps.values())
        if min(stamps) < 0 or (self._is_lockstep and len(stamps) > 1):
            return None
        step = round(self.stamp / self._step)
        return step if step != self._last_sent else None

    def send(self, step: int, decision_stamp: float, tally: Tally, wall: float) -> None:
        """Answer a motion step: the skill's command, as far as the guard lets it pass."""
        command = self._body.command(self.stamp, decision_stamp)
        self._last_sent, self.sent_at = step, wall
        if command.reason:
            tally.add(f"guard {command.reason}")
        self._forks.publish(convert.fork_command(self.stamp, command.fork_height))
        self._command.publish(convert.drive_command(self.stamp, command.v, command.w))

    def stop_if_silent(self, tally: Tally, wall: float) -> None:
        """Tell a robot on the wall clock to stop if nothing was heard of it for long; in lockstep the world waits."""
        if not self._is_lockstep and self.sent_at and wall - self.sent_at > SILENCE:
            self.sent_at = wall
            tally.add("guard sensors silent")
            self._command.publish(convert.drive_command(convert.seconds(self._node.get_clock().now().to_msg()), 0, 0))

    def hear_poses(self, poses: convert.Poses) -> None:
        """Where the fleet's robots are; a robot that is not told of is NaN."""
        for row, name in enumerate(self._robots):
            self._body.others[row] = poses.robots.get(name, UNKNOWN)
        self._hear("poses", poses.stamp)

    def close(self) -> None:
        """Leave all topics."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._command)
        self._node.destroy_publisher(self._forks)

    def _hear(self, name: str, stamp: float) -> None:
        self._stamps[name] = stamp
        self._on_facts()

    def _hear_odom(self, odom: Odometry) -> None:
        stamp = convert.seconds(odom.header.stamp)
        self._body.sensors = self._body.sensors._replace(odom_stamp=stamp)
        self._hear("odom", stamp)

    def _hear_scan(self, scan: LaserScan) -> None:
        stamp = convert.seconds(scan.header.stamp)
        self._body.sensors = self._body.sensors._replace(
            ranges=np.array(scan.ranges, np.float32),
            first_angle=scan.angle_min,
            angle_step=scan.angle_increment,
            scan_stamp=stamp,
        )
        self._hear("scan", stamp)

    def _hear_joints(self, joints: JointState) -> None:
        if FORK_JOINT not in joints.name:
            return
        height = float(joints.position[list(joints.name).index(FORK_JOINT)])
        self._body.sensors = self._body.sensors._replace(fork_height=height)
        self._hear("joints", convert.seconds(joints.header.stamp))


UNKNOWN = (np.nan, np.nan, np.nan, np.nan)
