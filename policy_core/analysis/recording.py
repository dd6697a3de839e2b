"""What E worlds said, knew and chose, at evenly spaced ticks: all that the statistics look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from policy_core.analysis.facts import name_facts, read_facts
from policy_core.analysis.meddling import Fleet
from policy_core.analysis.rollouts import Moment
from policy_core.contract import Kind


class Speech(NamedTuple):
    """What all agents of one kind said and knew; places S are (kept tick, agent)."""

    names: list[str]  # of the facts
    facts: np.ndarray  # [E, S, F]
    messages: np.ndarray  # [E, S, K * M], round after round
    choices: np.ndarray  # [E, S] int: the first part of what it did; by class where candidates have one
    valid: np.ndarray  # [E, S] bool: it lived
    pose: np.ndarray  # [E, S, 3] x (m), y (m), yaw (rad) in map
    agents: int  # of the kind; S is ticks * agents


class Recording(NamedTuple):
    """Everything kept of one rollout."""

    speech: dict[str, Speech]  # by kind
    moments: list[Moment]  # at which messages will be replaced
    shown: np.ndarray  # [T, K, N, M] what world 0 said at every tick


class Recorder:
    """Watches a rollout; see `play`."""

    def __init__(self, fleet: Fleet, kinds: tuple[str, ...], *, ticks: int, every: int, moments: int) -> None:
        """Watch so many ticks, keep one in `every`, and so many whole moments, spread evenly."""
        self._contract = fleet.contract
        self._kinds = {name: kinds.count(name) for name in fleet.contract.kinds if name in kinds}
        self._every = every
        spread = np.linspace(0, ticks - 1, min(moments, ticks) + 1)
        self._whole = {round(tick) for tick in (spread[:-1] + spread[1:]) / 2}
        self._moments: list[Moment] = []
        self._kept: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in self._kinds}
        self._shown: list[np.ndarray] = []

    def __call__(self, moment: Moment) -> None:
        """Look at one tick."""
        said = self._said(moment)  # [E, N, K, M]
        self._shown.append(said[0].transpose(1, 0, 2).copy())
        if moment.tick in self._whole:
            self._moments.append(moment)
        if moment.tick % self._every:
            return
        start = 0
        for name, count in self._kinds.items():
            own = slice(start, start + count)
            start += count
            sensed = moment.senses.kinds[name]
            kind = self._contract.kinds[name]
            facts = read_facts(kind, sensed.vector.numpy(), sensed.candidates.numpy(), sensed.mask.numpy())
            first = moment.actions[:, own, 0].long()
            self._kept[name].append(
                (
                    facts,
                    said[:, own].reshape(*said[:, own].shape[:2], -1),
                    _classes(kind, sensed.candidates, first),
                    moment.senses.alive[:, own].numpy(),
                    moment.senses.position[:, own].numpy(),
                )
            )

    def done(self) -> Recording:
        """What was kept."""
        speech = {}
        for name, count in self._kinds.items():
            parts = [np.stack(column, axis=1) for column in zip(*self._kept[name], strict=True)]  # [E, T, N_kind, ..]
            facts, messages, choices, valid, pose = (part.reshape(len(part), -1, *part.shape[3:]) for part in parts)
            names = name_facts(self._contract.kinds[name])
            speech[name] = Speech(names, facts, messages, choices, valid, pose, count)
        shown = np.stack(self._shown)
        return Recording(speech, self._moments, shown)

    def _said(self, moment: Moment) -> np.ndarray:
        messages = moment.answer.messages
        if not messages:
            worlds, agents = moment.senses.alive.shape
            return np.zeros((worlds, agents, 0, self._contract.message_size), np.float32)
        return np.asarray(torch.stack(messages, 2).numpy())


def _classes(kind: Kind, candidates: torch.Tensor, first: torch.Tensor) -> np.ndarray:
    """The first part of decisions [E, N]: by the candidates' first field where that is a class, else by place."""
    field = kind.candidate[0] if kind.candidates else None
    if field is None or field.size < 2 or not field.unit.startswith("one-hot"):
        return np.asarray(first.numpy())
    chosen = candidates.gather(2, first[..., None, None].expand(-1, -1, 1, candidates.shape[-1])).squeeze(2)
    return np.asarray(chosen[..., : field.size].argmax(-1).numpy())
