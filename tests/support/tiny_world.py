"""A world that needs messages: the sender sees a number, the actors must point at the candidate that bears it.

Observation: the sender's number as one-hot (4) among 24 numbers of noise, so that what an untaught sender happens to
say is mostly noise; the actors see only their candidates, in an order of their own.
Reward: per tick, to everybody, the share of actors that pointed right. Optimum 1 per tick; without messages an
actor is right in one of four ticks, so 0.25. An episode is cut off after 8 ticks. Version 1.
"""

from __future__ import annotations

import numpy as np

from policy_core.contract import Contract
from policy_core.environment import KindObservation, Observations, Step

SYMBOLS = 4
NOISE = 24
LENGTH = 8

CONTRACT = Contract.model_validate(
    {
        "version": 1,
        "message_size": 2,
        "rounds": 2,
        "tick": 1.0,
        "kinds": {
            "sender": {
                "candidates": 2,
                "observation": [
                    {"name": "number", "size": SYMBOLS, "unit": "one-hot", "low": -1, "high": 1},
                    {"name": "noise", "size": NOISE, "unit": "1", "low": -1, "high": 1},
                ],
                "candidate": [{"name": "verb", "unit": "one-hot", "low": -1, "high": 1}],
            },
            "actor": {
                "candidates": SYMBOLS + 1,
                "observation": [{"name": "bias", "unit": "1", "low": -1, "high": 1}],
                "candidate": [{"name": "symbol", "size": SYMBOLS, "unit": "one-hot", "low": -1, "high": 1}],
            },
        },
    }
)


def make(worlds: int, actors: int = 2, rounds: int = 2, message_size: int = 2) -> TinyWorld:
    """Build a batch of tiny worlds with one sender and so many actors each."""
    return TinyWorld(worlds, actors, CONTRACT.model_copy(update={"rounds": rounds, "message_size": message_size}))


class TinyWorld:
    """The batch of worlds; all chance is a hash of (seed, world, tick), so its state is three small arrays."""

    def __init__(self, worlds: int, actors: int, contract: Contract) -> None:
        """Make E worlds; call `reset` before `step`."""
        self.contract = contract
        self.worlds = worlds
        self.actors = actors
        self.agents = ("sender_1", *(f"actor_{i + 1}" for i in range(actors)))
        self.kinds = ("sender", *("actor",) * actors)
        self.seed = 0
        self.tick = 0
        self.first_world = 0

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start anew."""
        self.seed, self.tick, self.first_world = seed, 0, first_world
        return self._observe()

    def step(self, actions: np.ndarray) -> Step:
        """Reward the actors' choices, then draw new numbers."""
        symbols, numbers = self._symbols(), self._numbers()
        chosen = actions.reshape(self.worlds, -1).astype(np.int64)[:, 1:] - 1
        pointed = np.take_along_axis(symbols, np.maximum(chosen, 0)[..., None], axis=2)[..., 0]
        right = (pointed == numbers[:, None]) & (chosen >= 0)
        reward = np.repeat(right.mean(1, keepdims=True), len(self.agents), axis=1).astype(np.float32)
        self.tick += 1
        observations = self._observe()
        is_cut = np.full(self.worlds, self.tick % LENGTH == 0)
        kpis = [{"last tick right": float(share)} for share in right.mean(1)] if is_cut.any() else []
        final = observations if is_cut.any() else None
        return Step(observations, reward, np.zeros(self.worlds, dtype=bool), is_cut, final, kpis)

    def snapshot(self) -> dict[str, np.ndarray]:
        """The whole state."""
        return {"state": np.array([self.seed, self.tick, self.first_world])}

    def restore(self, snapshot: dict[str, np.ndarray]) -> Observations:
        """Take up a saved state."""
        self.seed, self.tick, self.first_world = snapshot["state"].tolist()
        return self._observe()

    def _hash(self, salt: int, columns: int) -> np.ndarray:
        """Even 64-bit chance [E, columns] (splitmix64)."""
        world = np.arange(self.first_world, self.first_world + self.worlds, dtype=np.uint64)[:, None]
        column = np.arange(columns, dtype=np.uint64)[None, :]
        z = np.uint64(((self.seed * 1_000_003 + self.tick) * 131 + salt) % 2**64) + (
            (world * np.uint64(4099) + column) * np.uint64(0x9E3779B97F4A7C15)
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    def _numbers(self) -> np.ndarray:
        """What each world's sender sees [E]."""
        return (self._hash(1, 1)[:, 0] % np.uint64(SYMBOLS)).astype(np.int64)

    def _symbols(self) -> np.ndarray:
        """Symbol of each actor's candidates 1..4 [E, actors, 4]: a permutation."""
        chance = self._hash(2, self.actors * SYMBOLS).reshape(self.worlds, self.actors, SYMBOLS)
        return chance.argsort(axis=2)

    def _observe(self) -> Observations:
        eye = np.eye(SYMBOLS, dtype=np.float32)
        worlds, actors = self.worlds, self.actors
        legal = np.zeros((worlds, 1, 2), dtype=bool)
        legal[..., 0] = True
        numbers = eye[self._numbers()]
        noise = (self._hash(3, NOISE) >> np.uint64(40)).astype(np.float32) / 2**23 - 1
        sender = KindObservation(
            np.hstack((numbers, noise))[:, None], np.zeros((worlds, 1, 2, 1), dtype=np.float32), legal
        )
        candidates = np.zeros((worlds, actors, SYMBOLS + 1, SYMBOLS), dtype=np.float32)
        candidates[:, :, 1:] = eye[self._symbols()]
        bias = np.ones((worlds, actors, 1), dtype=np.float32)
        actor = KindObservation(bias, candidates, np.ones((worlds, actors, SYMBOLS + 1), dtype=bool))
        position = np.zeros((worlds, len(self.agents), 3), dtype=np.float32)
        position[..., 0] = np.arange(len(self.agents))
        alive = np.ones((worlds, len(self.agents)), dtype=bool)
        return Observations({"sender": sender, "actor": actor}, position, alive, numbers)
