"""PettingZoo's parallel worlds (Terry et al. 2021, arXiv:2009.14471), in which all agents act at once."""

from __future__ import annotations

from numbers import Real
from typing import Any

from policy_core.config import ConfigError
from policy_core.worlds.fleet import Member, bring
from policy_core.worlds.single import Moment, SingleWorld, Turn


def build(name: str, options: dict[str, Any] | None = None) -> SingleWorld:
    """One world, named after a module that has `parallel_env`, such as mpe2.simple_speaker_listener_v4."""
    module = bring(name)
    if not hasattr(module, "parallel_env"):
        raise ConfigError(f"env: '{name}' has no parallel_env; wanted a PettingZoo module whose agents act at once")
    try:
        return PettingZooWorld(module.parallel_env(**(options or {})))
    except (TypeError, AssertionError) as error:
        raise ConfigError(f"env_settings: '{name}' does not accept the options {options} ({error})") from None


class PettingZooWorld:
    """One world; an agent that has left `agents` is dead."""

    def __init__(self, world: Any) -> None:
        """Take a `ParallelEnv`."""
        self.world = world
        self.members = [
            Member(name, world.observation_space(name), world.action_space(name)) for name in world.possible_agents
        ]

    def start(self, seed: int) -> Moment:
        """Begin an episode."""
        observations, _ = self.world.reset(seed=seed)
        return Moment(observations, set(self.world.agents))

    def play(self, actions: dict[str, Any]) -> Turn:
        """Advance one tick.

        The world ends when no agent is left: time is up if it was for any of them, and those are alive to the last.
        """
        observations, rewards, terminations, truncations, infos = self.world.step(actions)
        is_over = not self.world.agents
        cut = {name for name, is_cut in truncations.items() if is_cut and not terminations.get(name)}
        return Turn(
            Moment(observations, cut if is_over else set(self.world.agents)),
            {name: float(reward) for name, reward in rewards.items()},
            is_over and not cut,
            is_over and bool(cut),
            _figures(infos) if is_over else {},
        )


def _figures(infos: dict[str, Any]) -> dict[str, float]:
    """Every number that is told of the agents at the last tick, mean over them."""
    told: dict[str, list[float]] = {}
    for info in infos.values():
        for key, value in info.items():
            if isinstance(value, Real):
                told.setdefault(f"info {key}", []).append(float(value))
    return {name: sum(values) / len(values) for name, values in told.items()}
