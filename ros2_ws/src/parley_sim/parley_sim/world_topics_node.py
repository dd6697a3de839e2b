"""The topics of the world as a whole: clock, where all robots are, transforms, contacts; and of every robot in it."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock

from parley_msgs.msg import ForkCommand, JobBoard, Kpis, PalletList, RobotState, RobotStates
from parley_sim.amr_topics_node import AmrTopics
from parley_sim.batteries import Batteries
from parley_sim.robot_topics_node import TICK, RobotTopics
from sim.bullet.world import BulletWorld
from sim.warehouse.bodies import Laser

try:
    from tf2_msgs.msg import TFMessage
except ImportError as error:
    raise ImportError(
        "parley_sim needs the message package tf2_msgs; `make setup` builds it into .venv, and every ROS 2 has it"
    ) from error

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Listener(Protocol):
    """Who takes what comes in."""

    def hear_drive(self, robot: str, command: TwistStamped) -> None: ...

    def hear_forks(self, robot: str, command: ForkCommand) -> None: ...

    def hear_board(self, board: JobBoard) -> None: ...

    def hear_pallets(self, ledger: PalletList) -> None: ...


class WorldTopics:
    """Every publisher and subscription of a simulated world.

    Args:
        node: owns them.
        world: what is shown.
        laser: of every robot.
        scan_period: between two scans (s).
        listener: takes commands and what the task server says.
    """

    def __init__(self, node: Node, world: BulletWorld, laser: Laser, scan_period: float, listener: Listener) -> None:
        self._node = node
        self._world = world
        self._laser, self._scan_period = laser, scan_period
        self._amrs: dict[str, AmrTopics] = {}
        self._clock_out = node.create_publisher(Clock, "/clock", TICK)
        self._states_out = node.create_publisher(RobotStates, "/fleet/robots", TICK)
        self._transforms_out = node.create_publisher(TFMessage, "/tf", TICK)
        self._static_out = node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._contacts_out = node.create_publisher(Kpis, "/sim/contacts", TICK)
        self._shared_in = (
            node.create_subscription(JobBoard, "/tasks/jobs", listener.hear_board, TICK),
            node.create_subscription(PalletList, "/tasks/pallets", listener.hear_pallets, TICK),
        )
        self._robots = {
            name: RobotTopics(
                node,
                name,
                laser,
                scan_period,
                on_drive=partial(listener.hear_drive, name),
                on_forks=partial(listener.hear_forks, name),
            )
            for name in world.robots
        }
        self._states = RobotStates(robots=[RobotState(name=name) for name in world.robots])
        self._states.header.frame_id = "map"
        static = [transform for topics in self._robots.values() for transform in topics.static_transforms]
        self._static_out.publish(TFMessage(transforms=static))

    @property
    def is_linked(self) -> bool:
        """Whether somebody listens to and commands every robot."""
        return all(topics.is_linked for topics in self._robots.values())

    def show(self, world: BulletWorld) -> None:
        """From now on show another world with the same robots."""
        self._world = world

    def follow_amrs(self) -> None:
        """Give every AMR that has come its topics, and take those of the ones that have gone."""
        there = self._world.amrs.names()
        for name in self._amrs.keys() - set(there):
            self._amrs.pop(name).close()
        for name in there:
            if name not in self._amrs:
                self._amrs[name] = AmrTopics(self._node, name, self._laser, self._scan_period)

    def drive_amrs(self) -> None:
        """Hand the AMRs what they were told since the last step."""
        self.follow_amrs()
        for topics in self._amrs.values():
            topics.drive(self._world.amrs)

    def publish_amrs(self, stamp: Time) -> None:
        """Publish where the AMRs are and what their lasers see."""
        self.follow_amrs()
        if self._amrs:
            transforms = [topics.publish(stamp, self._world.amrs) for topics in self._amrs.values()]
            self._transforms_out.publish(TFMessage(transforms=transforms))

    def publish_clock(self, stamp: Time) -> None:
        """Tell the time."""
        self._clock_out.publish(Clock(clock=stamp))

    def publish_robots(self, stamp: Time) -> None:
        """Publish where all robots are and how their joints stand."""
        self._states.header.stamp = stamp
        transforms = []
        for row, (robot, topics) in enumerate(self._robots.items()):
            pose, state = self._world.told_pose(robot), self._states.robots[row]
            state.x, state.y, state.yaw, state.speed = pose.x, pose.y, pose.yaw, pose.v
            transforms.append(topics.publish_state(stamp, pose, self._world.joint_states(robot)))
        self._states_out.publish(self._states)
        self._transforms_out.publish(TFMessage(transforms=transforms))

    def publish_scans(self, stamp: Time, scans: np.ndarray) -> None:
        """Publish one laser scan of every robot [R, rays] float32 (m)."""
        for topics, ranges in zip(self._robots.values(), scans, strict=True):
            topics.publish_scan(stamp, ranges)

    def publish_batteries(self, stamp: Time, batteries: Batteries) -> None:
        """Publish how every robot's battery stands."""
        for row, topics in enumerate(self._robots.values()):
            topics.publish_battery(stamp, batteries.share(row), bool(batteries.charging[row]))

    def publish_counts(self, stamp: Time, tick: int, counted: dict[str, float]) -> None:
        """Publish what was counted so far: contacts by robot, the rest for the whole fleet."""
        report = Kpis(tick=tick, names=list(counted), values=[float(count) for count in counted.values()])
        report.header.stamp = stamp
        self._contacts_out.publish(report)

    def close(self) -> None:
        """Leave all topics."""
        for topics in self._robots.values():
            topics.close()
        for amr in self._amrs.values():
            amr.close()
        for subscription in self._shared_in:
            self._node.destroy_subscription(subscription)
        for publisher in (
            self._clock_out,
            self._states_out,
            self._transforms_out,
            self._static_out,
            self._contacts_out,
        ):
            self._node.destroy_publisher(publisher)
