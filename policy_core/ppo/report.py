"""Showing a training run: TensorBoard scalars, and a progress bar or, where there is no terminal, plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

LINE_EVERY = 15.0  # s between plain lines


class Report:
    """What the person at the screen, and TensorBoard, get to see."""

    def __init__(self, folder: Path, iterations: int, done: int, console: Console) -> None:
        """Log below `folder`; `done` iterations of `iterations` lie behind."""
        self.console = console
        self.writer = SummaryWriter(str(folder), purge_step=done)
        self.iterations = iterations
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=iterations, completed=done, told="")
        self.told_at = 0.0
        self.started, self.started_from = time.monotonic(), done

    @contextmanager
    def shown(self) -> Iterator[Report]:
        """Keep the bar on screen, and close the log at the end."""
        try:
            with self.progress:
                yield self
        finally:
            self.writer.close()

    def iteration(self, number: int, frames: int, figures: dict[str, float]) -> None:
        """Log the figures of an iteration and move the bar."""
        for name, figure in figures.items():
            self.writer.add_scalar(name, figure, frames)
        words = [f"{figures['frames per second']:,.0f} frames/s"]
        words += [f"return {figures['episode/return']:.2f}"] if "episode/return" in figures else []
        words += [f"reward/tick {figures['reward per tick']:.4f}"]
        words += [f"KL {figures['kl']:.4f}", f"entropy {figures['entropy']:.2f}"] if "kl" in figures else []
        words += [f"EV {figures['explained variance']:.2f}"]
        told = "  ".join(words)
        self.progress.update(self.task, completed=number, told=told)
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.told_at > LINE_EVERY or number == self.iterations):
            self.told_at = now
            left = (now - self.started) / (number - self.started_from) * (self.iterations - number)
            line = f"{number}/{self.iterations}  {told}  left {left / 60:.1f} min"
            self.console.print(line, soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, soft_wrap=True, highlight=False)

    def evaluation(self, frames: int, figures: dict[str, float]) -> None:
        """Log the figures of an evaluation."""
        for name, figure in figures.items():
            self.writer.add_scalar(f"evaluation/{name}", figure, frames)
        self.writer.flush()
