"""CommNet: the mean of what is heard (Sukhbaatar, Szlam and Fergus 2016, arXiv:1605.07736, section 2, eq. 2 and 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer


class MeanLayer(MessageLayer):
    """h' = tanh(H h + C c) with c the mean of the messages heard.

    The paper sends whole hidden states; here they pass through the M numbers of the contract's message.
    """

    def __init__(self, sizes: LayerSizes) -> None:
        """Build the two matrices of the paper."""
        super().__init__(sizes)
        self.own = nn.Linear(sizes.hidden, sizes.hidden)
        self.others = nn.Linear(sizes.message, sizes.hidden, bias=False)

    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """See `MessageLayer.read`."""
        return torch.tanh(self.own(hidden) + self.others(mean_heard(incoming)))


def mean_heard(incoming: Incoming) -> Tensor:
    """Mean message of the senders heard [B, R, M]; zeros where nobody is."""
    heard = incoming.heard.to(incoming.messages.dtype)
    return torch.matmul(heard, incoming.messages) / heard.sum(-1, keepdim=True).clamp(min=1.0)
