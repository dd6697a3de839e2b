"""Slow worlds shared between processes: each worker plays some of them, and all arrays lie in memory they share.

Worker and parent speak JSON lines over a socket: what to do, and which episodes ended. The numbers stay where they
are, in one anonymous file that both map. A worker lives no longer than its parent's end of the socket, so nothing is
left behind whichever of them is killed.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from policy_core.environment import Observations, Step
from policy_core.worlds.fleet import Fleet, blank, make_fleet
from policy_core.worlds.single import Batch, build_world

START_LIMIT = 120.0  # s, for a worker to import and build its worlds
REPLY_LIMIT = 600.0  # s, for one tick of a worker's worlds


class WorldError(RuntimeError):
    """A world failed while it was played; the text says which and how."""


class Job(NamedTuple):
    """What a worker is asked to build; plain data, because it travels as JSON."""

    build: str  # "module:function" that gives one world
    settings: dict[str, Any]  # of it
    message_size: int
    rounds: int
    tick: float
    worlds: int  # of all workers together
    first: int  # of the own among them
    last: int  # behind the own


class Workers:
    """A batch whose worlds other processes play; see `BatchEnvironment`."""

    def __init__(self, jobs: list[Job], fleet: Fleet) -> None:
        """Start the workers and wait until their worlds are built."""
        self.fleet = fleet
        self.worlds = jobs[0].worlds
        self.contract, self.agents, self.kinds = fleet.contract, fleet.agents, fleet.kinds
        with _memory(_size_of(fleet, self.worlds)) as file:
            self.arrays = _arrays(fleet, self.worlds, file.fileno())
            self.workers = [_Worker(place, job, file.fileno()) for place, job in enumerate(jobs)]
        self._finalizer = weakref.finalize(self, _end_all, self.workers)
        for worker in self.workers:
            worker.wait(START_LIMIT)

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        self._ask({"do": "reset", "seed": seed, "first_world": first_world})
        return self._observe("now", slice(None))

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick; see `BatchEnvironment`."""
        self.arrays["actions"][:] = actions
        kpis = self._ask({"do": "step"})
        terminated, truncated = self.arrays["terminated"].copy(), self.arrays["truncated"].copy()
        ended = terminated | truncated
        final = self._observe("final", ended) if ended.any() else None
        return Step(self._observe("now", slice(None)), self.arrays["reward"].copy(), terminated, truncated, final, kpis)

    def close(self) -> None:
        """End the workers."""
        self._finalizer()

    def _ask(self, question: dict[str, Any]) -> list[dict[str, float]]:
        """Let all workers do the same at once; gives the figures of the episodes that ended, world by world."""
        try:
            for worker in self.workers:
                worker.tell(question)
            return [figures for worker in self.workers for figures in worker.wait(REPLY_LIMIT)["kpis"]]
        except WorldError:
            self.close()
            raise

    def _observe(self, moment: str, worlds: np.ndarray | slice) -> Observations:
        """A copy of what these worlds' agents sense; the other rows are blank."""
        observations = blank(self.fleet, self.worlds)
        for name, part in _parts(observations):
            part[worlds] = self.arrays[f"{moment} {name}"][worlds]
        return observations


class _Worker:
    """The parent's end of one worker."""

    def __init__(self, place: int, job: Job, memory: int) -> None:
        self.name = f"world worker {place} (worlds {job.first} to {job.last - 1})"
        ours, theirs = socket.socketpair()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        call = "from policy_core.worlds.workers import serve; serve()"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", call, str(theirs.fileno()), str(memory)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory),
                env=environment,
            )
        self.socket = ours
        self.lines = ours.makefile("rb")
        self.tell(job._asdict())

    def tell(self, content: dict[str, Any]) -> None:
        try:
            self.socket.sendall(json.dumps(content).encode() + b"\n")
        except OSError:
            raise self._fault() from None

    def wait(self, limit: float) -> dict[str, Any]:
        """The worker's answer.

        Raises:
            WorldError: it failed, with its traceback; or it has died; or it takes longer than the limit (s).
        """
        self.socket.settimeout(limit)
        try:
            line = self.lines.readline()
        except TimeoutError:
            raise WorldError(f"{self.name} has not answered for {limit:g} s; its world hangs") from None
        except OSError:
            line = b""
        if not line:
            raise self._fault()
        answer = cast(dict[str, Any], json.loads(line))
        if "error" in answer:
            raise WorldError(f"{self.name} failed:\n{answer['error']}")
        return answer

    def _fault(self) -> WorldError:
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return WorldError(f"{self.name}, process {self.process.pid}, no longer listens")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return WorldError(f"{self.name}, process {self.process.pid}, has died ({how}); its worlds are lost")

    def end(self) -> None:
        """Close the line, which ends a worker that waits, and kill one that does not."""
        self.lines.close()
        self.socket.close()
        try:
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)


def _end_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.end()


def serve() -> None:
    """A worker's whole life: build worlds, then do as told until the parent's end of the line closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    line = socket.socket(fileno=int(sys.argv[1]))
    requests = line.makefile("rb")

    def answer(**content: Any) -> None:
        line.sendall(json.dumps(content).encode() + b"\n")

    try:
        job = Job(**json.loads(requests.readline()))
        singles = [build_world(job.build, job.settings) for _ in range(job.first, job.last)]
        fleet = make_fleet(singles[0].members, message_size=job.message_size, rounds=job.rounds, tick=job.tick)
        batch = Batch(singles, fleet)
        own = slice(job.first, job.last)
        arrays = {name: array[own] for name, array in _arrays(fleet, job.worlds, int(sys.argv[2])).items()}
        answer(kpis=[])
        for request in requests:
            answer(kpis=_do(json.loads(request), batch, arrays, job.first))
    except BrokenPipeError:
        return  # the parent has gone
    except Exception:
        answer(error=traceback.format_exc())


def _do(request: dict[str, Any], batch: Batch, arrays: dict[str, np.ndarray], first: int) -> list[dict[str, float]]:
    """One request; results go to the shared arrays, own rows."""
    if request["do"] == "reset":
        _share(arrays, "now", batch.reset(request["seed"], request["first_world"] + first))
        return []
    step = batch.step(arrays["actions"])
    _share(arrays, "now", step.observations)
    if step.final is not None:
        _share(arrays, "final", step.final)
    for name in ("reward", "terminated", "truncated"):
        arrays[name][:] = getattr(step, name)
    return step.kpis


def _share(arrays: dict[str, np.ndarray], moment: str, observations: Observations) -> None:
    for name, part in _parts(observations):
        arrays[f"{moment} {name}"][:] = part


def _parts(observations: Observations) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays that differ from a blank observation's, by name."""
    yield "alive", observations.alive
    for name, kind in observations.kinds.items():
        yield f"{name} vector", kind.vector
        yield f"{name} mask", kind.mask


def _layout(fleet: Fleet, worlds: int) -> dict[str, np.ndarray]:
    """Every shared array by name, as an example of its shape and type."""
    example = dict(_parts(blank(fleet, worlds)))
    agents = len(fleet.agents)
    return {
        "actions": np.zeros((worlds, agents, fleet.contract.action_size), dtype=np.float32),
        "reward": np.zeros((worlds, agents), dtype=np.float32),
        "terminated": np.zeros(worlds, dtype=bool),
        "truncated": np.zeros(worlds, dtype=bool),
        **{f"{moment} {name}": part for moment in ("now", "final") for name, part in example.items()},
    }


def _room(array: np.ndarray) -> int:
    """Bytes of an array, up to the next multiple of 64."""
    return -(-array.nbytes // 64) * 64


def _size_of(fleet: Fleet, worlds: int) -> int:
    return sum(_room(array) for array in _layout(fleet, worlds).values())


def _memory(size: int) -> Any:
    """An open file of so many bytes that has no name."""
    is_linux = hasattr(os, "memfd_create")
    file = os.fdopen(os.memfd_create("parley"), "r+b") if is_linux else tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(size)
    return file


def _arrays(fleet: Fleet, worlds: int, memory: int) -> dict[str, np.ndarray]:
    """The shared arrays, in the file's memory."""
    mapped, start, arrays = mmap.mmap(memory, _size_of(fleet, worlds)), 0, {}
    for name, like in _layout(fleet, worlds).items():
        arrays[name] = np.frombuffer(mapped, like.dtype, like.size, start).reshape(like.shape)
        start += _room(like)
    return arrays
