"""The moving side of a forklift agent's node: sensors and job board in, guarded commands out once a motion step."""

from __future__ import annotations

import math
import time

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import BatteryState, JointState, LaserScan

from parley_agents import convert
from parley_agents.body import Begin
from parley_agents.forklift import ForkliftBody
from parley_agents.hub_node import TICK, HubNode
from parley_agents.managed_node import ManagedNode
from parley_agents.tally import Tally
from parley_agents.tick_barrier import TickBarrier
from parley_msgs.msg import ForkCommand, JobBoard, PalletList, RobotStates

FORK_JOINT = "fork_joint"
TASK_SERVER = "task_server"
SILENCE = 0.5  # s, wall; a robot that follows the wall clock is told to stop when its sensors are silent for so long
UNKNOWN = (math.nan, math.nan, math.nan, math.nan)


class DriveFeed:
    """Begins a decision with every tick's job board, and answers every motion step with a command.

    Topics of the robot, in its namespace: odom, scan, joint_states, battery_state; cmd_vel, fork_command. A robot that
    has no battery_state counts as fully charged. In lockstep a step is ready when odometry, scan, joints, battery (if
    somebody publishes it) and the fleet's poses carry the same stamp, and on a tick when the board with
    that tick's grants is there, too (a silent task server is waited for once). In paced mode every set of poses is
    a step, with the latest of the rest; the guard stops the robot if those are stale.

    Args:
        places: how many places the floor plan has.
        steps_per_tick: motion steps in one decision tick.
        board_limit: how long to wait for grants (s, wall).
        begin: called with tick and stamp when the facts of a new tick are complete.
    """

    def __init__(
        self,
        node: ManagedNode,
        hub: HubNode,
        body: ForkliftBody,
        places: int,
        steps_per_tick: int,
        board_limit: float,
        tally: Tally,
        begin: Begin,
    ) -> None:
        self.body = body
        self.is_active = False
        self._node = node
        self._hub = hub
        self._steps_per_tick = steps_per_tick
        self._tally = tally
        self._begin = begin
        self._is_lockstep = node.run_settings.clock == "lockstep"
        self._stamps = dict.fromkeys(("odom", "scan", "joints", "poses"), -1.0)
        self._battery_stamp = -1.0
        self._has_battery = False  # somebody publishes its state
        self._carriers: frozenset[str] | None = None
        self._server = TickBarrier([TASK_SERVER], board_limit)
        self._offered = self._resolved = self._began = self._answered = -1  # ticks, and the last a step
        self._decision_stamp = -math.inf
        self._waiting_since: float | None = None
        self._sent_wall = 0.0
        self._command = node.create_publisher(TwistStamped, "cmd_vel", TICK)
        self._forks = node.create_publisher(ForkCommand, "fork_command", TICK)
        self._subscriptions = [
            node.create_subscription(Odometry, "odom", self._hear_odom, TICK),
            node.create_subscription(LaserScan, "scan", self._hear_scan, TICK),
            node.create_subscription(JointState, "joint_states", self._hear_joints, TICK),
            node.create_subscription(BatteryState, "battery_state", self._hear_battery, TICK),
        ]
        hub.listen("/fleet/robots", RobotStates, convert.poses_of, self._hear_poses)
        hub.listen("/tasks/jobs", JobBoard, lambda ros: convert.board_of(ros, places), self._hear_board)
        hub.listen("/tasks/pallets", PalletList, convert.carriers_of, self._hear_carriers)

    @property
    def stamp(self) -> float:
        """Time of the latest poses (s)."""
        return self._stamps["poses"]

    def look(self, wall: float) -> None:
        """Go on without a task server that is silent; stop a robot on the wall clock whose sensors are."""
        if self._waiting_since is not None and wall - self._waiting_since > self._server.limit:
            self._tally.add("boards missed")
            self._server.expire(self._tick_of(self.stamp))
            self._advance(wall)
        if not self._is_lockstep and self._sent_wall and wall - self._sent_wall > SILENCE:
            self._tally.add("guard sensors silent")
            self._sent_wall = wall
            self.stop()

    def stop(self) -> None:
        """Tell the robot to stand still."""
        now = convert.seconds(self._node.get_clock().now().to_msg())
        self._command.publish(convert.drive_command(now, 0.0, 0.0))

    def close(self) -> None:
        """Leave all topics."""
        for listener in (self._hear_poses, self._hear_board, self._hear_carriers):
            self._hub.unlisten(listener)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._command)
        self._node.destroy_publisher(self._forks)

    def _tick_of(self, stamp: float) -> int:
        return round(stamp / self.body.step) // self._steps_per_tick

    def _advance(self, wall: float) -> None:
        """Do whatever the facts at hand allow."""
        stamps = set(self._stamps.values())
        if not self.is_active or min(stamps) < 0 or (self._is_lockstep and len(stamps) > 1):
            return
        if self._is_lockstep and self._is_battery_late():
            return
        if math.isnan(self.body.others[self.body.me, 0]):
            return  # nobody knows where this robot is
        step = round(self.stamp / self.body.step)
        tick, is_tick = step // self._steps_per_tick, step % self._steps_per_tick == 0
        if not self.body.is_oriented and self._carriers is not None and max(self._offered, self._resolved) >= 0:
            self.body.orient(self.body.name in self._carriers)
        if self._offered == tick and self._began != tick and self._resolved != tick and self.body.is_oriented:
            self._began = tick
            self._begin(tick, self.stamp)
        if step == self._answered:
            return
        if self._is_lockstep and is_tick and not self._server.complete(tick):
            self._waiting_since = self._waiting_since or wall
            return
        self._waiting_since = None
        self._answered, self._sent_wall = step, wall
        self._send()

    def _send(self) -> None:
        command = self.body.command(self.stamp, self._decision_stamp)
        if command.reason:
            self._tally.add(f"guard {command.reason}")
        self._forks.publish(convert.fork_command(self.stamp, command.fork_height))
        self._command.publish(convert.drive_command(self.stamp, command.v, command.w))

    def _hear(self, name: str, stamp: float) -> None:
        self._stamps[name] = stamp
        self._advance(time.monotonic())

    def _hear_poses(self, poses: convert.Poses) -> None:
        for row, name in enumerate(self.body.robots):
            self.body.others[row] = poses.robots.get(name, UNKNOWN)
        self._hear("poses", poses.stamp)

    def _hear_odom(self, odom: Odometry) -> None:
        stamp = convert.seconds(odom.header.stamp)
        self.body.sensors = self.body.sensors._replace(odom_stamp=stamp)
        self._hear("odom", stamp)

    def _hear_scan(self, scan: LaserScan) -> None:
        stamp = convert.seconds(scan.header.stamp)
        self.body.sensors = self.body.sensors._replace(
            ranges=np.array(scan.ranges, np.float32),
            first_angle=scan.angle_min,
            angle_step=scan.angle_increment,
            scan_stamp=stamp,
        )
        self._hear("scan", stamp)

    def _hear_joints(self, joints: JointState) -> None:
        if FORK_JOINT in joints.name:
            height = float(joints.position[list(joints.name).index(FORK_JOINT)])
            self.body.sensors = self.body.sensors._replace(fork_height=height)
            self._hear("joints", convert.seconds(joints.header.stamp))

    def _hear_battery(self, battery: BatteryState) -> None:
        charge = convert.charge_of(battery)
        self._has_battery, self._battery_stamp = True, charge.stamp
        self.body.sensors = self.body.sensors._replace(battery=charge.share, is_charging=charge.is_charging)
        self._advance(time.monotonic())

    def _is_battery_late(self) -> bool:
        """There is a battery, and it has not told how it stands at this step."""
        if not self._has_battery:
            self._has_battery = self._node.count_publishers("battery_state") > 0
        return self._has_battery and self._battery_stamp != self.stamp

    def _hear_board(self, board: convert.Board) -> None:
        if not self.is_active:
            return
        if board.is_resolved:
            self._resolved, self._decision_stamp = board.tick, board.stamp
            self._server.arrive(TASK_SERVER, board.tick)
            self.body.follow(board.facts)
        else:
            self._offered = board.tick
            self.body.board = board.facts
        self._advance(time.monotonic())

    def _hear_carriers(self, carriers: frozenset[str]) -> None:
        if self.is_active and self._carriers is None:
            self._carriers = carriers
            self._hub.unlisten(self._hear_carriers)  # needed once, to find out what a restarted robot carries
            self._advance(time.monotonic())
