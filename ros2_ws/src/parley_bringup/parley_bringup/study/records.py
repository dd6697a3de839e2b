"""The episodes a study has played, one line of JSON each: what is done stays done when the study is killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from pydantic import ValidationError

from policy_core.config import ConfigError, Settings

RUNS_FILE = "runs.jsonl"


class Key(NamedTuple):
    """Which episode it is."""

    condition: str
    policy: str
    bundle: str  # what `bundle_name` gives; empty where the policy is none
    seed: int


class Run(Settings):
    """One episode."""

    condition: str
    digest: str  # of the condition and of all settings behind it
    policy: str
    bundle: str
    seed: int
    forklifts: int
    commit: str
    wall_s: float
    kpis: dict[str, float]  # with `reward` and `alive_s` (sim/fast/evaluate.py)

    @property
    def key(self) -> Key:
        """Which episode it is."""
        return Key(self.condition, self.policy, self.bundle, self.seed)


class Records:
    """FOLDER/runs.jsonl, open to be added to by this process alone.

    Raises:
        ConfigError: another study writes there, the folder cannot be written, or a line is none of ours.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there; half a line at the end, left by a kill, is cut off."""
        self.path = folder / RUNS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("a+b")
        except OSError as error:
            raise ConfigError(f"--out: {folder} cannot be written ({error}); name another folder.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ConfigError(f"{self.path}: another study writes here; wait for it, or name another --out.") from None
        self.runs: dict[Key, Run] = {}
        try:
            self._read()
        except ConfigError:
            self._file.close()
            raise

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                run = Run.model_validate_json(line)
            except ValidationError:
                raise ConfigError(
                    f"{self.path}: line {number} is no episode of a study; delete that line, or name another --out."
                ) from None
            self.runs[run.key] = run

    def add(self, run: Run) -> None:
        """Write one line, whole, to the disk."""
        self._file.write(run.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.runs[run.key] = run

    def __enter__(self) -> Records:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
