"""From a policy's judgement to a choice: drawn, not the maximum, yet the same wherever it is drawn.

The policy is trained as a distribution. Taking its maximum can wait for ever where the distribution waits a second or
two. The draw uses the Gumbel-max trick (Gumbel 1954; Maddison, Tarlow and Minka 2014, arXiv:1411.0030, section 2) with
noise seeded by the observation itself, so that server and robot draw alike from the same judgement, and a run repeats.
"""

from __future__ import annotations

import zlib

import numpy as np

from policy_core.serving.policy import Observation


def draw_choice(logits: np.ndarray, observation: Observation, temperature: float) -> int:
    """One candidate index from logits [C] (-inf where illegal), with chance from the observation's bytes.

    A temperature below 1 draws the likelier candidates more often than training did; the bundle says which.
    """
    digest = 0
    for part in (observation.vector, observation.candidates, observation.mask):
        digest = zlib.crc32(np.ascontiguousarray(part).tobytes(), digest)
    noise = np.random.Generator(np.random.PCG64(digest)).gumbel(size=len(logits))
    return int(np.argmax(logits.astype(np.float64) / temperature + noise))
