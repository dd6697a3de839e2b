"""Tables of docs/results/outside-worlds.md, from the results beside it: python -m tests.benchmarks.outside_table"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from policy_core.ppo.curves import Curve, interval, read_curve
from tests.benchmarks.outside_worlds import RUNS

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "outside"
FIGURES = {"rware-tiny-2ag": "return"}  # of the evaluated ticks, fewer than an episode has; else: "episode return"
LEVELS = {"navigation": 0.9, "balance": 40.0, "transport": 0.1}  # returns to be reached


def read(name: str, over: str = "frames") -> list[Curve]:
    """Every seed's curve of a run."""
    figure = FIGURES.get(name, "episode return")
    return [read_curve(path, figure, over) for path in sorted(FOLDER.glob(f"{name}-[0-9].json"))]


def first_reach(curve: Curve, level: float) -> float:
    """What was spent when the curve first reached the level, between evaluations by a straight line; NaN: never."""
    above = np.flatnonzero(curve.figure >= level)
    if not len(above):
        return float("nan")
    if above[0] == 0:
        return float(curve.spent[0])
    places = slice(above[0] - 1, above[0] + 1)
    return float(np.interp(level, curve.figure[places], curve.spent[places]))


def describe(values: list[float], digits: int = 2) -> str:
    """Mean and 95 % bootstrap interval."""
    found = np.array(values)
    if len(found) < 2:
        return f"{found.mean():.{digits}f}"
    low, high = interval(found)
    return f"{found.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def rows_of(name: str, label: str) -> str:
    """A line of the table: return after all frames, their CPU seconds, and those to the level."""
    by_frames, by_seconds = read(name), read(name, "cpu")
    level = LEVELS.get(name.removeprefix("benchmarl-").split("-")[0])
    end = min(curve.spent[-1] for curve in by_frames)
    returns = [float(np.interp(end, curve.spent, curve.figure)) for curve in by_frames]
    seconds = [float(np.interp(end, *pair)) for pair in _spent(by_frames, by_seconds)]
    reached = [] if level is None else [first_reach(curve, level) for curve in by_seconds]
    known = [each for each in reached if np.isfinite(each)]
    told = f"{np.median(known):.0f} ({len(known)} of {len(reached)})" if known else ("never" if reached else "")
    cells = [label, str(len(by_frames)), f"{end:,.0f}", describe(returns), f"{np.median(seconds):.0f}", told]
    return f"| {' | '.join(cells)} |"


def _spent(by_frames: list[Curve], by_seconds: list[Curve]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(frames.spent, seconds.spent) for frames, seconds in zip(by_frames, by_seconds, strict=True)]


def main() -> None:
    """Print the table in Markdown."""
    print("| run | seeds | agent frames | return of an episode | CPU s, median | CPU s to the level, median |")
    print("|---|---|---|---|---|---|")
    for name in RUNS:
        if read(name):
            print(rows_of(name, name))
        if read(f"benchmarl-{name}"):
            print(rows_of(f"benchmarl-{name}", f"{name}, BenchMARL MAPPO"))
    print(f"\nlevels: {LEVELS}", file=sys.stderr)


if __name__ == "__main__":
    main()
