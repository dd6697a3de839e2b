"""`parley train`: train a fleet policy, with a live display, TensorBoard logs, checkpoints and resume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.train_seeds import parse_seeds, tell, train_seeds
from policy_core.config import ConfigError, parse_settings, read_settings
from policy_core.ppo.checkpoint import CheckpointError
from policy_core.ppo.learner import TrainingError
from policy_core.ppo.settings import TrainingSettings
from policy_core.ppo.train import train as run_training
from policy_core.worlds.processes import WorldError

INTERRUPTED = 130
WAREHOUSE = Path("config/training/demo.yaml")
ANY_WORLD = Path("config/training/worlds.yaml")


def train(
    config: Annotated[
        Path | None,
        typer.Option(help=f"Training settings (YAML); {WAREHOUSE} if not given, or with --env {ANY_WORLD}."),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(help="World: module:function, or pettingzoo:MODULE, rware:ID, gymnasium:PACKAGE:ID, vmas:NAME."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, such as ppo.epochs=4; may be repeated."),
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Folder for checkpoints and logs.")] = Path("runs/training"),
    resume: Annotated[bool, typer.Option(help="Go on from the newest whole checkpoint of the run folder.")] = False,
    seed: Annotated[int | None, typer.Option(help="Instead of the seed of the settings.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Several runs, such as 0..4, each in RUN_DIR/seed-N; given again, what was stopped goes on."),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Agent frames in all, instead of those of the settings.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or auto, instead of the settings'.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Train a fleet policy in a batched world.

    Ctrl-C saves after the running iteration and leaves with exit code 130; --resume goes on from there.
    Watch with: tensorboard --logdir RUN_DIR/tensorboard
    """
    console = Console()
    options = {"seed": seed, "frames": frames, "device": device, "env": env}
    try:
        path = config or (ANY_WORLD if env else WAREHOUSE)
        changes = [(name, value) for name, value in options.items() if value is not None]
        settings = read_changed(path, [*changes, *(parse_change(each) for each in change or [])])
        if seeds is not None:
            outcomes = train_seeds(settings, parse_seeds(seeds), run_dir, console)
        else:
            outcomes = [run_training(settings, run_dir, resume=resume, console=console)]
    except (ConfigError, CheckpointError, TrainingError, WorldError, ValueError) as error:
        typer.echo(f"parley train: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(f"parley train: stopped; what was saved is in {run_dir}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if seeds is None:
        write_json(json_file, tell(outcomes[0], run_dir))
    else:
        write_json(json_file, [tell(outcome, run_dir / f"seed-{outcome.seed}") for outcome in outcomes])
    for outcome in outcomes:
        speed = outcome.frames / max(outcome.seconds, 1e-9)
        best = "none yet" if outcome.best_return is None else f"{outcome.best_return:.3f} in {outcome.best}"
        console.print(
            f"{outcome.frames:,} agent frames, {speed:,.0f} frames/s, best evaluation return {best}", soft_wrap=True
        )
    if any(outcome.was_interrupted for outcome in outcomes):
        again = "--resume" if seeds is None else f"--seeds {seeds}"
        console.print(f"interrupted; go on with: parley train {again} --run-dir {run_dir}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    if seeds is None:
        console.print(f"next: parley export {run_dir} BUNDLE_FOLDER", soft_wrap=True)
    else:
        console.print(f"next: parley plot 'LABEL={run_dir}/seed-*.json' --figure 'return'", soft_wrap=True)


def parse_change(text: str) -> tuple[str, Any]:
    """Key and value of one --set, the value read as YAML.

    Raises:
        ConfigError: it is not KEY=VALUE, or the value is not YAML.
    """
    key, sign, value = text.partition("=")
    if not (key and sign):
        raise ConfigError(f"--set: saw '{text}', wanted KEY=VALUE, such as ppo.epochs=4")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: the value is not valid YAML: {error}") from None


def read_changed(path: Path, changes: list[tuple[str, Any]]) -> TrainingSettings:
    """Settings of a file with these keys, dots between their parts, set to other values.

    Raises:
        ConfigError: as `parse_settings`; a key that leads through a value is refused, too.
    """
    content = read_settings(TrainingSettings, path).model_dump(mode="json")
    for key, value in changes:
        *sections, last = key.split(".")
        inner = content
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {key}: '{section}' is a value, not a section, so nothing is inside it")
        inner[last] = value
    told = ", ".join(key for key, _ in changes)
    return parse_settings(TrainingSettings, content, source=f"{path} with {told} changed" if told else str(path))


if __name__ == "__main__":
    typer.run(train)
