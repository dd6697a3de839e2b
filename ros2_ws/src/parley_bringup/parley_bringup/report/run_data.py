"""A run as arrays: everything the figures and tables need, read once from the run folder's recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parley_bringup.recording.reader import read_messages, recording_parts
from parley_bringup.report.context import RunContext, read_context
from policy_core.config import ConfigError

# Numbers of parley_msgs/Decision and parley_msgs/Job in words (a test compares them with the interfaces).
VERBS = ("none", "claim", "yield", "reroute", "release", "reorder", "inspect", "pass", "reject")
JOB_TYPES = ("inbound", "store", "pick", "reject")
CARRYING, DROPPED = 2, 3

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Trajectory(NamedTuple):
    """Where one robot was: time [n] (s of simulated time), x [n], y [n] (m, map), yaw [n] (rad)."""

    time: Floats
    x: Floats
    y: Floats
    yaw: Floats


class Spoken(NamedTuple):
    """Every message heard on the fleet topic, one row each.

    sender [n] (index in the fleet), tick [n], round [n] (1..K), values [n, M] (NaN where a message was shorter or held
    no finite number), arrived [n] (s of wall time since the recording began).
    """

    sender: Integers
    tick: Integers
    round: Integers
    values: Floats
    arrived: Floats


class Decided(NamedTuple):
    """Every decision, one row each.

    sender [n] (index in the fleet), tick [n], verb [n] (index in VERBS), job [n] (serial, -1 none), phase [n],
    rounds_complete [n], travelled [n] (m since the start).
    """

    sender: Integers
    tick: Integers
    verb: Integers
    job: Integers
    phase: Integers
    rounds_complete: Integers
    travelled: Floats


class GrantedJob(NamedTuple):
    """A job a robot was given: place indices, type (index in JOB_TYPES), ticks of the grant and of the two ends."""

    serial: int
    robot: str
    type: int
    origin: int
    target: int
    granted: int
    picked: int | None  # tick; None: not yet when the recording ended
    dropped: int | None


@dataclass(frozen=True)
class RunData:
    """One recorded run."""

    context: RunContext
    trajectories: dict[str, Trajectory]
    spoken: Spoken
    decided: Decided
    jobs: tuple[GrantedJob, ...]
    kpis: dict[str, float]  # counters at the end of the run
    simulated: float  # s
    wall: float  # s between the first and the last clock tick

    @property
    def names(self) -> tuple[str, ...]:
        """Agent names in fleet order; the indices of `spoken` and `decided` mean this order."""
        return tuple(agent.name for agent in self.context.agents)


def read_run(run_dir: Path) -> RunData:
    """Read a run folder.

    Raises:
        ConfigError: it is no run folder, or nothing was recorded.
    """
    context = read_context(run_dir)
    if not recording_parts(run_dir):
        raise ConfigError(f"{run_dir}: no run.mcap in it. Was the recorder switched off, or the disk full?")
    reading = _Reading(context)
    for recorded in read_messages(run_dir, reading.readers):
        reading.readers[recorded.topic](recorded.message, recorded.received)
    return reading.result()


class _Reading:
    """Rows gathered from the recording, topic by topic."""

    def __init__(self, context: RunContext) -> None:
        self.readers = {
            "/clock": self._clock,
            "/fleet/robots": self._robots,
            "/fleet/messages": self._message,
            "/fleet/decisions": self._decision,
            "/tasks/jobs": self._jobs,
            "/tasks/kpis": self._kpis,
        }
        self._context = context
        self._index = {agent.name: number for number, agent in enumerate(context.agents)}
        self._poses: dict[str, list[tuple[float, float, float, float]]] = {}
        self._spoken: list[tuple[int, int, int, NDArray[np.float32], float]] = []
        self._decided: list[tuple[int, int, int, int, int, int, float]] = []
        self._granted: dict[int, GrantedJob] = {}
        self._counters: dict[str, float] = {}
        self._times: list[float] = []
        self._walls: list[float] = []

    def _clock(self, message: Any, received: int) -> None:
        self._times.append(_seconds(message.clock))
        self._walls.append(received * 1e-9)

    def _robots(self, message: Any, received: int) -> None:
        time = _seconds(message.header.stamp)
        for robot in message.robots:
            self._poses.setdefault(robot.name, []).append((time, robot.x, robot.y, robot.yaw))

    def _message(self, message: Any, received: int) -> None:
        sender = self._index.get(message.sender)
        if sender is None or (message.tensor.dtype_code, message.tensor.dtype_bits) != (2, 32):
            return
        values = np.frombuffer(bytes(message.tensor.data), dtype="<f4")
        self._spoken.append((sender, message.tick, message.round, values, received * 1e-9))

    def _decision(self, message: Any, received: int) -> None:
        sender = self._index.get(message.sender)
        if sender is None:
            return
        self._decided.append(
            (
                sender,
                message.tick,
                message.verb,
                message.job,
                message.phase,
                message.rounds_complete,
                message.travelled,
            )
        )
        job = self._granted.get(message.job)
        if job is None:
            return
        if message.phase >= CARRYING and job.picked is None:
            job = job._replace(picked=message.tick)
        if message.phase == DROPPED and job.dropped is None:
            job = job._replace(dropped=message.tick)
        self._granted[message.job] = job

    def _jobs(self, message: Any, received: int) -> None:
        for job in message.jobs:
            if not job.robot:
                continue
            known = self._granted.get(job.serial)
            if known is None or known.robot != job.robot:  # given to another robot after a failure: starts anew
                self._granted[job.serial] = GrantedJob(
                    job.serial, job.robot, job.type, job.origin, job.target, message.tick, None, None
                )
            elif known.target != job.target:
                self._granted[job.serial] = known._replace(target=job.target)

    def _kpis(self, message: Any, received: int) -> None:
        self._counters = dict(zip(message.names, message.values, strict=True))

    def result(self) -> RunData:
        start = min(self._walls[:1] + [row[4] for row in self._spoken[:1]], default=0.0)
        latest = max(self._times, default=0.0) / self._context.tick + 1  # a tick beyond it is no honest sender's
        return RunData(
            context=self._context,
            trajectories={name: Trajectory(*np.array(rows).T) for name, rows in sorted(self._poses.items())},
            spoken=_spoken_table([row for row in self._spoken if row[1] <= latest], start),
            decided=_decided_table([row for row in self._decided if row[1] <= latest]),
            jobs=tuple(self._granted[serial] for serial in sorted(self._granted)),
            kpis=self._counters,
            simulated=self._times[-1] - self._times[0] if self._times else 0.0,
            wall=self._walls[-1] - self._walls[0] if self._walls else 0.0,
        )


def _spoken_table(rows: list[tuple[int, int, int, NDArray[np.float32], float]], start: float) -> Spoken:
    width = max((row[3].size for row in rows), default=0)
    values = np.full((len(rows), width), np.nan)
    for number, row in enumerate(rows):
        values[number, : row[3].size] = np.where(np.isfinite(row[3]), row[3], np.nan)
    heads = np.array([row[:3] for row in rows], dtype=np.int64).reshape(-1, 3)
    arrived = np.array([row[4] for row in rows]) - start
    return Spoken(heads[:, 0], heads[:, 1], heads[:, 2], values, arrived)


def _decided_table(rows: list[tuple[int, int, int, int, int, int, float]]) -> Decided:
    heads = np.array([row[:6] for row in rows], dtype=np.int64).reshape(-1, 6)
    sender, tick, verb, job, phase, rounds_complete = heads.T
    return Decided(sender, tick, verb, job, phase, rounds_complete, np.array([row[6] for row in rows]))


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)
