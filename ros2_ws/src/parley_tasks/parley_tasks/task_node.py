"""The task server: the one node that owns orders, stock and jobs.

At every decision tick it brings the warehouse up to date and tells the fleet (/tasks/jobs with resolved=False,
/tasks/stock, /tasks/quality, /tasks/pallets), waits for the agents' decisions on /fleet/decisions, applies them in
fleet order as one ledger transaction, and tells the outcome (/tasks/jobs with resolved=True, /tasks/pallets,
/tasks/kpis). What it has told as resolved is kept, whatever happens to this process.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock as NodeClock
from rclpy.clock import ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock

from parley_agents.fleet import read_fleet
from parley_agents.managed_node import ManagedNode, run
from parley_agents.tick_barrier import TickBarrier
from parley_msgs.msg import Decision, JobBoard, Kpis, PalletList, QualityReport, StockReport
from parley_tasks.convert import Reporter, contacts_of, seconds, word_of
from parley_tasks.dispatcher import Crew, Word
from parley_tasks.latency import Latency
from parley_tasks.opening import Opened, Told, open_dispatcher, sqlite_url
from policy_core.config import ConfigError
from policy_core.contract import read_contract

LOCKSTEP = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LOOK_PERIOD = 0.05  # s of wall time between two looks at whether a wait has lasted too long
ON_TIME = 0.05  # s of simulated time after a tick's begin in which the clock still means that tick
RESULT_FILE = "ledger_kpis.json"  # the report makes kpis.json


class TaskServer(ManagedNode):
    """Orders, stock ledger and the life of every job."""

    def __init__(self, *, context: Context | None = None) -> None:
        """Declare what it can be told."""
        super().__init__("task_server", context=context)
        settings = self.run_settings
        beside = str(Path(settings.warehouse).with_name("orders.yaml")) if settings.warehouse else ""
        self._told = Told(
            floorplan=settings.floorplan,
            warehouse=settings.warehouse,
            contract=settings.contract,
            order_settings=self.setting("order_settings", "", "orders.yaml; empty: beside the warehouse's") or beside,
            orders=self.setting("orders", "", "CSV file or folder of orders; empty: the seeded generator"),
            order_speed=self.setting("order_speed", 0.0, "real seconds in one simulated; 0: by load", low=0.0),
            database=self.setting("database", "", "SQLAlchemy URL; empty: ledger.sqlite in the run folder"),
            seed=settings.seed,
            minutes=settings.minutes,
        )
        # Longer than the agents' wait for each other, shorter than their wait for the board: one dead agent drops
        # only itself. Paced agents decide by their own, shorter deadlines.
        limit, paced = (
            float(self.setting(f"decision_limit{ending}", value, "wait for decisions (s, wall)", low=0.01, high=60.0))
            for ending, value in (("", 1.0), ("_paced", 0.5))
        )
        self._limit = limit if settings.clock == "lockstep" else paced
        self._opened: Opened | None = None
        self._published: list[Publisher] = []
        self._subscribed: list[Subscription] = []
        self._wall_timers: list[Timer] = []
        self._is_active = False
        self._is_waiting = False  # for decisions
        self._is_behind = False  # the clock shows a time the ledger has left behind

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read everything, open the ledger, compile the rules, open the topics."""
        self._close()  # what a failed attempt may have left
        for name in ("floorplan", "fleet", "warehouse", "contract"):
            if not getattr(self.run_settings, name):
                raise ConfigError(f"parameter '{name}' is empty; wanted the path of a YAML file.")
        if not (self._told.database or self.run_settings.run_dir):
            raise ConfigError(
                "parameters 'database' and 'run_dir' are empty; wanted at least one: where is the ledger?"
            )
        fleet = read_fleet(self.run_settings.fleet, read_contract(self.run_settings.contract))
        crew = Crew(fleet.names, fleet.kinds)
        database = self._told.database or sqlite_url(self.run_settings.run_dir)
        self._opened = opened = open_dispatcher(self._told._replace(database=database), crew)
        for note in opened.notes:
            self.get_logger().info(note)
        self._dispatcher, self._length = opened.dispatcher, opened.tick
        self._dispatcher.compile()
        self._reporter = Reporter(self._dispatcher)
        self._reporter.compile()
        self._barrier = TickBarrier(crew.names, self._limit)
        self._said: dict[str, Word] = {}
        self._tick = -1  # the tick that is told to the fleet
        self._since = 0.0  # s, monotonic, when the wait for decisions began
        self._telling, self._resolving = Latency(), Latency()
        self._open_topics()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to answer the clock."""
        self._is_active = True
        return TransitionCallbackReturn.SUCCESS

    def _open_topics(self) -> None:
        self._jobs = self.create_publisher(JobBoard, "/tasks/jobs", LOCKSTEP)
        self._stock = self.create_publisher(StockReport, "/tasks/stock", LOCKSTEP)
        self._quality = self.create_publisher(QualityReport, "/tasks/quality", LOCKSTEP)
        self._pallets = self.create_publisher(PalletList, "/tasks/pallets", LOCKSTEP)
        self._kpis = self.create_publisher(Kpis, "/tasks/kpis", LOCKSTEP)
        self._published = [self._jobs, self._stock, self._quality, self._pallets, self._kpis]
        self._subscribed = [
            self.create_subscription(Clock, "/clock", self._on_clock, LOCKSTEP),
            self.create_subscription(Decision, "/fleet/decisions", self._on_decision, LOCKSTEP),
            self.create_subscription(Kpis, "/sim/contacts", self._on_contacts, LOCKSTEP),
        ]
        steady = NodeClock(clock_type=ClockType.STEADY_TIME)
        self._wall_timers = [
            self.create_timer(LOOK_PERIOD, self._look, clock=steady),
            self.create_timer(1.0, self._tell_health, clock=steady),
        ]

    def _on_clock(self, ros: Clock) -> None:
        if not self._is_active:
            return
        now, length = seconds(ros.clock), self._length
        tick = int((now + ON_TIME) // length)
        if now - tick * length > ON_TIME or tick == self._tick:
            return
        if self._is_waiting:
            self._resolve()
        if tick < self._dispatcher.tick:
            self._is_behind = True
            return
        self._is_behind = False
        self._begin(tick, ros.clock)

    def _begin(self, tick: int, stamp: Time) -> None:
        """Tell the fleet how things stand at a tick; the outcome at once if the tick has been resolved before."""
        began = time.monotonic()
        self._tick = tick
        self._reporter.begin(tick, stamp)
        if tick == self._dispatcher.tick:  # resolved, but this process died or slept before it could tell
            self._tell_outcome()
            return
        self._dispatcher.advance(tick)
        self._jobs.publish(self._reporter.job_board(resolved=False))
        for stock in self._reporter.stock_reports():
            self._stock.publish(stock)
        for quality in self._reporter.quality_reports():
            self._quality.publish(quality)
        self._pallets.publish(self._reporter.pallet_list())
        self._said.clear()
        self._is_waiting, self._since = True, time.monotonic()
        self._telling.add(self._since - began)
        self._resolve_if_complete()

    def _on_decision(self, ros: Decision) -> None:
        if not self._is_active:
            return
        if ros.tick <= self._tick and not self._barrier.arrive(ros.sender, ros.tick):
            self._dispatcher.tally["decision of a stranger"] += 1
        elif not self._is_waiting or ros.tick != self._tick:
            self._dispatcher.tally["decision for another tick"] += 1
        else:
            self._said[ros.sender] = word_of(ros)
            self._resolve_if_complete()

    def _on_contacts(self, ros: Kpis) -> None:
        if self._is_active:
            self._dispatcher.count_contacts(contacts_of(ros))

    def _look(self) -> None:
        """Give up waiting after the limit."""
        if self._is_active and self._is_waiting and time.monotonic() - self._since > self._limit:
            self._resolve()

    def _resolve_if_complete(self) -> None:
        if self._barrier.complete(self._tick):
            self._resolve()

    def _resolve(self) -> None:
        """Apply what was decided, commit, tell. Nothing is told that is not committed."""
        began = time.monotonic()
        for name in self._barrier.expire(self._tick):
            self.get_logger().warning(f"no decision of {name} at tick {self._tick}; going on without it")
        self._is_waiting = False
        self._dispatcher.resolve(self._tick, self._said)
        self._tell_outcome()
        self._resolving.add(time.monotonic() - began)

    def _tell_outcome(self) -> None:
        self._pallets.publish(self._reporter.pallet_list())
        self._kpis.publish(self._reporter.kpis())
        self._jobs.publish(self._reporter.job_board(resolved=True))  # last: it sets the fleet going

    def _tell_health(self) -> None:
        if not self._is_active:
            return
        dispatcher, silent = self._dispatcher, sorted(self._barrier.members - self._barrier.expected)
        level, message = DiagnosticStatus.OK, f"tick {dispatcher.tick}"
        if self._is_behind:
            level = DiagnosticStatus.ERROR
            message = (
                f"the clock is before tick {dispatcher.tick} of the ledger; was the simulator started anew? "
                "Start the whole fleet anew, with a new run folder or database"
            )
        elif silent:
            level, message = DiagnosticStatus.WARN, f"silent: {', '.join(silent)}"
        self.tell(
            level,
            message,
            **self._telling.percentiles("tell"),
            **self._resolving.percentiles("resolve"),
            **dispatcher.committing.percentiles("commit"),
            silent=", ".join(silent),
            **{reason.replace(" ", "_"): count for reason, count in sorted(dispatcher.tally.items())},
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop answering; leave the KPIs so far in the run folder."""
        self._is_active = False
        self._is_waiting = False
        self._write_result()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the ledger and the topics."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End, from whatever state."""
        self._is_active = False
        self._write_result()
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def _write_result(self) -> None:
        """Write the KPIs into the run folder, whole or not at all; nothing before the first tick."""
        if not self.run_settings.run_dir or self._opened is None or self._dispatcher.tick < 0:
            return
        content = {
            "seed": self._told.seed,
            "seconds": float(self._dispatcher.state.time[0]),
            "kpis": self._dispatcher.kpis(),
            "not_taken_as_said": dict(self._dispatcher.tally),
        }
        path = Path(self.run_settings.run_dir) / RESULT_FILE
        part = path.with_suffix(".json.part")
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        part.replace(path)

    def _close(self) -> None:
        while self._wall_timers:
            self.destroy_timer(self._wall_timers.pop())
        while self._subscribed:
            self.destroy_subscription(self._subscribed.pop())
        while self._published:
            self.destroy_publisher(self._published.pop())
        if self._opened is not None:
            self._opened.ledger.close()
            self._opened = None


def main() -> int:
    """The console script `tasks`."""
    return run(lambda: [TaskServer()])
