"""A policy bundle: a folder with `manifest.yaml` and `weights.safetensors`, plain data that nobody ever unpickles.

Only the fleet policy travels; the critic belongs to training. Reading checks everything that could be wrong and
says so in words, so that a robot refuses a bad bundle before any topic opens.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.comm.channel import ChannelSettings
from policy_core.comm.protocol import identify_protocol
from policy_core.config import ConfigError, Settings, read_settings
from policy_core.contract import Contract

FORMAT = 2
MANIFEST = "manifest.yaml"
WEIGHTS = "weights.safetensors"


class BundleError(RuntimeError):
    """A bundle cannot be written or used; the text says what was seen, what was wanted and the cure."""


class Provenance(Settings):
    """Where the weights come from."""

    settings: dict[str, Any]  # of the training run, whole: what `parley train --config` takes
    frames: int  # agent frames behind the weights
    git_commit: str  # of the checkout that trained them, with + where files were changed; "unknown" outside one
    trained_fleet: dict[str, int]  # agents per kind
    evaluation: dict[str, float] = Field(default_factory=dict)


class Manifest(Settings):
    """What a bundle says about itself."""

    format: int
    contract: Contract
    contract_digest: str
    protocol_id: str  # hexadecimal, 64 bits
    architecture: Architecture
    channel: ChannelSettings
    temperature: float = Field(gt=0, le=2)  # of the softmax that choices are drawn from
    weights_sha256: str
    provenance: Provenance


class Bundle(NamedTuple):
    """A checked bundle, ready to run."""

    manifest: Manifest
    policy: FleetPolicy  # in evaluation mode, on the CPU
    protocol_id: int


def write_bundle(
    path: Path, policy: FleetPolicy, temperature: float, provenance: Provenance, *, replace: bool = False
) -> Manifest:
    """Write a bundle whole or not at all.

    Args:
        path: the folder.
        policy: the weights, with contract, architecture and channel.
        temperature: of the softmax that choices are drawn from.
        provenance: where the weights come from.
        replace: whether an older bundle may be replaced.

    Raises:
        BundleError: the folder exists and may not be replaced, or the disk refuses.
    """
    if path.exists() and not (replace and (path / MANIFEST).is_file()):
        raise BundleError(f"{path}: exists already. Choose another folder, or replace an older bundle with --replace.")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    weights = save(state)
    manifest = Manifest(
        format=FORMAT,
        contract=policy.contract,
        contract_digest=policy.contract.digest(),
        protocol_id=f"{_identify(policy.contract, policy.channel, state):016x}",
        architecture=policy.architecture,
        channel=policy.channel,
        temperature=temperature,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        provenance=provenance,
    )
    fresh = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        fresh.mkdir(parents=True)
        (fresh / WEIGHTS).write_bytes(weights)
        plain = yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        (fresh / MANIFEST).write_text(plain, encoding="utf-8")
        if path.exists():
            shutil.rmtree(path)
        fresh.rename(path)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise BundleError(f"{path}: cannot be written ({error}). Free space or choose another folder.") from None
    return manifest


def read_bundle(path: Path | str, contract: Contract | None = None) -> Bundle:
    """Read and check a bundle.

    Args:
        path: the folder.
        contract: what the fleet has agreed on; None accepts the bundle's own.

    Raises:
        BundleError: missing or unreadable files, truncated or corrupt weights, a digest that does not fit, or a
            contract that differs (the text names the field).
    """
    path = Path(path)
    manifest = _read_manifest(path)
    if contract is not None:
        difference = compare_contracts(manifest.contract, contract)
        if difference:
            raise BundleError(
                f"{path}: was trained for another contract: {difference}. Train a bundle for this contract, or give "
                "the contract the bundle was trained with."
            )
    state = _read_weights(path / WEIGHTS, manifest.weights_sha256)
    try:
        policy = FleetPolicy(manifest.contract, manifest.architecture, manifest.channel)
    except ConfigError as error:
        raise BundleError(f"{path}: {error}. The manifest was edited; export again.") from None
    _fill(policy, state, path)
    protocol_id = _identify(manifest.contract, manifest.channel, state)
    if f"{protocol_id:016x}" != manifest.protocol_id:
        raise BundleError(
            f"{path}: the manifest says protocol {manifest.protocol_id}, its weights make {protocol_id:016x}. The "
            "manifest was edited or mixed with another bundle's weights; export again."
        )
    return Bundle(manifest, policy.eval().requires_grad_(False), protocol_id)


def compare_contracts(seen: Contract, wanted: Contract) -> str:
    """The first difference in words, with both views; empty where they agree."""
    for name in ("version", "message_size", "rounds", "tick"):
        if getattr(seen, name) != getattr(wanted, name):
            return f"{name} is {getattr(seen, name)} in the bundle, {getattr(wanted, name)} here"
    if list(seen.kinds) != list(wanted.kinds):
        return f"kinds are {', '.join(seen.kinds)} in the bundle, {', '.join(wanted.kinds)} here"
    for name, kind in seen.kinds.items():
        other = wanted.kinds[name]
        if kind.candidates != other.candidates:
            return f"{name}.candidates is {kind.candidates} in the bundle, {other.candidates} here"
        for part in ("observation", "candidate", "choices", "controls"):
            fields, others = getattr(kind, part), getattr(other, part)
            for index in range(max(len(fields), len(others))):
                mine = fields[index].model_dump(exclude={"about"}) if index < len(fields) else None
                theirs = others[index].model_dump(exclude={"about"}) if index < len(others) else None
                if mine != theirs:
                    label = (mine or theirs or {})["name"]
                    return f"{name}.{part} field '{label}' is {_plain(mine)} in the bundle, {_plain(theirs)} here"
    return ""


def _plain(field: dict[str, Any] | None) -> str:
    return "absent" if field is None else json.dumps(field)


def _identify(contract: Contract, channel: ChannelSettings, state: dict[str, Tensor]) -> int:
    comm = {name: tensor for name, tensor in state.items() if name.startswith("comm.")}
    return identify_protocol(contract.digest(), comm, channel.bits)


def _read_manifest(path: Path) -> Manifest:
    if not path.is_dir():
        raise BundleError(f"{path}: no such folder; a bundle is a folder with {MANIFEST} and {WEIGHTS}.")
    try:
        manifest = read_settings(Manifest, path / MANIFEST)
    except ConfigError as error:
        raise BundleError(f"{path}: not a bundle this version can read. {error}") from None
    if manifest.format != FORMAT:
        raise BundleError(f"{path}: bundle format {manifest.format}; this version reads format {FORMAT}. Export again.")
    digest = manifest.contract.digest()
    if manifest.contract_digest != digest:
        raise BundleError(
            f"{path}: the manifest says contract {manifest.contract_digest[:12]}…, its contract makes {digest[:12]}…. "
            "The manifest was edited; export again."
        )
    return manifest


def _read_weights(path: Path, wanted: str) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}). Export or copy the bundle again.") from None
    seen = hashlib.sha256(content).hexdigest()
    if seen != wanted:
        raise BundleError(
            f"{path}: {len(content)} bytes with SHA-256 {seen[:12]}…, the manifest wants {wanted[:12]}…. The weights "
            "are truncated, corrupt or another bundle's; export or copy it again."
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise BundleError(f"{path}: not safetensors ({error}). Export the bundle again.") from None


def _fill(policy: FleetPolicy, state: dict[str, Tensor], path: Path) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    seen = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | seen.keys()):
        if wanted.get(name) != seen.get(name):
            raise BundleError(
                f"{path}: weight '{name}' has shape {seen.get(name, 'none')}, the manifest's architecture and contract "
                f"want {wanted.get(name, 'none')}. The manifest does not belong to these weights; export again."
            )
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{path}: weight '{name}' holds NaN or infinity. The training run broke; train again.")
    policy.load_state_dict(state)
