"""The picture of a fleet's talk: who said what when, what each agent then decided, and which rounds were complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray

from parley_bringup.report import palette
from parley_bringup.report.run_data import VERBS, RunData, Spoken

BAND = 0.95  # inches per agent


def draw_messages(run: RunData, title: str, subtitle: str, path: Path) -> None:
    """Draw one band per agent over simulated time: its message of each round, and its decisions beneath.

    Every number is drawn as its difference from its own mean over the run: what does not change says nothing.

    Raises:
        ValueError: nobody said anything, so there is nothing to draw.
    """
    if not np.isfinite(run.spoken.values).any():
        raise ValueError("nobody said anything; there is no message to draw")
    ticks = _tick_range(run)
    changes = _changes(run.spoken)
    limit = max(float(np.percentile(np.abs(changes[np.isfinite(changes)]), 98)), 1e-6)
    agents = run.context.agents
    width, height = 13.0, 2.6 + BAND * len(agents)
    figure = palette.new_figure(width, height, title, f"{subtitle}\n{_how_to_read(run)}".lstrip("\n"))
    top, bottom = 1 - 0.95 / height, 0.95 / height
    grid = figure.add_gridspec(
        len(agents) + 1, 1, height_ratios=[1.0] * len(agents) + [0.75], hspace=0.16,
        left=0.115, right=0.925, top=top, bottom=bottom,
    )  # fmt: skip
    for number, agent in enumerate(agents):
        axis = figure.add_subplot(grid[number])
        image = _draw_agent(axis, run, number, changes, ticks, limit)
        colour = palette.KINDS.get(agent.kind, palette.INK)
        axis.set_ylabel(agent.name, rotation=0, ha="right", va="center", fontsize=9, weight="bold", color=colour)
    _draw_completeness(figure.add_subplot(grid[len(agents)]), run, ticks)
    _colour_bar(figure, image, (0.94, bottom + 0.25, 0.012, top - bottom - 0.3))
    _verb_legend(figure, run, 0.115)
    palette.save(figure, path)


def _tick_range(run: RunData) -> NDArray[np.int64]:
    heard = np.concatenate([run.spoken.tick, run.decided.tick])
    return np.arange(heard.min(), heard.max() + 1)


def _changes(spoken: Spoken) -> NDArray[np.float64]:
    """Each number's difference from its mean over what one agent said in one round: [n, M]."""
    changes = np.array(spoken.values)
    for sender, round_ in {*zip(spoken.sender.tolist(), spoken.round.tolist(), strict=True)}:
        same = (spoken.sender == sender) & (spoken.round == round_)
        said = np.isfinite(changes[same])
        total, count = np.where(said, changes[same], 0.0).sum(axis=0), said.sum(axis=0)
        changes[same] -= total / np.maximum(count, 1)
    return changes


def _how_to_read(run: RunData) -> str:
    width, rounds = run.spoken.values.shape[1], run.context.rounds
    above = f" above those of round {rounds}" if rounds > 1 else ""
    return (
        f"Each band, one column a decision: the {width} numbers said in round 1{above}, as differences from their own "
        "means; the marks beneath: what the agent then did. Grey: not heard."
    )


def _draw_agent(
    axis: Axes, run: RunData, number: int, changes: NDArray[np.float64], ticks: NDArray[np.int64], limit: float
) -> AxesImage:
    """Draw the first and the last round of one agent one above the other, then its decisions."""
    spoken, decided = run.spoken, run.decided
    width = changes.shape[1]
    gap = max(width // 10, 1)
    rounds = sorted({1, max(run.context.rounds, 1)})
    rows = len(rounds) * (width + gap)
    strip = np.full((rows, len(ticks)), np.nan)
    for place, round_ in enumerate(rounds):
        low = place * (width + gap)
        said = (spoken.sender == number) & (spoken.round == round_)
        strip[low : low + width, spoken.tick[said] - ticks[0]] = changes[said].T
        axis.axhspan(low - 0.5, low + width - 0.5, color=palette.ABSENT, lw=0, zorder=0)
    left, right = ticks[0] * run.context.tick, (ticks[-1] + 1) * run.context.tick
    image = axis.imshow(
        strip, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest",
        extent=(left, right, rows - 0.5, -0.5), zorder=1,
    )  # fmt: skip
    mine = decided.sender == number
    verbs = np.full((1, len(ticks)), np.nan)
    verbs[0, decided.tick[mine] - ticks[0]] = decided.verb[mine]
    colours = ListedColormap([palette.VERBS[verb] for verb in VERBS])
    bottom = rows + max(width // 3, 2) - 0.5
    axis.imshow(
        verbs, aspect="auto", cmap=colours, vmin=-0.5, vmax=len(VERBS) - 0.5, interpolation="nearest",
        extent=(left, right, bottom, rows - 0.5), zorder=1,
    )  # fmt: skip
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, -0.5)
    axis.set_yticks([place * (width + gap) + width / 2 for place in range(len(rounds))], [f"r{r}" for r in rounds])
    axis.tick_params(axis="y", labelsize=6.5, length=0, pad=2, colors=palette.FAINT)
    axis.tick_params(axis="x", labelbottom=False, length=0)
    axis.spines[:].set_visible(False)
    return image


def _draw_completeness(axis: Axes, run: RunData, ticks: NDArray[np.int64]) -> None:
    """Draw the share of agent-rounds per tick in which every expected neighbour was heard by the deadline."""
    decided, rounds = run.decided, max(run.context.rounds, 1)
    column = decided.tick - ticks[0]
    complete = np.bincount(column, weights=np.minimum(decided.rounds_complete, rounds), minlength=len(ticks))
    expected = np.bincount(column, minlength=len(ticks)) * rounds
    share = np.divide(complete, expected, out=np.full(len(ticks), np.nan), where=expected > 0) * 100.0
    times = np.append(ticks, ticks[-1] + 1) * run.context.tick
    axis.stairs(np.nan_to_num(share), times, fill=True, color="#9ec5a8", lw=0)
    axis.stairs(share, times, color="#2f6b3f", lw=1.0, baseline=None)
    axis.set_xlim(times[0], times[-1])
    axis.set_ylim(0, 108)
    axis.set_yticks([0, 50, 100], ["0", "50", "100 %"], fontsize=7, color=palette.FAINT)
    axis.set_ylabel("complete\nrounds", rotation=0, ha="right", va="center", fontsize=9, color=palette.INK)
    axis.set_xlabel("simulated time (s)", fontsize=9, color=palette.INK)
    axis.tick_params(labelsize=8, length=3, colors=palette.FAINT)
    axis.spines[["top", "right"]].set_visible(False)


def _colour_bar(figure: Figure, image: AxesImage, box: tuple[float, float, float, float]) -> None:
    axis = figure.add_axes(box)
    figure.colorbar(image, cax=axis)
    axis.tick_params(labelsize=8, length=2, colors=palette.INK)
    axis.set_ylabel("difference from the number's own mean", fontsize=8, color=palette.FAINT)
    axis.spines[:].set_visible(False)


def _verb_legend(figure: Figure, run: RunData, left: float) -> None:
    used = sorted(set(run.decided.verb.tolist()) - {0})
    entries = [Patch(facecolor=palette.VERBS[VERBS[verb]], label=VERBS[verb]) for verb in used if verb < len(VERBS)]
    if entries:
        figure.legend(
            handles=entries, loc="lower left", bbox_to_anchor=(left, 0.0), ncols=len(entries), frameon=False,
            fontsize=9, handlelength=1.2, borderaxespad=0.3,
        )  # fmt: skip
