"""The source article's DifferentiableCommunicationLayer in its right form: a plain residual reader of the inbox.

The article's message came from the observation alone, so its rounds repeated; here it comes from the hidden state
after the last round. Its messages were detached and its decoder never trained; here gradient crosses agents.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer


class ResidualLayer(MessageLayer):
    """h' = norm(h + W relu(U [h, c])), c the mean over what is heard of the decoded messages relu(D m)."""

    def __init__(self, sizes: LayerSizes) -> None:
        """Build decoder and update."""
        super().__init__(sizes)
        self.decoder = nn.Linear(sizes.message, sizes.hidden)
        self.mix = nn.Linear(2 * sizes.hidden, sizes.hidden)
        self.update = nn.Linear(sizes.hidden, sizes.hidden)
        self.norm = nn.LayerNorm(sizes.hidden)

    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """See `MessageLayer.read`."""
        decoded = torch.relu(self.decoder(incoming.messages))
        heard = incoming.heard.to(decoded.dtype)
        mean = torch.matmul(heard, decoded) / heard.sum(-1, keepdim=True).clamp(min=1.0)
        return self.norm(hidden + self.update(torch.relu(self.mix(torch.cat((hidden, mean), dim=-1)))))
