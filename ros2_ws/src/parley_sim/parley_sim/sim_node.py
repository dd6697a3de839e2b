"""Node `warehouse_sim`: the PyBullet warehouse as robots on ROS 2, and the clock of every run.

One step of simulated time, in lockstep: publish the state of time t; wait until every robot has answered it with a
fork and a drive command (and, on a decision tick, the task server with the granted jobs and the list of pallets);
step the physics; publish the state of t + 0.1 s. In paced mode, and where nobody is left to wait for, wall time says
when to step.

Publishes /clock, /fleet/robots, /tf, /tf_static, /sim/contacts (contacts begun so far, by robot; near misses, energy,
time on chargers and with empty batteries of all), /diagnostics, and of every robot odom, scan, joint_states and
battery_state. Subscribes to every robot's cmd_vel and fork_command, to /tasks/jobs and to /tasks/pallets. A spawned AMR
has odom, scan and cmd_vel; nobody waits for its commands. Answers the standard services of simulation_interfaces,
/step_simulation and others.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from parley_agents.managed_node import ManagedNode, run
from parley_msgs.msg import ForkCommand, JobBoard, PalletList
from parley_sim.entities import Entities
from parley_sim.film import Film
from parley_sim.refusal import Refusal, failed
from parley_sim.run_control import RunControl
from parley_sim.simulation_services_node import SimulationServices
from parley_sim.step_gate import TASK_SERVER, StepGate
from parley_sim.step_times import StepTimes
from parley_sim.world_setup import WorldSetup, set_up_world
from parley_sim.world_topics_node import WorldTopics
from policy_core.config import ConfigError
from sim.bullet.contact_log import ContactLog, NearMissLog
from sim.bullet.ledger_bodies import LedgerBodies, LedgerPallet

LOOK_PERIOD = 0.01  # s, wall, between two looks at deadlines
REPORT_PERIOD = 1.0  # s, wall, between two statuses on /diagnostics


class WarehouseSim(ManagedNode):
    """Owns the world and its time; see the head of this file for the protocol."""

    _setup: WorldSetup
    _topics: WorldTopics

    def __init__(self, context: Context | None = None) -> None:
        super().__init__("warehouse_sim", context=context)
        self.bodies_file = self.setting("bodies", "", "path of the body settings; empty: bodies.yaml beside warehouse")
        self.speed = self.setting(
            "real_time_factor", 0.0, "simulated per wall time at most; 0: no limit, or 1 if paced", low=0.0, high=1000.0
        )
        self.step_limit = self.setting("step_limit", 2.0, "how long to wait for answers (s, wall)", low=0.01, high=60.0)
        self.tick_limit = self.setting(
            "tick_limit", 6.0, "how long to wait for the task server, which itself waits (s, wall)", low=0.01, high=60.0
        )
        self.link_limit = self.setting(
            "link_limit",
            8.0,
            "how long to wait for agents to come, and for their first answers (s, wall)",
            low=0.0,
            high=600.0,
        )
        self.camera_period = self.setting("camera_period", 2.0, "between frames (s); 0: no film", low=0.0, high=3600.0)
        self.camera_size = (
            self.setting("camera_width", 640, "of a frame (pixels, even)", low=16, high=4096),
            self.setting("camera_height", 400, "of a frame (pixels, even)", low=16, high=4096),
        )
        self.camera_rate = self.setting("camera_rate", 10.0, "frames per second of the film", low=1.0, high=60.0)
        self._is_open = self._is_active = self._is_begun = False
        self._film: Film | None = None
        self._wall_timers: list[object] = []
        self._step = 0  # move steps since the start

    # --- life

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build the world and open the topics."""
        settings = self.run_settings
        self._setup = setup = set_up_world(settings, self.bodies_file)
        world, step = setup.world, setup.motion.step
        self._period_ns, self._is_begun, self._was_held = round(step * 1e9), False, False
        self._last_step = round(settings.minutes * 60.0 / step) if settings.minutes else None
        self._bodies = LedgerBodies(world, setup.plan, setup.motion.dock_reach)
        self._ledger: list[LedgerPallet] | None = None
        self._start_time()
        self._topics = WorldTopics(self, world, setup.bodies.laser, step, self)
        self.control, self.entities = RunControl(), Entities(world)
        self._simulation_services = SimulationServices(self, self)
        self._is_open = True
        self.get_logger().info(
            f"{setup.plan.name}: {len(setup.plan.boxes)} boxes, {len(setup.plan.places)} places, "
            f"{len(world.robots)} forklifts; clock {settings.clock}"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let time run, the first time as soon as every robot's agent is linked."""
        if self.camera_period and self._film is None and self.run_settings.run_dir:
            self._film = self._open_film()
        self._is_active = True
        self._published = self._granted = time.monotonic()
        self._link_deadline = self._published + self.link_limit
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._wall_timers = [
            self.create_timer(LOOK_PERIOD, self._look, clock=steady),
            self.create_timer(REPORT_PERIOD, self._report, clock=steady),
        ]
        return TransitionCallbackReturn.SUCCESS

    def _start_time(self) -> None:
        """Begin at 0 s, with nothing counted."""
        robots = self._setup.world.robots
        self._step = 0
        self._gate = StepGate(robots, self._setup.steps_per_tick, self.run_settings.clock == "lockstep")
        self._missed = 0  # answers that did not come in time
        self._contacts = ContactLog(robots)
        self._near_misses = NearMissLog(len(robots))
        self._setup.batteries.count_anew()
        self._times = StepTimes(self._setup.motion.step)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop time; the world stays as it is."""
        self._stop()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the world and the topics back."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the world and the topics back."""
        self._stop()
        self._close()
        return TransitionCallbackReturn.SUCCESS

    # --- what comes in

    def hear_drive(self, robot: str, command: TwistStamped) -> None:
        """Take a robot's drive command."""
        twist = command.twist
        self._gate.drive(robot, self._answered(command.header.stamp), twist.linear.x, twist.angular.z)
        self._advance()

    def hear_forks(self, robot: str, command: ForkCommand) -> None:
        """Take a robot's fork command."""
        self._gate.forks(robot, self._answered(command.header.stamp), command.height)
        self._advance()

    def hear_board(self, board: JobBoard) -> None:
        """Note that a tick's jobs have been granted."""
        if board.resolved:
            self._granted = time.monotonic()
            self._gate.board(board.tick)
            self._advance()

    def hear_pallets(self, ledger: PalletList) -> None:
        """Take the list of pallets; the bodies follow at the next decision tick."""
        self._ledger = [LedgerPallet(each.id, each.sku, each.place, each.carrier) for each in ledger.pallets]
        self._gate.pallets(ledger.tick)
        self._advance()

    def _answered(self, stamp: Time) -> int:
        """Which step a command answers: its stamp's, or the one at hand where it has none of this clock."""
        nanoseconds = stamp.sec * 1_000_000_000 + stamp.nanosec
        return min(round(nanoseconds / self._period_ns), self._step) if nanoseconds else self._step

    # --- what the services ask for

    @property
    def stamp(self) -> Time:
        """Simulated time."""
        seconds, nanoseconds = divmod(self._step * self._period_ns, 1_000_000_000)
        return Time(sec=seconds, nanosec=nanoseconds)

    @property
    def is_still(self) -> str:
        """Why time stands still whatever is asked of it; empty: it does not."""
        if not self._is_active:
            return f"{self.get_fully_qualified_name()} is not active; activate it by its lifecycle"
        return f"the run is over after {self.run_settings.minutes} simulated minutes" if self._is_over else ""

    def reset(self, *, clock: bool, state: bool, spawned: bool) -> None:
        """Go back to the start in some respects; what was spawned and stays stands where it began.

        Raises:
            Refusal: a fleet would not follow, or the run's files build no world any more; nothing is changed then.
        """
        if (clock or state) and (self._ledger is not None or not self._gate.follows_wall_clock):
            raise Refusal(
                "RESULT_INCORRECT_STATE",
                "a fleet is linked or still waited for, and its agents and ledger do not go back; start the run anew, "
                "or reset only what was spawned (scope 4)",
            )
        try:
            fresh = set_up_world(self.run_settings, self.bodies_file) if state else None
        except ConfigError as error:
            raise failed(f"the files of this run build no world any more: {error}") from None
        self.control.give_up("the simulation was reset")
        if spawned:
            self.entities.despawn()
        if fresh is not None:
            old, self._setup = self._setup, fresh
            self._topics.show(self._setup.world)
            self.entities.move_to(self._setup.world)
            self._bodies = LedgerBodies(self._setup.world, self._setup.plan, self._setup.motion.dock_reach)
            old.world.close()
        if clock:
            self._start_time()
            self._gate.expire(0)  # nobody was there before, nobody is waited for now
        if self._is_active and self._is_begun and (clock or state):
            self._publish_state()

    # --- time

    def _look(self) -> None:
        """Do what wall time asks for: begin, give up waiting, or step by the clock."""
        self._topics.follow_amrs()  # also while time stands still, so that commands can be sent before the first step
        now = time.monotonic()
        if not self._is_begun:
            if now > self._link_deadline or self._topics.is_linked:
                self._is_begun, self._due = True, now
                self._publish_state()
        elif not self._gate.follows_wall_clock and not self._is_over and now > self._patience_ends():
            late = self._gate.expire(self._step)
            self._missed += len(late)
            if late:
                self.get_logger().warning(f"step {self._step}: no answer from {', '.join(late)}; going on without")
        self._advance()

    def _patience_ends(self) -> float:
        """Until when (s, steady clock) those who are missing are waited for.

        Robots can answer a decision tick only after the task server, and it only after all agents, so it has longer;
        first answers may take longer, too, as code is compiled for them.
        """
        if TASK_SERVER in self._gate.missing(self._step):
            return self._published + self.tick_limit
        limit = self.link_limit if self._step == 0 and self._topics.is_linked else self.step_limit
        return max(self._published, self._granted) + limit

    @property
    def _is_over(self) -> bool:
        return self._step == self._last_step

    def _advance(self) -> None:
        """Step if everybody has answered, or where wall time rules, if it is time."""
        if not (self._is_active and self._is_begun) or self._is_over or self._is_held():
            return
        by_clock = self._gate.follows_wall_clock
        if not by_clock and not self._gate.is_open(self._step):
            return
        now = time.monotonic()
        speed = self.speed or (1.0 if by_clock else 0.0)
        if speed and now < self._due:
            return
        # A world that fell behind wall time catches up, but not more than a second.
        planned = self._due if speed and now - self._due < 1.0 else now
        self._due = planned + 1e-9 * self._period_ns / (speed or 1.0)
        self._times.waited(now - self._published)
        self._take_step()

    def _is_held(self) -> bool:
        """Whether time is paused; wall time that passes meanwhile is not made good."""
        was_held, self._was_held = self._was_held, not self.control.may_step
        if was_held and not self._was_held:
            self._due = self._published = time.monotonic()
        return self._was_held

    def _take_step(self) -> None:
        world = self._setup.world
        if self._step % self._setup.steps_per_tick == 0 and self._ledger is not None:
            for words in self._bodies.match(self._ledger):
                self.get_logger().warning(words)
        batteries = self._setup.batteries
        empty = {robot for row, robot in enumerate(world.robots) if batteries.is_empty(row)}
        for robot, command in self._gate.commands(self._step).items():
            if robot in empty:
                world.stand(robot)
            else:
                world.command(robot, command.v, command.w, command.fork_height)
        self._topics.drive_amrs()
        with self._times.measure("physics"):
            world.step()
        for row, robot in enumerate(world.robots):
            batteries.use(row, world.pose(robot), world.fork_height(robot), world.carried_by(robot) is not None)
        self._step += 1
        for contact in self._contacts.note(self._step, world.contacts()):
            other = self.entities.label(contact.other)
            self.get_logger().info(f"{contact.robot} touches {other} with {contact.force:.0f} N")
        self._near_misses.note(np.array([world.pose(robot)[:4] for robot in world.robots]))
        self._publish_state()
        if self._film is not None and self._step % max(1, round(self.camera_period * 1e9 / self._period_ns)) == 0:
            self._take_frame(self._film)
        self.control.stepped()
        if self._is_over:
            self.control.give_up(self.is_still)

    # --- what goes out

    def _publish_state(self) -> None:
        """Publish everything of the time at hand; what others can work on meanwhile comes before the laser."""
        stamp = self.stamp
        with self._times.measure("publishing"):
            self._topics.publish_clock(stamp)
            self._topics.publish_robots(stamp)
            tick, rest = divmod(self._step, self._setup.steps_per_tick)
            self._topics.publish_batteries(stamp, self._setup.batteries)
            if rest == 0:
                self._topics.publish_counts(stamp, tick, self._counted())
        with self._times.measure("laser"):
            scans = self._setup.world.scans()
        with self._times.measure("publishing"):
            self._topics.publish_scans(stamp, scans)
            self._topics.publish_amrs(stamp)
        self._published = time.monotonic()

    def _counted(self) -> dict[str, float]:
        contacts = {robot: float(count) for robot, count in self._contacts.counts.items()}
        return {**contacts, "near_misses": float(self._near_misses.count), **self._setup.batteries.counted}

    def _report(self) -> None:
        waiting = self._gate.missing(self._step) if self._is_begun else ["agents to be linked"]
        self.tell(
            DiagnosticStatus.OK,
            "run is over" if self._is_over else "running" if self.control.may_step else self.control.wish.value,
            simulated_s=f"{1e-9 * self._step * self._period_ns:.1f}",
            **self._times.report(self._step),
            waiting_for="" if self._is_over else ", ".join(waiting),
            answers_missed=self._missed,
            pallets=len(self._setup.world.pallets),
            contacts=sum(self._contacts.counts.values()),
            near_misses=self._near_misses.count,
        )

    def _open_film(self) -> Film | None:
        path = Path(self.run_settings.run_dir) / "fleet.mp4"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            film = Film(path, *self.camera_size, self.camera_rate)
        except OSError as error:
            self.get_logger().warning(f"no film: {error}")
            return None
        film.add(self._setup.world.camera(*self.camera_size))
        return film

    def _take_frame(self, film: Film) -> None:
        with self._times.measure("camera"):
            is_filmed = film.add(self._setup.world.camera(*self.camera_size))
        if not is_filmed:
            self.get_logger().warning("the film encoder has ended; no more frames are taken")
            self._film = None

    def _stop(self) -> None:
        self._is_active = False
        if self._is_open:
            self.control.give_up("the node was deactivated")
        while self._wall_timers:
            self.destroy_timer(self._wall_timers.pop())

    def _close(self) -> None:
        if self._film is not None:
            self._film.close()
            self._film = None
        if self._is_open:
            self._is_open = False
            self._simulation_services.close()
            self._topics.close()
            self._setup.world.close()


def main() -> int:
    """Console script `sim`."""
    return run(lambda: [WarehouseSim()])
