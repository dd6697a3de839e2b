"""Drawn choices: legal, repeatable, and as likely as the policy says."""

from __future__ import annotations

import numpy as np

from policy_core.serving.choice import draw_choice
from policy_core.serving.policy import Observation

TEMPERATURE = 0.5
LOGITS = np.array([0.0, 0.5, -np.inf, 1.0], np.float32)


def observation(seed: int) -> Observation:
    chance = np.random.default_rng(seed)
    vector = chance.normal(size=5).astype(np.float32)
    return Observation(vector, np.zeros((4, 2), np.float32), np.isfinite(LOGITS), (0.0, 0.0, 0.0))


def test_the_same_observation_gives_the_same_choice() -> None:
    assert [draw_choice(LOGITS, observation(s), TEMPERATURE) for s in range(50)] == [
        draw_choice(LOGITS.astype(np.float64), observation(s), TEMPERATURE) for s in range(50)
    ]


def test_choices_follow_the_softmax_and_never_the_illegal() -> None:
    drawn = (
        np.bincount([draw_choice(LOGITS, observation(seed), TEMPERATURE) for seed in range(4000)], minlength=4) / 4000
    )
    wanted = np.exp(LOGITS / TEMPERATURE)
    wanted /= wanted.sum()
    assert drawn[2] == 0 and np.abs(drawn - wanted).max() < 0.03
