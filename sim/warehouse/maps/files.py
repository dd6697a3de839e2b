"""Reads map files that may be anything: size first, then text, JSON or XML, each fault a ConfigError in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import yaml

from policy_core.config import ConfigError

LARGEST_HEADER = 65536  # bytes
DEEPEST_HEADER = 8
DEEPEST = 100  # levels of nesting in JSON or XML


def read_bytes(path: Path, largest: int) -> bytes:
    """The file's content.

    Raises:
        ConfigError: no such file, no file at all, not readable, or larger than `largest` (bytes).
    """
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: no such file. Give the path of a map file.")
        size = path.stat().st_size
        if size > largest:
            raise ConfigError(
                f"{path}: {size} bytes; wanted at most {largest}. Cut the map, or raise largest_file in "
                f"config/import.yaml."
            )
        return path.read_bytes()
    except ConfigError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        raise ConfigError(f"{path}: cannot be read ({error}).") from None


def as_text(content: bytes, source: str) -> str:
    """UTF-8 text without NUL; raises ConfigError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: is not text ({error.reason} at byte {error.start}); wanted UTF-8.") from None
    if "\0" in text:
        raise ConfigError(f"{source}: is not text (a zero byte at {text.index(chr(0))}); wanted UTF-8.")
    return text


def read_small_yaml(path: Path) -> Any:
    """A header of a few lines.

    Aliases and deep nesting are refused: a few lines of them grow to gigabytes in the first error that shows them.

    Raises:
        ConfigError: no such file, more than 64 KiB, not YAML, aliases or nesting.
    """
    text = as_text(read_bytes(path, LARGEST_HEADER), str(path))
    level = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or level > DEEPEST_HEADER:
                line = 0 if event.start_mark is None else event.start_mark.line + 1
                raise ConfigError(f"{path}, line {line}: holds YAML aliases or deep nesting; a header has neither.")
        return yaml.safe_load(text)
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: dates and numbers that are none
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None


def parse_json(text: str, source: str) -> Any:
    """JSON; raises ConfigError for what is none, for NaN and infinity, and for absurd nesting."""

    def refuse(word: str) -> Any:
        raise ConfigError(f"{source}: holds {word}, which JSON does not know and no length can be.")

    try:
        return json.loads(text, parse_constant=refuse)
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{source}: is nested deeper than any map; wanted a JSON map.") from None
    except ValueError as error:  # also whole numbers of thousands of digits
        raise ConfigError(f"{source}: is not valid JSON ({error}).") from None


def parse_xml(content: bytes, source: str) -> Element:
    """The root element.

    A document type is refused as a whole, so no entity can be declared that grows when it is read (a "billion laughs"
    file) or that names a file outside.

    Raises:
        ConfigError: not XML, cut short, a document type, or nesting beyond any map's.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    level = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal level
        level += 1
        if level > DEEPEST:
            raise ConfigError(f"{source}: elements nested more than {DEEPEST} deep; that is no map.")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal level
        level -= 1
        builder.end(name)

    def refuse(*_: Any) -> None:
        raise ConfigError(f"{source}: declares a document type, which could hide entities; delete the <!DOCTYPE ...>.")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
        return builder.close()
    except ConfigError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:  # also encodings nobody knows
        raise ConfigError(f"{source}: is not valid XML ({error}).") from None
