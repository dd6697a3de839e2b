"""What all families of one analysis share: exchanged worlds, intervals of means, when a finding may be told."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_core.analysis.nulls import Family, draw_worlds, exchange_worlds, interval_of_mean
from policy_core.analysis.settings import AnalysisSettings

Lines = list[dict[str, Any]]  # of figures, as plain data


class Judge:
    """The worlds' orders and draws that all families of one analysis share."""

    def __init__(self, settings: AnalysisSettings) -> None:
        """Draw them from the settings' seed."""
        self.settings = settings
        self.orders = exchange_worlds(settings.worlds, settings.permutations, settings.seed)
        self.drawn = draw_worlds(settings.worlds, settings.bootstraps, settings.seed)

    def mean(self, values: np.ndarray, weights: np.ndarray | None = None) -> dict[str, Any]:
        """A mean over worlds [E] with its interval."""
        counts = np.ones(len(values)) if weights is None else weights
        if not counts.sum():
            return {"value": 0.0, "interval": (0.0, 0.0)}  # its numbers of decisions and worlds say that it is empty
        value = float((values * counts).sum() / counts.sum())
        return {"value": value, "interval": interval_of_mean(values, counts, self.drawn, self.settings.confidence)}

    def verdict(self, p: float) -> dict[str, Any]:
        """The chance in the family, and whether that is little enough to speak of."""
        return {"p": float(p), "found": bool(p <= self.settings.false_alarm)}


def null_of(family: Family, place: int) -> dict[str, float]:
    """A test's chance level, as plain data."""
    return {"null": float(family.null[place]), "null_95": float(family.high[place])}
