"""The numbers of a whole fleet in one row, and the views of it that each agent is given.

Copied, clipped and scaled once for all agents; an agent's arrays are slices of it. N agents, grouped by kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        choices: candidates of each agent [N].
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
        self.choices = np.array(choices)
        self.first = np.cumsum(self.choices) - self.choices

    def split(
        self, agents: Sequence[str], kinds: Mapping[str, Any]
    ) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
        """Each agent's observation from one world's boards, and the masks of all as bool; copies, all of them."""
        parts, masks = [], []
        for block in self._blocks:
            board = kinds[block.kind]
            parts += [board.vector.ravel(), board.candidates.ravel()]
            masks.append(board.mask.ravel())
        row, legal = np.concatenate(parts), np.concatenate(masks)
        if self._is_scaled:
            row -= self._centre
            row *= self._factor
        np.maximum(row, self._low, out=row)
        np.minimum(row, self._high, out=row)
        mask = legal.astype(np.int8)
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
        return observations, legal

    def read_actions(self, agents: Sequence[str], actions: Mapping[str, Any]) -> np.ndarray:
        """The chosen places [N] int64.

        Raises:
            ValueError: one is missing, no integer, or beyond the agent's candidates; the text names the agent.
        """
        try:
            chosen = np.array([actions[agent] for agent in agents])  # one array of all is checked at once
        except KeyError as error:
            raise ValueError(f"actions: none for {error}; every agent decides at every step") from None
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1:
            strange = {agent: action for agent, action in actions.items() if not isinstance(action, int | np.integer)}
            raise ValueError(f"actions: wanted an integer of every agent, saw {strange}")
        is_out = (chosen < 0) | (chosen >= self.choices)
        if is_out.any():
            place = int(np.argmax(is_out))
            raise ValueError(
                f"actions: {agents[place]} has candidates 0 to {self.choices[place] - 1}, saw {chosen[place]}"
            )
        return chosen.astype(np.int64, copy=False)


def _bounds(centre: np.ndarray, half: np.ndarray, *, scaled: bool) -> Bounds:
    """What numbers of these ranges are clipped to, float32."""
    if scaled:
        return np.full(centre.shape, -RANGE_LIMIT, np.float32), np.full(centre.shape, RANGE_LIMIT, np.float32)
    reach = RANGE_LIMIT * half
    return (centre - reach).astype(np.float32), (centre + reach).astype(np.float32)
