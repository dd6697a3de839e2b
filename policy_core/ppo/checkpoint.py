"""Saving all that a run needs to go on, so that being killed while saving never costs the last good copy.

A checkpoint is plain data: tensors, numbers and text, read back with torch's `weights_only`, so that no code in
a file is ever run.
"""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

FORMAT = 2
PATTERN = "checkpoint-*.pt"
BEST = "best.pt"  # of the weights with the best evaluation


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read or does not fit; the text says why and what to do."""


@runtime_checkable
class Restorable(Protocol):
    """A world whose whole state can be saved; with it a resumed run equals an unbroken one bit for bit."""

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all arrays that make up the world's state, its chance included."""

    def restore(self, snapshot: dict[str, np.ndarray]) -> Any:
        """Take up a saved state; returns the Observations that belong to it."""


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all: to a file beside it, flushed to disk, then renamed.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; an older file of that name is intact.
    """
    fresh = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: cannot be saved ({error}). The last good checkpoint is intact; free space or change the run "
            "folder, then resume."
        ) from None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint.

    Raises:
        CheckpointError: missing, truncated, corrupt, not plain data, or of another format.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file. Give a checkpoint that `parley train` wrote.") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: not a whole checkpoint ({reason[:200]}). Use an older one.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        seen = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: format {seen}; this version reads format {FORMAT}.")
    return content


def save_numbered(folder: Path, iteration: int, content: dict[str, Any], keep: int) -> Path:
    """Save the checkpoint of an iteration and remove all but the newest `keep`."""
    path = folder / f"checkpoint-{iteration:07d}.pt"
    write_checkpoint(path, content)
    for old in sorted(folder.glob(PATTERN))[:-keep]:
        old.unlink()
    return path


def read_newest(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The newest checkpoint that is whole, and what was wrong with newer ones.

    Raises:
        CheckpointError: there is none.
    """
    faults: list[str] = []
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            return read_checkpoint(path), faults
        except CheckpointError as error:
            faults.append(str(error))
    told = "; ".join(faults) or f"no {PATTERN} there"
    raise CheckpointError(f"{folder}: nothing to resume from ({told}). Start without --resume.")


def pack_arrays(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """A world's snapshot as tensors."""
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}


def unpack_arrays(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A world's snapshot as arrays again."""
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def read_commit() -> str:
    """The commit of the checkout that this code runs from, with + where files were changed; "unknown" outside one."""
    here = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*here, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changes = [*here, "status", "--porcelain", "--untracked-files=no"]
        changed = subprocess.run(changes, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
