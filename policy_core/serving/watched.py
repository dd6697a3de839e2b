"""An agent's policy that also says whom it listens to, for pictures of a run."""

from __future__ import annotations

import numpy as np
import torch

from policy_core.comm.attention import AttentionLayer
from policy_core.export.bundle import Bundle
from policy_core.serving.onboard import OnboardPolicy
from policy_core.serving.policy import Heard


def tells_attention(bundle: Bundle) -> bool:
    """Whether a bundle's message layers weigh the neighbours, so that there is something to watch."""
    rounds = bundle.manifest.contract.rounds
    return rounds > 0 and all(isinstance(bundle.policy.layer(number), AttentionLayer) for number in range(rounds))


class WatchedPolicy(OnboardPolicy):
    """Chooses as `OnboardPolicy` does.

    Attributes:
        attention: the share of its attention that each of the J neighbours got in the last round that was read [J],
            the mean over heads; they add up to 1, or are all 0 where nobody was heard. None before, and from layers
            that do not weigh.
    """

    attention: np.ndarray | None = None

    @torch.inference_mode()
    def hear(self, heard: Heard) -> np.ndarray | None:
        """Read a round, and remember how its messages weighed."""
        layer = self._policy.layer(self._round)
        if isinstance(layer, AttentionLayer):
            self.attention = layer.weigh(self._hidden, self._incoming(heard)).mean(dim=2).view(-1).numpy()
        return super().hear(heard)
