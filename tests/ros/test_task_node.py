"""The task server over real DDS, against a clock and a fleet that follow a script."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from parley_msgs.msg import Decision, JobBoard, Kpis, PalletList, QualityReport, StockReport
from parley_tasks.task_node import LOCKSTEP, RESULT_FILE, TaskServer
from tests.support.scripted_decisions import CREW, TOP, told

TICKS = 60
CONFIG = TOP / "config"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    """ROS parameters of a run in the small hall."""
    run = told("")
    return {
        "floorplan": run.floorplan,
        "warehouse": run.warehouse,
        "contract": run.contract,
        "fleet": CONFIG / "fleets" / "demo.yaml",
        "run_dir": tmp_path,
        "seed": 2,
        "minutes": 10.0,
    }


def arguments(settings: dict[str, object]) -> list[str]:
    return ["--ros-args", *(text for key, value in settings.items() for text in ("-p", f"{key}:={value}"))]


class Fleet(Node):
    """The clock, and agents that work off whatever is told: each tick ends with its resolved board."""

    def __init__(self, context: rclpy.Context) -> None:
        super().__init__("fleet", context=context)
        self.tick, self.last = 0, TICKS
        self.silent: set[str] = set()
        self.jobs: dict[str, tuple[int, int]] = {}  # robot: serial number, ticks under way
        self.told: dict[str, object] = {}  # what the running tick has told, by topic and agent
        self.boards: dict[int, JobBoard] = {}  # resolved
        self.kpis: dict[int, dict[str, float]] = {}
        self.pallets: PalletList | None = None
        self.health: list[tuple[bytes, str, dict[str, str]]] = []
        self.granted: dict[int, tuple[str, int]] = {}  # serial: robot and target, as first told
        self.began: dict[int, float] = {}  # s, wall
        self.took: dict[int, float] = {}
        self.clock_out = self.create_publisher(Clock, "/clock", LOCKSTEP)
        self.decisions_out = self.create_publisher(Decision, "/fleet/decisions", LOCKSTEP)
        self.contacts_out = self.create_publisher(Kpis, "/sim/contacts", LOCKSTEP)
        self.create_subscription(JobBoard, "/tasks/jobs", self.hear_board, LOCKSTEP)
        self.create_subscription(StockReport, "/tasks/stock", lambda m: self.hear(m.agent, m), LOCKSTEP)
        self.create_subscription(QualityReport, "/tasks/quality", lambda m: self.hear(m.agent, m), LOCKSTEP)
        self.create_subscription(PalletList, "/tasks/pallets", lambda m: setattr(self, "pallets", m), LOCKSTEP)
        self.create_subscription(Kpis, "/tasks/kpis", self.hear_kpis, LOCKSTEP)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.hear_health, 10)

    @property
    def is_linked(self) -> bool:
        """The task server is heard and hears."""
        topics = ("jobs", "stock", "quality", "pallets", "kpis")
        return self.clock_out.get_subscription_count() > 0 and all(self.count_publishers(f"/tasks/{t}") for t in topics)

    def say_time(self) -> None:
        self.told.clear()
        self.began[self.tick] = time.monotonic()
        self.contacts_out.publish(Kpis(tick=self.tick, names=["forklift_1"], values=[float(self.tick // 10)]))
        self.clock_out.publish(Clock(clock=Time(sec=self.tick)))
        self.clock_out.publish(Clock(clock=Time(sec=self.tick, nanosec=500_000_000)))

    def hear_board(self, board: JobBoard) -> None:
        if board.resolved:
            self.boards[board.tick] = board
            self.follow(board)
        else:
            self.hear("board", board)

    def hear(self, what: str, message: JobBoard | StockReport | QualityReport) -> None:
        """Note a fact of the tick; once all are there, everybody decides."""
        if message.tick == self.tick:
            self.told[what] = message
            if len(self.told) == 5:
                self.decide()

    def hear_kpis(self, kpis: Kpis) -> None:
        self.kpis[kpis.tick] = dict(zip(kpis.names, kpis.values, strict=True))

    def hear_health(self, health: DiagnosticArray) -> None:
        self.health += [(s.level, s.message, {v.key: v.value for v in s.values}) for s in health.status]

    def decide(self) -> None:
        board, free = self.told["board"], set(CREW.robots) - set(self.jobs)
        offers = [job for job in board.jobs if not job.robot]
        for name, kind in zip(CREW.names, CREW.kinds, strict=True):
            ros = Decision(sender=name, tick=self.tick, job=-1)
            if kind == "forklift":
                serial, age = self.jobs.get(name, (-1, 0))
                ros.job, ros.phase = serial, Decision.IDLE if serial < 0 else min(1 + age // 3, Decision.DROPPED)
                ros.travelled = 0.5 * self.tick
                if name in free and offers:
                    ros.verb, ros.subject = Decision.CLAIM, offers[len(name) % len(offers)].pallet
            elif kind == "inventory":
                line = next((line for line in self.told[name].lines if line.releasable), None)
                if line is not None:
                    ros.verb, ros.subject = Decision.RELEASE, line.subject
                elif self.tick < 3:
                    ros.verb, ros.subject = Decision.REORDER, self.tick
            else:
                place = next((p for p in self.told[name].queue if p.pallet >= 0 and p.state == 1), None)
                if place is not None:
                    ros.verb = Decision.PASS if place.inspections else Decision.INSPECT
                    ros.subject = place.pallet
            if name not in self.silent:
                self.decisions_out.publish(ros)

    def follow(self, board: JobBoard) -> None:
        """Take up and let go of jobs as the board says; then the next tick begins."""
        mine = {job.robot: job for job in board.jobs if job.robot}
        for job in mine.values():
            known = self.granted.setdefault(job.serial, (job.robot, job.target))
            assert known == (job.robot, job.target)
        for robot in CREW.robots:
            serial, age = self.jobs.pop(robot, (-1, 0))
            if robot in mine:
                self.jobs[robot] = (mine[robot].serial, age + 1 if mine[robot].serial == serial else 0)
        self.took[board.tick] = time.monotonic() - self.began.get(board.tick, time.monotonic())
        if board.tick == self.tick and self.tick < self.last:
            self.tick += 1
            self.say_time()


class Stage:
    """The scripted fleet, and the task server in the same context or elsewhere."""

    def __init__(self, settings: dict[str, object], has_server: bool = True) -> None:
        self.context = rclpy.Context()
        rclpy.init(args=arguments(settings), context=self.context)
        self.fleet = Fleet(self.context)
        self.executor = EventsExecutor(context=self.context)
        self.executor.add_node(self.fleet)
        self.server: TaskServer | None = None
        if has_server:
            self.server = TaskServer(context=self.context)
            self.executor.add_node(self.server)

    def start(self) -> None:
        assert self.server.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.server.trigger_activate() == TransitionCallbackReturn.SUCCESS
        assert self.run_until(lambda: self.fleet.is_linked)
        self.fleet.say_time()

    def run_until(self, until: Callable[[], bool], limit: float = 20.0) -> bool:
        """Serve the nodes until `until` holds."""
        end = time.monotonic() + limit
        while not until() and time.monotonic() < end:
            self.executor.spin_until_future_complete(rclpy.Future(), timeout_sec=0.02)
        return until()

    def close(self) -> None:
        for node in (self.fleet, self.server):
            if node is not None:
                node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


def test_a_fleet_works_tick_by_tick_and_the_kpis_lie_in_the_run_folder(settings, tmp_path) -> None:
    stage = Stage(settings)
    try:
        stage.start()
        fleet = stage.fleet
        assert stage.run_until(lambda: TICKS in fleet.boards and TICKS in fleet.kpis)
        assert stage.run_until(lambda: any("resolve_p50_ms" in values for _, _, values in fleet.health), limit=3.0)
        stage.server.trigger_deactivate()
        stage.server.trigger_shutdown()
    finally:
        stage.close()
    assert sorted(fleet.boards) == list(range(TICKS + 1)), "one outcome per tick, none for half ticks"
    kpis = fleet.kpis[TICKS]
    assert kpis["lines_shipped"] >= 1
    assert kpis["contacts"] == TICKS // 10
    assert kpis["distance_m"] == pytest.approx(4 * 0.5 * TICKS)
    assert kpis["seconds"] == TICKS
    assert len({pallet.id for pallet in fleet.pallets.pallets}) == len(fleet.pallets.pallets) > 0
    assert all((pallet.place >= 0) != bool(pallet.carrier) for pallet in fleet.pallets.pallets)
    written = json.loads((tmp_path / RESULT_FILE).read_text(encoding="utf-8"))
    assert (written["seed"], written["seconds"], written["kpis"]) == (2, TICKS, kpis)
    assert not list(tmp_path.glob("*.part"))
    level, message, values = next(entry for entry in fleet.health if "resolve_p50_ms" in entry[2])
    assert (level, values["silent"]) == (b"\0", "")
    assert message.startswith("tick ")
    print("wall ms per tick: p50", 1e3 * np.median(list(fleet.took.values())), values)


def test_a_silent_agent_is_waited_for_once(settings) -> None:
    stage = Stage({**settings, "decision_limit": 0.4})
    fleet = stage.fleet
    fleet.silent, fleet.last = {"forklift_2", "quality_1"}, 5
    try:
        stage.start()
        assert stage.run_until(lambda: 5 in fleet.boards)
        assert fleet.took[0] > 0.4
        assert max(fleet.took[tick] for tick in range(1, 6)) < 0.4
        fleet.silent, fleet.last = set(), 10
        fleet.tick = 6
        fleet.say_time()
        assert stage.run_until(lambda: 10 in fleet.boards)
        assert stage.server._barrier.expected == set(CREW.names)
    finally:
        stage.close()


def test_taken_down_and_up_again_it_tells_the_last_outcome_once_more(settings) -> None:
    stage = Stage(settings)
    fleet = stage.fleet
    fleet.last = 5
    try:
        stage.start()
        assert stage.run_until(lambda: 5 in fleet.boards)
        last = fleet.boards.pop(5)
        for change in ("deactivate", "cleanup", "configure", "activate"):
            assert getattr(stage.server, f"trigger_{change}")() == TransitionCallbackReturn.SUCCESS
        assert stage.run_until(lambda: fleet.is_linked)
        fleet.say_time()
        assert stage.run_until(lambda: 5 in fleet.boards)
        assert fleet.boards[5] == last
    finally:
        stage.close()


def test_a_clock_that_went_back_is_told_and_changes_nothing(settings) -> None:
    stage = Stage(settings)
    fleet = stage.fleet
    fleet.last = 5
    try:
        stage.start()
        assert stage.run_until(lambda: 5 in fleet.boards)
        before = fleet.kpis[5]
        fleet.tick = 0
        fleet.say_time()
        assert stage.run_until(lambda: any("the clock is before tick 5" in text for _, text, _ in fleet.health), 3.0)
        assert stage.server._dispatcher.kpis() == before
    finally:
        stage.close()


def test_what_it_cannot_use_is_refused_in_words(settings, tmp_path, capfd) -> None:
    stage = Stage({**settings, "orders": tmp_path / "none.csv"})
    try:
        assert stage.server.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert "none.csv: no such file or folder" in "".join(capfd.readouterr())
        assert not (tmp_path / RESULT_FILE).exists()
    finally:
        stage.close()
