"""The cache of compiled kernels is fresh after an edit of anything that is compiled into one."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import sim

ROOT = Path(sim.__file__).parent
COMPILED = ("njit", "warehouse.compiled")  # how `sim` tells a source that holds kernels


def test_every_source_of_numbers_in_a_kernel_names_the_cache():
    sources = {path: path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    found = set()
    for text in (text for text in sources.values() if any(name in text for name in COMPILED)):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sim."):
                module = importlib.import_module(str(node.module))
                if any(isinstance(getattr(module, alias.name), int | float) for alias in node.names):
                    found.add(Path(str(module.__file__)))
    without_kernels = {path.name for path in found if not any(name in sources[path] for name in COMPILED)}
    assert without_kernels == set(sim.CONSTANTS) - {"settings.py"} | (without_kernels & {"settings.py"})
    assert "state.py" in without_kernels
