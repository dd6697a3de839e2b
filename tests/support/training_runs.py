"""Settings of training runs in the tiny world, short enough for tests."""

from __future__ import annotations

from typing import Any

from policy_core.ppo.settings import TrainingSettings


def tiny_settings(**changes: Any) -> TrainingSettings:
    content: dict[str, Any] = {
        "seed": 3,
        "env": "tests.support.tiny_world:make",
        "worlds": 32,
        "ticks": 16,
        "frames": 4 * 32 * 16 * 3,
        "threads": {"update": 1, "collect": 1},
        "architecture": {"hidden": 32, "heads": 4, "attention": 16, "candidate": 16},
        "channel": {"radio_range": 10.0, "loss": 0.05},
        "ppo": {"minibatch": 256, "learning_rate": 2.0e-3, "gamma": 0.5, "kl_limit": 0.1},
        "evaluation": {"every": 100, "worlds": 16, "ticks": 16},
        "checkpoint": {"every": 1, "keep": 2},
    }
    return TrainingSettings.model_validate(content | changes)
