"""What each kind of agent senses, says and decides: named fields in order, with unit and range.

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


class Choice(Settings):
    """One of a fixed number of options, told apart by their place only."""

    name: str
    options: int = Bound(ge=2, le=4096)
    about: str = ""


class Kind(Settings):
    """An agent kind: what it observes, and what it decides at every tick.

    A decision has up to three parts, and is the numbers of all of them in this order: a pointer at one of a varying
    set of candidates, each described by fields; choices among fixed options; controls, continuous numbers.
    """

    observation: tuple[Field, ...]
    candidate: tuple[Field, ...] = ()  # what describes one candidate
    candidates: int = Bound(0, ge=0, le=256)  # most that are offered at once; 0: nothing to point at
    choices: tuple[Choice, ...] = ()
    controls: tuple[Field, ...] = ()  # continuous numbers, sent to the world within [low, high]
    about: str = ""

    @model_validator(mode="after")
    def _something_to_decide(self) -> Kind:
        if bool(self.candidate) != bool(self.candidates) or self.candidates == 1:
            raise ValueError(
                f"candidates is {self.candidates} with {len(self.candidate)} candidate field(s); a pointer needs at "
                "least 2 candidates and 1 field, a kind without one neither"
            )
        if not (self.candidates or self.choices or self.controls):
            raise ValueError("nothing to decide; give candidates, choices or controls")
        return self

    @property
    def observation_size(self) -> int:
        """O: numbers in one observation vector."""
        return sum(field.size for field in self.observation)

    @property
    def candidate_size(self) -> int:
        """F: numbers that describe one candidate."""
        return sum(field.size for field in self.candidate)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Options of the pointer (if any) and of each choice, in order; their sum is L, the size of a mask."""
        pointer = (self.candidates,) if self.candidates else ()
        return (*pointer, *(choice.options for choice in self.choices))

    @property
    def firsts(self) -> list[int]:
        """Places in a mask of the first option of every block, which is always legal where nothing else is."""
        return [sum(self.blocks[:place]) for place in range(len(self.blocks))]

    @property
    def control_size(self) -> int:
        """U: continuous numbers in one decision."""
        return sum(control.size for control in self.controls)

    @property
    def action_size(self) -> int:
        """P: numbers in one decision, an index for each block and then the controls."""
        return len(self.blocks) + self.control_size

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


def scale_of(fields: tuple[Field, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half-width of every number of the fields, so that (raw - centre) / half lies in [-1, 1]."""
    low = np.array([field.low for field in fields for _ in range(field.size)])
    high = np.array([field.high for field in fields for _ in range(field.size)])
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

    @property
    def action_size(self) -> int:
        """P: numbers in the longest decision of any kind; shorter ones leave the rest unused."""
        return max(kind.action_size for kind in self.kinds.values())

    def plain(self) -> dict[str, Any]:
        """The contract as plain data, for a bundle's manifest."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 over all that changes meaning (not over descriptions, nor over parts that a kind does not have)."""
        content = self.plain()
        for kind in content["kinds"].values():
            kind.pop("about")
            for part in ("observation", "candidate", "choices", "controls"):
                for field in kind[part]:
                    field.pop("about")
            for part in ("choices", "controls"):
                if not kind[part]:
                    kind.pop(part)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_contract(path: Path | str) -> Contract:
    """Load a contract from YAML; raises ConfigError in words."""
    return parse_settings(Contract, read_yaml(Path(path)), source=str(path))
