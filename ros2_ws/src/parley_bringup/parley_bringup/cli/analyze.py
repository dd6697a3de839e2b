"""`parley analyze`: what a bundle's learned messages say, who heeds them, and what they are worth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from parley_bringup.report.analysis_figures import draw_fields, draw_groups, draw_signalling, draw_talk, draw_worth
from parley_bringup.report.analysis_page import write_page
from parley_bringup.report.context import checked_out_commit
from parley_bringup.report.talk_timeline import draw_timeline
from parley_bringup.run_choices import checked_policy, read_plan
from policy_core.analysis.findings import Findings, analyse
from policy_core.analysis.settings import AnalysisSettings
from policy_core.analysis.verdict import judge_pairs, say
from policy_core.config import parse_settings, read_yaml
from policy_core.contract import read_contract
from policy_core.export.bundle import Bundle, read_bundle
from sim.fast.env import FastWarehouse, order_streams
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse

LINE_PERIOD = 15.0  # s between two lines where there is no terminal


def analyze(
    bundle: Annotated[Path | None, typer.Argument(help="A policy bundle's folder. Default: the shipped one.")] = None,
    out: Annotated[Path, typer.Option(help="The report, one HTML file; its figures beside it as JSON.")] = Path(
        "analysis.html"
    ),
    config: Annotated[Path | None, typer.Option(help="Settings. Default: config/analysis.yaml.")] = None,
    worlds: Annotated[int | None, typer.Option(help="Worlds, in place of the settings' number.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Simulated minutes, in place of the settings' ticks.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the settings' seed.")] = None,
    map_file: Annotated[Path | None, typer.Option("--map", help="Floor plan or map of any form; default ours.")] = None,
    forklifts: Annotated[int, typer.Option(min=1, max=32, help="Robots.")] = 4,
    json_file: JsonFile = None,
) -> None:
    """Show what learned messages do: who tells whom what, who acts on it, and what that is worth.

    Plays the batched world with messages as they are, silenced, shuffled, swapped between worlds and frozen, through
    the bundle's own channel and at its own temperature; docs/analysis.md says how to read the report.
    """
    began = time.monotonic()
    folder = Path(checked_policy(None if bundle is None else f"bundle:{bundle}").removeprefix("bundle:"))
    contract = read_contract(home() / "config" / "contract.yaml")
    settings = _read_settings(config, {"worlds": worlds, "seed": seed}, minutes, contract.tick)
    plan, policy = read_plan(map_file), read_bundle(folder, contract)
    world = _make_world(settings, plan, forklifts)
    console = open_console()
    findings = _watched(policy, world, settings, console)
    pairs = judge_pairs(findings.figures, settings.listening.least_influence)
    result: dict[str, Any] = {
        "bundle": str(folder.relative_to(home()) if folder.is_relative_to(home()) else folder),
        "weights_sha256": policy.manifest.weights_sha256,
        "protocol_id": policy.manifest.protocol_id,
        "commit": checked_out_commit(home()),
        "map": str(map_file or plan.name),
        "forklifts": forklifts,
        "temperature": policy.manifest.temperature,
        "settings": settings.model_dump(mode="json"),
        "sentences": say(findings.figures, pairs),
        "pairs": pairs,
        "figures": findings.figures,
        "wall_s": time.monotonic() - began,
    }
    write_page(out, result, _pictures(findings, pairs, world, plan))
    written = json_file or out.with_suffix(".json")
    write_json(written, result)
    for sentence in result["sentences"]:
        console.print(sentence, soft_wrap=True, highlight=False)
    console.print(_table(pairs))
    console.print(f"wrote {out} and {written} in {time.monotonic() - began:.0f} s", soft_wrap=True, highlight=False)


def _read_settings(
    path: Path | None, given: dict[str, int | None], minutes: float | None, tick: float
) -> AnalysisSettings:
    """The settings file, with what the command line gives in its place."""
    source = path or home() / "config" / "analysis.yaml"
    content = read_yaml(source)
    if isinstance(content, dict):
        content |= {name: value for name, value in given.items() if value is not None}
        if minutes is not None:
            content["ticks"] = round(60 * minutes / tick)
    return parse_settings(AnalysisSettings, content, source=str(source))


def _make_world(settings: AnalysisSettings, plan: FloorPlan, forklifts: int) -> FastWarehouse:
    """As many worlds as wanted, whose episodes all end at the last tick."""
    config = home() / "config"
    contract = read_contract(config / "contract.yaml")
    streams, popularity = order_streams(str(config / "orders.yaml"), (1.0, 1.0))
    return FastWarehouse(
        settings.worlds,
        forklifts,
        settings.ticks * contract.tick,
        [build_tables(plan)],
        read_warehouse(config / "warehouse.yaml"),
        read_bodies(config / "bodies.yaml"),
        contract,
        streams,
        popularity,
    )


def _watched(bundle: Bundle, world: FastWarehouse, settings: AnalysisSettings, console: Console) -> Findings:
    """Analyse, with a bar on a terminal and a line now and then elsewhere."""
    columns = (TextColumn("{task.description:32}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    told = time.monotonic()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # batches are small: threads would wait for each other
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=1.0)

            def stage(name: str, share: float) -> None:
                nonlocal told
                progress.update(task, description=name, completed=share)
                if not console.is_terminal and time.monotonic() - told > LINE_PERIOD:
                    told = time.monotonic()
                    console.print(f"{100 * share:3.0f} % {name}", highlight=False)

            return analyse(bundle.policy, world, settings, bundle.manifest.temperature, stage)
    finally:
        torch.set_num_threads(threads)


def _pictures(findings: Findings, pairs: list[dict[str, Any]], world: FastWarehouse, plan: FloorPlan) -> dict[str, Any]:
    figures = findings.figures
    counted = "orders_per_hour" if any(line["figure"] == "orders_per_hour" for line in figures["worth"]) else "reward"
    single = [line for line in figures["worth"] if line["figure"] == counted and line["mode"] == "silence"]
    shown = {line["sender"]: line["found"] for line in figures["clusters"]}
    return {
        "talk": draw_talk(pairs, single),
        "fields": draw_fields(figures["fields"], sorted(pairs, key=lambda pair: -pair["nats"]["value"])),
        "signalling": draw_signalling(figures["signalling"]),
        "worth": draw_worth(figures["worth"], counted),
        "groups": draw_groups(findings.groupings, figures["clusters"]),
        "timeline": draw_timeline(
            findings.recording, findings.groupings, shown, world.agents, plan, world.contract.tick
        ),
    }


def _table(pairs: list[dict[str, Any]]) -> Table:
    table = Table("pair", "verdict", "influence (nats)", "acted on", "new facts", box=SIMPLE_HEAD, header_style="bold")
    for pair in pairs:
        low, high = pair["nats"]["interval"]
        table.add_row(
            f"{pair['sender']} to {pair['receiver']}",
            pair["verdict"],
            f"{pair['nats']['value']:.3f} [dim]{low:.3f}..{high:.3f}[/]",
            ", ".join(pair["acted_on"][:3]),
            str(len(pair["news"])),
        )
    return table
