"""The topics one simulated robot has: odometry, laser, joints out; drive and fork commands in. REP-103, REP-105."""

from __future__ import annotations

import array
import math
from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import BatteryState, JointState, LaserScan

from parley_msgs.msg import ForkCommand
from sim.bullet.forklift import JointStates, Pose
from sim.bullet.forklift_urdf import JOINTS
from sim.warehouse.bodies import Laser

TICK = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)  # of every topic the lockstep depends on


class RobotTopics:
    """Publishers and subscriptions in a robot's namespace; messages are made once and filled again at every step."""

    def __init__(
        self,
        node: Node,
        robot: str,
        laser: Laser,
        scan_period: float,
        on_drive: Callable[[TwistStamped], None],
        on_forks: Callable[[ForkCommand], None],
    ) -> None:
        self._node = node
        # First, so that who is found by its odometry is known to have a battery.
        self._battery_out = node.create_publisher(BatteryState, f"/{robot}/battery_state", TICK)
        self._odom_out = node.create_publisher(Odometry, f"/{robot}/odom", TICK)
        self._scan_out = node.create_publisher(LaserScan, f"/{robot}/scan", TICK)
        self._joints_out = node.create_publisher(JointState, f"/{robot}/joint_states", TICK)
        self._drive_in = node.create_subscription(TwistStamped, f"/{robot}/cmd_vel", on_drive, TICK)
        self._forks_in = node.create_subscription(ForkCommand, f"/{robot}/fork_command", on_forks, TICK)
        odom_frame, base_frame, laser_frame = (f"{robot}/{name}" for name in ("odom", "base_link", "laser"))
        self._odom = Odometry(child_frame_id=base_frame)
        self._odom.header.frame_id = odom_frame
        self._joints = JointState(name=list(JOINTS))
        self._joints.header.frame_id = base_frame
        self._scan = empty_scan(laser, scan_period, laser_frame)
        # What is not measured is NaN.
        self._battery = BatteryState(
            voltage=math.nan,
            temperature=math.nan,
            current=math.nan,
            charge=math.nan,
            capacity=math.nan,
            design_capacity=math.nan,
            power_supply_technology=BatteryState.POWER_SUPPLY_TECHNOLOGY_LION,
            present=True,
        )
        self._battery.header.frame_id = base_frame
        self._transform = TransformStamped(child_frame_id=base_frame)
        self._transform.header.frame_id = odom_frame
        at_start, on_top = TransformStamped(child_frame_id=odom_frame), TransformStamped(child_frame_id=laser_frame)
        at_start.header.frame_id, on_top.header.frame_id = "map", base_frame
        on_top.transform.translation.z = laser.height
        self.static_transforms = (at_start, on_top)  # odometry of a simulated robot does not drift: odom is map

    @property
    def is_linked(self) -> bool:
        """Whether somebody listens to all of the robot's senses and somebody commands it."""
        senses = (self._odom_out, self._scan_out, self._joints_out, self._battery_out)
        return (
            min(out.get_subscription_count() for out in senses) > 0
            and self._node.count_publishers(self._drive_in.topic_name) > 0
        )

    def publish_state(self, stamp: Time, pose: Pose, joints: JointStates) -> TransformStamped:
        """Publish odometry and joints; returns the transform odom -> base_link for the common message."""
        self._odom.header.stamp = stamp
        position, turn = self._odom.pose.pose.position, self._odom.pose.pose.orientation
        position.x, position.y = pose.x, pose.y
        turn.z, turn.w = math.sin(0.5 * pose.yaw), math.cos(0.5 * pose.yaw)
        self._odom.twist.twist.linear.x, self._odom.twist.twist.angular.z = pose.v, pose.w
        self._odom_out.publish(self._odom)
        self._joints.header.stamp = stamp
        self._joints.position = array.array("d", joints.positions)
        self._joints.velocity = array.array("d", joints.velocities)
        self._joints_out.publish(self._joints)
        transform = self._transform
        transform.header.stamp = stamp
        transform.transform.translation.x, transform.transform.translation.y = pose.x, pose.y
        transform.transform.rotation.z, transform.transform.rotation.w = turn.z, turn.w
        return transform

    def publish_battery(self, stamp: Time, share: float, is_charging: bool) -> None:
        """Publish how much of its capacity the battery holds [0, 1], and whether it is being filled."""
        self._battery.header.stamp = stamp
        self._battery.percentage = share
        charging, not_charging = (
            BatteryState.POWER_SUPPLY_STATUS_CHARGING,
            BatteryState.POWER_SUPPLY_STATUS_DISCHARGING,
        )
        self._battery.power_supply_status = charging if is_charging else not_charging
        self._battery_out.publish(self._battery)

    def publish_scan(self, stamp: Time, ranges: np.ndarray) -> None:
        """Publish one laser scan [rays] float32 (m); `inf` where nothing is, NaN where a return was lost (REP-117)."""
        self._scan.header.stamp = stamp
        self._scan.ranges = array.array("f", ranges.tobytes())
        self._scan_out.publish(self._scan)

    def close(self) -> None:
        """Leave the topics."""
        for publisher in (self._odom_out, self._scan_out, self._joints_out, self._battery_out):
            self._node.destroy_publisher(publisher)
        for subscription in (self._drive_in, self._forks_in):
            self._node.destroy_subscription(subscription)


def empty_scan(laser: Laser, period: float, frame: str) -> LaserScan:
    """A scan without its ranges, one every `period` (s)."""
    scan = LaserScan(angle_min=0.0, range_min=0.0, range_max=laser.range, scan_time=period)
    scan.angle_increment = 2.0 * math.pi / laser.rays
    scan.angle_max = 2.0 * math.pi - scan.angle_increment
    scan.header.frame_id = frame
    return scan
