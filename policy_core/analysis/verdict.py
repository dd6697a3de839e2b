"""What the figures say, in words: who tells whom what, what it is worth, and what could not be shown."""

from __future__ import annotations

from typing import Any

MINDS, IGNORES, UNKNOWN, UNASKED = "minds", "ignores", "unknown", "unasked"
TOLD = {  # (tells something new, tells anything): what the sender does
    (True, True): "tells something new",
    (False, True): "tells nothing that the receiver could not see itself",
    (False, False): "tells nothing that could be found",
}
HEARD = {
    MINDS: "is heard",
    IGNORES: "nobody listens",
    UNKNOWN: "listening could not be shown",
    UNASKED: "the receiver never had a choice to change",
}
TALK = f"{TOLD[True, True]}, {HEARD[MINDS]}"
ENOUGH_WORLDS = 6  # in which a receiver must have had something to choose before it counts as deaf
NAMED = 3  # facts, pairs or fields that a sentence names


def judge_pairs(figures: dict[str, Any], least: float) -> list[dict[str, Any]]:
    """For every pair of kinds: what is new to the receiver, whether it minds, and what that makes together.

    Args:
        figures: see `analyse`.
        least: influence (nats) that counts.
    """
    kinds = list(dict.fromkeys(line["sender"] for line in figures["clusters"]))
    minded = {(line["sender"], line["receiver"]): line for line in figures["listening"]}
    judged = []
    for sender in kinds:
        tells = [line["fact"] for line in figures["signalling"] if line["sender"] == sender and line["found"]]
        for receiver in kinds:
            heard = minded.get((sender, receiver))
            if heard is None:
                continue
            listens = _listens(heard, least)
            news = [
                line["fact"]
                for line in figures["news"]
                if line["found"] and (line["sender"], line["receiver"]) == (sender, receiver)
            ]
            acted = [
                line["field"]
                for line in figures["fields"]
                if line["found"] and (line["sender"], line["receiver"]) == (sender, receiver)
            ]
            judged.append(
                {
                    "sender": sender,
                    "receiver": receiver,
                    "news": news,
                    "acted_on": acted,
                    "listens": listens,
                    "nats": heard["nats"],
                    "verdict": f"{TOLD[bool(news), bool(tells)]}, {HEARD[listens]}",
                }
            )
    return judged


def say(figures: dict[str, Any], pairs: list[dict[str, Any]]) -> list[str]:
    """Three sentences."""
    return [_who_tells_whom(pairs), _what_it_is_worth(figures), _what_could_not_be_shown(figures, pairs)]


def _listens(heard: dict[str, Any], least: float) -> str:
    """Whether the receiver minds, is shown not to, or neither could be shown."""
    if heard["found"]:
        return MINDS
    if not heard["worlds"]:
        return UNASKED
    is_deaf = heard["worlds"] >= ENOUGH_WORLDS and heard["nats"]["interval"][1] <= least
    return IGNORES if is_deaf else UNKNOWN


def _who_tells_whom(pairs: list[dict[str, Any]]) -> str:
    talking = sorted((pair for pair in pairs if pair["verdict"] == TALK), key=lambda pair: -pair["nats"]["value"])
    if not talking:
        return "No kind was shown to tell another something new that it acts on."
    told = []
    for pair in talking[:NAMED]:
        about = pair["acted_on"] or [_field(fact) for fact in pair["news"]]
        named = list(dict.fromkeys(about))[:NAMED]
        told.append(
            f"{pair['sender']} tells {pair['receiver']} about {_list(named)} "
            f"({pair['nats']['value']:.2f} nats of its choice hang on it)"
        )
    rest = len(talking) - len(told)
    return "; ".join(told) + (f"; and {rest} more pair{'s' if rest > 1 else ''} of kinds talk." if rest else ".")


def _what_it_is_worth(figures: dict[str, Any]) -> str:
    figure = "orders_per_hour" if any(line["figure"] == "orders_per_hour" for line in figures["worth"]) else "reward"
    unit = "orders/h" if figure == "orders_per_hour" else "reward"
    lines = [line for line in figures["worth"] if line["figure"] == figure]
    whole = {line["mode"]: line for line in lines if not line["sender"]}
    silent, swapped = whole.get("silence"), whole.get("swap")
    if silent is None:
        return "What the messages are worth was not measured: silence is not among the modes of config/analysis.yaml."
    amount = f"{silent['cost']['value']:.1f} {unit} (95 % interval {_span(silent)})"
    if not silent["found"]:
        return f"Silencing everybody was not shown to cost anything: {amount}."
    text = f"Silencing everybody costs {amount}, from {silent['with']:.1f} to {silent['without']:.1f} {unit}"
    if swapped is not None:
        content = f"{swapped['cost']['value']:.1f} {unit} ({_span(swapped)})"
        text += (
            f"; with another world's messages in their place it costs {content}, so what they say of this world matters"
            if swapped["found"]
            else f"; but with another world's messages in their place nothing was shown to be lost ({content}), so the "
            "gain was not shown to lie in what they say of this world rather than in hearing anybody at all"
        )
    costly = sorted(
        (line for line in lines if line["mode"] == "silence" and line["sender"] and line["found"]),
        key=lambda line: -abs(line["cost"]["value"]),
    )
    if costly:
        parts = [
            f"{line['sender']} to {line['receiver']} {line['cost']['value']:.1f} ({_span(line)})"
            for line in costly[:NAMED]
        ]
        text += f"; of single pairs, silencing {_list(parts)}"
    elif any(line["mode"] == "silence" and line["sender"] for line in lines):
        text += "; of no single pair of kinds alone could a cost be shown"
    return text + "."


def _what_could_not_be_shown(figures: dict[str, Any], pairs: list[dict[str, Any]]) -> str:
    parts = []
    for words in dict.fromkeys(pair["verdict"] for pair in pairs if pair["verdict"] != TALK):
        named = [f"{pair['sender']} to {pair['receiver']}" for pair in pairs if pair["verdict"] == words]
        parts.append(f"{_list(named)} ({words})")
    flat = [line["sender"] for line in figures["clusters"] if not line["found"]]
    if flat:
        parts.append(f"no groups of messages beyond chance: {_list(flat)}")
    return (
        ("Not shown, or shown to be otherwise: " + "; ".join(parts) + ".") if parts else "Everything asked was shown."
    )


def _span(line: dict[str, Any]) -> str:
    low, high = line["cost"]["interval"]
    return f"{low:.1f} to {high:.1f}"


def _field(fact: str) -> str:
    return fact.partition("[")[0]


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
