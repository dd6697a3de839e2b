"""How much memory the process holds while it works."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import psutil

MEGABYTE = 2**20


class Flatness(NamedTuple):
    """Memory after the warm-up: a fitted slope (MB a simulated hour), and how far apart its samples lie (MB)."""

    slope: float
    growth: float
    most: float


class MemorySamples:
    """Resident memory (MB) at simulated times (s), in arrays that have their size from the start."""

    def __init__(self, samples: int) -> None:
        self._process = psutil.Process()
        self._seconds, self._held = np.zeros(samples), np.zeros(samples)
        self._count = 0

    def take(self, now: float) -> None:
        """Sample; samples beyond the size are left out."""
        if self._count < len(self._seconds):
            self._seconds[self._count] = now
            self._held[self._count] = self._process.memory_info().rss / MEGABYTE
            self._count += 1

    def flatness(self, settled: float) -> Flatness:
        """What the samples say once the share `settled` of them is over."""
        return flatness(self._seconds[: self._count], self._held[: self._count], settled)

    def table(self, rows: int = 40) -> list[list[float]]:
        """Some of the samples, evenly spread: simulated hours and MB."""
        chosen = np.unique(np.linspace(0, self._count - 1, min(rows, self._count)).astype(int))
        return [[round(self._seconds[row] / 3600.0, 3), round(self._held[row], 1)] for row in chosen.tolist()]


def flatness(seconds: np.ndarray, held: np.ndarray, settled: float) -> Flatness:
    """Slope and spread of samples [N] after the share `settled` of the time; zeros where fewer than two are left."""
    late = seconds >= settled * seconds.max(initial=0.0)
    seconds, held = seconds[late], held[late]
    if len(held) < 2 or np.ptp(seconds) == 0.0:
        return Flatness(0.0, 0.0, float(held.max(initial=0.0)))
    slope = float(np.polyfit(seconds / 3600.0, held, 1)[0])
    return Flatness(slope, float(np.ptp(held)), float(held.max()))
