"""What a soak has looked at and what it found, one line a check; no list here grows with the length of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Finding:
    """One check's count: how often it looked, how often it saw a fault, and the first in words."""

    looked: int = 0
    faults: int = 0
    first: str = ""
    worst: float = 0.0  # the largest value seen, of checks that measure one
    limit: float | None = None


class Findings:
    """The checks of one run by name, in the order they were first made."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def note(self, check: str, now: float, fault: str = "", looked: int = 1) -> None:
        """Count one look (or several at once) at simulated second `now`, and the fault if there is one."""
        found = self._found.setdefault(check, Finding())
        found.looked += looked
        if fault:
            found.faults += 1
            found.first = found.first or f"at {now:.1f} s: {fault}"

    def measure(self, check: str, now: float, value: float, limit: float, what: str) -> None:
        """Count one look at a value that must not be above its limit; `what` names it in the fault."""
        found = self._found.setdefault(check, Finding())
        found.limit = limit
        found.worst = max(found.worst, value)
        self.note(check, now, "" if value <= limit else f"{what}: {value:.4g}, at most {limit:g}")

    @property
    def failed(self) -> list[str]:
        """Names of the checks that saw a fault."""
        return [name for name, found in self._found.items() if found.faults]

    def rows(self) -> list[dict[str, Any]]:
        """Every check as plain data."""
        return [{"check": name, **vars(found), "holds": found.faults == 0} for name, found in self._found.items()]
