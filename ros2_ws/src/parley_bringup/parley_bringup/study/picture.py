"""The sweeps of a study as one picture: a panel each, a line and its 95 % band per policy."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from parley_bringup.report.palette import FAINT, robot_colour
from parley_bringup.study.page import PER
from parley_bringup.study.result import Outcome, sweep_rates
from parley_bringup.study.settings import POLICIES, Over

UNITS: dict[Over, str] = {
    "loss": "share of messages lost",
    "delay": "mean transport time of a message (s)",
    "bits": "bits of each number in a message",
    "dies": "share of robots that die",
    "joins": "share of robots that join late",
    "load": "demand, in multiples of the usual",
    "team": "forklifts, with as much more demand",
}
ACROSS = 3  # panels in a row


def draw_sweeps(outcome: Outcome, path: Path) -> bool:
    """Write the picture (SVG), whole or not at all; False where no sweep was played at two values."""
    swept = [(sweep, sweep_rates(outcome, sweep)) for sweep in outcome.settings.sweeps]
    swept = [(sweep, rates) for sweep, rates in swept if any(len(points) > 1 for points in rates.values())]
    if not swept:
        return False
    down = -(-len(swept) // ACROSS)
    picture = Figure(figsize=(4.2 * min(len(swept), ACROSS), 3.3 * down), layout="constrained")
    for number, (sweep, rates) in enumerate(swept):
        axes = picture.add_subplot(down, min(len(swept), ACROSS), number + 1)
        for policy in sorted(rates, key=POLICIES.index):
            values = [value for value, _ in rates[policy]]
            figures = [figure for _, figure in rates[policy]]
            colour = robot_colour(POLICIES.index(policy))
            axes.plot(values, [each.value for each in figures], marker="o", markersize=3, color=colour, label=policy)
            axes.fill_between(
                values, [each.low for each in figures], [each.high for each in figures], color=colour, alpha=0.15, lw=0
            )
        if sweep.over == "bits":
            axes.set_xscale("log", base=2)
            axes.set_xticks(sweep.values, [f"{value:g}" for value in sweep.values])
            axes.invert_xaxis()
        axes.set_xlabel(UNITS[sweep.over], color=FAINT)
        axes.set_ylabel(PER[sweep.per], color=FAINT)
        axes.set_ylim(bottom=0)
        axes.set_title(f"{sweep.over}, from {sweep.of}", fontsize=10)
        axes.legend(frameon=False, fontsize=7)
        axes.grid(alpha=0.3)
    part = path.with_name(path.name + ".part")
    picture.savefig(part, format="svg")
    part.replace(path)
    return True
