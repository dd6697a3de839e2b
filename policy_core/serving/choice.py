"""From a policy's judgement to a decision: drawn, not the maximum, yet the same wherever it is drawn.

The policy is trained as a distribution. Taking its maximum can wait for ever where the distribution waits a second or
two. The draw uses the Gumbel-max trick (Gumbel 1954; Maddison, Tarlow and Minka 2014, arXiv:1411.0030, section 2) with
noise seeded by the observation itself, so that server and robot draw alike from the same judgement, and a run repeats.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from policy_core.contract import Kind, scale_of
from policy_core.serving.policy import Observation


class Judgement(NamedTuple):
    """How one agent judges what it may do."""

    logits: np.ndarray  # [L] float32, -inf where illegal
    controls: np.ndarray  # [2U] float32: mean and log spread of the controls, in units of half their range


def draw_decision(kind: Kind, judged: Judgement, observation: Observation, temperature: float) -> np.ndarray:
    """One decision [P] float32, controls in their units, with chance from the observation's bytes.

    A temperature below 1 draws the likelier more often than training did; the bundle says which.
    """
    digest = 0
    for part in (observation.vector, observation.candidates, observation.mask):
        digest = zlib.crc32(np.ascontiguousarray(part).tobytes(), digest)
    chance = np.random.Generator(np.random.PCG64(digest))
    noisy = judged.logits.astype(np.float64) / temperature + chance.gumbel(size=len(judged.logits))
    ends = np.cumsum(kind.blocks)
    parts = [int(np.argmax(noisy[end - size : end])) for size, end in zip(kind.blocks, ends, strict=True)]
    if not kind.controls:
        return np.array(parts, np.float32)
    mean, log_spread = np.split(judged.controls.astype(np.float64), 2)
    centre, half = scale_of(kind.controls)
    placed = mean + np.exp(log_spread) * temperature * chance.normal(size=len(mean))
    return np.concatenate((parts, centre + half * placed.clip(-1, 1))).astype(np.float32)
