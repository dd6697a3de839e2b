"""Make everything a person looks at after a run, from the run folder alone; may be repeated at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from parley_bringup.recording.reader import recording_parts
from parley_bringup.recording.repair import repair_recording
from parley_bringup.report.context import RunContext, read_run_floorplan
from parley_bringup.report.film import assemble_film
from parley_bringup.report.floor_figure import draw_floor
from parley_bringup.report.message_figure import draw_messages
from parley_bringup.report.run_data import RunData, read_run
from parley_bringup.report.statistics import RunSummary, read_processes, summarise
from policy_core.config import ConfigError, parse_settings

SUMMARY_FILE = "kpis.json"
FLOOR_FILE, MESSAGES_FILE = "fleet.png", "messages.png"


class Report(NamedTuple):
    """What `build` made."""

    summary: RunSummary
    files: dict[str, Path]  # "kpis", "floor", "messages", "film", "recording": those that exist
    notes: tuple[str, ...]  # what is missing or was repaired, in words


def build(run_dir: Path) -> Report:
    """Read a run folder and write `kpis.json`, `fleet.png`, `messages.png` and the film into it.

    A recording that a kill cut off is finished first.

    Raises:
        ConfigError: it is no run folder, or nothing was recorded in it.
    """
    notes = []
    try:
        notes += repair_recording(run_dir)
    except OSError as error:
        notes.append(f"the recording was cut off and could not be finished: {error}")
    run, plan = read_run(run_dir), read_run_floorplan(run_dir)
    summary = summarise(run, read_processes(run_dir))
    files = {"kpis": run_dir / SUMMARY_FILE, "floor": run_dir / FLOOR_FILE, "recording": recording_parts(run_dir)[0]}
    _write_summary(files["kpis"], summary, run.context)
    title, outcome = _titles(run, summary)
    draw_floor(run, plan, title, outcome, files["floor"])
    if np.isfinite(run.spoken.values).any():
        files["messages"] = run_dir / MESSAGES_FILE
        draw_messages(run, f"Who said what when: {summary.name}", _talk_in_words(summary), files["messages"])
    else:
        notes.append(f"no {MESSAGES_FILE}: the policy {summary.name} sends no messages")
    film = assemble_film(run_dir)
    if film is None:
        notes.append("no film: the simulator left no camera pictures")
    else:
        files["film"] = film
    return Report(summary, files, tuple(notes))


def read_run_summary(run_dir: Path) -> RunSummary:
    """The final numbers of a run that was reported before.

    Raises:
        ConfigError: the folder has no `kpis.json`, or it is damaged.
    """
    path = run_dir / SUMMARY_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}). A run folder gets it when its run ends.") from None
    return parse_settings(RunSummary, content.get("summary"), source=str(path))


def _write_summary(path: Path, summary: RunSummary, context: RunContext) -> None:
    content = {"summary": summary.model_dump(mode="json"), "context": context.model_dump(mode="json")}
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def _titles(run: RunData, summary: RunSummary) -> tuple[str, str]:
    minutes, kpis = run.simulated / 60.0, summary.kpis
    title = f"{minutes:.1f} simulated minutes of {len(run.context.agents)} agents: {summary.name}"
    outcome = [f"seed {run.context.seed}"]
    for name, words in (
        ("orders_done", "orders done"),
        ("lines_shipped", "lines shipped"),
        ("pallets_received", "pallets received"),
        ("contacts", "contacts"),
    ):
        if name in kpis:
            outcome.append(f"{kpis[name]:.0f} {words}")
    return title, ", ".join(outcome)


def _talk_in_words(summary: RunSummary) -> str:
    talk = summary.talk
    words = [
        f"{talk.messages:,} messages of {talk.message_size} numbers",
        f"{talk.messages_per_simulated_second:.1f} a simulated second",
        f"{talk.messages_per_second:.0f} a second of wall time",
    ]
    if talk.rounds_complete_share is not None:
        words.append(f"{talk.rounds_complete_share:.1%} of rounds complete at the deadline")
    return ", ".join(words) + "."
