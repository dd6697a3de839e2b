"""How anything that decides for one agent is driven: begin, hear K times, choose."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Observation(NamedTuple):
    """What one agent senses at a tick: raw SI values in the contract's order."""

    vector: np.ndarray  # [O] float32
    candidates: np.ndarray  # [C, F] float32
    mask: np.ndarray  # [C] bool; candidate 0 is always allowed
    position: tuple[float, float, float]  # x (m), y (m), yaw (rad) in map


class Heard(NamedTuple):
    """What one agent heard in one round, one row per neighbour in fleet order, without itself."""

    messages: np.ndarray  # [J, M] float32; zeros where absent
    age: np.ndarray  # [J] s
    present: np.ndarray  # [J] bool
    position: np.ndarray  # [J, 3] x (m), y (m), yaw (rad) in map
    kind: tuple[str, ...]  # [J]


class AgentPolicy(Protocol):
    """One agent's decision maker. Calls come in this order once a tick: begin, hear x K, choose."""

    def begin(self, observation: Observation) -> np.ndarray:
        """Take in the observation; gives the message of round 1 [M]."""

    def hear(self, heard: Heard) -> np.ndarray | None:
        """Take in round r; gives the message of round r + 1 [M], or None after the last."""

    def choose(self) -> int:
        """The candidate this agent points at."""
