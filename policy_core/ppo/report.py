"""Showing a training run: TensorBoard scalars, and a live display or, where there is no terminal, plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from torch.utils.tensorboard import SummaryWriter

LINE_EVERY = 15.0  # s between plain lines
SHOWN = {  # name in the log: words and format on the screen
    "frames per second": "{:,.0f} frames/s",
    "episode/return": "return {:.2f}",
    "reward per tick": "reward/tick {:.4f}",
    "kl": "KL {:.4f}",
    "entropy": "entropy {:.2f}",
    "explained variance": "EV {:.2f}",
    "message gradient norm/round 1": "message gradient {:.1e}",
}


class Report:
    """What the person at the screen, and TensorBoard, get to see."""

    def __init__(self, folder: Path | None, iterations: int, done: int, frames_each: int, console: Console) -> None:
        """Log below `folder` (None: nowhere); `done` of so many iterations lie behind, of so many agent frames each."""
        self.console = console
        purge = done * frames_each + 1 if done else None
        self.writer = None if folder is None else SummaryWriter(str(folder), purge_step=purge)
        self.iterations = iterations
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self.task = self.progress.add_task("training", total=iterations, completed=done)
        self.live = Live(self.progress, console=console, refresh_per_second=2)
        self.told_at = 0.0
        self.started, self.started_from = time.monotonic(), done

    @contextmanager
    def shown(self) -> Iterator[Report]:
        """Keep the display on screen, and close the log at the end."""
        try:
            if self.console.is_terminal:
                with self.live:
                    yield self
            else:
                yield self
        finally:
            if self.writer:
                self.writer.close()

    def iteration(self, number: int, frames: int, figures: dict[str, float]) -> None:
        """Log the figures of an iteration and move the bar."""
        self._log(figures, frames)
        told = "  ".join(words.format(figures[name]) for name, words in SHOWN.items() if name in figures)
        self.progress.update(self.task, completed=number)
        self.live.update(Group(self.progress, Text(told, style="dim")))
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.told_at > LINE_EVERY or number == self.iterations):
            self.told_at = now
            left = (now - self.started) / (number - self.started_from) * (self.iterations - number)
            self.say(f"{number}/{self.iterations}  {told}  left {left / 60:.1f} min")

    def say(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, soft_wrap=True, highlight=False)

    def evaluation(self, frames: int, figures: dict[str, float]) -> None:
        """Log the figures of an evaluation."""
        self._log({f"evaluation/{name}": figure for name, figure in figures.items()}, frames)
        if self.writer:
            self.writer.flush()

    def _log(self, figures: dict[str, float], frames: int) -> None:
        if self.writer is None:
            return
        for name, figure in figures.items():
            self.writer.add_scalar(name, figure, frames)
