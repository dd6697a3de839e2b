"""One world of an analysis over time: what everybody said, by number and by group, beside where it was said."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from parley_bringup.report import palette
from policy_core.analysis.clusters import Grouping
from policy_core.analysis.recording import Recording
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.floorplan_picture import draw_plan

BAND = 0.95  # inches per agent
FLOOR = 6.2  # inches, the floor's longer side
WASH = 0.55  # how far the plan is faded towards white


def draw_timeline(
    recording: Recording,
    groupings: dict[str, Grouping],
    found: dict[str, bool],
    agents: tuple[str, ...],
    plan: FloorPlan,
    tick: float,
) -> Figure:
    """Draw world 0: the floor with what was said where, and a band of messages for each agent.

    Args:
        recording: of the rollout with messages as they are.
        groupings: of each kind's messages.
        found: whether a kind's groups are beyond chance; others are drawn in one colour.
        agents: names, in the order of the agent axis.
        plan: of the world.
        tick: seconds between decisions.
    """
    said = recording.shown - recording.shown.mean(0)  # [T, K, N, M]
    ticks, rounds, count, size = said.shape
    limit = max(float(np.percentile(np.abs(said), 98)), 1e-6)
    scale = FLOOR / max(plan.size)
    floor_width, floor_height = plan.size[0] * scale, plan.size[1] * scale
    bands = BAND * count
    width, height = floor_width + 8.6, max(floor_height, bands) + 1.5
    figure = palette.new_figure(
        width,
        height,
        "One world over time",
        "left: the group of what each agent said, where it stood; right: every number of its messages, round 1 above "
        f"round {rounds}, as differences from its own mean, and the group below (grey: no groups shown)",
    )
    axis = figure.add_axes(
        (0.1 / width, (height - 0.8 - floor_height) / height, floor_width / width, floor_height / height)
    )
    _draw_floor(axis, recording, groupings, found, plan)
    left, band_width = (floor_width + 1.25) / width, 7.1 / width
    number = 0
    for kind, speech in recording.speech.items():
        for own in range(speech.agents):
            bottom = (height - 0.8 - BAND * (number + 1) + 0.1) / height
            band = figure.add_axes((left, bottom, band_width, (BAND - 0.1) / height))
            strip = said[:, :, number].reshape(ticks, rounds * size).T
            band.imshow(
                strip, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest",
                extent=(0, ticks * tick, rounds * size, 0),
            )  # fmt: skip
            groups = groupings[kind].groups[0].reshape(-1, speech.agents)[:, own][None]
            depth = rounds * size * 0.18
            band.imshow(
                np.where(groups < 0, np.nan, groups.astype(float) if found[kind] else 0.0), aspect="auto",
                cmap=_group_colours(found[kind]), vmin=-0.5, vmax=9.5, interpolation="nearest",
                extent=(0, ticks * tick, rounds * size + depth * 1.3, rounds * size + depth * 0.3),
            )  # fmt: skip
            band.set_ylim(rounds * size + depth * 1.3, 0)
            band.set_yticks([])
            band.tick_params(labelsize=7, length=2, colors=palette.FAINT, labelbottom=number == count - 1)
            band.set_ylabel(
                agents[number], rotation=0, ha="right", va="center", fontsize=8.5, weight="bold",
                color=palette.KINDS.get(kind, palette.INK),
            )  # fmt: skip
            band.spines[:].set_visible(False)
            number += 1
    band.set_xlabel("simulated time (s)", fontsize=8, color=palette.INK)
    return figure


def _draw_floor(
    axis: Axes, recording: Recording, groupings: dict[str, Grouping], found: dict[str, bool], plan: FloorPlan
) -> None:
    (left, low), (width, height) = plan.origin, plan.size
    draw_plan(axis, plan, with_names=False)
    axis.axis("off")
    axis.add_patch(Rectangle((left, low), width, height, facecolor=palette.PAPER, alpha=WASH, lw=0, zorder=5))
    for kind, speech in recording.speech.items():
        groups = groupings[kind].groups[0].reshape(-1, speech.agents)
        pose = speech.pose[0].reshape(-1, speech.agents, 3)
        for own in range(speech.agents):
            lived = groups[:, own] >= 0
            where, group = pose[lived, own], groups[lived, own]
            if not len(where):
                continue
            if np.ptp(where[:, :2], axis=0).max() > 0.5:
                axis.plot(where[:, 0], where[:, 1], color=palette.ABSENT, lw=0.8, zorder=6)
                axis.scatter(where[:, 0], where[:, 1], s=16, c=_shades(group, found[kind]), linewidths=0, zorder=7)
                continue
            shares = np.bincount(group) / len(group)  # who stands still: a small bar of the shares of its groups
            start = where[0, 0] - 1.0
            for each, share in enumerate(shares):
                colour = _shades(np.array([each]), found[kind])[0]
                axis.add_patch(
                    Rectangle((start, where[0, 1] - 0.35), 2.0 * share, 0.7, facecolor=colour, lw=0, zorder=8)
                )
                start += 2.0 * share
            axis.text(
                where[0, 0], where[0, 1] + 0.5, f"{kind} {own + 1}", ha="center", va="bottom", fontsize=6.5,
                color=palette.KINDS.get(kind, palette.INK), zorder=8,
            )  # fmt: skip


def _shades(groups: np.ndarray, found: bool) -> list[str]:
    return [palette.robot_colour(int(group)) if found else palette.FAINT for group in groups]


def _group_colours(found: bool) -> ListedColormap:
    return ListedColormap(list(palette.ROBOTS) if found else [palette.FAINT] * len(palette.ROBOTS))
