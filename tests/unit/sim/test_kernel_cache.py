"""The cache of compiled kernels is fresh after an edit of anything that is compiled into one."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import sim

ROOT = Path(sim.__file__).parent


def test_every_source_of_numbers_in_a_kernel_names_the_cache():
    sources = {path: path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    kernels = {path: text for path, text in sources.items() if "njit" in text or "warehouse.compiled" in text}
    found = set()
    for text in kernels.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sim."):
                module = importlib.import_module(str(node.module))
                if any(isinstance(getattr(module, alias.name), int | float) for alias in node.names):
                    found.add(Path(str(module.__file__)))
    assert {path.name for path in found - set(kernels)} == set(sim.CONSTANTS)
    assert {"traffic.py", "laser.py"} <= {path.name for path in found}, "or the search would find nothing"
