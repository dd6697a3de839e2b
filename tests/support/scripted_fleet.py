"""A fleet that follows a script: plausible traffic of every recorded topic, for tests of what records and draws it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock

from parley_msgs.msg import Decision, Job, JobBoard, Kpis, RobotState, RobotStates, Tensor, TensorMessage
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.routes import Tables, build_tables

AGENTS = (
    *((f"forklift_{number}", "forklift") for number in range(1, 5)),
    *((f"inventory_{number}", "inventory") for number in range(1, 3)),
    *((f"quality_{number}", "quality") for number in range(1, 3)),
)
TOPIC_TYPES: dict[str, type] = {
    "/clock": Clock,
    "/fleet/robots": RobotStates,
    "/fleet/messages": TensorMessage,
    "/fleet/decisions": Decision,
    "/tasks/jobs": JobBoard,
    "/tasks/kpis": Kpis,
    **{f"/{name}/odom": Odometry for name, kind in AGENTS if kind == "forklift"},
}
MESSAGE_SIZE, ROUNDS, STEP = 16, 2, 0.1  # numbers, rounds, s
SPEED = 1.2  # m/s
ENDS = (("inbound", "inspection"), ("inspection", "slot"), ("slot", "outbound"), ("inspection", "quarantine"))


class Said(NamedTuple):
    """One message to publish."""

    topic: str
    message: Any


class _Forklift:
    """One robot that fetches pallet after pallet along the route graph."""

    def __init__(self, name: str, tables: Tables, place: int) -> None:
        self.name, self.tables = name, tables
        self.x, self.y, self.yaw = float(tables.place_x[place]), float(tables.place_y[place]), 0.0
        self.place, self.job, self.phase, self.travelled = place, None, Decision.IDLE, 0.0
        self.path: list[tuple[float, float]] = []

    def go(self, place: int) -> None:
        node, end = int(self.tables.place_node[self.place]), int(self.tables.place_node[place])
        way = [node]
        while node != end:
            node = int(self.tables.next_node[node, end])
            way.append(node)
        self.path = [(float(self.tables.node_x[n]), float(self.tables.node_y[n])) for n in way]
        self.path.append((float(self.tables.place_x[place]), float(self.tables.place_y[place])))
        self.place = place

    def step(self) -> None:
        left = SPEED * STEP
        while self.path and left > 0:
            (x, y) = self.path[0]
            away = math.hypot(x - self.x, y - self.y)
            if away > 1e-6:
                self.yaw = math.atan2(y - self.y, x - self.x)
            if away > left:
                self.x += left * (x - self.x) / away
                self.y += left * (y - self.y) / away
                self.travelled += left
                return
            self.x, self.y, left = x, y, left - away
            self.travelled += away
            self.path.pop(0)


class ScriptedFleet:
    """Eight agents on a floor plan; `play` gives every message of a run in the order a real fleet says them.

    `silent` agents stop talking after `silent_after` ticks, and from then on no round is complete for the others.
    """

    def __init__(self, plan: FloorPlan, seed: int = 0, silent: str = "", silent_after: int = 0) -> None:
        self.plan, self.tables = plan, build_tables(plan)
        self.random = np.random.default_rng(seed)
        self.silent, self.silent_after = silent, silent_after
        parking = plan.of_type("parking")
        self.forklifts = {
            name: _Forklift(name, self.tables, parking[number % len(parking)])
            for number, (name, kind) in enumerate(AGENTS)
            if kind == "forklift"
        }
        self.mixing = self.random.normal(size=(len(AGENTS), 10, MESSAGE_SIZE)) * 0.5
        self.serial, self.done = 0, 0

    def play(self, ticks: int) -> Iterator[Said]:
        """Every message of `ticks` decisions (s)."""
        for step in range(ticks * 10):
            stamp = Time(sec=step // 10, nanosec=(step % 10) * 100_000_000)
            yield Said("/clock", Clock(clock=stamp))
            yield from self._bodies(stamp)
            if step % 10 == 0:
                yield from self._decide(step // 10, stamp)
            for forklift in self.forklifts.values():
                forklift.step()

    def _bodies(self, stamp: Time) -> Iterator[Said]:
        states = RobotStates()
        states.header.stamp = stamp
        for forklift in self.forklifts.values():
            states.robots.append(RobotState(name=forklift.name, x=forklift.x, y=forklift.y, yaw=forklift.yaw))
            odometry = Odometry()
            odometry.header.stamp = stamp
            odometry.pose.pose.position.x = forklift.x
            yield Said(f"/{forklift.name}/odom", odometry)
        yield Said("/fleet/robots", states)

    def _decide(self, tick: int, stamp: Time) -> Iterator[Said]:
        verbs = {name: self._advance(name, kind) for name, kind in AGENTS}
        is_silent = bool(self.silent) and tick >= self.silent_after
        for round_ in range(1, ROUNDS + 1):
            for number, (name, _) in enumerate(AGENTS):
                if not (is_silent and name == self.silent):
                    yield Said("/fleet/messages", self._speak(number, name, verbs[name], tick, round_, stamp))
        for name, _ in AGENTS:
            if is_silent and name == self.silent:
                continue
            decision = Decision(sender=name, tick=tick, verb=verbs[name], job=-1)
            decision.header.stamp = stamp
            decision.rounds_complete = 0 if is_silent else ROUNDS - int(self.random.random() < 0.02)
            forklift = self.forklifts.get(name)
            if forklift is not None:
                decision.phase, decision.travelled = forklift.phase, forklift.travelled
                decision.job = forklift.job.serial if forklift.job is not None else -1
            yield Said("/fleet/decisions", decision)
        board = JobBoard(tick=tick, resolved=True)
        board.header.stamp = stamp
        board.jobs = [forklift.job for forklift in self.forklifts.values() if forklift.job is not None]
        yield Said("/tasks/jobs", board)
        counts = {"orders_done": self.done // 3, "orders_on_time": self.done // 4, "lines_shipped": self.done}
        kpis = Kpis(tick=tick, names=list(counts), values=[float(value) for value in counts.values()])
        kpis.header.stamp = stamp
        yield Said("/tasks/kpis", kpis)

    def _advance(self, name: str, kind: str) -> int:
        """Move one agent's script on by a tick; gives the verb it decided."""
        if kind == "inventory":
            return int(self.random.choice([Decision.NONE, Decision.RELEASE, Decision.REORDER], p=[0.8, 0.13, 0.07]))
        if kind == "quality":
            choices = [Decision.NONE, Decision.INSPECT, Decision.PASS, Decision.REJECT]
            return int(self.random.choice(choices, p=[0.78, 0.12, 0.08, 0.02]))
        forklift = self.forklifts[name]
        if forklift.path:
            return Decision.YIELD if self.random.random() < 0.03 else Decision.NONE
        if forklift.phase == Decision.TO_PICK:
            forklift.phase = Decision.CARRYING
            forklift.go(forklift.job.target)
        elif forklift.phase == Decision.CARRYING:
            forklift.phase = Decision.DROPPED
        else:
            self.done += forklift.phase == Decision.DROPPED and forklift.job.type == Job.PICK
            forklift.job, forklift.phase = self._new_job(name), Decision.TO_PICK
            forklift.go(forklift.job.origin)
            return int(Decision.CLAIM)
        return int(Decision.NONE)

    def _new_job(self, robot: str) -> Job:
        kind = int(self.random.choice(4, p=[0.3, 0.28, 0.37, 0.05]))
        origin, target = (int(self.random.choice(self.plan.of_type(end))) for end in ENDS[kind])  # type: ignore[arg-type]
        self.serial += 1
        return Job(serial=self.serial, pallet=self.serial, type=kind, origin=origin, target=target, robot=robot)

    def _speak(self, number: int, name: str, verb: int, tick: int, round_: int, stamp: Time) -> TensorMessage:
        forklift = self.forklifts.get(name)
        state = np.zeros(10)
        state[0] = 1.0
        state[1 + verb % 4] = 1.5
        if forklift is not None:
            state[5:8] = forklift.phase / 2, forklift.x / 15 - 1, forklift.y / 10 - 1
        else:
            state[5:8] = np.sin(tick / (17 + 3 * number)), np.sin(tick / 41), np.cos(tick / 23)
        state[8] = 0.4 * round_
        values = np.tanh(state @ self.mixing[number] + self.random.normal(size=MESSAGE_SIZE) * 0.08)
        message = TensorMessage(sender=name, tick=tick, round=round_, protocol_id=7)
        message.header.stamp = stamp
        message.tensor = Tensor(dtype_code=2, dtype_bits=32, dtype_lanes=1, shape=[MESSAGE_SIZE])
        message.tensor.data = values.astype("<f4").tobytes()
        return message
