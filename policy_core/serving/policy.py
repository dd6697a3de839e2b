"""The boundary between one agent and its policy: observations and neighbours' messages in, messages and a choice out.

Baselines and learned bundles implement it alike; a node drives it and knows nothing else about a policy.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Observation(NamedTuple):
    """What one agent senses, raw SI values in the contract's order."""

    vector: np.ndarray  # [O] float32
    candidates: np.ndarray  # [C, F] float32
    mask: np.ndarray  # [L] bool: True where a candidate or option may be chosen (one of each part is)
    position: tuple[float, float, float]  # x (m), y (m), yaw (rad) in map


class Heard(NamedTuple):
    """One round's messages of the J neighbours, in fixed fleet order without the agent itself."""

    messages: np.ndarray  # [J, M] float32; zeros where absent
    age: np.ndarray  # [J] float32 (s)
    present: np.ndarray  # [J] bool
    position: np.ndarray  # [J, 3] float32: x (m), y (m), yaw (rad) in map
    kind: tuple[str, ...]  # of the J neighbours


class AgentPolicy(Protocol):
    """One agent's policy: per tick one `begin`, one `hear` per round, one `choose`."""

    def begin(self, observation: Observation) -> np.ndarray:
        """Take in what is sensed; gives the message of round 1 [M] (zeros from a policy that does not talk)."""

    def hear(self, heard: Heard) -> np.ndarray | None:
        """Read a round; gives the message of the next round [M], or None after the last."""

    def choose(self) -> int:
        """The index of the chosen candidate, always a legal one."""
