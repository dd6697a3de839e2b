"""Worker processes that play worlds as they are told, and arrays in memory that they share with their parent.

Worker and parent speak JSON lines over a socket: what to do, and what came of it. The numbers stay where they are, in
one anonymous file that both map. A worker lives no longer than its parent's end of the socket, so nothing is left
behind whichever of them is killed.
"""

from __future__ import annotations

import itertools
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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

START_LIMIT = 120.0  # s, for a worker to import and build its worlds
REPLY_LIMIT = 600.0  # s, for one tick of a worker's worlds

Content = dict[str, Any]  # of a line, either way; plain data, because it travels as JSON


class WorldError(RuntimeError):
    """A world failed while it was played; the text says which and how."""


class Worker:
    """The parent's end of one worker.

    Args:
        name: what errors call it.
        serve: "module:function" that is the worker's life; it calls `serve_parent`.
        job: the first line it is told.
        memory: number of the open file that holds the shared arrays.
    """

    def __init__(self, name: str, serve: str, job: Content, memory: int) -> None:
        self.name = name
        ours, theirs = socket.socketpair()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        module, _, function = serve.partition(":")
        call = f"from {module} import {function} as serve; serve()"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", call, str(theirs.fileno()), str(memory)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory),
                env=environment,
            )
        self.socket = ours
        self.lines = ours.makefile("rb")
        self.tell(job)

    def tell(self, content: Content) -> None:
        """Say one line; raises WorldError if nobody hears it."""
        try:
            self.socket.sendall(json.dumps(content).encode() + b"\n")
        except OSError:
            raise self._fault() from None

    def wait(self, limit: float) -> Content:
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
        answer = cast(Content, json.loads(line))
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


class Crew:
    """Workers that are asked together; if one fails, all end.

    Raises:
        WorldError: one of them did not start.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        """Wait until all are ready."""
        self.workers = workers
        self.close = weakref.finalize(self, _end_all, workers)
        self._hear(START_LIMIT)

    def ask(self, *questions: Content) -> list[Content]:
        """Let all do the same at once, or of as many questions each its own; gives their answers in order.

        Raises:
            WorldError: one failed, died or hangs.
        """
        for worker, question in zip(self.workers, itertools.cycle(questions)):
            try:
                worker.tell(question)
            except WorldError:
                self.close()
                raise
        return self._hear(REPLY_LIMIT)

    def _hear(self, limit: float) -> list[Content]:
        try:
            return [worker.wait(limit) for worker in self.workers]
        except WorldError:
            self.close()
            raise


def _end_all(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.end()


def serve_parent(begin: Callable[[Content, int], Callable[[Content], Content]]) -> None:
    """A worker's whole life: begin a job, then do as told until the parent's end of the line closes.

    Args:
        begin: from the job and the number of the shared file, what answers each question.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    line = socket.socket(fileno=int(sys.argv[1]))
    requests = line.makefile("rb")

    def answer(content: Content) -> None:
        line.sendall(json.dumps(content).encode() + b"\n")

    try:
        do = begin(json.loads(requests.readline()), int(sys.argv[2]))
        answer({})
        for request in requests:
            answer(do(json.loads(request)))
    except BrokenPipeError:
        return  # the parent has gone
    except Exception:
        answer({"error": traceback.format_exc()})


def shares(worlds: int, workers: int) -> list[tuple[int, int]]:
    """The first world of each worker, and the one behind its last."""
    return list(itertools.pairwise(round(place * worlds / workers) for place in range(workers + 1)))


def shared_memory(layout: Mapping[str, np.ndarray]) -> Any:
    """An open file without a name that has room for these arrays."""
    is_linux = hasattr(os, "memfd_create")
    file = os.fdopen(os.memfd_create("parley"), "r+b") if is_linux else tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(_size_of(layout))
    return file


def map_arrays(layout: Mapping[str, np.ndarray], memory: int) -> dict[str, np.ndarray]:
    """The shared arrays by name, of the shapes and types of the examples, in the file's memory."""
    mapped, start, arrays = mmap.mmap(memory, _size_of(layout)), 0, {}
    for name, like in layout.items():
        arrays[name] = np.frombuffer(mapped, like.dtype, like.size, start).reshape(like.shape)
        start += _room(like)
    return arrays


def _room(array: np.ndarray) -> int:
    """Bytes of an array, up to the next multiple of 64."""
    return -(-array.nbytes // 64) * 64


def _size_of(layout: Mapping[str, np.ndarray]) -> int:
    return sum(map(_room, layout.values()))
