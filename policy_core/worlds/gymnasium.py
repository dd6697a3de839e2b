"""Worlds with Gymnasium's interface and several agents in one action: RWARE, level-based foraging and their like.

The agents of a world are the parts of its spaces where both are tuples of one length or dicts with the same keys;
any other world is one agent's.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from policy_core.config import ConfigError
from policy_core.worlds.fleet import Member, bring
from policy_core.worlds.single import Moment, SingleWorld, Turn
from policy_core.worlds.spaces import class_of, inner_spaces


def build(name: str, options: dict[str, Any] | None = None) -> SingleWorld:
    """One world, named as `gymnasium.make` takes it, with the package that registers it: rware:rware-tiny-2ag-v2."""
    package, _, own = name.rpartition(":")
    gymnasium = bring("gymnasium")
    if package:
        bring(package)
    try:
        return GymnasiumWorld(gymnasium.make(own, disable_env_checker=True, **(options or {})))
    except gymnasium.error.Error as error:
        raise ConfigError(f"env: '{name}' cannot be made ({error})") from None
    except (TypeError, AssertionError) as error:
        raise ConfigError(f"env_settings: '{name}' does not accept the options {options} ({error})") from None


class GymnasiumWorld:
    """One world."""

    def __init__(self, world: Any) -> None:
        """Take a `gymnasium.Env`; agents without a name are agent_1, agent_2 and so on."""
        self.world = world
        plain = world.unwrapped
        self.limit = getattr(plain, "max_steps", None) or getattr(plain, "_max_episode_steps", None)
        self.ticks = 0
        sensed, acted = world.observation_space, world.action_space
        form = class_of(acted)
        self.keys: list[Any] = []  # of the agents in what the world takes and gives; none: it is one agent's
        self.is_named = form == "Dict"
        if form == class_of(sensed) and form in ("Dict", "Tuple"):
            first, second = ([key for key, _ in inner_spaces(space)] for space in (sensed, acted))
            self.keys = first if set(first) == set(second) else []
        if not self.keys:
            self.members = [Member("agent_1", sensed, acted)]
        else:
            names = [str(key) if self.is_named else f"agent_{key + 1}" for key in self.keys]
            self.members = [Member(name, sensed[key], acted[key]) for name, key in zip(names, self.keys, strict=True)]
        self.names = [member.name for member in self.members]

    def start(self, seed: int) -> Moment:
        """Begin an episode."""
        self.ticks = 0
        observations, _ = self.world.reset(seed=seed)
        return Moment(self._of_each(observations), set(self.names))

    def play(self, actions: dict[str, Any]) -> Turn:
        """Advance one tick; a world that says it terminated when its own time limit was reached was cut off."""
        sent: Any
        if not self.keys:
            sent = actions[self.names[0]]
        elif self.is_named:
            sent = {key: actions[name] for key, name in zip(self.keys, self.names, strict=True)}
        else:
            sent = tuple(actions[name] for name in self.names)
        observations, rewards, terminated, truncated, info = self.world.step(sent)
        self.ticks += 1
        is_cut = _all(truncated) or (_all(terminated) and self.limit is not None and self.ticks >= self.limit)
        shared = {name: float(rewards) for name in self.names} if isinstance(rewards, Real) else None
        earned = self._of_each(rewards) if shared is None else shared
        return Turn(
            Moment(self._of_each(observations), set(self.names)),
            {name: float(reward) for name, reward in earned.items()},
            _all(terminated) and not is_cut,
            is_cut,
            {f"info {key}": float(value) for key, value in info.items() if isinstance(value, Real)},
        )

    def _of_each(self, values: Any) -> dict[str, Any]:
        """What belongs to each agent."""
        if not self.keys:
            return {self.names[0]: values}
        return {name: values[key] for name, key in zip(self.names, self.keys, strict=True)}


def _all(flags: Any) -> bool:
    """Whether a flag is up, or every agent's is."""
    return bool(np.all(list(flags.values()) if isinstance(flags, Mapping) else flags))
