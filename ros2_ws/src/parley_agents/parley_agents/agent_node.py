"""One agent as a lifecycle node: facts in, K rounds of messages, a decision out; a forklift also drives.

The same class for all kinds; what differs is the body (forklift.py, inventory.py, quality.py). Everything happens in
callbacks of one thread, in the order of the tick: facts of tick n, round 1 to K, Decision(n), and for a forklift the
board with the grants of n, then a command for every motion step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from parley_agents import convert
from parley_agents.body import Body, Choice, middle_of
from parley_agents.decision_cycle import DecisionCycle
from parley_agents.drive_node import Drive
from parley_agents.forklift import BoardFacts, ForkliftBody
from parley_agents.guard import Guard, read_guard
from parley_agents.hub_node import BEST_EFFORT, TICK, HubNode
from parley_agents.inventory import InventoryBody
from parley_agents.look_ahead import outline_of
from parley_agents.managed_node import ManagedNode
from parley_agents.policies import Deciders, open_policy
from parley_agents.quality import QualityBody
from parley_agents.server_link import ServerLink
from parley_agents.surroundings import Surroundings
from parley_agents.tally import Tally
from parley_agents.tick_barrier import TickBarrier
from parley_bringup.fleet import Fleet, read_fleet
from parley_msgs.msg import (
    Decision,
    FleetAnswer,
    JobBoard,
    ObservationReport,
    PalletList,
    QualityReport,
    RobotStates,
    StockReport,
    TensorMessage,
)
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from policy_core.comm.wire import Message
from policy_core.config import ConfigError
from policy_core.contract import Contract, read_contract
from policy_core.serving.inbox import Verdict
from policy_core.serving.policy import Observation
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import WarehouseSettings, read_warehouse
from sim.warehouse.state import INSPECTION, PARKING, SLOT

SUCCESS = TransitionCallbackReturn.SUCCESS
TASK_SERVER = "task_server"


class AgentNode(ManagedNode):
    """FQN /<agent>/agent. `hub` carries the topics that all agents of a process share."""

    def __init__(self, agent: str, hub: HubNode, context: Context | None = None) -> None:
        super().__init__("agent", namespace=f"/{agent}", context=context)
        self.agent = self.setting("agent", agent, "name of this agent in the fleet manifest")
        self._hub = hub
        is_lockstep = self.run_settings.clock == "lockstep"
        limits = {"low": 0.005, "high": 60.0}
        round_limit = self.setting("round_limit", 1.0, "wait for one message round, lockstep (s, wall)", **limits)
        round_paced = self.setting("round_limit_paced", 0.1, "wait for one message round, paced (s, wall)", **limits)
        server_limit = self.setting("server_limit", 0.5, "wait for the policy server, lockstep (s, wall)", **limits)
        server_paced = self.setting("server_limit_paced", 0.05, "wait for the policy server, paced (s, wall)", **limits)
        self._round_limit = round_limit if is_lockstep else round_paced
        self._server_limit = server_limit if is_lockstep else server_paced
        self._board_limit = self.setting("board_limit", 3.0, "wait for the grants of a tick, lockstep (s, wall)", **limits)
        self._guard_file = self.setting("guard", "", "path of the guard's settings; empty: guard.yaml beside warehouse")
        self._bodies_file = self.setting("bodies", "", "path of the body settings; empty: bodies.yaml beside warehouse")
        self._is_lockstep = is_lockstep
        self._is_active = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read every file, refuse in words what does not fit, and open all topics, so that others find them early."""
        run = self.run_settings
        self.contract = read_contract(run.contract)
        fleet = read_fleet(run.fleet, self.contract)
        if self.agent not in fleet.names:
            raise ConfigError(f"agent '{self.agent}' is not in {run.fleet}, which has {', '.join(fleet.names)}.")
        self.kind = fleet.kinds[fleet.names.index(self.agent)]
        settings = read_warehouse(run.warehouse)
        self._steps_per_tick = round(self.contract.tick / settings.motion.step)
        self.tally = Tally()
        self.board_barrier = TickBarrier([TASK_SERVER], self._board_limit)
        self._began = self._decided_at = -1
        self._resolved: tuple[int, float] = (-1, -np.inf)  # tick and stamp of the latest board with grants
        self._board_wait: float | None = None
        self._carriers: frozenset[str] | None = None
        self._observation: Observation | None = None
        self._stamp, self._begun_wall = 0.0, 0.0
        self._open_policy(fleet, settings)
        self._open_body(fleet, settings)
        self._open_topics()
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take part."""
        self._is_active = True
        self._hub.watch(self._look)
        self._report = self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall silent; a robot is told to stop."""
        self._is_active = False
        self._hub.unwatch(self._look)
        self.destroy_timer(self._report)
        self.cycle.abandon()
        if self.drive is not None:
            self.drive.stop()
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave all topics."""
        self._close_topics()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave all topics, from whatever state."""
        if self._is_active:
            self.on_deactivate(state)
        return SUCCESS

    # Facts --------------------------------------------------------------------------------------------------------

    def _hear_board(self, board: convert.Board) -> None:
        if not self._is_active or not isinstance(self.body, ForkliftBody):
            return
        self.board_barrier.arrive(TASK_SERVER, board.tick)
        if board.is_resolved:
            self._resolved = (board.tick, board.stamp)
            self.body.follow(board.facts)
        else:
            self._offered = board.tick
            self.body.board = board.facts
        self._advance()

    def _hear_carriers(self, carriers: frozenset[str]) -> None:
        if self._is_active and self._carriers is None:
            self._carriers = carriers
            self._hub.unlisten(self._hear_carriers)
            self._advance()

    def _hear_poses(self, poses: convert.Poses) -> None:
        if self._is_active and self.drive is not None:
            self.drive.hear_poses(poses)

    def _hear_zone(self, report: tuple[str, int, float, object]) -> None:
        agent, tick, stamp, facts = report
        if self._is_active and agent == self.agent and tick != self._began:
            self.body.facts = facts  # type: ignore[attr-defined]
            self._begin(tick, stamp)
