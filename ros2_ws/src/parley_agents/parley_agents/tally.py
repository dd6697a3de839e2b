"""What an agent counts while it works, and how it reads on /diagnostics."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

KEPT = 300  # latest decisions of which the latency is kept


class Tally:
    """Counters since the start, and the latency of the latest decisions."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._latency: deque[float] = deque(maxlen=KEPT)

    def add(self, name: str, count: int = 1) -> None:
        """Count something under a name such as `messages_sent` or `dropped_too_old`."""
        self.counts[name.replace(" ", "_")] += count

    def decided(self, latency: float, rounds: int, rounds_complete: int) -> None:
        """One decision was taken `latency` (s, wall) after its inputs were there."""
        self._latency.append(latency)
        self.counts["decisions"] += 1
        self.counts["rounds"] += rounds
        self.counts["rounds_complete"] += rounds_complete

    def values(self) -> dict[str, object]:
        """All counters, the share of rounds that were complete, and latency percentiles (ms)."""
        rounds = self.counts["rounds"]
        told: dict[str, object] = dict(sorted(self.counts.items()))
        told["rounds_complete_share"] = round(self.counts["rounds_complete"] / rounds, 4) if rounds else 1.0
        if self._latency:
            p50, p99 = np.percentile(np.array(self._latency), (50, 99)) * 1e3
            told["decision_ms_p50"], told["decision_ms_p99"] = round(float(p50), 2), round(float(p99), 2)
        return told
