"""A world for agents under test: the real rules of the warehouse and robots that move as told, over real topics.

It keeps the lockstep protocol of docs/ARCHITECTURE.md in one node, without contacts, lasers or a ledger: enough to
drive any number of real agent nodes, and to time them.
"""

from __future__ import annotations

import array
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState, LaserScan

from parley_agents.convert import seconds, to_stamp
from parley_agents.hub_node import TICK
from parley_msgs.msg import (
    Decision,
    ForkCommand,
    Job,
    JobBoard,
    OrderLine,
    Pallet,
    PalletList,
    QualityReport,
    QueuePlace,
    RobotState,
    RobotStates,
    StockReport,
)
from sim.fast.env import make
from sim.warehouse.decisions import apply_decisions
from sim.warehouse.facts import LINE_FACTS, open_jobs, queue_facts, stock_facts
from sim.warehouse.jobs import dropped, picked
from sim.warehouse.observe import QUEUE
from sim.warehouse.rules import advance
from sim.warehouse.settings import SKUS, SUPPLIERS
from sim.warehouse.skill import wrap
from sim.warehouse.state import ABSENT, CARRYING, GRANTED, NO_JOB

RAYS = 90


class Timing(NamedTuple):
    """Wall time (s) the agents took."""

    decisions: list[float]  # from the facts of a tick to the last decision
    commands: list[float]  # from the facts of a step to the last command


class LockstepWorld(Node):
    """Steps when every agent in `agents` has answered; the rest of the fleet stands still and decides nothing."""

    def __init__(self, context, config: str, agents: list[str], seed: int = 0) -> None:
        super().__init__("lockstep_world", context=context)
        root = f"{config}/"
        self.world = make(
            1,
            floorplan=f"{root}floorplans/small_dc.yaml",
            warehouse=f"{root}warehouse.yaml",
            contract=f"{root}contract.yaml",
            orders=f"{root}orders.yaml",
            bodies=f"{root}bodies.yaml",
            stagger=False,
        )
        self.world.reset(seed)
        self.state, self.tables = self.world.state, self.world.tables
        self.numbers, self.rules = self.world.settings.motion_numbers(), self.world.settings.rules()
        self.fleet = self.world.agents
        self.robots = [n for n, kind in zip(self.fleet, self.world.kinds, strict=True) if kind == "forklift"]
        self.agents = set(agents)
        self.movers = [name for name in self.robots if name in self.agents]
        self.step = 0
        self.decisions: dict[str, Decision] = {}
        self.told: dict[str, tuple[float, float]] = {}
        self.forks: dict[str, float] = {}
        self.timing = Timing([], [])
        self.is_resolved = False
        self.on_tick: Callable[[], None] = lambda: None  # called when a tick has begun, before anything is said of it
        self._open_topics()

    def _open_topics(self) -> None:
        out = {
            "/clock": Clock,
            "/fleet/robots": RobotStates,
            "/tasks/jobs": JobBoard,
            "/tasks/stock": StockReport,
            "/tasks/quality": QualityReport,
            "/tasks/pallets": PalletList,
            **{f"/{name}/odom": Odometry for name in self.movers},
            **{f"/{name}/scan": LaserScan for name in self.movers},
            **{f"/{name}/joint_states": JointState for name in self.movers},
        }
        self.out = {topic: self.create_publisher(kind, topic, TICK) for topic, kind in out.items()}
        self.create_subscription(Decision, "/fleet/decisions", self._hear_decision, TICK)
        for name in self.movers:
            self.create_subscription(
                ForkCommand, f"/{name}/fork_command", lambda ros, name=name: self.forks.update({name: ros.height}), TICK
            )
            self.create_subscription(
                TwistStamped, f"/{name}/cmd_vel", lambda ros, name=name: self._hear_command(name, ros), TICK
            )

    @property
    def now(self) -> float:
        """Simulated time (s)."""
        return round(self.step * self.numbers.step, 6)

    @property
    def tick(self) -> int:
        """The running decision tick."""
        return self.step // 10

    @property
    def is_ready(self) -> bool:
        """Everybody who takes part can be heard and hears."""
        return (
            self.count_publishers("/fleet/decisions") >= len(self.agents)
            and self.count_subscribers("/fleet/messages") >= 1
            and all(
                self.count_subscribers(topic) >= 1 for topic in self.out if not topic.startswith(("/tasks", "/clock"))
            )
        )

    def say_facts(self) -> None:
        """Publish everything that is known of the present step; the answers drive the world on."""
        self.begun, self.is_resolved = time.perf_counter(), self.step % 10 != 0
        self.decisions.clear()
        self.told.clear()
        stamp, poses = to_stamp(self.now), self.world.robots.pose[0]
        self.out["/clock"].publish(Clock(clock=stamp))
        if not self.is_resolved:
            self._say_ledger(stamp)
        states = RobotStates()
        states.header.stamp = stamp
        states.robots = [
            RobotState(name=name, x=pose[0], y=pose[1], yaw=pose[2], speed=pose[3])
            for name, pose in zip(self.robots, poses, strict=True)
        ]
        self.out["/fleet/robots"].publish(states)
        for name in self.movers:
            odom, scan, joints = Odometry(), LaserScan(), JointState(name=["fork_joint"])
            odom.header.stamp = scan.header.stamp = joints.header.stamp = stamp
            scan.angle_increment = 2 * math.pi / RAYS
            scan.ranges = array.array("f", np.full(RAYS, np.inf, np.float32).tobytes())
            joints.position = [float(self.world.robots.fork[0, self.robots.index(name)])]
            self.out[f"/{name}/odom"].publish(odom)
            self.out[f"/{name}/scan"].publish(scan)
            self.out[f"/{name}/joint_states"].publish(joints)
        self.begun = time.perf_counter()

    def _say_ledger(self, stamp) -> None:
        advance(self.state, 0, self.tables, self.rules, self.now)
        self.on_tick()
        self.say_board(is_resolved=False)
        self._say_pallets(stamp)
        for zone, name in enumerate(n for n in self.fleet if n.startswith("inventory")):
            families = np.zeros((5, SKUS))  # stock, pipeline, demand, slack, finishing
            totals, lines = np.zeros(4), np.zeros((LINE_FACTS, 3), np.int32)
            facts = np.zeros((LINE_FACTS, 3))
            count = stock_facts(self.state, 0, zone, self.tables, self.rules, *families, totals, lines, facts)
            ros = StockReport(tick=self.tick, agent=name, can_reorder=bool(families[1].sum() < self.rules.max_pipeline))
            ros.header.stamp = stamp
            for field, values in zip(
                ("stock", "pipeline", "demand", "slack", "finishing", "recent"),
                (*families, self.state.recent[0]),
                strict=True,
            ):
                setattr(ros, field, array.array("f", values.astype("f4").tobytes()))
            ros.free_slots, ros.open_lines, ros.released, ros.cutoff = (float(value) for value in totals)
            for line, fact in zip(lines[:count], facts[:count], strict=True):
                ros.lines.append(
                    OrderLine(
                        subject=int(line[0]),
                        sku=int(line[1]),
                        lines_left=int(line[2]),
                        slack=fact[0],
                        age=fact[1],
                        haul_distance=fact[2],
                        releasable=bool(fact[2] >= 0),
                    )
                )
            self.out["/tasks/stock"].publish(ros)
        for station, name in enumerate(n for n in self.fleet if n.startswith("quality")):
            queue, facts = np.zeros((QUEUE, 4), np.int32), np.zeros((QUEUE, 4))
            history = np.zeros(SUPPLIERS)
            busy, arriving, staffed = queue_facts(
                self.state, 0, station, self.tables, self.rules, queue, facts, history
            )
            ros = QualityReport(tick=self.tick, agent=name, busy=busy, arriving=arriving, staffed=bool(staffed))
            ros.header.stamp = stamp
            ros.supplier_history = array.array("f", history.astype("f4").tobytes())
            for row, fact in zip(queue, facts, strict=True):
                place = QueuePlace(pallet=int(row[0]), state=int(row[1]), sku=int(row[2]), supplier=int(row[3]))
                place.reading, place.inspections, place.waited = (float(value) for value in fact[:3])
                place.inspecting = bool(fact[3])
                ros.queue.append(place)
            self.out["/tasks/quality"].publish(ros)

    def say_board(self, *, is_resolved: bool) -> None:
        """Open and granted jobs."""
        s, slots = self.state, self.state.job_type.shape[1]
        jobs, opened = np.zeros((slots, 6), np.int32), np.zeros(slots)
        count = open_jobs(s, 0, self.tables, self.rules, jobs, opened)
        board = JobBoard(tick=self.tick, resolved=is_resolved)
        board.header.stamp = to_stamp(self.now)
        for row, when in zip(jobs[:count], opened[:count], strict=True):
            pallet, kind, sku, origin, target, promised = (int(value) for value in row)
            board.jobs.append(
                Job(
                    serial=-1,
                    pallet=pallet,
                    type=kind,
                    sku=sku,
                    origin=origin,
                    target=target,
                    opened=when,
                    promised=promised > 0,
                )
            )
        for slot in np.flatnonzero((s.job_type[0] != NO_JOB) & np.isin(s.job_phase[0], (GRANTED, CARRYING))):
            board.jobs.append(
                Job(
                    serial=int(s.job_serial[0, slot]),
                    pallet=int(s.pallet_serial[0, slot]),
                    type=int(s.job_type[0, slot]),
                    sku=int(s.pallet_sku[0, slot]),
                    origin=int(s.pallet_place[0, slot]),
                    target=int(s.job_target[0, slot]),
                    promised=bool(s.pallet_line[0, slot] >= 0),
                    robot=self.robots[s.job_robot[0, slot]],
                )
            )
        self.out["/tasks/jobs"].publish(board)

    def _say_pallets(self, stamp) -> None:
        s = self.state
        ros = PalletList(tick=self.tick)
        ros.header.stamp = stamp
        for slot in np.flatnonzero(s.pallet_state[0] != ABSENT):
            is_carried = s.job_type[0, slot] != NO_JOB and s.job_phase[0, slot] == CARRYING
            ros.pallets.append(
                Pallet(
                    id=int(s.pallet_serial[0, slot]),
                    sku=int(s.pallet_sku[0, slot]),
                    state=int(s.pallet_state[0, slot]),
                    place=int(s.pallet_place[0, slot]),
                    carrier=self.robots[s.job_robot[0, slot]] if is_carried else "",
                )
            )
        self.out["/tasks/pallets"].publish(ros)

    def _hear_decision(self, ros: Decision) -> None:
        if ros.tick != self.tick or self.is_resolved:
            return
        self.decisions[ros.sender] = ros
        if self.agents <= set(self.decisions):
            self.timing.decisions.append(time.perf_counter() - self.begun)
            self.resolve()

    def resolve(self) -> None:
        """Apply what was decided so far and say who got what."""
        count = len(self.fleet)
        verb, subject, member = np.zeros((3, count), np.int32)
        pick_distance = np.zeros(count)
        for index, name in enumerate(self.fleet):
            member[index] = self.world.kinds[:index].count(self.world.kinds[index])
            ros = self.decisions.get(name)
            if ros is not None:
                verb[index], subject[index], pick_distance[index] = ros.verb, ros.subject, ros.pick_distance
                self._note_progress(ros)
        apply_decisions(self.state, 0, verb, subject, pick_distance, member, self.tables, self.rules)
        self.is_resolved = True
        self.begun = time.perf_counter()
        self.say_board(is_resolved=True)

    def _note_progress(self, ros: Decision) -> None:
        slots = np.flatnonzero(self.state.job_serial[0] == ros.job) if ros.job >= 0 else np.zeros(0)
        for slot in slots.astype(np.int32):  # as the task server calls the rules, so that nothing is compiled here
            if ros.phase == Decision.CARRYING:
                picked(self.state, 0, slot)
            elif ros.phase == Decision.DROPPED:
                dropped(self.state, 0, slot, self.tables)

    def _hear_command(self, name: str, ros: TwistStamped) -> None:
        if abs(seconds(ros.header.stamp) - self.now) > 1e-6:
            return
        self.told[name] = (ros.twist.linear.x, ros.twist.angular.z)
        if self.is_resolved and len(self.told) == len(self.movers):
            self.timing.commands.append(time.perf_counter() - self.begun)
            self.move()
            self.say_facts()

    def move(self) -> None:
        """Bring every robot one step on, exactly as told."""
        dt, robots = self.numbers.step, self.world.robots
        for index, name in enumerate(self.robots):
            v, w = self.told.get(name, (0.0, 0.0))
            pose = robots.pose[0, index]
            pose[3] = v
            pose[2] = wrap(pose[2] + w * dt)
            pose[0] += v * math.cos(pose[2]) * dt
            pose[1] += v * math.sin(pose[2]) * dt
            lift = self.numbers.fork_speed * dt
            fork = robots.fork[0, index]
            robots.fork[0, index] += max(-lift, min(lift, self.forks.get(name, fork) - fork))
        self.step += 1
