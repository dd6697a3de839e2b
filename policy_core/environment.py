"""What the trainer asks of a world: batched observations per kind, one step at a time."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from policy_core.contract import Contract


class KindObservation(NamedTuple):
    """What all agents of one kind sense, raw SI values in the contract's order, for E worlds."""

    vector: np.ndarray  # [E, N_kind, O] float32
    candidates: np.ndarray  # [E, N_kind, C, F] float32
    mask: np.ndarray  # [E, N_kind, L] bool: True where a candidate or option may be chosen (one of each part is)


class Observations(NamedTuple):
    """What the whole fleet senses, in E worlds."""

    kinds: dict[str, KindObservation]
    position: np.ndarray  # [E, N, 3] float32: x (m), y (m), yaw (rad) in map
    alive: np.ndarray  # [E, N] bool
    state: np.ndarray  # [E, G] float32: the whole world in brief, roughly in [-1, 1]; for the critic only


class Step(NamedTuple):
    """One tick of E worlds. A world that ended was reset: `observations` are then the new episode's first."""

    observations: Observations
    reward: np.ndarray  # [E, N] float32
    terminated: np.ndarray  # [E] bool: the task ended
    truncated: np.ndarray  # [E] bool: time ran out
    final: Observations | None  # the ended episodes' last observations (rows where truncated); None if none ended
    kpis: list[dict[str, float]]  # one per episode that ended at this step


class BatchEnvironment(Protocol):
    """E copies of a world that a joint policy can be trained on."""

    contract: Contract
    agents: tuple[str, ...]  # agent names, grouped by kind in the contract's order
    kinds: tuple[str, ...]  # kind of each agent [N]
    worlds: int

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick with what was decided [E, N, P] float32, controls in their units; see `Kind`."""


@runtime_checkable
class Advising(Protocol):
    """A world that can also say what an adviser who sees everything would do."""

    def advise(self) -> np.ndarray:
        """The adviser's decision for what was observed last [E, N, P] float32, as `step` takes it."""
