"""IC3Net: each agent decides whether to speak at all (Singh, Jain and Sukhbaatar 2019, arXiv:1812.09755, section 3)."""

from __future__ import annotations

from torch import Tensor, nn

from policy_core.comm.layer import LayerSizes, threshold
from policy_core.comm.mean import MeanLayer


class GatedLayer(MeanLayer):
    """CommNet's update over messages that a binary gate g(h) of the sender has let through.

    A closed gate sends zeros and still counts in the mean, as in the paper's eq. 3. The paper trains the gate as an
    action by policy gradient and carries the state in an LSTM; here the gate is a threshold with a straight-through
    gradient, so that the receivers' loss teaches it, and the state is the layer's own.
    """

    def __init__(self, sizes: LayerSizes) -> None:
        """Build the gate; it starts open."""
        super().__init__(sizes)
        self.gate = nn.Linear(sizes.hidden, 1)
        nn.init.ones_(self.gate.bias)

    def speak(self, hidden: Tensor, noise: Tensor | None = None) -> Tensor:
        """See `MessageLayer.speak`; exact zeros where the gate is closed, also of noise."""
        return super().speak(hidden, noise) * threshold(self.gate(hidden))
