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


class _Slices(NamedTuple):
    """Where one agent's numbers lie in the row of the fleet."""

    vector: slice
    candidates: slice
    shape: tuple[int, int]  # C, F
    mask: slice


class Form:
    """How a fleet's observations lie in memory.

    Attributes:
        bounds: of each agent, low and high of its observation [O] and of its candidates [C, F].
        choices: candidates of each agent [N].
        first: where each agent's mask begins in the fleet's [N].
    """

    def __init__(self, contract: Contract, kinds: Sequence[str], *, scaled: bool) -> None:
        """Lay out the fleet; `kinds` [N] are grouped, and `scaled` numbers are (raw - centre) / half of their range."""
        self._kinds = tuple(dict.fromkeys(kinds))
        self._slices: list[_Slices] = []
        self.bounds: list[tuple[Bounds, Bounds]] = []
        centre: list[np.ndarray] = []
        half: list[np.ndarray] = []
        start, mask_start = 0, 0
        for name in self._kinds:
            kind, count = contract.kind(name), kinds.count(name)
            shape = (kind.candidates, kind.candidate_size)
            vector, one = scale_of(kind.observation), scale_of(kind.candidate)
            told = tuple(np.broadcast_to(each, shape) for each in one)
            sizes = (kind.observation_size, kind.candidates * kind.candidate_size)
            own = (_bounds(*vector, scaled=scaled), _bounds(*told, scaled=scaled))
            for row in range(count):
                begin = start + count * sizes[0] + row * sizes[1]
                self._slices.append(
                    _Slices(
                        slice(start + row * sizes[0], start + (row + 1) * sizes[0]),
                        slice(begin, begin + sizes[1]),
                        shape,
                        slice(mask_start + row * shape[0], mask_start + (row + 1) * shape[0]),
                    )
                )
                self.bounds.append(own)
            for numbers, each, candidate in ((centre, vector[0], told[0]), (half, vector[1], told[1])):
                numbers += [np.tile(each, count), np.tile(candidate.ravel(), count)]
            start, mask_start = start + count * sum(sizes), mask_start + count * shape[0]
        self._centre, self._factor = np.concatenate(centre), 1.0 / np.concatenate(half)
        self._low, self._high = _bounds(self._centre, np.concatenate(half), scaled=scaled)
        self._is_scaled = scaled
        self.choices = np.array([own.shape[0] for own in self._slices])
        self.first = np.array([own.mask.start for own in self._slices])

    def split(
        self, agents: Sequence[str], kinds: Mapping[str, Any]
    ) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
        """Each agent's observation from one world's boards, and the masks of all as bool; copies, all of them."""
        parts = []
        for name in self._kinds:
            parts += [kinds[name].vector.reshape(-1), kinds[name].candidates.reshape(-1)]
        row = np.concatenate(parts)
        if self._is_scaled:
            row -= self._centre
            row *= self._factor
        np.maximum(row, self._low, out=row)
        np.minimum(row, self._high, out=row)
        legal = np.concatenate([kinds[name].mask.reshape(-1) for name in self._kinds])
        mask = legal.astype(np.int8)
        observations = {
            agent: {
                "observation": row[own.vector],
                "candidates": row[own.candidates].reshape(own.shape),
                "action_mask": mask[own.mask],
            }
            for agent, own in zip(agents, self._slices, strict=True)
        }
        return observations, legal

    def read_actions(self, agents: Sequence[str], actions: Mapping[str, Any]) -> np.ndarray:
        """The chosen places [N] int64.

        Raises:
            ValueError: one is missing, no integer, or beyond the agent's candidates; the text names the agent.
        """
        try:
            chosen = np.array([actions[agent] for agent in agents])
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
