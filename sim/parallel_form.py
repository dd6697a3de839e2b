"""The numbers of a whole fleet in one row, and the views of it that each agent is given.

Copied, clipped and scaled once for all agents; an agent's arrays are slices of it. N agents, grouped by kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from policy_core.contract import Contract, scale_of

RANGE_LIMIT = 3.0  # the networks clip scaled numbers here (policy_core/agents/scale.py; a test compares)

Bounds = tuple[np.ndarray, np.ndarray]  # low and high


class _Cut(NamedTuple):
    """Where one agent's numbers lie in the rows of the fleet."""

    observation: slice
    candidates: slice
    shape: tuple[int, int]  # of the candidates: C, F
    mask: slice


class Form:
    """How a fleet's observations lie in memory.

    Attributes:
        bounds: of each agent, low and high of its observation [O] and of its candidates [C, F].
        choices: how many candidates each agent has [N].
        first: where each agent's mask begins in the fleet's [N].
    """

    def __init__(self, contract: Contract, kinds: Sequence[str], *, scaled: bool) -> None:
        """Lay out the fleet; `kinds` [N] are grouped, and `scaled` numbers are (raw - centre) / half of their range."""
        self._cuts: list[_Cut] = []
        self.bounds: list[tuple[Bounds, Bounds]] = []
        centre: list[np.ndarray] = []
        half: list[np.ndarray] = []
        start = allowed = 0
        for name in dict.fromkeys(kinds):
            kind, count = contract.kind(name), kinds.count(name)
            size, shape = kind.observation_size, (kind.candidates, kind.candidate_size)
            vector = scale_of(kind.observation)
            candidate = tuple(np.broadcast_to(each, shape) for each in scale_of(kind.candidate))
            middle, offered = start + count * size, math.prod(shape)
            for agent in range(count):
                first = middle + agent * offered
                self._cuts.append(
                    _Cut(
                        slice(start + agent * size, start + (agent + 1) * size),
                        slice(first, first + offered),
                        shape,
                        slice(allowed + agent * shape[0], allowed + (agent + 1) * shape[0]),
                    )
                )
            self.bounds += [(_bounds(*vector, scaled=scaled), _bounds(*candidate, scaled=scaled))] * count
            for numbers, own, theirs in zip((centre, half), vector, candidate, strict=True):
                numbers += [np.tile(own, count), np.tile(theirs.ravel(), count)]
            start, allowed = middle + count * offered, allowed + count * shape[0]
        self._centre, self._factor = np.concatenate(centre), 1.0 / np.concatenate(half)
        self._low, self._high = _bounds(self._centre, np.concatenate(half), scaled=scaled)
        self._is_scaled = scaled
        self.choices = [cut.shape[0] for cut in self._cuts]
        self.first = [cut.mask.start for cut in self._cuts]

    def split(self, agents: Sequence[str], sensed: np.ndarray, masks: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Each agent's observation from all that one world's agents sense and may choose, in one row each; copies."""
        row = (sensed - self._centre) * self._factor if self._is_scaled else sensed
        row = np.maximum(row, self._low)
        np.minimum(row, self._high, out=row)
        mask = masks.astype(np.int8)
        return {
            agent: {
                "observation": row[cut.observation],
                "candidates": row[cut.candidates].reshape(cut.shape),
                "action_mask": mask[cut.mask],
            }
            for agent, cut in zip(agents, self._cuts, strict=True)
        }

    def read_actions(self, agents: Sequence[str], actions: Mapping[str, Any]) -> list[int]:
        """The chosen places [N]. Read one by one: for a few agents that costs less than an array of them.

        Raises:
            ValueError: one is missing, no integer, or beyond the agent's candidates; the text names the agent.
        """
        chosen = []
        try:
            for agent, count in zip(agents, self.choices, strict=True):
                action = index(actions[agent])
                if not 0 <= action < count:
                    raise ValueError(f"actions: {agent} has candidates 0 to {count - 1}, saw {action}")
                chosen.append(action)
        except KeyError as error:
            raise ValueError(f"actions: none for {error}; every agent decides at every step") from None
        except TypeError:
            raise ValueError(f"actions: wanted an integer of every agent, saw {actions[agent]!r} of {agent}") from None
        return chosen


def _bounds(centre: np.ndarray, half: np.ndarray, *, scaled: bool) -> Bounds:
    """What numbers of these ranges are clipped to, float32."""
    if scaled:
        return np.full(centre.shape, -RANGE_LIMIT, np.float32), np.full(centre.shape, RANGE_LIMIT, np.float32)
    reach = RANGE_LIMIT * half
    return (centre - reach).astype(np.float32), (centre + reach).astype(np.float32)
