"""The numbers of a whole fleet in one row, and the views of it that each agent is given.

Copied, clipped and scaled once for all agents; an agent's arrays are slices of it. N agents, grouped by kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import index
from typing import Any, NamedTuple

import numpy as np

from policy_core.contract import Contract, scale_of

RANGE_LIMIT = 3.0  # the networks clip scaled numbers here (policy_core/agents/scale.py; a test compares)

Bounds = tuple[np.ndarray, np.ndarray]  # low and high


class _Block(NamedTuple):
    """Where the numbers of one kind's agents lie in the row of the fleet."""

    kind: str
    agents: slice
    vector: slice
    vector_shape: tuple[int, int]  # N_kind, O
    candidates: slice
    candidates_shape: tuple[int, int, int]  # N_kind, C, F
    mask: slice
    mask_shape: tuple[int, int]  # N_kind, C


class Form:
    """How a fleet's observations lie in memory.

    Attributes:
        bounds: of each agent, low and high of its observation [O] and of its candidates [C, F].
        choices: how many candidates each agent has [N].
        first: where each agent's mask begins in the fleet's [N].
    """

    def __init__(self, contract: Contract, kinds: Sequence[str], *, scaled: bool) -> None:
        """Lay out the fleet; `kinds` [N] are grouped, and `scaled` numbers are (raw - centre) / half of their range."""
        self._blocks: list[_Block] = []
        self.bounds: list[tuple[Bounds, Bounds]] = []
        centre: list[np.ndarray] = []
        half: list[np.ndarray] = []
        choices: list[int] = []
        first, start, mask_start = 0, 0, 0
        for name in dict.fromkeys(kinds):
            kind, count = contract.kind(name), kinds.count(name)
            shape = (kind.candidates, kind.candidate_size)
            vector = scale_of(kind.observation)
            candidate = tuple(np.broadcast_to(each, shape) for each in scale_of(kind.candidate))
            middle = start + count * kind.observation_size
            end = middle + count * candidate[0].size
            self._blocks.append(
                _Block(
                    name,
                    slice(first, first + count),
                    slice(start, middle),
                    (count, kind.observation_size),
                    slice(middle, end),
                    (count, *shape),
                    slice(mask_start, mask_start + count * shape[0]),
                    (count, shape[0]),
                )
            )
            self.bounds += [(_bounds(*vector, scaled=scaled), _bounds(*candidate, scaled=scaled))] * count
            for numbers, own, offered in zip((centre, half), vector, candidate, strict=True):
                numbers += [np.tile(own, count), np.tile(offered.ravel(), count)]
            choices += [shape[0]] * count
            first, start, mask_start = first + count, end, mask_start + count * shape[0]
        self._centre, self._factor = np.concatenate(centre), 1.0 / np.concatenate(half)
        self._low, self._high = _bounds(self._centre, np.concatenate(half), scaled=scaled)
        self._is_scaled = scaled
        self.choices = choices
        self.first = list(accumulate(choices, initial=0))[:-1]

    def split(self, agents: Sequence[str], sensed: np.ndarray, masks: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Each agent's observation from all that one world's agents sense and may choose, in one row each; copies."""
        row = np.subtract(sensed, self._centre) * self._factor if self._is_scaled else sensed
        row = np.minimum(np.maximum(row, self._low), self._high)
        mask = masks.astype(np.int8)
        observations = {}
        for block in self._blocks:
            rows = zip(
                agents[block.agents],
                row[block.vector].reshape(block.vector_shape),
                row[block.candidates].reshape(block.candidates_shape),
                mask[block.mask].reshape(block.mask_shape),
                strict=True,
            )
            for agent, vector, candidates, allowed in rows:
                observations[agent] = {"observation": vector, "candidates": candidates, "action_mask": allowed}
        return observations

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
