"""Where the wall time of a step goes, and how fast simulated time runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS = ("physics", "laser", "publishing", "camera")


class StepTimes:
    """Sums over the steps since the last report."""

    def __init__(self, step: float) -> None:
        self._step = step  # s of simulated time
        self._seconds = dict.fromkeys((*PARTS, "waiting"), 0.0)
        self._reported_step = 0
        self._reported_at = time.monotonic()

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Count the wall time of the block for one of PARTS."""
        begin = time.perf_counter()
        yield
        self._seconds[part] += time.perf_counter() - begin

    def waited(self, seconds: float) -> None:
        """Count wall time in which the world waited for others."""
        self._seconds["waiting"] += seconds

    def report(self, step: int) -> dict[str, str]:
        """Milliseconds per step and the real-time factor since the last report, as text; then begin anew."""
        now = time.monotonic()
        steps, wall = step - self._reported_step, now - self._reported_at
        texts = {f"{part}_ms": f"{1e3 * spent / max(steps, 1):.2f}" for part, spent in self._seconds.items()}
        texts["real_time_factor"] = f"{steps * self._step / wall:.2f}" if wall > 0 else "0"
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        self._reported_step, self._reported_at = step, now
        return texts
