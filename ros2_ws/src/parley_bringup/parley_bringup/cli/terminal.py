"""Where the commands print: as wide as the terminal, and wide enough for their tables where there is none."""

from __future__ import annotations

import os

from rich.console import Console

WIDE = 240  # columns, where nothing says how many there are: a pipe or a file


def open_console() -> Console:
    """A console on stdout; `COLUMNS` wins over the terminal and over WIDE."""
    console = Console()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = WIDE
    return console
