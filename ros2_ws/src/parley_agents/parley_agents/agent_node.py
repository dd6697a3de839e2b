"""One agent as a lifecycle node: facts in, K rounds of messages, a decision out.

The same class for all kinds; what differs is the body and where its facts come from (drive_node.py, report_node.py).
Everything happens in callbacks of one thread: a feed begins a tick, messages drive its rounds, a watch on the wall
clock ends what takes too long.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from parley_agents import convert
from parley_agents.body import Feed
from parley_agents.decision_cycle import DecisionCycle
from parley_agents.drive_node import DriveFeed
from parley_agents.fleet import Fleet, read_fleet
from parley_agents.forklift import forklift_body
from parley_agents.hub_node import BEST_EFFORT, TICK, HubNode
from parley_agents.managed_node import ManagedNode
from parley_agents.policies import open_policy
from parley_agents.report_node import inventory_feed, quality_feed
from parley_agents.server_link import ServerLink
from parley_agents.tally import Tally
from parley_msgs.msg import Decision, FleetAnswer, ObservationReport, TensorMessage
from policy_core.comm.wire import Message
from policy_core.config import ConfigError
from policy_core.contract import Contract, read_contract
from policy_core.serving.inbox import Verdict
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.guard import read_guard
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import WarehouseSettings, read_warehouse

STEADY = Clock(clock_type=ClockType.STEADY_TIME)


class AgentNode(ManagedNode):
    """FQN /<agent>/agent. `hub` carries the topics that all agents of a process share."""

    def __init__(self, agent: str, hub: HubNode, context: Context | None = None) -> None:
        super().__init__("agent", namespace=f"/{agent}", context=context)
        self.agent = self.setting("agent", agent, "name of this agent in the fleet manifest")
        self.tally = Tally()
        self._hub = hub
        self._is_lockstep = self.run_settings.clock == "lockstep"
        # Each wait is shorter than that of whoever waits for this node: rounds, then the task server's decision_limit,
        # then this node's board_limit, then the simulator's step_limit. So one dead process drops only itself.
        self._round_limit = self._limit("round_limit", "one message round", 0.5, 0.1)
        self._server_limit = self._limit("server_limit", "the policy server's answer", 0.3, 0.05)
        self._board_limit = self._limit("board_limit", "the grants of a tick", 1.5, 1.5)
        self._max_age = self.setting("max_age", 1.0, "oldest message that is read (s)", low=0.0, high=60.0)
        self._guard_file = self.setting("guard", "", "path of the guard's settings; empty: guard.yaml beside warehouse")
        self._bodies_file = self.setting("bodies", "", "path of the body settings; empty: bodies.yaml beside warehouse")
        self._is_active = False
        self._now = self._stamp = 0.0  # s: the latest time known, and the time of the running tick
        self._begun = 0.0  # s, wall: when the running tick's facts were complete
        self._tick = -1

    def _limit(self, name: str, what: str, lockstep: float, paced: float) -> float:
        """Declare a wall-clock limit for both clock modes; gives the one that counts in this run."""
        values = [
            self.setting(f"{name}{ending}", default, f"how long to wait for {what} (s, wall)", low=0.005, high=60.0)
            for ending, default in (("", lockstep), ("_paced", paced))
        ]
        return float(values[0] if self._is_lockstep else values[1])

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read every file, refuse in words what does not fit, and open all topics, so that others find them early."""
        run = self.run_settings
        contract = read_contract(run.contract)
        fleet = read_fleet(run.fleet, contract)
        if self.agent not in fleet.names:
            raise ConfigError(f"agent '{self.agent}' is not in {run.fleet}, which has {', '.join(fleet.names)}.")
        warehouse = read_warehouse(run.warehouse)
        decider = open_policy(run.policy, contract, fleet, self.agent, warehouse, run.seed, self._max_age)
        self._kind = fleet.kinds[fleet.names.index(self.agent)]
        self._protocol_id, self._bits = decider.protocol_id, decider.bits
        self._rounds = contract.rounds
        self.cycle = DecisionCycle(
            self.agent,
            decider.policy,
            decider.inbox,
            decider.protocol_id,
            decider.radio_range,
            contract.rounds,
            [name for name in fleet.names if name != self.agent],
            self._round_limit,
            self._say,
            self._decided,
        )
        self.feed = self._open_feed(fleet, contract, warehouse)
        self.server = ServerLink(self._server_limit) if run.inference == "server" else None
        quality = TICK if self._is_lockstep else BEST_EFFORT
        self._messages = self.create_publisher(TensorMessage, "/fleet/messages", quality)
        self._decisions = self.create_publisher(Decision, "/fleet/decisions", TICK)
        self._reports = self.create_publisher(ObservationReport, "/fleet/observations", TICK)
        self._hub.listen("/fleet/messages", TensorMessage, convert.message_of, self._hear_message, quality)
        if self.server is not None:
            self._hub.listen("/fleet/answers", FleetAnswer, convert.answer_of, self._hear_answer)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take part."""
        self._is_active = self.feed.is_active = True
        self._hub.watch(self._look)
        self._diagnoses = self.create_timer(1.0, self._diagnose, clock=STEADY)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall silent; a robot is told to stop."""
        self._is_active = self.feed.is_active = False
        self._hub.unwatch(self._look)
        self.destroy_timer(self._diagnoses)
        self.cycle.abandon()
        self.feed.stop()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave all topics."""
        self.feed.close()
        self._hub.unlisten(self._hear_message)
        self._hub.unlisten(self._hear_answer)
        for publisher in (self._messages, self._decisions, self._reports):
            self.destroy_publisher(publisher)
        return TransitionCallbackReturn.SUCCESS

    def _open_feed(self, fleet: Fleet, contract: Contract, warehouse: WarehouseSettings) -> Feed:
        """The facts of this agent's kind."""
        kind, peers = self._kind, fleet.of_kind(self._kind)
        number, spec, tables = peers.index(self.agent), contract.kind(kind), floor_tables(self.run_settings.floorplan)
        if kind == "forklift":
            beside = Path(self.run_settings.warehouse)
            guard = read_guard(self._guard_file or beside.with_name("guard.yaml"))
            bodies = read_bodies(self._bodies_file or beside.with_name("bodies.yaml"))
            motion, battery = warehouse.motion_numbers(), warehouse.battery_numbers(bodies)
            body = forklift_body(self.agent, peers, spec, tables, motion, battery, guard, bodies)
            body.rehearse()
            steps = round(contract.tick / warehouse.motion.step)
            places = len(tables.place_x)
            return DriveFeed(self, self._hub, body, places, steps, self._board_limit, self.tally, self._begin)
        if kind == "inventory":
            return inventory_feed(self._hub, self.agent, number, spec, tables, self._begin)
        if kind == "quality":
            return quality_feed(self._hub, self.agent, number, spec, tables, self._begin)
        raise ConfigError(f"agent '{self.agent}': kind '{kind}' has no body; wanted forklift, inventory or quality.")

    # One tick, in its order ------------------------------------------------------------------------------------------

    def _begin(self, tick: int, stamp: float) -> None:
        """The facts of a tick are complete."""
        self._tick, self._stamp, self._begun = tick, stamp, time.monotonic()
        self._now = max(self._now, stamp)
        self._observation = self.feed.body.observe(stamp)
        if self.server is not None:
            report = convert.observation_report(self.agent, self._kind, tick, stamp, self._observation)
            self._reports.publish(report)
            if self.server.ask(tick, stamp, self._observation, self._begun):
                return
            self.tally.add("fallbacks")
        self.cycle.start(tick, stamp, self._observation, self._begun)

    def _hear_message(self, message: Message) -> None:
        """Something was said on the fleet's topic."""
        if not self._is_active or message.sender == self.agent:
            return
        verdict = self.cycle.offer(message, self._clock_now(), time.monotonic())
        self.tally.add("accepted" if verdict is Verdict.ACCEPTED else f"dropped {verdict.value}")

    def _hear_answer(self, answer: convert.Answer) -> None:
        """The policy server has decided for the fleet."""
        if not self._is_active or self.server is None or self.agent not in answer.choices:
            return
        if answer.protocol_id != self._protocol_id:
            self.tally.add("answers of a foreign protocol")
            return
        question = self.server.answer(answer.tick)
        if question is None:
            self.tally.add("answers too late")
            return
        self._decided(answer.choices[self.agent], self._rounds)

    def _look(self) -> None:
        """See to what takes too long."""
        wall = time.monotonic()
        self.feed.look(wall)
        late = self.cycle.give_up(self._clock_now(), wall)
        for name in late:
            self.tally.add(f"missed {name}")
        question = self.server.overdue(wall) if self.server is not None else None
        if question is not None:
            self.tally.add("fallbacks")
            self.cycle.start(question.tick, question.stamp, question.observation, wall)

    def _say(self, message: Message) -> None:
        self.tally.add("messages sent")
        self._messages.publish(convert.tensor_message(message, self._bits))

    def _decided(self, index: int, rounds_complete: int) -> None:
        """The policy, here or on the server, has chosen a candidate of the last observation."""
        mask = self._observation.mask
        if not (0 <= index < len(mask) and mask[index]):
            self.tally.add("choices refused")
            index = 0
        choice = self.feed.body.decide(index, self._stamp)
        progress = self.feed.body.progress()
        self._decisions.publish(
            convert.decision(self.agent, self._tick, self._stamp, choice, progress, rounds_complete)
        )
        self.tally.decided(time.monotonic() - self._begun, self._rounds, rounds_complete)

    def _clock_now(self) -> float:
        """The time ages are judged by (s): in lockstep the latest tick, else the node's clock."""
        return self._now if self._is_lockstep else convert.seconds(self.get_clock().now().to_msg())

    def _diagnose(self) -> None:
        values = self.tally.values() | {f"unreadable {topic}": n for topic, n in self._hub.unreadable.items()}
        missing = self.cycle.missing
        if missing:
            self.tell(DiagnosticStatus.WARN, f"not heard: {', '.join(missing)}", **values)
        else:
            self.tell(DiagnosticStatus.OK, "deciding", **values)


@cache
def floor_tables(path: str) -> Tables:
    """The tables of a floor plan, made once per process."""
    return build_tables(read_floorplan(path))
