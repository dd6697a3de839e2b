"""config/soak.yaml: what a fleet must keep to through hours of work."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Bound

from policy_core.config import Settings, read_settings


class MemoryLimits(Settings):
    """How flat the process's memory must be."""

    settled: float = Bound(ge=0, le=0.9)
    slope: float = Bound(ge=0, le=1000)
    growth: float = Bound(ge=0, le=10_000)
    every: float = Bound(ge=1, le=3600)


class SoakLimits(Settings):
    """config/soak.yaml; units and meanings there."""

    jump: float = Bound(ge=0, le=10)
    sunk: float = Bound(ge=0, le=1)
    tilt: float = Bound(ge=0, le=1.5)
    pause: float = Bound(ge=1, le=86_400)
    stuck: float = Bound(ge=1, le=86_400)
    memory: MemoryLimits


def read_soak_limits(path: Path | str) -> SoakLimits:
    """Load config/soak.yaml; raises ConfigError in words."""
    return read_settings(SoakLimits, path)
