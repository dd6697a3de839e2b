"""The policy server: one forward of the whole fleet per tick, for agents that would rather not think themselves.

Observations of a tick are collected until all expected agents have sent theirs or the batching deadline passes; one
batched forward runs all K rounds; the answer goes out first, then what every agent would have said, so that agents
that decide onboard hear the served ones, too.
"""

from __future__ import annotations

import gc
import time
from collections import Counter, deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from parley_agents import convert
from parley_agents.body import Sheet
from parley_agents.fleet import read_fleet
from parley_agents.hub_node import BEST_EFFORT, TICK
from parley_agents.managed_node import ManagedNode, run
from parley_agents.policies import BUNDLE, open_bundle
from parley_agents.tick_barrier import TickBarrier
from parley_msgs.msg import FleetAnswer, ObservationReport, TensorMessage
from policy_core.comm.wire import Message
from policy_core.config import ConfigError
from policy_core.contract import read_contract
from policy_core.serving.engine import FleetEngine
from policy_core.serving.policy import Observation

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
PATIENCE = 0.005  # s, wall, between two looks at the batching deadline
KEPT = 300  # latest answers of which latency and batch size are kept


class PolicyServer(ManagedNode):
    """FQN /policy_server."""

    def __init__(self, context: Context | None = None) -> None:
        super().__init__("policy_server", context=context)
        self._device = self.setting("device", "auto", "where the policy runs", choices=("auto", "cpu", "cuda"))
        limits = [
            self.setting(f"batch_limit{ending}", default, "how long a batch waits (s, wall)", low=0.001, high=60.0)
            for ending, default in (("", 0.2), ("_paced", 0.03))
        ]
        self._is_lockstep = self.run_settings.clock == "lockstep"
        self._limit = limits[0] if self._is_lockstep else limits[1]
        self._is_active = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and check the bundle, warm it up, open all topics."""
        run_settings = self.run_settings
        if not run_settings.policy.startswith(BUNDLE):
            raise ConfigError(
                f"the policy server serves bundles, saw policy '{run_settings.policy}'; give --policy bundle:DIRECTORY "
                "or take --inference onboard."
            )
        contract = read_contract(run_settings.contract)
        fleet = read_fleet(run_settings.fleet, contract)
        agents = dict(zip(fleet.names, fleet.kinds, strict=True))
        self._kinds = {name: contract.kind(kind) for name, kind in agents.items()}
        self._names = fleet.names
        self._engine = FleetEngine(open_bundle(run_settings.policy, contract), agents, self._device)
        self._engine.decide({name: Sheet(self._kinds[name]).blank() for name in agents})  # the first one is slow
        self._engine.forget()
        self._barrier = TickBarrier(agents, self._limit)
        self._counts: Counter[str] = Counter()
        self._latency: deque[float] = deque(maxlen=KEPT)
        self._batch: deque[int] = deque(maxlen=KEPT)
        self._tick, self._answered, self._begun, self._stamp = -1, -1, 0.0, 0.0
        self._seen: dict[str, Observation] = {}
        self._answers = self.create_publisher(FleetAnswer, "/fleet/answers", TICK)
        self._messages = self.create_publisher(
            TensorMessage, "/fleet/messages", TICK if self._is_lockstep else BEST_EFFORT
        )
        self._reports = self.create_subscription(ObservationReport, "/fleet/observations", self._hear, TICK)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer."""
        self._is_active = True
        self._watch = self.create_timer(PATIENCE, self._look, clock=STEADY)
        self._diagnoses = self.create_timer(1.0, self._diagnose, clock=STEADY)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall silent; the agents go on by themselves."""
        self._is_active = False
        self.destroy_timer(self._watch)
        self.destroy_timer(self._diagnoses)
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave all topics."""
        self.destroy_subscription(self._reports)
        self.destroy_publisher(self._answers)
        self.destroy_publisher(self._messages)
        return TransitionCallbackReturn.SUCCESS

    def _hear(self, report: ObservationReport) -> None:
        """One agent asks."""
        if not self._is_active:
            return
        kind = self._kinds.get(report.sender)
        if kind is None:
            self._counts["unknown_sender"] += 1
            return
        try:
            observation = convert.observation_of(report, kind)
        except ValueError as error:
            if not self._counts["unusable"]:
                self.get_logger().error(f"{error} Further ones are only counted.")
            self._counts["unusable"] += 1
            return
        if report.tick != self._tick:
            self._open(report.tick, convert.seconds(report.header.stamp))
        self._barrier.arrive(report.sender, report.tick)
        self._seen[report.sender] = observation
        if report.tick == self._answered:
            self._counts["too_late"] += 1
        elif self._barrier.complete(report.tick):
            self._answer()

    def _open(self, tick: int, stamp: float) -> None:
        """The first observation of another tick has come; what is left of the last one is answered as it is."""
        if self._seen and self._answered != self._tick:
            self._answer()
        self._tick, self._stamp, self._begun = tick, stamp, time.monotonic()
        self._seen = {}

    def _look(self) -> None:
        """Answer without the missing once the batching deadline has passed."""
        if self._seen and self._answered != self._tick and time.monotonic() - self._begun > self._limit:
            self._counts["missing"] += len(self._barrier.expire(self._tick))
            self._answer()

    def _answer(self) -> None:
        answer = self._engine.decide(self._seen)
        self._answered = self._tick
        ros = FleetAnswer(tick=self._tick, protocol_id=self._engine.protocol_id, inference_ms=1e3 * answer.seconds)
        ros.header.stamp = convert.to_stamp(self._stamp)
        ros.agents = list(answer.choices)
        ros.choices = list(answer.choices.values())
        self._answers.publish(ros)
        self._latency.append(time.monotonic() - self._begun)
        self._batch.append(len(self._seen))
        for number, values in enumerate(answer.messages, start=1):
            for name, row in zip(self._names, values, strict=True):
                if name in self._seen:
                    position = self._seen[name].position
                    said = Message(name, self._tick, number, self._engine.protocol_id, self._stamp, position, row)
                    self._messages.publish(convert.tensor_message(said, self._engine.bits))
                    self._counts["messages_sent"] += 1

    def _diagnose(self) -> None:
        values: dict[str, object] = {"device": str(self._engine.device), **self._counts}
        if self._latency:
            p50, p99 = np.percentile(np.array(self._latency), (50, 99)) * 1e3
            values |= {"answer_ms_p50": round(float(p50), 2), "answer_ms_p99": round(float(p99), 2)}
            values["batch_size"] = round(float(np.mean(self._batch)), 2)
        silent = sorted(self._barrier.members - self._barrier.expected)
        if silent:
            self.tell(DiagnosticStatus.WARN, f"not heard: {', '.join(silent)}", **values)
        else:
            self.tell(DiagnosticStatus.OK, "serving", **values)


def main() -> int:
    """Console script `policy_server`: run until told to stop."""
    status = run(lambda: [PolicyServer()])
    gc.freeze()  # else the interpreter walks all of torch once more before it ends, for most of a second
    return status
