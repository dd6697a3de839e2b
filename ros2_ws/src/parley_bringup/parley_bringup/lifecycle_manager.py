"""Lifecycle manager: brings the fleet's nodes up in order, keeps watch, brings back what was restarted, takes all down.

Works the same whoever started the processes. Nodes are configured all at once and activated one after the other, in
the order of the parameter `nodes`; when simulated time reaches `minutes` they are deactivated in reverse and the
manager ends with 0, which ends the fleet.

Exit codes: 0 told to stop or time reached; 3 the fleet could not be brought up; 4 another fleet is on this domain.

Services: ~/is_active (Trigger: is every node active?), ~/startup, ~/shutdown (Trigger).
"""

from __future__ import annotations

import os
import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import Trigger

from parley_agents.managed_node import HEARTBEAT_PERIOD, HEARTBEAT_TOPIC, INCARNATION, heed_signals, spin
from parley_bringup.managed_peer import ACTIVE, INACTIVE, STATE_NAMES, UNCONFIGURED, UNKNOWN, ManagedPeer
from parley_msgs.msg import Heartbeat

STEP_PERIOD = 0.1  # s, wall
LISTEN = 1.0  # s in which another manager would be heard, before the first order is given
DOWN_PATIENCE = 1.0  # s for one deactivation
RETRIES = 3  # tries to bring a restarted node back
EXIT_STOPPED, EXIT_NOT_UP, EXIT_SECOND = 0, 3, 4


class LifecycleManager(Node):
    """The manager of one fleet; `exit_code` is set when its work is over."""

    def __init__(self) -> None:
        super().__init__("lifecycle_manager")
        names = self.declare_parameter("nodes", [""]).value
        self._autostart = bool(self.declare_parameter("autostart", True).value)
        self._start_timeout = float(self.declare_parameter("start_timeout", 60.0).value)
        self._patience = float(self.declare_parameter("transition_timeout", 120.0).value)
        self._silence = float(self.declare_parameter("silence", 2.0).value)
        self._end = 60.0 * float(self.declare_parameter("minutes", 0.0).value)  # s, simulated; 0: none
        self.exit_code: int | None = None
        self.is_up = False
        self._is_going_down = False
        self._down_since = 0.0
        self._began = time.monotonic()
        self._peers = {name: ManagedPeer(self, name, self._step) for name in names if name}
        self._silent: dict[str, float] = {}  # since when (s, monotonic) a node that was up has been gone
        self._reviving: dict[str, float] = {}  # nodes started anew, and when to try next

        quality = QoSProfile(depth=100)
        self._heartbeat = self.create_publisher(Heartbeat, HEARTBEAT_TOPIC, quality)
        self.create_subscription(Heartbeat, HEARTBEAT_TOPIC, self._on_heartbeat, quality)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", quality)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, quality)
        if self._end > 0:
            clock = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
            self.create_subscription(ClockMessage, "/clock", self._on_clock, clock)
        self.create_service(Trigger, "~/is_active", self._on_is_active)
        self.create_service(Trigger, "~/startup", self._on_startup)
        self.create_service(Trigger, "~/shutdown", self._on_shutdown)
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(STEP_PERIOD, self._step, clock=wall)
        self.create_timer(HEARTBEAT_PERIOD, self._beat, clock=wall)
        self.create_timer(1.0, self._report, clock=wall)

    def take_down(self, reason: str) -> None:
        """Begin to deactivate every node, the last activated first."""
        if not self._is_going_down:
            self.get_logger().info(f"taking the fleet down: {reason}")
            self._is_going_down, self._down_since = True, time.monotonic()
            self._step()

    def _step(self) -> None:
        """One look at everything; called by the timer and whenever a node has answered."""
        now = time.monotonic()
        if self.exit_code is not None:
            return
        for peer in self._peers.values():
            peer.step(now)
        if self._is_going_down:
            self._step_down(now)
        elif self.is_up:
            self._keep_watch(now)
        elif self._autostart and now - self._began > LISTEN:
            self._step_up(now)

    def _step_up(self, now: float) -> None:
        """Configure all, then activate one by one; give up in words."""
        missing = [peer.name for peer in self._peers.values() if peer.heard is None]
        if missing:
            if now - self._began > self._start_timeout:
                self._give_up(f"not heard within {self._start_timeout:g} s: {', '.join(missing)}")
            return
        for peer in self._peers.values():
            if peer.refusal:
                self._give_up(f"{peer.name}: {peer.refusal}")
                return
            if peer.state == UNCONFIGURED:
                peer.request(INACTIVE, now, self._patience)
                peer.step(now)
        if any(peer.state not in (INACTIVE, ACTIVE) for peer in self._peers.values()):
            return
        waiting = next((peer for peer in self._peers.values() if peer.state != ACTIVE), None)
        if waiting is not None:
            waiting.request(ACTIVE, now, self._patience)
            waiting.step(now)
            return
        self.is_up = True
        self._reviving.clear()
        self.get_logger().info(
            f"the fleet is active: {len(self._peers)} nodes, {now - self._began:.1f} s after the start"
        )

    def _keep_watch(self, now: float) -> None:
        """Note who falls silent, and bring back who was started anew."""
        for peer in self._peers.values():
            if peer.is_silent(now, self._silence) and peer.name not in self._silent:
                self._silent[peer.name] = peer.heard or now
                self.get_logger().warning(f"{peer.name} has been silent for {self._silence:g} s; the others carry on")
        for name, due in list(self._reviving.items()):
            peer = self._peers[name]
            if peer.is_busy or now < due:
                continue
            if peer.refusal:
                if peer.tries >= RETRIES:
                    self.get_logger().error(f"{name} could not be brought back and is left out: {peer.refusal}")
                    del self._reviving[name]
                    continue
                self._reviving[name] = now + 2.0 * peer.tries
                peer.refusal = ""
            elif peer.state == ACTIVE:
                gone = now - self._silent.pop(name, now)
                self.get_logger().info(f"{name} is active again, {gone:.1f} s after its last word")
                del self._reviving[name]
            else:
                peer.request(INACTIVE if peer.state == UNCONFIGURED else ACTIVE, now, self._patience)
                peer.step(now)

    def _step_down(self, now: float) -> None:
        """Deactivate one node after the other, and be done when none is left or the time is over."""
        active = [peer for peer in reversed(self._peers.values()) if peer.state == ACTIVE and not peer.refusal]
        active = [peer for peer in active if not peer.is_silent(now, self._silence)]
        if not active or now - self._down_since > 2 * DOWN_PATIENCE:
            self.exit_code = EXIT_STOPPED
        elif not active[0].is_busy:
            active[0].request(INACTIVE, now, DOWN_PATIENCE)
            active[0].step(now)

    def _give_up(self, reason: str) -> None:
        self.get_logger().fatal(f"the fleet could not be brought up. {reason}")
        self.exit_code = EXIT_NOT_UP

    def _on_heartbeat(self, beat: Heartbeat) -> None:
        if beat.node == self.get_fully_qualified_name():
            if beat.incarnation != INCARNATION:
                self._meet_another(beat)
            return
        peer = self._peers.get(beat.node)
        if peer is None:
            return
        now = time.monotonic()
        was_heard = peer.incarnation != ""
        if peer.hear(beat, now) and was_heard:
            self._silent.setdefault(peer.name, now)
            self._reviving[peer.name] = now
            if self.is_up:
                self.get_logger().warning(f"{peer.name} was started anew (process {beat.pid})")
        elif peer.name in self._silent and peer.name not in self._reviving:
            gone = now - self._silent.pop(peer.name)
            self.get_logger().info(f"{peer.name} is back by itself after {gone:.1f} s")

    def _meet_another(self, beat: Heartbeat) -> None:
        """Two managers on one domain: the one at work stays; of two at the start, the smaller incarnation."""
        other_is_working = beat.state == ACTIVE
        if not self.is_up and (other_is_working or beat.incarnation < INCARNATION) and self.exit_code is None:
            self.get_logger().fatal(
                f"another fleet's lifecycle manager (process {beat.pid}) is on ROS domain "
                f"{os.environ.get('ROS_DOMAIN_ID', '0')}; stop it, or start this fleet with another ROS_DOMAIN_ID"
            )
            self.exit_code = EXIT_SECOND

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.level == DiagnosticStatus.ERROR and status.name in self._peers:
                self._peers[status.name].fault = status.message

    def _on_clock(self, clock: ClockMessage) -> None:
        if self.is_up and clock.clock.sec + clock.clock.nanosec * 1e-9 >= self._end - 1e-6:
            self.take_down(f"{self._end / 60:g} simulated minutes are over")

    def _on_is_active(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        now = time.monotonic()
        others = [
            f"{peer.name} {self._condition(peer, now)}"
            for peer in self._peers.values()
            if self._condition(peer, now) != "active"
        ]
        response.success = self.is_up and not others
        response.message = ", ".join(others) or ("all active" if self.is_up else "coming up")
        return response

    def _on_startup(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._autostart = response.success = not self._is_going_down
        response.message = "coming up" if response.success else "going down"
        return response

    def _on_shutdown(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.take_down("asked to by ~/shutdown")
        response.success = True
        return response

    def _beat(self) -> None:
        beat = Heartbeat(node=self.get_fully_qualified_name(), incarnation=INCARNATION, pid=os.getpid())
        beat.stamp.sec, beat.stamp.nanosec = divmod(time.time_ns(), 1_000_000_000)
        beat.state = State.PRIMARY_STATE_ACTIVE if self.is_up else State.PRIMARY_STATE_INACTIVE
        self._heartbeat.publish(beat)

    def _report(self) -> None:
        """Tell on /diagnostics how every node stands."""
        now = time.monotonic()
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        for peer in self._peers.values():
            condition = self._condition(peer, now)
            is_fault = self.is_up and condition != "active"
            status = DiagnosticStatus(name=f"lifecycle{peer.name}", message=condition)
            status.level = DiagnosticStatus.ERROR if is_fault else DiagnosticStatus.OK
            status.values = [KeyValue(key="incarnation", value=peer.incarnation)]
            array.status.append(status)
        self._diagnostics.publish(array)

    def _condition(self, peer: ManagedPeer, now: float) -> str:
        if peer.state == UNKNOWN:
            return "not heard yet"
        if peer.is_silent(now, self._silence):
            return "silent"
        return STATE_NAMES.get(peer.state, "changing state")


def main() -> int:
    """Manage until told to stop, the time is over, or the fleet cannot be brought up."""
    is_told_to_stop = heed_signals()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    manager = LifecycleManager()
    spin([manager], until=lambda: is_told_to_stop() or manager.exit_code is not None)
    if manager.exit_code is None:
        manager.take_down("told to stop")
        spin([manager], until=lambda: manager.exit_code is not None, limit=3.0)
    exit_code = manager.exit_code or EXIT_STOPPED
    manager.destroy_node()
    rclpy.try_shutdown()
    return exit_code
