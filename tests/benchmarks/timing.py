"""Timing and tables of the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TOP = Path(__file__).parents[2]


def seconds_of(work: Callable[[], Any]) -> float:
    """How long one call takes (s, wall)."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def legal_choices(world: Any, rng: np.random.Generator) -> np.ndarray:
    """Any legal candidate for every agent of a batched warehouse [E, N]."""
    masks = [board.mask for board in world.boards.values()]
    return np.concatenate([np.argmax(mask * rng.random(mask.shape), axis=2) for mask in masks], axis=1)


def quantile_ms(seconds: Sequence[float], share: float) -> float:
    """A quantile of some durations, in ms."""
    return float(np.quantile(seconds, share)) * 1e3


def rounded(value: Any) -> Any:
    """A figure to four significant digits; anything else unchanged."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same keys as text, figures to the right."""
    cells = [list(rows[0]), *([f"{value}" for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(("", title, *lines))
