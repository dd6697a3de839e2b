"""Learning curves of finished or running trainings, and the band of several seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

from policy_core.config import ConfigError

RESAMPLES = 2000
POINTS = 200  # of a band


class Curve(NamedTuple):
    """One run's figure over what was spent."""

    spent: np.ndarray  # [P] agent frames, or CPU seconds; rising
    figure: np.ndarray  # [P]


class Band(NamedTuple):
    """Several seeds' curves on common places."""

    spent: np.ndarray  # [P]
    mean: np.ndarray  # [P]
    low: np.ndarray  # [P] of the 95 % interval of the mean; the mean itself for a single seed
    high: np.ndarray  # [P]
    seeds: int


def read_curve(path: Path, figure: str, over: str = "frames") -> Curve:
    """A run folder's or result file's figure.

    Args:
        path: a run folder (its TensorBoard log is read), or a JSON file with a list `evaluations` of figures.
        figure: as in the log, such as evaluation/return or episode/return; in a JSON file without `evaluation/`.
        over: frames, or cpu: CPU seconds of collecting and learning.

    Raises:
        ConfigError: nothing there, or no such figure; the text names those that there are.
    """
    known = _read_json(path) if path.is_file() else _read_log(path)
    names = [name for name in (figure, figure.removeprefix("evaluation/")) if name in known]
    if not names:
        raise ConfigError(f"{path}: no figure '{figure}'; there are {', '.join(sorted(known)) or 'none'}")
    frames, values = known[names[0]]
    if over == "frames":
        return Curve(frames, values)
    spent = known.get("evaluation/cpu seconds", known.get("cpu seconds"))
    if spent is None:
        raise ConfigError(f"{path}: CPU seconds were not noted; give --over frames")
    return Curve(np.interp(frames, *spent), values)


def make_band(curves: list[Curve], seed: int = 0) -> Band:
    """Mean and 95 % bootstrap interval (percentile; Efron 1979) over the part that all curves reach."""
    start, end = max(curve.spent[0] for curve in curves), min(curve.spent[-1] for curve in curves)
    if start > end:
        raise ConfigError(f"the curves have no part in common: one begins at {start:g}, another ends at {end:g}")
    spent = np.linspace(start, end, POINTS)
    values = np.stack([np.interp(spent, curve.spent, curve.figure) for curve in curves])
    mean = values.mean(0)
    if len(curves) == 1:
        return Band(spent, mean, mean, mean, 1)
    low, high = interval(values, seed)
    return Band(spent, mean, low, high, len(curves))


def interval(values: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval of the mean over the first axis [S, ...]."""
    rng = np.random.default_rng(seed)
    found = bootstrap((values,), np.mean, axis=0, n_resamples=RESAMPLES, method="percentile", random_state=rng)
    return found.confidence_interval.low, found.confidence_interval.high


def _read_json(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["evaluations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a training result with a list `evaluations` ({error!r})") from None
    names = {name for row in rows for name in row}
    return {
        name: tuple(np.array([(row["frames"], row[name]) for row in rows if name in row], float).T) for name in names
    }


def _read_log(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # a second to import

    log = folder / "tensorboard"
    if not log.is_dir():
        raise ConfigError(f"{folder}: no run there; wanted a folder that `parley train` wrote, or a JSON file")
    events = EventAccumulator(str(log), size_guidance={"scalars": 0})
    events.Reload()
    found = {}
    for name in events.Tags()["scalars"]:
        points = {event.step: event.value for event in events.Scalars(name)}  # the last of a step: after a resume
        found[name] = (np.array(sorted(points), float), np.array([points[step] for step in sorted(points)]))
    return found
