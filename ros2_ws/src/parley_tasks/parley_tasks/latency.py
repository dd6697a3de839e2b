"""How long the task server takes, for /diagnostics."""

from __future__ import annotations

from collections import deque

import numpy as np

KEPT = 1024  # latest values behind the percentiles


class Latency:
    """The latest durations of one kind of work."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """Note one duration (s)."""
        self._values.append(seconds)

    def percentile_ms(self, share: float) -> float:
        """The duration (ms) that `share` (%) of the latest values stay below; 0 before the first."""
        return 1e3 * float(np.percentile(self._values, share)) if self._values else 0.0

    def percentiles(self, name: str) -> dict[str, str]:
        """The median and the 99th percentile in words, for a diagnostic status."""
        return {f"{name}_p{share}_ms": f"{self.percentile_ms(share):.2f}" for share in (50, 99)}
