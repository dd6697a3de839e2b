"""Planted protocols: a world of two kinds and fleets whose messages mean just what they were built to mean.

The speaker senses `secret`, `other` and `public`; the listener senses `public` and points left or right. All facts are
slow drifts (AR(1)), drawn for each world by itself. Reward: 1 where a listener points right while `secret` is positive,
or left while it is not; `bias` moves `secret` up, so that always pointing right is better than a coin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from policy_core.agents.actions import Answer
from policy_core.agents.senses import Senses
from policy_core.comm.channel import ChannelSettings, Links
from policy_core.comm.layer import Incoming, at_links
from policy_core.contract import Contract
from policy_core.environment import KindObservation, Observations, Step

FIELD = {"unit": "1", "low": -3, "high": 3}
CONTRACT = Contract.model_validate(
    {
        "version": 1,
        "message_size": 3,
        "rounds": 1,
        "tick": 1.0,
        "kinds": {
            "speaker": {
                "observation": [{"name": name, **FIELD} for name in ("secret", "other", "public")],
                "choices": [{"name": "mood", "options": 2}],
            },
            "listener": {
                "observation": [{"name": "public", **FIELD}],
                "choices": [{"name": "side", "options": 2}],
            },
        },
    }
)


def drift(worlds: int, ticks: int, columns: int, chance: np.random.Generator, keep: float = 0.95) -> np.ndarray:
    """Stationary AR(1) series [E, T, C] of unit spread; `keep` of each value is that of the tick before."""
    series = np.empty((worlds, ticks, columns))
    series[:, 0] = chance.normal(size=(worlds, columns))
    for tick in range(1, ticks):
        series[:, tick] = keep * series[:, tick - 1] + np.sqrt(1 - keep**2) * chance.normal(size=(worlds, columns))
    return series


class PlantedWorld:
    """E worlds with one speaker and two listeners each; an episode ends after so many ticks."""

    def __init__(self, worlds: int, ticks: int, keep: float = 0.9, bias: float = 0.0) -> None:
        self.bias = bias
        self.contract = CONTRACT
        self.worlds = worlds
        self.ticks = ticks
        self.keep = keep
        self.agents = ("speaker_1", "listener_1", "listener_2")
        self.kinds = ("speaker", "listener", "listener")

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start anew."""
        self.chance = np.random.default_rng(seed)
        self._open()
        return self._observe()

    def step(self, actions: np.ndarray) -> Step:
        """Reward what the listeners chose."""
        is_right = (actions[:, 1:, 0] > 0.5) == (self.facts[:, self.tick, :1] > 0)
        reward = np.repeat(is_right.mean(1, keepdims=True), 3, axis=1).astype(np.float32)
        self.tick += 1
        over = np.full(self.worlds, self.tick == self.ticks)
        final = None
        kpis: list[dict[str, float]] = []
        if over.any():
            self.tick -= 1
            final = self._observe()
            kpis = [{} for _ in range(self.worlds)]
            self._open()
        return Step(self._observe(), reward, np.zeros(self.worlds, bool), over, final, kpis)

    def _open(self) -> None:
        self.facts = drift(self.worlds, self.ticks, 3, self.chance, self.keep).astype(np.float32)
        self.facts[..., 0] += self.bias
        self.tick = 0

    def _observe(self) -> Observations:
        now = self.facts[:, self.tick]
        none = np.zeros((self.worlds, 1, 0, 0), np.float32)
        speaker = KindObservation(now[:, None], none, np.ones((self.worlds, 1, 2), bool))
        public = np.repeat(now[:, None, 2:], 2, axis=1)
        listener = KindObservation(public, np.repeat(none, 2, axis=1), np.ones((self.worlds, 2, 2), bool))
        position = np.zeros((self.worlds, 3, 3), np.float32)
        return Observations(
            {"speaker": speaker, "listener": listener},
            position,
            np.ones((self.worlds, 3), bool),
            np.zeros((self.worlds, 1), np.float32),
        )


class PlantedFleet:
    """Speaks one planted protocol.

    Args:
        says: secret, public or noise: what the first number of a speaker's message is; the others are noise.
        heeds: how strongly listeners follow that number.
        seed: of the noise, which drifts as slowly as the facts.
        keep: of the noise, see `drift`.
        presence: listeners point right because they hear somebody, whatever is said.
    """

    def __init__(self, says: str, heeds: float, seed: int = 0, keep: float = 0.9, *, presence: bool = False) -> None:
        self.presence = presence
        self.contract = CONTRACT
        self.channel = ChannelSettings(radio_range=10.0)
        self.says = says
        self.heeds = heeds
        self.seed = seed
        self.keep = keep
        self._noise: np.ndarray | None = None
        self._tick = 0

    def __call__(self, senses: Senses, links: Links, memory: Tensor | None = None, *, tap: Any = None) -> Answer:
        """Speak, listen, judge. What is noise is a drift of its own, the same whenever the same senses are asked."""
        facts = senses.kinds["speaker"].vector
        noise = self._drifting(senses)
        first = {"secret": facts[..., 0], "public": facts[..., 2], "noise": noise[..., 3]}[self.says]
        spoken = torch.cat((torch.tanh(first).unsqueeze(-1), torch.tanh(noise[..., 1:3])), -1)
        silent = torch.zeros(len(facts), 2, 3)
        message = torch.cat((spoken, silent), 1)
        real = at_links(message, None, 3)
        kinds = torch.tensor([0, 1, 1])
        incoming = Incoming(message, kinds, kinds, torch.zeros(len(facts), 3, 3, 5), links.heard[:, 0])
        heard = real if tap is None else tap(0, real, incoming)
        loud = torch.ones_like(heard[..., 0]) if self.presence else heard[..., 0]
        told = (loud * links.heard[:, 0]).sum(-1)[:, 1:]  # [B, 2]
        side = torch.stack((-self.heeds * told, self.heeds * told), -1)
        return Answer(
            {"speaker": torch.zeros(len(facts), 1, 2), "listener": side}, {}, [message], torch.zeros(len(facts), 3, 1)
        )

    def _drifting(self, senses: Senses) -> Tensor:
        """Slow noise that depends on nothing but the tick, told apart by what a listener sees [B, 1, 4]."""
        facts = senses.kinds["listener"].vector
        if self._noise is None:
            worlds = len(facts)
            chance = np.random.default_rng((self.seed, 5))
            self._noise = drift(worlds, 4096, 4, chance, self.keep).astype(np.float32)
            self._seen: dict[bytes, int] = {}
        tick = self._seen.setdefault(facts[0, 0, 0].numpy().tobytes(), len(self._seen))
        return torch.from_numpy(self._noise[:, tick : tick + 1])
