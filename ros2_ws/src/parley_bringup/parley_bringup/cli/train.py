"""`parley train`: train a fleet policy, with a live display, TensorBoard logs, checkpoints and resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from policy_core.config import ConfigError, read_settings
from policy_core.ppo.checkpoint import CheckpointError
from policy_core.ppo.learner import TrainingError
from policy_core.ppo.settings import TrainingSettings
from policy_core.ppo.train import train as run_training

INTERRUPTED = 130


def train(
    config: Annotated[Path, typer.Option(help="Training settings (YAML).")] = Path("config/training/demo.yaml"),
    run_dir: Annotated[Path, typer.Option(help="Folder for checkpoints and logs.")] = Path("runs/training"),
    resume: Annotated[bool, typer.Option(help="Go on from the newest whole checkpoint of the run folder.")] = False,
    seed: Annotated[int | None, typer.Option(help="Instead of the seed of the settings.")] = None,
    frames: Annotated[int | None, typer.Option(help="Agent frames in all, instead of those of the settings.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or auto, instead of the settings'.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as JSON.")] = None,
) -> None:
    """Train a fleet policy in a batched world.

    Ctrl-C saves after the running iteration and leaves with exit code 130; --resume goes on from there.
    Watch with: tensorboard --logdir RUN_DIR/tensorboard
    """
    console = Console()
    changes = {"seed": seed, "frames": frames, "device": device}
    try:
        settings = read_settings(TrainingSettings, config)
        content = settings.model_dump() | {name: value for name, value in changes.items() if value is not None}
        outcome = run_training(TrainingSettings.model_validate(content), run_dir, resume=resume, console=console)
    except (ConfigError, CheckpointError, TrainingError, ValueError) as error:
        typer.echo(f"parley train: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(f"parley train: stopped; what was saved is in {run_dir}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    speed = outcome.frames / max(outcome.seconds, 1e-9)
    result = outcome._asdict() | {"best": str(outcome.best) if outcome.best else None, "run_dir": str(run_dir)}
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    best = "none yet" if outcome.best_return is None else f"{outcome.best_return:.3f} in {outcome.best}"
    console.print(
        f"{outcome.frames:,} agent frames, {speed:,.0f} frames/s, best evaluation return {best}", soft_wrap=True
    )
    if outcome.was_interrupted:
        console.print(f"interrupted; go on with: parley train --resume --run-dir {run_dir}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    console.print(f"next: parley export {run_dir} BUNDLE_FOLDER", soft_wrap=True)


if __name__ == "__main__":
    typer.run(train)
