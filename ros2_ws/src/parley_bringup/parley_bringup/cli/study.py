"""`parley study`: a bundle beside its rivals under many conditions, and the goal table that comes of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.study_runs import BUNDLED, Task, play_all
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from parley_bringup.report.context import checked_out_commit
from parley_bringup.run_choices import checked_policy
from parley_bringup.study.page import goal_rows, write_page
from parley_bringup.study.picture import draw_sweeps
from parley_bringup.study.records import Records, Run
from parley_bringup.study.result import Outcome, plain, read_outcome
from parley_bringup.study.settings import Condition, StudySettings, read_study
from parley_bringup.study.sources import digest_of, hindrance, policy_hindrance
from policy_core.config import ConfigError, read_yaml
from policy_core.contract import read_contract
from policy_core.export.bundle import read_bundle
from sim.warehouse.datasets import data_folder

Bundles = dict[str, dict[str, str]]  # by policy: name of each bundle, and its folder


def study(
    bundle: Annotated[
        list[Path] | None, typer.Option(help="Trained with messages; one per training seed. Default: the shipped one.")
    ] = None,
    without: Annotated[
        list[Path] | None, typer.Option(help="Trained in the same way without messages; one per training seed.")
    ] = None,
    only: Annotated[str, typer.Option(help="Names of conditions or sweeps, comma between them. Default: all.")] = "",
    seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Episodes of every condition. Default: as configured.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Processes that play at a time; one core each.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the study; one that was stopped goes on there.")] = Path(
        "runs/study"
    ),
    config: Annotated[Path | None, typer.Option(help="Conditions, sweeps, goals. Default: config/study.yaml.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure a bundle beside its rivals under many conditions, and hold it against the goals of the project.

    Writes into --out: runs.jsonl (every episode with all its KPIs, as it ends), study.json, study.md (goal table,
    conditions, sweeps) and study.svg. Call it again, and what is done is not played again: after Ctrl-C or a kill, with
    more --seeds, or with other names in --only. The same seed gives every policy the same orders, stock, defects and
    stopped robots. Conditions whose data is not here are skipped and named. Exit code 0 whether goals are held or not.

    A first look, some minutes:  parley study --only home --seeds 3 --out look
    The whole, on 16 cores:  parley study --bundle b/seed-0 --bundle b/seed-1 --without s/seed-0 --jobs 16 --out whole
    """
    settings = read_study(config or home() / "config" / "study.yaml")
    chosen, data, console = settings.chosen(only), data_folder(home()), open_console()
    teams = _bundles(bundle or [], without or [])
    skipped: dict[str, str] = {}
    digests: dict[str, str] = {}
    for condition in settings.every_condition().values():
        reason = hindrance(condition, data)
        if not reason:
            digests[condition.name] = digest_of(settings, condition, data)
        elif condition in chosen:
            skipped[condition.name] = reason
    with Records(out) as records:
        _of_these_settings(records, digests)
        commit = checked_out_commit(home())
        ready = [condition for condition in chosen if condition.name in digests]
        tasks = list_tasks(settings, ready, teams, seeds, digests, commit, skipped)
        for name, reason in skipped.items():
            console.print(f"skipped: {name}: {reason}", soft_wrap=True, markup=False)
        todo = [task for task in tasks if task.key not in records.runs]
        if len(todo) < len(tasks):
            console.print(f"{len(tasks) - len(todo)} of {len(tasks)} episodes are there already", soft_wrap=True)
        try:
            _play(settings, data, todo, jobs, records, console)
        finally:
            runs = _of_these_settings(records, digests)
            outcome = read_outcome(settings, runs, {policy: list(named) for policy, named in teams.items()}, skipped)
            result = {
                "commits": sorted({run.commit for run in runs}),
                "bundles": {name: Path(folder).name for name, folder in teams["learned"].items()},
                "without": {name: Path(folder).name for name, folder in teams["without"].items()},
                **plain(outcome),
            }
            _write(outcome, out, result)
    write_json(json_file, result)
    if len(result["commits"]) > 1:
        console.print(f"these episodes are of several commits: {', '.join(result['commits'])}", soft_wrap=True)
    console.print(_goals(outcome))
    console.print(f"wrote {out / 'study.md'}", soft_wrap=True)


def _bundles(with_messages: list[Path], without: list[Path]) -> Bundles:
    """The bundles of each learned policy by name; all are read once: a bad one is refused before anything plays.

    Raises:
        ConfigError: one is no bundle, of another contract, or given twice.
    """
    named: list[dict[str, str]] = []
    contract = read_contract(home() / "config" / "contract.yaml")
    for folders in (with_messages or [home() / "config" / "bundles" / "demo"], without):
        own: dict[str, str] = {}
        for folder in folders:
            path = checked_policy(f"bundle:{folder}").removeprefix("bundle:")
            read_bundle(path, contract)
            name = str(read_yaml(Path(path) / "manifest.yaml")["weights_sha256"])[:12]
            if any(name in each for each in (own, *named)):
                raise ConfigError(f"{folder}: the same weights were given before; give each training seed once.")
            own[name] = path
        named.append(own)
    return {"learned": named[0], "silenced": named[0], "without": named[1]}


def list_tasks(
    settings: StudySettings,
    conditions: list[Condition],
    teams: Bundles,
    seeds: int | None,
    digests: dict[str, str],
    commit: str,
    skipped: dict[str, str],
) -> list[Task]:
    """All episodes of these conditions, seed by seed, so that a study given up is even; adds to `skipped`."""
    tasks = []
    for condition in conditions:
        policies = []
        for policy in settings.policies_of(condition):
            reason = policy_hindrance(condition, policy)
            if reason:
                skipped[f"{condition.name}, {policy}"] = reason
            elif policy in BUNDLED and not teams[policy]:
                skipped[policy] = "no bundle trained without messages was given (--without)"
            else:
                policies.append(policy)
        first = settings.first_seed
        for seed in range(first, first + seeds) if seeds else settings.seeds_of(condition):
            for policy in policies:
                own = teams[policy] if policy in BUNDLED else {"": ""}
                for name, folder in own.items():
                    tasks.append(Task(condition, policy, name, folder, seed, digests[condition.name], commit))
    return tasks


def _of_these_settings(records: Records, digests: dict[str, str]) -> list[Run]:
    """The episodes of conditions that can still be measured.

    Raises:
        ConfigError: some were played under other settings.
    """
    runs = [run for run in records.runs.values() if run.condition in digests]
    for run in runs:
        if run.digest != digests[run.condition]:
            raise ConfigError(
                f"{records.path}: '{run.condition}' was played under other settings or inputs (digest {run.digest}, "
                f"now {digests[run.condition]}), and the two cannot be held against each other. Give another --out, or "
                "take back what changed in config/."
            )
    return runs


def _play(
    settings: StudySettings, data: Path | None, tasks: list[Task], jobs: int, records: Records, console: Console
) -> None:
    """Play what is to do; a bar on a terminal, elsewhere a line when a condition is done."""
    left = Counter(task.condition.name for task in tasks)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task("episodes", total=len(tasks))
        for run in play_all(settings, data, tasks, jobs):
            records.add(run)
            left[run.condition] -= 1
            bar.update(shown, advance=1, description=f"{run.condition}, {run.policy}")
            if not console.is_terminal and not left[run.condition]:
                console.print(f"{run.condition}: done, {sum(left.values())} episodes to go", soft_wrap=True)


def _write(outcome: Outcome, out: Path, result: dict[str, object]) -> None:
    """study.json, study.svg and study.md, each whole or not at all."""
    write_json(out / "study.json", result)
    picture = "study.svg" if draw_sweeps(outcome, out / "study.svg") else ""
    own, others = result["bundles"], result["without"]
    assert isinstance(own, dict) and isinstance(others, dict) and isinstance(result["commits"], list)
    told, untold = (
        ", ".join(f"{Path(folder).name} ({name})" for name, folder in each.items()) for each in (own, others)
    )
    commits = ", ".join(result["commits"])
    head = [
        f"- With messages: {told}",
        f"- Without messages: {untold or 'none'}",
        f"- Episodes of {outcome.settings.minutes:g} simulated minutes; commit {commits or 'none'}",
    ]
    part = out / "study.md.part"
    part.write_text(write_page(outcome, head, picture), encoding="utf-8")
    part.replace(out / "study.md")


def _goals(outcome: Outcome) -> Table:
    table = Table("figure", "goal", "measured", "bundles x seeds", "verdict", box=SIMPLE_HEAD, header_style="bold")
    for row in goal_rows(outcome):
        table.add_row(*(escape(cell) for cell in row))
    return table
