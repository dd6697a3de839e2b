"""The topics of one spawned AMR: odometry and laser out, velocity commands in. REP-103, REP-105."""

from __future__ import annotations

import array
import math

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import LaserScan

from parley_sim.robot_topics_node import TICK, empty_scan
from sim.bullet.amrs import Amrs
from sim.warehouse.bodies import Laser


class AmrTopics:
    """Publishers and subscription in an AMR's namespace; its frames are map and NAME/base_link.

    Args:
        node: owns them.
        name: the AMR's.
        laser: of every AMR.
        scan_period: between two scans (s).
    """

    def __init__(self, node: Node, name: str, laser: Laser, scan_period: float) -> None:
        self._node = node
        self._name = name
        self._command: tuple[float, float] | None = None  # heard since the last step
        self._odom_out = node.create_publisher(Odometry, f"/{name}/odom", TICK)
        self._scan_out = node.create_publisher(LaserScan, f"/{name}/scan", TICK)
        self._drive_in = node.create_subscription(TwistStamped, f"/{name}/cmd_vel", self._hear, TICK)
        self._odom = Odometry(child_frame_id=f"{name}/base_link")
        self._odom.header.frame_id = "map"
        self._scan = empty_scan(laser, scan_period, f"{name}/base_link")
        self._transform = TransformStamped(child_frame_id=f"{name}/base_link")
        self._transform.header.frame_id = "map"

    def drive(self, amrs: Amrs) -> None:
        """Hand over what was commanded since the last step; numbers that are not finite are left out."""
        if self._command is not None and all(map(math.isfinite, self._command)):
            amrs.command(self._name, *self._command)
        self._command = None

    def publish(self, stamp: Time, amrs: Amrs) -> TransformStamped:
        """Publish odometry and scan; returns the transform map -> base_link for the common message."""
        pose = amrs.pose(self._name)
        self._odom.header.stamp = self._scan.header.stamp = self._transform.header.stamp = stamp
        position, turn = self._odom.pose.pose.position, self._odom.pose.pose.orientation
        position.x, position.y = pose.x, pose.y
        turn.z, turn.w = math.sin(0.5 * pose.yaw), math.cos(0.5 * pose.yaw)
        self._odom.twist.twist.linear.x, self._odom.twist.twist.angular.z = pose.v, pose.w
        self._odom_out.publish(self._odom)
        self._scan.ranges = array.array("f", amrs.scan(self._name).tobytes())
        self._scan_out.publish(self._scan)
        moved = self._transform.transform
        moved.translation.x, moved.translation.y = pose.x, pose.y
        moved.rotation.z, moved.rotation.w = turn.z, turn.w
        return self._transform

    def close(self) -> None:
        """Leave the topics."""
        for publisher in (self._odom_out, self._scan_out):
            self._node.destroy_publisher(publisher)
        self._node.destroy_subscription(self._drive_in)

    def _hear(self, command: TwistStamped) -> None:
        self._command = (command.twist.linear.x, command.twist.angular.z)
