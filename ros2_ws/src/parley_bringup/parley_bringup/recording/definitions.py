"""The text and the hash of a message type, as a recording carries them so that anyone can decode it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PRIMITIVE = re.compile(r"(bool|byte|char|float(32|64)|u?int(8|16|32|64)|w?string)$")
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*(?!\s*=)\b")
_SEPARATOR = "=" * 80


class DefinitionError(LookupError):
    """A message type's interface files are not installed on this machine."""


class Definition(NamedTuple):
    """What a recording says about one message type."""

    name: str  # "parley_msgs/msg/Decision"
    text: str  # its .msg text, then those of the types inside it, in the `ros2msg` encoding of MCAP
    type_hash: str  # REP-2016 hash, "RIHS01_..."; empty where the interface files carry none


def read_definition(type_name: str) -> Definition:
    """Collect the definition of one message type from the installed interface files.

    Raises:
        DefinitionError: a .msg file of the type, or of a type inside it, is not installed.
    """
    top = _interface_file(type_name, ".msg").read_text(encoding="utf-8")
    parts = [top.rstrip("\n")]
    pending, seen = list(_inner_types(type_name, top)), {type_name}
    while pending:
        inner = pending.pop(0)
        if inner in seen:
            continue
        seen.add(inner)
        text = _interface_file(inner, ".msg").read_text(encoding="utf-8")
        package, _, name = inner.split("/")
        parts += [_SEPARATOR, f"MSG: {package}/{name}", text.rstrip("\n")]
        pending += _inner_types(inner, text)
    return Definition(type_name, "\n".join(parts) + "\n", _type_hash(type_name))


def _type_hash(type_name: str) -> str:
    try:
        description = json.loads(_interface_file(type_name, ".json").read_text(encoding="utf-8"))
    except (DefinitionError, ValueError):
        return ""
    hashes = {entry["type_name"]: entry["hash_string"] for entry in description.get("type_hashes", [])}
    return str(hashes.get(type_name, ""))


def _inner_types(type_name: str, text: str) -> Iterator[str]:
    """The message types among the fields of a .msg text, by full name and in order."""
    package = type_name.split("/")[0]
    for line in text.splitlines():
        field = _FIELD.match(line.split("#")[0])
        if field is None or _PRIMITIVE.match(field[1]):
            continue
        parts = field[1].split("/")
        yield f"{parts[0]}/msg/{parts[-1]}" if len(parts) > 1 else f"{package}/msg/{parts[0]}"


def _interface_file(type_name: str, suffix: str) -> Path:
    """Find an interface file under the sourced ROS 2, or under the prefix of this Python (ROS 2 from wheels)."""
    parts = type_name.split("/")
    if len(parts) != 3 or parts[1] != "msg":
        raise DefinitionError(f"'{type_name}' is no message type; wanted package/msg/Name.")
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    for prefix in prefixes:
        path = Path(prefix, "share", parts[0], "msg", parts[2] + suffix)
        if path.is_file():
            return path
    raise DefinitionError(
        f"{type_name}: no {parts[2]}{suffix} under share/{parts[0]}/msg of {', '.join(prefixes)}; "
        f"build or install the package {parts[0]} there, or source its workspace."
    )
