"""The fleet that a world's agents make: names grouped by kind, and the contract that follows from their spaces."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from policy_core.config import ConfigError
from policy_core.contract import Contract, Kind
from policy_core.environment import KindObservation, Observations
from policy_core.worlds.spaces import Decision, Sense

INSTALL = "pip install -e .[worlds]"


class Member(NamedTuple):
    """An agent as its world knows it."""

    name: str
    observation_space: Any
    action_space: Any


class Fleet(NamedTuple):
    """All agents, grouped by kind in the contract's order."""

    contract: Contract
    agents: tuple[str, ...]
    kinds: tuple[str, ...]  # of each agent [N]
    senses: dict[str, Sense]  # of each kind
    decisions: dict[str, Decision]  # of each kind

    @property
    def counts(self) -> dict[str, int]:
        """Agents of each kind."""
        return {name: self.kinds.count(name) for name in self.contract.kinds}


def make_fleet(members: Sequence[Member], *, message_size: int, rounds: int, tick: float) -> Fleet:
    """Group agents and write their contract.

    Agents whose names begin alike (speaker_0, speaker_1) and whose spaces are equal share a kind, named after that
    beginning; where the spaces differ each group is a kind of its own (agent, agent_2).

    Args:
        members: in the world's order.
        message_size: M of the learned messages.
        rounds: K of a decision; 0: no learned messages.
        tick: what one step of the world stands for (s).
    """
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(_group_of(member, groups), []).append(member)
    senses = {name: Sense(group[0].observation_space) for name, group in groups.items()}
    decisions = {name: Decision(group[0].action_space) for name, group in groups.items()}
    kinds = {
        name: Kind(
            observation=senses[name].fields,
            choices=decisions[name].choices,
            controls=decisions[name].controls,
        )
        for name in groups
    }
    return Fleet(
        Contract(version=1, message_size=message_size, rounds=rounds, tick=tick, kinds=kinds),
        tuple(member.name for group in groups.values() for member in group),
        tuple(name for name, group in groups.items() for _ in group),
        senses,
        decisions,
    )


def _group_of(member: Member, groups: dict[str, list[Member]]) -> str:
    stem = re.sub(r"\W", "_", re.sub(r"[_\s-]*\d+$", "", member.name)) or "agent"
    name, place = stem, 1
    while name in groups:
        first = groups[name][0]
        if first.observation_space == member.observation_space and first.action_space == member.action_space:
            break
        place += 1
        name = f"{stem}_{place}"
    return name


def blank(fleet: Fleet, worlds: int) -> Observations:
    """Observations of E worlds in which every agent lives, senses zeros and may choose whatever exists.

    Positions are zero, so that any radio range joins all. The critic's state is one zero: it sees what every agent
    senses anyway, with encoders of its own.
    """
    kinds = {}
    for name, count in fleet.counts.items():
        kinds[name] = KindObservation(
            np.zeros((worlds, count, fleet.senses[name].size), dtype=np.float32),
            np.zeros((worlds, count, 0, 0), dtype=np.float32),
            np.tile(fleet.decisions[name].legal, (worlds, count, 1)),
        )
    agents = len(fleet.agents)
    return Observations(
        kinds,
        np.zeros((worlds, agents, 3), dtype=np.float32),
        np.ones((worlds, agents), dtype=bool),
        np.zeros((worlds, 1), dtype=np.float32),
    )


def bring(module: str) -> ModuleType:
    """Import a world's package.

    Raises:
        ConfigError: it is not installed, or has no such part.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".")[0]
        if error.name == top:
            cure = f"it comes with: {INSTALL}" if top in ("mpe2", "pettingzoo", "rware", "vmas", "gymnasium") else ""
            raise ConfigError(f"env: the package '{top}' is not installed. {cure or 'Install it with pip.'}") from None
        raise ConfigError(f"env: '{module}' cannot be imported ({error}).") from None
