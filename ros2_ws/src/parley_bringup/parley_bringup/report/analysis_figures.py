"""The pictures of an analysis: who heeds whom, what about, what it is worth, and how messages group."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parley_bringup.report import palette
from policy_core.analysis.clusters import Grouping

FOUND, UNSURE, NULL = "#0072b2", "#b8c4ce", "#d55e00"
MOST_BARS = 9
ROW = 0.27  # inches of one bar
ENDS = ("sender", "receiver")
Lines = list[dict[str, Any]]


def draw_talk(pairs: Lines, worth: Lines) -> Figure:
    """A square for each pair of kinds: influence, by its shade, and what silencing costs."""
    kinds = list(dict.fromkeys([pair["sender"] for pair in pairs] + [pair["receiver"] for pair in pairs]))
    count = len(kinds)
    width, height = 1.6 + 2.4 * count, 1.35 + 1.0 * count
    figure = palette.new_figure(
        width, height, "Who heeds whom", "nats of the receiver's choice that hang on the message; shaded where shown"
    )
    axis = figure.add_axes((1.35 / width, 0.2 / height, 2.4 * count / width, 1.0 * count / height))
    shade = np.full((count, count), np.nan)
    top = max([pair["nats"]["value"] for pair in pairs] + [1e-9])
    for pair in pairs:
        row, column = kinds.index(pair["sender"]), kinds.index(pair["receiver"])
        if pair["listens"] == "minds":
            shade[row, column] = 0.1 + 0.55 * np.sqrt(max(pair["nats"]["value"], 0.0) / top)
        low, high = pair["nats"]["interval"]
        words = {
            "minds": f"{pair['nats']['value']:.2f} nats",
            "ignores": "nobody listens",
            "unknown": f"not shown ({pair['nats']['value']:.2f} nats)",
            "unasked": "never had a choice",
        }[pair["listens"]]
        cost = next(
            (line for line in worth if (line["sender"], line["receiver"]) == tuple(pair[k] for k in ENDS)), None
        )
        second = f"{low:.2f} to {high:.2f}" if pair["listens"] == "minds" else ""
        third = "new facts: " + (str(len(pair["news"])) if pair["news"] else "none")
        fourth = ""
        if cost is not None:
            mark = "" if cost["found"] else "not shown: "
            fourth = f"{mark}{cost['cost']['value']:+.1f} {unit_of(cost['figure'])}"
        axis.text(column, row - 0.27, words, ha="center", va="center", fontsize=9, weight="bold", color=palette.INK)
        for place, text in enumerate((second, third, fourth)):
            axis.text(column, row - 0.04 + 0.2 * place, text, ha="center", va="center", fontsize=7.5, color=palette.INK)
    axis.imshow(shade, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(count), [f"to {kind}" for kind in kinds], fontsize=9, color=palette.INK)
    axis.set_yticks(range(count), kinds, fontsize=9, color=palette.INK)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(-0.5, count), minor=True)
    axis.set_yticks(np.arange(-0.5, count), minor=True)
    axis.grid(which="minor", color=palette.ABSENT, lw=1.2)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    return figure


def unit_of(figure: str) -> str:
    """What a figure is counted in."""
    return {"orders_per_hour": "orders/h"}.get(figure, figure)


def draw_fields(fields: Lines, pairs: Lines) -> Figure:
    """For each pair that is heard: how much of the receiver's choice hangs on each field the sender senses."""
    heard = [pair for pair in pairs if pair["listens"] == "minds"][:6]
    blocks = [
        (f"{pair['sender']} to {pair['receiver']}", [line for line in fields if all(line[k] == pair[k] for k in ENDS)])
        for pair in heard
    ]
    return _bars(
        "What about",
        "nats of the receiver's choice when one field of the sender's senses is another world's; blue: shown",
        [
            (name, [(line["field"], line["nats"], line["found"]) for line in lines[:MOST_BARS]])
            for name, lines in blocks
        ],
        "nats",
    )


def draw_signalling(signalling: Lines) -> Figure:
    """For each kind: nats that a probe reads of the facts that are told, best first, and what chance gives."""
    blocks = []
    for kind in dict.fromkeys(line["sender"] for line in signalling):
        told = [line for line in signalling if line["sender"] == kind and "nats" in line]
        told.sort(key=lambda line: max(line["nats"]["null"], 0.0) - line["nats"]["value"])
        blocks.append(
            (f"{kind}: {len(told)} facts told", [(x["fact"], x["nats"], x["found"]) for x in told[:MOST_BARS]])
        )
    return _bars(
        "What the messages tell",
        "nats that a probe reads in worlds it has not seen; orange: what another world's messages tell as well",
        blocks,
        "nats",
    )


def draw_worth(worth: Lines, figure: str) -> Figure:
    """Cost of every way of meddling, with its interval."""
    lines = [line for line in worth if line["figure"] == figure]

    def name(line: dict[str, Any]) -> str:
        ends = f"{line['sender']} to {line['receiver']}" if line["sender"] else "all"
        return f"{line['mode']} {ends}"

    return _bars(
        "What it is worth",
        f"{unit_of(figure)} lost, paired world by world; blue: shown",
        [("", [(name(line), line["cost"], line["found"]) for line in lines])],
        unit_of(figure),
    )


def draw_groups(groupings: dict[str, Grouping], lines: Lines) -> Figure:
    """The first two principal components of each kind's messages, by group."""
    count = len(groupings)
    width, height = 0.4 + 3.7 * count, 4.3
    figure = palette.new_figure(
        width, height, "Groups of messages", "first two principal components; coloured where groups were shown"
    )
    for place, (kind, grouping) in enumerate(groupings.items()):
        line = next(each for each in lines if each["sender"] == kind)
        axis = figure.add_axes(((0.45 + 3.7 * place) / width, 0.5 / height, 3.1 / width, 2.75 / height))
        groups = grouping.groups.ravel()
        keep = np.flatnonzero(groups >= 0)
        keep = keep[:: max(1, len(keep) // 3000)]
        shades = [palette.robot_colour(group) if line["found"] else UNSURE for group in groups[keep]]
        across, up = grouping.plane.reshape(-1, 2)[keep].T
        axis.scatter(across, up, s=4, c=shades, alpha=0.5, linewidths=0)
        found = "" if line["found"] else ", not beyond chance"
        axis.set_title(
            f"{kind}: {line['groups']} groups{found}\nsilhouette {line['silhouette']['value']:.2f} "
            f"(chance {line['silhouette']['null']:.2f}), stability {line['stability']['value']:.2f}",
            fontsize=8.5,
            loc="left",
            color=palette.INK,
        )
        _plain(axis)
    return figure


def _bars(
    title: str, subtitle: str, blocks: list[tuple[str, list[tuple[str, dict[str, Any], bool]]]], unit: str
) -> Figure:
    """Blocks of horizontal bars side by side in rows of up to three, each bar with its interval and its null."""
    blocks = [block for block in blocks if block[1]] or [("nothing to show", [])]
    columns = min(3, len(blocks))
    rows = -(-len(blocks) // columns)
    longest = max(len(lines) for _, lines in blocks)
    each_width = 4.3 if columns > 1 else 8.0
    each_height = 0.75 + ROW * max(longest, 1)
    width, height = 0.2 + each_width * columns, 0.75 + each_height * rows
    figure = palette.new_figure(width, height, title, subtitle)
    for place, (name, lines) in enumerate(blocks):
        row, column = divmod(place, columns)
        names = 1.95 if columns > 1 else 2.6
        axis = figure.add_axes(
            (
                (0.1 + each_width * column + names) / width,
                (height - 0.95 - each_height * row - ROW * max(len(lines), 1)) / height,
                (each_width - names - 0.25) / width,
                ROW * max(len(lines), 1) / height,
            )
        )
        for spot, (label, figures, found) in enumerate(lines):
            value, (low, high) = figures["value"], figures["interval"]
            axis.barh(spot, value, height=0.62, color=FOUND if found else UNSURE)
            axis.plot([low, high], [spot, spot], color=palette.INK, lw=1.1)
            if figures.get("null"):
                axis.plot([figures["null"]] * 2, [spot - 0.33, spot + 0.33], color=NULL, lw=1.6)
            axis.text(
                -0.02, spot, _short(label), ha="right", va="center", fontsize=8, color=palette.INK,
                transform=axis.get_yaxis_transform(),
            )  # fmt: skip
        axis.set_ylim(max(len(lines), 1) - 0.5, -0.5)
        axis.axvline(0, color=palette.FAINT, lw=0.8)
        axis.set_title(name, fontsize=9, loc="left", color=palette.INK, pad=3)
        axis.set_xlabel(unit, fontsize=7.5, color=palette.FAINT, labelpad=1)
        _plain(axis)
        axis.set_yticks([])
    return figure


def _short(label: str) -> str:
    return label.replace("candidates: ", "cand. ").replace("number of ", "n ").replace("highest ", "max ")[:34]


def _plain(axis: Axes) -> None:
    axis.tick_params(labelsize=7, length=2, colors=palette.FAINT)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(palette.ABSENT)
