"""From a training checkpoint to a policy bundle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.contract import Contract
from policy_core.export.bundle import BundleError, Manifest, Provenance, write_bundle
from policy_core.ppo.checkpoint import BEST, read_checkpoint, read_newest
from policy_core.ppo.settings import TrainingSettings


def export_run(source: Path, target: Path, *, temperature: float | None = None, replace: bool = False) -> Manifest:
    """Write the bundle of a run folder (its best weights, else its newest checkpoint) or of one checkpoint file.

    `temperature` of the drawn choices is that of the training's evaluation unless given.

    Raises:
        CheckpointError: nothing to export.
        BundleError: the target exists or cannot be written.
    """
    if source.is_dir():
        content = read_checkpoint(source / BEST) if (source / BEST).exists() else read_newest(source)[0]
    else:
        content = read_checkpoint(source)
    settings = TrainingSettings.model_validate(content["settings"])
    contract = Contract.model_validate(content["contract"])
    policy = FleetPolicy(contract, settings.architecture, settings.channel)
    try:
        policy.load_state_dict(content["policy"])
    except RuntimeError as error:
        raise BundleError(f"{source}: its weights do not fit its own settings ({error}). Train again.") from None
    provenance = Provenance(
        settings=settings.model_dump(mode="json"),
        frames=content["frames"],
        git_commit=content["commit"],
        trained_fleet=dict(Counter(content["kinds"])),
        evaluation=content["evaluations"][-1] if content["evaluations"] else {},
    )
    drawn_at = settings.evaluation.temperature if temperature is None else temperature
    return write_bundle(target, policy, drawn_at, provenance, replace=replace)
