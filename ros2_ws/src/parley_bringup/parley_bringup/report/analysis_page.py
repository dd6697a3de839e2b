"""One HTML file of an analysis that needs no other: three sentences, pictures, tables, and how it was measured."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2933; max-width: 1180px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em; margin: 0 } h2 { font-size: 1.15em; margin: 2em 0 .3em }
.brief { background: #f2f6fa; border-left: 4px solid #0072b2; padding: .6em 1em; margin: 1em 0 }
.brief p { margin: .5em 0 } .faint, td.no { color: #66727f } img { max-width: 100%; display: block; margin: .5em 0 }
table { border-collapse: collapse; font-size: 13px; margin: .5em 0 } th { text-align: left; font-weight: 600 }
th, td { padding: .15em .9em .15em 0; border-bottom: 1px solid #e4e7eb; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } details { margin: .4em 0 }
"""
HEAD = ("who tells whom what", "what it is worth", "what could not be shown")
Lines = list[dict[str, Any]]


def write_page(path: Path, result: dict[str, Any], pictures: dict[str, Figure]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML file.
        result: as written to the JSON file.
        pictures: `talk`, `fields`, `signalling`, `worth`, `groups` and `timeline`.
    """
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(_page(result, {name: _inline(figure, name) for name, figure in pictures.items()}), encoding="utf-8")
    part.replace(path)


def _page(result: dict[str, Any], images: dict[str, str]) -> str:
    figures, settings = result["figures"], result["settings"]
    alarm = 100 * settings["false_alarm"]
    sections = [
        f"<h1>What the messages of {_text(Path(result['bundle']).name)} do</h1>",
        f"<p class=faint>{_text(_context(result))}</p>",
        "<div class=brief>",
        *(f"<p><b>{name}:</b> {_text(line)}</p>" for name, line in zip(HEAD, result["sentences"], strict=True)),
        "</div>",
        images["talk"],
        _pairs_table(result["pairs"]),
        images["worth"],
        "<h2>Listening: what the receiver's choice hangs on</h2>",
        _note(
            "A message is replaced on the links of one pair of kinds, all else being equal: by another world's, or by "
            "the one that would have been sent had one field of the sender's senses been another world's. Replaced by "
            f"itself it changes {figures['control']:g} nats."
        ),
        images["fields"],
        _folded(f"all {len(figures['fields'])} fields", _influence_table(figures["fields"])),
        "<h2>Signalling: what the messages tell</h2>",
        _note(
            "Whether a fact is told is tested on all kinds and facts together, with worlds exchanged; how much of it, "
            "in nats, a cross-validated probe says. New to a receiver is what its own senses do not tell it."
        ),
        images["signalling"],
        _folded(f"all {len(figures['signalling'])} facts", _signalling_table(figures["signalling"])),
        _folded(f"what is new to whom ({len(figures['news'])} tests)", _news_table(figures["news"])),
        _folded("which number goes with which fact", _number_table(figures["numbers"])),
        "<h3>Speaker consistency: does a sender do as it says?</h3>",
        _consistency_table(figures["consistency"]),
        "<h2>Shape of the messages</h2>",
        _shape_table(figures["topography"], figures["clusters"]),
        images["groups"],
        images["timeline"],
        "<h2>How it was measured</h2>",
        _note(
            f"{settings['worlds']} worlds of {settings['ticks']} ticks from seed {settings['seed']}, the same for "
            f"every rollout. The chance level exchanges or flips whole worlds ({settings['permutations']} times), "
            f"never single ticks; a finding is called shown where its chance in its family is at most {alarm:g} %. "
            f"Intervals hold {100 * settings['confidence']:g} % and resample worlds. Each measure's source stands in "
            "docs/analysis.md."
        ),
        _folded("settings", f"<pre>{_text(str(settings))}</pre>"),
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Parley: messages of {_text(Path(result['bundle']).name)}</title><style>{STYLE}</style>\n"
        + "\n".join(sections)
        + "\n</html>\n"
    )


def _context(result: dict[str, Any]) -> str:
    return (
        f"bundle {result['bundle']}, weights {result['weights_sha256'][:12]}, protocol {result['protocol_id']}, commit "
        f"{result['commit'][:12] or 'unknown'}, drawn at temperature {result['temperature']:g}"
    )


def _pairs_table(pairs: Lines) -> str:
    rows = [
        [
            f"{pair['sender']} to {pair['receiver']}",
            pair["verdict"],
            _number(pair["nats"]),
            ", ".join(pair["acted_on"][:6]) or "none shown",
            ", ".join(pair["news"][:6]) + (f" and {len(pair['news']) - 6} more" if len(pair["news"]) > 6 else ""),
        ]
        for pair in pairs
    ]
    return _table(["pair", "verdict", "influence (nats)", "fields acted on", "news"], rows, numbers=(2,))


def _influence_table(lines: Lines) -> str:
    rows = [
        [f"{line['sender']} to {line['receiver']}", line["field"], _number(line["nats"]), *_chance(line)]
        for line in lines
    ]
    return _table(["pair", "field", "nats", "p", ""], rows, numbers=(2, 3))


def _signalling_table(lines: Lines) -> str:
    rows = [
        [
            line["sender"],
            line["fact"],
            f"{line['share']['value']:.3f} ({line['share']['null']:.3f})",
            _number(line["nats"]) + f" of {line['nats']['entropy']:.2f}" if "nats" in line else "",
            *_chance(line),
        ]
        for line in lines
    ]
    return _table(["sender", "fact", "explained (by chance)", "nats read", "p", ""], rows, numbers=(2, 3, 4))


def _news_table(lines: Lines) -> str:
    rows = [
        [
            f"{line['sender']} to {line['receiver']}",
            line["fact"],
            f"{100 * line['seen_by_receiver']:.0f} %",
            _number(line["nats"]),
            *_chance(line),
        ]
        for line in lines
    ]
    return _table(["pair", "fact", "seen by receiver", "nats beyond that", "p", ""], rows, numbers=(2, 3, 4))


def _number_table(lines: Lines) -> str:
    rows = [
        [
            line["sender"],
            f"round {line['round']}, number {line['number']}",
            line["fact"],
            _number(line["correlation"]),
            f"{line['r2_in_other_worlds']:.2f}",
            *_chance(line),
        ]
        for line in lines
    ]
    return _table(
        ["sender", "number", "fact", "rank correlation", "R² in other worlds", "p", ""], rows, numbers=(3, 4, 5)
    )


def _consistency_table(lines: Lines) -> str:
    rows = [
        [line["sender"], f"{line['consistency']:.2f}", _number(line["nats"]), f"{line['entropy']:.2f}", *_chance(line)]
        for line in lines
    ]
    return _table(
        ["sender", "share of the choice that its message tells", "nats", "entropy", "p", ""], rows, numbers=(1, 2, 3, 4)
    )


def _shape_table(topography: Lines, clusters: Lines) -> str:
    rows = []
    for like, group in zip(topography, clusters, strict=True):
        about = "; ".join(
            f"{100 * each['share']:.0f} %: "
            + ", ".join(f"{fact['fact']} {fact['spreads']:+.1f}" for fact in each["facts"])
            for each in group["about"]
        )
        rows.append(
            [
                like["sender"],
                _number(like["spearman"]) + (" shown" if like["found"] else " not shown"),
                f"{group['groups']}" + (" shown" if group["found"] else " not beyond chance"),
                _number(group["stability"]),
                about,
            ]
        )
    heads = ["sender", "likeness (topographic similarity)", "groups", "stability", "share of a group: facts (spreads)"]
    return _table(heads, rows, numbers=(1, 3))


def _chance(line: dict[str, Any]) -> list[str]:
    return [f"{line['p']:.3f}", "shown" if line["found"] else "not shown"]


def _number(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{figure['value']:.2f} ({low:.2f} to {high:.2f})"


def _table(heads: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    body = []
    for row in rows:
        faint = "no" if row[-1] == "not shown" else ""
        cells = [
            f"<td class='{'n' if place in numbers else ''} {faint}'>{_text(cell)}</td>"
            for place, cell in enumerate(row)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def _folded(name: str, content: str) -> str:
    return f"<details><summary>{_text(name)}</summary>{content}</details>"


def _note(text: str) -> str:
    return f"<p class=faint>{_text(text)}</p>"


def _text(text: str) -> str:
    return html.escape(str(text), quote=True)


def _inline(figure: Figure, name: str) -> str:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110)
    return f"<img alt='{name}' src='data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}'>"
