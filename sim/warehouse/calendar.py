"""What the clock alone decides: when the quality stations are staffed, and when the next truck leaves."""

from __future__ import annotations

import math

from sim.warehouse.compiled import kernel
from sim.warehouse.settings import Rules
from sim.warehouse.state import State

NO_CUTOFF = 600.0  # s, told where orders come without waves


@kernel
def is_staffed(s: State, e: int, rules: Rules) -> bool:
    """Somebody works at the quality stations. Each shift ends with a handover, during which nobody does."""
    into = (s.time[e] - s.shift_start[e]) % rules.shift_length
    return into < rules.shift_length - rules.handover


@kernel
def until_cutoff(s: State, e: int) -> float:
    """Seconds until the next truck's cut-off, when the next wave of orders comes; `NO_CUTOFF` without waves."""
    if s.wave_period[e] <= 0.0:
        return NO_CUTOFF
    passed = math.floor((s.time[e] - s.wave_first[e]) / s.wave_period[e]) + 1.0
    return s.wave_first[e] + max(passed, 0.0) * s.wave_period[e] - s.time[e]
