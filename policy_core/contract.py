"""What each kind of agent senses, says and may choose: named fields in order, with unit and range.

The contract is the one agreement between world, trainer, bundle and robot. A world writes raw SI values in
the order of the fields; the network scales them by the ranges given here; the digest goes into every bundle.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import Settings, parse_settings, read_yaml


class ContractError(ValueError):
    """Two sides do not agree about an agent: the text names the field and both views."""


class Field(Settings):
    """One named quantity: `size` numbers in `unit`, expected between `low` and `high`."""

    name: str
    size: int = Bound(1, ge=1, le=512)
    unit: str
    low: float
    high: float
    about: str = ""

    @model_validator(mode="after")
    def _range_is_open(self) -> Field:
        if not self.high > self.low:
            raise ValueError(f"field '{self.name}': high ({self.high}) must exceed low ({self.low})")
        return self


class Kind(Settings):
    """An agent kind: its observation fields, and the fields of each candidate it may point at."""

    observation: tuple[Field, ...]
    candidate: tuple[Field, ...]
    candidates: int = Bound(ge=2, le=256)
    about: str = ""

    @property
    def observation_size(self) -> int:
        """O: numbers in one observation vector."""
        return sum(field.size for field in self.observation)

    @property
    def candidate_size(self) -> int:
        """F: numbers that describe one candidate."""
        return sum(field.size for field in self.candidate)

    def place(self, name: str, *, of_candidate: bool = False) -> slice:
        """Where a named field lies in the raw vector.

        Raises:
            ContractError: if no field has that name.
        """
        start = 0
        fields = self.candidate if of_candidate else self.observation
        for field in fields:
            if field.name == name:
                return slice(start, start + field.size)
            start += field.size
        raise ContractError(f"no field '{name}'; the contract has {', '.join(f.name for f in fields)}")

    def scale(self, *, of_candidate: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Centre and half-width of every number [O] or [F], so that (raw - centre) / half lies in [-1, 1]."""
        fields = self.candidate if of_candidate else self.observation
        low = np.concatenate([np.full(f.size, f.low) for f in fields])
        high = np.concatenate([np.full(f.size, f.high) for f in fields])
        return ((high + low) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)


class Contract(Settings):
    """Everything a fleet has agreed on: message size M, rounds K, the tick, and its kinds."""

    version: int = Bound(ge=1)
    message_size: int = Bound(ge=1, le=1024)
    rounds: int = Bound(ge=0, le=8)
    tick: float = Bound(gt=0, le=60)
    kinds: dict[str, Kind]

    def kind(self, name: str) -> Kind:
        """The named kind.

        Raises:
            ContractError: if the fleet has no such kind.
        """
        try:
            return self.kinds[name]
        except KeyError:
            raise ContractError(f"unknown kind '{name}'; the contract knows {', '.join(self.kinds)}") from None

    def plain(self) -> dict[str, Any]:
        """The contract as plain data, for a bundle's manifest."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 over all that changes meaning (not over descriptions)."""
        content = self.plain()
        for kind in content["kinds"].values():
            kind.pop("about")
            for field in (*kind["observation"], *kind["candidate"]):
                field.pop("about")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_contract(path: Path | str) -> Contract:
    """Load a contract from YAML; raises ConfigError in words."""
    return parse_settings(Contract, read_yaml(Path(path)), source=str(path))
