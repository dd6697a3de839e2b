"""`parley export` and `parley verify`: from a training run to a policy bundle, and a bundle's proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from policy_core.config import ConfigError
from policy_core.contract import read_contract
from policy_core.export.bundle import BundleError
from policy_core.export.checkpoint import export_run
from policy_core.export.verify import verify_bundle
from policy_core.ppo.checkpoint import CheckpointError


def export(
    source: Annotated[Path, typer.Argument(help="Run folder of `parley train`, or one checkpoint file.")],
    target: Annotated[Path, typer.Argument(help="Bundle folder to write.")],
    temperature: Annotated[
        float | None,
        typer.Option(min=0.01, max=2, help="Of the softmax that choices are drawn from. Default: the training's."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an older bundle there.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as JSON.")] = None,
) -> None:
    """Export a training run's best weights as a policy bundle."""
    try:
        manifest = export_run(source, target, temperature=temperature, replace=replace)
    except (BundleError, CheckpointError) as error:
        typer.echo(f"parley export: {error}", err=True)
        raise typer.Exit(2) from None
    result = {"bundle": str(target), "protocol_id": manifest.protocol_id, **manifest.provenance.model_dump()}
    _write(json_file, result)
    Console().print(
        f"{target}: protocol {manifest.protocol_id}, {manifest.provenance.frames:,} agent frames of "
        f"{manifest.provenance.settings['env']}\nnext: parley verify {target}",
        soft_wrap=True,
    )


def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    contract: Annotated[Path | None, typer.Option(help="Also hold it against this contract (YAML).")] = None,
    trials: Annotated[int, typer.Option(help="Random fleet decisions to compare.", min=1, max=10_000)] = 20,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as JSON.")] = None,
) -> None:
    """Check a bundle's digests, contract and weights, and that on-board and batched decisions agree to 1e-5."""
    try:
        agreed = None if contract is None else read_contract(contract)
        found = verify_bundle(bundle, agreed, trials)
    except (BundleError, ConfigError) as error:
        typer.echo(f"parley verify: {error}", err=True)
        raise typer.Exit(2) from None
    manifest = found.bundle.manifest
    result = {
        "bundle": str(bundle),
        "protocol_id": manifest.protocol_id,
        "contract_digest": manifest.contract_digest,
        "weights_sha256": manifest.weights_sha256,
        "parameters": sum(weight.numel() for weight in found.bundle.policy.parameters()),
        "greatest_difference": found.greatest_difference,
        "same_choices": found.same_choices,
        "choices": found.choices,
        "provenance": manifest.provenance.model_dump(),
    }
    _write(json_file, result)
    Console().print(
        f"{bundle}: good. Protocol {manifest.protocol_id}, {result['parameters']:,} parameters, trained on "
        f"{manifest.provenance.frames:,} agent frames of {manifest.provenance.settings.get('env')}.\nOn board and "
        f"batched: greatest difference {found.greatest_difference:.1e}, {found.same_choices} of {found.choices} "
        "choices equal.",
        soft_wrap=True,
    )


def _write(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
