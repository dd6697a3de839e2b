"""The training loop on one page: collect and learn, report, evaluate, save."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from policy_core.config import ConfigError
from policy_core.environment import BatchEnvironment
from policy_core.ppo.check import check_fleet
from policy_core.ppo.checkpoint import BEST, PATTERN, read_newest, save_numbered, write_checkpoint
from policy_core.ppo.evaluate import evaluate
from policy_core.ppo.learner import TrainingError
from policy_core.ppo.report import Report
from policy_core.ppo.run import Run, make_environment
from policy_core.ppo.settings import TrainingSettings

LAUNCH = "torchrun.txt"  # which launch of torchrun a run folder belongs to; empty without


class Outcome(NamedTuple):
    """How a run ended."""

    iterations: int
    frames: int
    seconds: float
    best_return: float | None
    best: Path | None
    was_interrupted: bool
    seed: int
    commit: str
    evaluations: list[dict[str, float]]  # frames, return, episode return, CPU seconds and KPIs of each


def train(settings: TrainingSettings, folder: Path, *, resume: bool = False, console: Console | None = None) -> Outcome:
    """Train a fleet policy; the run folder gets settings, checkpoints, the best weights and TensorBoard logs.

    Started by torchrun, all processes train together, each on its share of the worlds; the first one writes. After
    a crash torchrun starts all anew, and the run goes on from its newest checkpoint.

    The first Ctrl-C ends the run after the running iteration, with everything saved; a second one at once.

    Raises:
        ConfigError, CheckpointError, TrainingError: in words; the last good checkpoint is intact.
    """
    console = console or Console()
    is_first = os.environ.get("RANK", "0") == "0"
    console.quiet = console.quiet or not is_first
    console.print(f"building {settings.worlds} worlds of {settings.env}", soft_wrap=True, highlight=False)
    run = Run(settings, folder)
    was_restarted = any(folder.glob(PATTERN)) and is_restart(folder)
    if resume or was_restarted:
        content, faults = read_newest(folder)
        for fault in faults:
            console.print(f"[yellow]passed over[/] {fault}")
        run.take_up(content)
    elif any(folder.glob(PATTERN)):
        raise ConfigError(f"{folder}: already holds a run. Give --resume to go on with it, or another --run-dir.")
    if is_first:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LAUNCH).write_text(os.environ.get("TORCHELASTIC_RUN_ID", ""))
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    judges = make_judges(run)
    began = time.monotonic()
    saved_at = run.iteration if resume or was_restarted else -1
    log = folder / "tensorboard" if is_first else None
    report = Report(log, run.iterations, run.iteration, run.frames_each, console)
    with report.shown(), listening_for_interrupt() as interrupted:
        told = ""
        while run.iteration < run.iterations and not run.ranks.agree(interrupted.is_set()):
            run.enter_due_stage()
            if told != (told := tell_stage(run)):
                report.say(told)
            figures = run.iterate()
            frames = run.iteration * run.frames_each
            report.iteration(run.iteration, frames, figures)
            is_last = run.iteration == run.iterations
            if is_last or run.iteration % settings.evaluation.every == 0:
                note_evaluation(run, judges, report)
            if is_last or run.iteration % settings.checkpoint.every == 0:
                save(run)
                saved_at = run.iteration
        if saved_at != run.iteration:
            save(run)
    best = folder / BEST
    return Outcome(
        run.iteration,
        run.iteration * run.frames_each,
        time.monotonic() - began,
        run.best_return,
        best if best.exists() else None,
        run.iteration < run.iterations,
        settings.seed,
        run.commit,
        run.evaluations,
    )


def is_restart(folder: Path) -> bool:
    """Whether torchrun has started this process anew, and the run in the folder is of the same launch."""
    note = folder / LAUNCH
    is_ours = note.is_file() and note.read_text() == os.environ.get("TORCHELASTIC_RUN_ID")
    return is_ours and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def make_judges(run: Run) -> BatchEnvironment:
    """The worlds of the evaluation: in every stage of a curriculum the run's own.

    Raises:
        ConfigError: they cannot be built, or the stages' fleet is another.
    """
    asked = run.settings.evaluation
    judges = make_environment(run.settings, asked.worlds)
    if run.settings.curriculum:
        try:
            check_fleet(run.environment, run.collector.observations, judges, judges.reset(asked.seed))
        except (ConfigError, TrainingError) as error:
            raise ConfigError(f"the evaluation beside the curriculum: {error}") from None
    return judges


def save(run: Run) -> None:
    """Save the checkpoint of this iteration; every process tells its part, the first one writes."""
    content = run.content()
    if run.ranks.index == 0:
        save_numbered(run.folder, run.iteration, content, run.settings.checkpoint.keep)


def tell_stage(run: Run) -> str:
    """The stage that is played, in words; empty without a curriculum."""
    stages = run.settings.curriculum
    if not stages:
        return ""
    stage = stages[run.stage]
    changes = stage.model_dump(exclude={"until"}, exclude_none=True)
    told = ", ".join(f"{key}: {value}" for key, value in changes.items() if value) or "as the run's own world"
    return f"stage {run.stage + 1} of {len(stages)}, until {stage.until:.0%} of the run: {told}"


def note_evaluation(run: Run, judges: BatchEnvironment, report: Report) -> None:
    """Evaluate with and without messages, log it, and keep the weights if they are the best so far.

    Every process plays the same evaluation, so that all come to the same verdict.
    """
    asked = run.settings.evaluation
    play = functools.partial(
        evaluate, run.policy, judges, ticks=asked.ticks, seed=asked.seed, temperature=asked.temperature
    )
    heard, silent = play(), play(silence=True)
    frames = run.iteration * run.frames_each
    figures = {"return": heard.mean_return, "return silenced": silent.mean_return, "standard error": heard.spread}
    figures |= {"episode return": heard.episode_return, "cpu seconds": run.cpu_seconds}
    figures |= {f"kpi {name}": figure for name, figure in heard.kpis.items()}
    run.evaluations.append({"frames": float(frames), **figures})
    report.evaluation(frames, figures)
    is_best = run.ranks.agree(run.best_return is None or heard.mean_return > run.best_return)
    if is_best:
        run.best_return = heard.mean_return
        content = run.content()
        if run.ranks.index == 0:
            write_checkpoint(run.folder / BEST, content)
    report.say(
        f"evaluation at {frames:,} frames: return {heard.mean_return:.3f} ± {heard.spread:.3f}, "
        f"silenced {silent.mean_return:.3f}{'  (best)' if is_best else ''}"
    )


@contextmanager
def listening_for_interrupt() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; a second Ctrl-C raises KeyboardInterrupt as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
