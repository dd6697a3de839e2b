"""One run of a fleet from the command line: start it, watch it, and end it whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from rich.console import Console

from parley_agents.fleet import Fleet
from parley_bringup.fleet_process import environment
from parley_bringup.fleet_watch import FleetWatch
from parley_bringup.graph_snapshot import query_graph
from parley_bringup.live_view import LiveView
from parley_bringup.nodes import NodeSpec
from parley_bringup.runner import REFUSED, Runner

VIEW_PERIOD = 0.25  # s between two pictures
STEP_PERIOD = 0.05  # s between two looks at the processes
ACTIVE = 3  # lifecycle_msgs/State


class Outcome(NamedTuple):
    """How a run ended."""

    exit_code: int  # 0 its time was over, 1 it failed, 2 a node refused what it was told, 130 stopped by a signal
    message: str  # what failed, in words; empty where nothing did
    started_in: float | None  # s until every node was active; None: never
    events: Sequence[tuple[float, str]]  # s since the start: processes that ended and came back


def run_fleet(
    specs: Sequence[NodeSpec],
    fleet: Fleet,
    run_dir: Path,
    domain: int,
    lock: socket.socket,
    *,
    is_local: bool,
    console: Console,
    minutes: float,
    rounds: int,
    is_shown: bool,
) -> Outcome:
    """Run until the lifecycle manager says the time is over, something critical ends, or a signal comes.

    Args:
        specs: the processes.
        fleet: whose agents to show.
        run_dir: takes all that is written.
        domain: ROS domain, held by `lock`.
        lock: let go when everything has ended.
        is_local: keep discovery on this machine, unless the environment says otherwise.
        console: where the live view goes.
        minutes: simulated length, for the progress bar; 0: endless.
        rounds: message rounds in one decision.
        is_shown: whether to show the live view.
    """
    chosen = environment(domain, run_dir, is_local=is_local)
    os.environ.update(chosen)  # this process listens in on the same domain
    runner = Runner(specs, run_dir, chosen, lock)
    expected = sum(len(spec.managed) for spec in specs)
    started_in: float | None = None  # s until every node was active
    began = shown = time.monotonic()
    with _signals() as wishes:
        try:
            runner.start()
            with FleetWatch(domain, fleet.names, rounds) as watch, LiveView(console, minutes) as view:
                while runner.step() and not wishes and (started_in is not None or not runner.given_up):
                    now = time.monotonic()
                    if now - shown >= VIEW_PERIOD:
                        shown = now
                        snapshot = watch.snapshot()
                        states = [agent.state for agent in snapshot.agents] + [node.state for node in snapshot.nodes]
                        if started_in is None and states.count(ACTIVE) > expected:  # the manager counts, too
                            started_in = now - began
                            _query_graph_later(watch, runner, run_dir)
                        if is_shown:
                            view.update(snapshot)
                    time.sleep(STEP_PERIOD)
        finally:
            runner.close()
    if wishes:
        return Outcome(128 + signal.SIGINT, "", started_in, runner.events)
    return Outcome(*_judge(runner), started_in, runner.events)


def _judge(runner: Runner) -> tuple[int, str]:
    """Exit code and message after a critical process has ended."""
    ended = runner.ended_by or next(iter(runner.given_up), None)
    if ended is None or (ended.spec.process == "lifecycle_manager" and ended.exit_code == 0):
        return 0, ""
    words = [f"the fleet stopped: {ended.spec.process} ended with exit code {ended.exit_code}."]
    for process, lines in runner.last_words().items():
        words += [f"{process}:", *(f"  {line}" for line in lines)]
    words.append(f"All logs: {runner.run_dir / 'logs'}")
    is_refusal = ended.exit_code == REFUSED or ended.spec.process == "lifecycle_manager"
    return (2 if is_refusal else 1), "\n".join(words)


def _query_graph_later(watch: FleetWatch, runner: Runner, run_dir: Path) -> None:
    """Write down which nodes and topics there are, without holding up the run."""
    processes = [{"name": name, "pid": pid} for name, pid in runner.pids().items()]

    def query() -> None:
        with contextlib.suppress(Exception):  # the run may end meanwhile; the graph is no part of it
            query_graph(watch.node).write(run_dir, processes)

    threading.Thread(target=query, name="graph_snapshot", daemon=True).start()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and SIGHUP instead of dying of them."""
    wishes: list[int] = []

    def wish(number: int, frame: FrameType | None) -> None:
        wishes.append(number)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield wishes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
