"""How long a fresh process waits for its first tick: with compiled kernels at hand, and where all must be compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.conftest import Record
from tests.benchmarks.timing import TOP

LIMIT = 300.0  # s for a start without kernels
SCRIPT = """
import time
began = time.perf_counter(), time.process_time()
import numpy as np
from sim.fast.env import make
imported = time.perf_counter(), time.process_time()
world = make(1)
world.reset(1)
opened = time.perf_counter(), time.process_time()
world.step(np.zeros((1, len(world.kinds)), np.int64))
ended = time.perf_counter(), time.process_time()
for one, other in ((began, imported), (imported, opened), (opened, ended), (began, ended)):
    print(other[0] - one[0], other[1] - one[1])
"""
PARTS = ("import", "make and reset one world", "first tick", "all")


def started(cache: Path | None) -> list[tuple[float, float]] | None:
    """Seconds of each part, wall and CPU, in a fresh process; None if it takes longer than `LIMIT`."""
    where = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **where},
            capture_output=True,
            text=True,
            cwd=TOP,
            timeout=LIMIT,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return None
    return [(float(wall), float(cpu)) for wall, cpu in (line.split() for line in done.stdout.splitlines())]


@pytest.mark.timeout(4 * LIMIT)
def test_cold_start(record: Record, tmp_path: Path) -> None:
    started(None)  # compiles what is not yet compiled
    cached, uncached = started(None), started(tmp_path)
    rows: list[dict[str, Any]] = []
    for name, times in (("compiled before", cached), ("nothing compiled", uncached)):
        for number, part in enumerate(PARTS):
            wall, cpu = times[number] if times is not None else (f"> {LIMIT:.0f}" if part == "all" else "-", "-")
            rows.append({"kernels": name, "part": part, "wall_s": wall, "cpu_s": cpu})
    record("cold start of one world", {"limit_s": LIMIT}, rows)
