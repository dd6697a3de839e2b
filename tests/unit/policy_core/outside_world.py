"""Worlds of others for tests: how they are built, and decisions that are drawn for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from policy_core.environment import BatchEnvironment, Observations
from policy_core.ppo.run import make_environment
from policy_core.ppo.settings import TrainingSettings

ROOT = Path(__file__).parents[3]

WORLDS = ROOT / "config" / "training" / "worlds.yaml"
SPEAKER = "pettingzoo:mpe2.simple_speaker_listener_v4"
SHELVES = "rware:rware-tiny-2ag-v2"
NAVIGATION = "vmas:navigation"
ALL = (SPEAKER, "pettingzoo:mpe2.simple_tag_v3", SHELVES, NAVIGATION, "vmas:simple_push", "vmas:balance")
E = 4


def settings(env: str, **changes: Any) -> TrainingSettings:
    content = yaml.safe_load(WORLDS.read_text()) | {"env": env, "env_settings": {}}
    return TrainingSettings.model_validate(content | changes)


def build(env: str, worlds: int = E, **env_settings: Any) -> BatchEnvironment:
    return make_environment(settings(env, env_settings=env_settings), worlds)


def draw(world: BatchEnvironment, ticks: int, seed: int = 0) -> np.ndarray:
    """Decisions [T, E, N, P] within what the contract allows; options that are never legal are left out."""
    chance = np.random.default_rng(seed)
    actions = np.zeros((ticks, world.worlds, len(world.agents), world.contract.action_size), dtype=np.float32)
    for agent, name in enumerate(world.kinds):
        kind = world.contract.kinds[name]
        for place, options in enumerate(kind.blocks):
            actions[:, :, agent, place] = chance.integers(0, options, (ticks, world.worlds))
        start = len(kind.blocks)
        for control in kind.controls:
            shape = (ticks, world.worlds, control.size)
            actions[:, :, agent, start : start + control.size] = chance.uniform(control.low, control.high, shape)
            start += control.size
    return actions


def parts(observations: Observations) -> list[np.ndarray]:
    kinds = [part for kind in observations.kinds.values() for part in kind]
    return [*kinds, observations.position, observations.alive, observations.state]
