"""Snapshots of a `BulletWarehouse` on their way between processes: joined, divided, and as text."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence

import numpy as np

FOR_ALL = ("plan", "guard")  # one for all worlds

Snapshot = dict[str, np.ndarray]


def check_fit(snapshot: Snapshot, worlds: int, agents: int, has_guard: bool) -> None:
    """Raise ValueError if the snapshot is of other numbers of worlds and agents, or only one of both has guards."""
    if snapshot["ticks"].shape != (worlds,) or snapshot["decided"].shape[1:] != (agents,):
        raise ValueError(
            f"saved with {len(snapshot['ticks'])} worlds of {snapshot['decided'].shape[1]} agents, here are "
            f"{worlds} of {agents}; make a world of the size that was saved"
        )
    if bool(snapshot["guard"][0]) != has_guard:
        raise ValueError(
            f"saved {'without' if has_guard else 'with'} guards, here robots are {'with' if has_guard else 'without'} "
            "them; make a world with the guard that was saved"
        )


def join(parts: Sequence[Snapshot]) -> Snapshot:
    """One snapshot of all worlds, from those of some each."""
    chance = [world for part in parts for world in json.loads(part["chance"].tobytes())]
    by_world = ("ticks", "decided", "left", "length")
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in by_world},
        "chance": _as_bytes(chance),
        **{name: parts[0][name] for name in FOR_ALL},
    }


def share(snapshot: Snapshot, first: int, last: int) -> Snapshot:
    """The part of a snapshot that is of the worlds from `first` to before `last`."""
    ends = np.cumsum([0, *snapshot["ticks"]])
    return {
        **{name: snapshot[name][first:last] for name in ("ticks", "left", "length")},
        "chance": _as_bytes(json.loads(snapshot["chance"].tobytes())[first:last]),
        "decided": snapshot["decided"][ends[first] : ends[last]],
        **{name: snapshot[name] for name in FOR_ALL},
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
