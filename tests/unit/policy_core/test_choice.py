"""Drawn choices: legal, repeatable, and as likely as the policy says."""

from __future__ import annotations

import numpy as np

from policy_core.contract import Kind
from policy_core.serving.choice import Judgement, draw_decision
from policy_core.serving.policy import Observation

TEMPERATURE = 0.5
FIELD = {"name": "place", "unit": "1", "low": -1, "high": 1}
KIND = Kind.model_validate({"observation": [FIELD], "candidate": [FIELD], "candidates": 4})
LOGITS = np.array([0.0, 0.5, -np.inf, 1.0], np.float32)


def observation(seed: int) -> Observation:
    chance = np.random.default_rng(seed)
    vector = chance.normal(size=5).astype(np.float32)
    return Observation(vector, np.zeros((4, 2), np.float32), np.isfinite(LOGITS), (0.0, 0.0, 0.0))


def draw(logits: np.ndarray, seen: Observation) -> int:
    return int(draw_decision(KIND, Judgement(logits, np.empty(0)), seen, TEMPERATURE)[0])


def test_the_same_observation_gives_the_same_choice() -> None:
    assert [draw(LOGITS, observation(s)) for s in range(50)] == [
        draw(LOGITS.astype(np.float64), observation(s)) for s in range(50)
    ]


def test_choices_follow_the_softmax_and_never_the_illegal() -> None:
    drawn = np.bincount([draw(LOGITS, observation(seed)) for seed in range(4000)], minlength=4) / 4000
    wanted = np.exp(LOGITS / TEMPERATURE)
    wanted /= wanted.sum()
    assert drawn[2] == 0 and np.abs(drawn - wanted).max() < 0.03
