"""Snapshots of a `BulletWarehouse` on their way between processes: joined, divided, and as text."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence

import numpy as np

Snapshot = dict[str, np.ndarray]


def check_size(snapshot: Snapshot, worlds: int, agents: int) -> None:
    """Raise ValueError if the snapshot is of other numbers of worlds and agents."""
    if snapshot["ticks"].shape != (worlds,) or snapshot["decided"].shape[1:] != (agents,):
        raise ValueError(
            f"saved with {len(snapshot['ticks'])} worlds of {snapshot['decided'].shape[1]} agents, here are "
            f"{worlds} of {agents}; make a world of the size that was saved"
        )


def join(parts: Sequence[Snapshot]) -> Snapshot:
    """One snapshot of all worlds, from those of some each."""
    chance = [world for part in parts for world in json.loads(part["chance"].tobytes())]
    by_world = ("ticks", "decided", "left", "length")
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in by_world},
        "chance": _as_bytes(chance),
        "plan": parts[0]["plan"],  # one for all
    }


def share(snapshot: Snapshot, first: int, last: int) -> Snapshot:
    """The part of a snapshot that is of the worlds from `first` to before `last`."""
    ends = np.cumsum([0, *snapshot["ticks"]])
    return {
        **{name: snapshot[name][first:last] for name in ("ticks", "left", "length")},
        "chance": _as_bytes(json.loads(snapshot["chance"].tobytes())[first:last]),
        "decided": snapshot["decided"][ends[first] : ends[last]],
        "plan": snapshot["plan"],
    }


def to_text(snapshot: Snapshot) -> str:
    """A snapshot for a line of JSON."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **snapshot)
    return base64.b64encode(file.getvalue()).decode()


def from_text(text: str) -> Snapshot:
    """A snapshot that `to_text` has written."""
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _as_bytes(content: object) -> np.ndarray:
    return np.frombuffer(json.dumps(content).encode(), np.uint8).copy()
