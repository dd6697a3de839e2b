"""Benchmarks: they print a table and leave figures in a JSON file, and never fail on a time. `make bench` runs them.

Compared figures come from one run, taken in turns, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from policy_core.ppo.checkpoint import read_commit
from tests.benchmarks.timing import TOP, rounded, table

Record = Callable[[str, dict[str, Any], list[dict[str, Any]]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench-json", default=str(TOP / "runs" / "bench"), help="folder for benchmarks.json")
    parser.addoption("--bench-note", default="", help="what a reader must know of the machine, kept in the JSON")


@pytest.fixture(scope="session")
def bench_file(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What goes into the JSON; written when all benchmarks are over."""
    content: dict[str, Any] = {
        "commit": read_commit(),
        "machine": machine(),
        "note": request.config.getoption("--bench-note"),
        "benchmarks": {},
    }
    yield content
    path = Path(request.config.getoption("--bench-json")) / "benchmarks.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"\n\nfigures: {path}")


@pytest.fixture
def record(bench_file: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Record:
    """Prints a benchmark's rows and keeps them with its configuration; the test runs in the repository's top folder."""
    monkeypatch.chdir(TOP)

    def keep(name: str, config: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        rows = [{key: rounded(value) for key, value in row.items()} for row in rows]
        bench_file["benchmarks"][name] = {"config": config, "rows": rows}
        print(table(f"{name}  {config}", rows))

    return keep


def machine() -> dict[str, Any]:
    """What the figures depend on; the load is that of the last minute before the benchmarks."""
    models = [line.split(":", 1)[1].strip() for line in cpu_info() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "torch_threads": torch.get_num_threads(),
    }


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
