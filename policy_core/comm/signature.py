"""TarMAC: messages with a signature that says whom they are for (Das et al. 2019, arXiv:1810.11187, section 4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from policy_core.comm.layer import Incoming, LayerSizes, MessageLayer, masked_softmax
from policy_core.config import ConfigError


class SignatureLayer(MessageLayer):
    """A message is a signature k and a value v; receiver j weighs it by softmax(q_j . k / sqrt(d)).

    h' = tanh(W [c, h]), c the weighted sum of the values (eq. 1 to 4). A quarter of the message is signature. The
    paper lets an agent attend to itself as well; its own state enters here by W only.
    """

    def __init__(self, sizes: LayerSizes) -> None:
        """Build query and update."""
        super().__init__(sizes)
        if sizes.message < 2:
            raise ConfigError(f"message_size: {sizes.message} leaves no value beside the signature; wanted at least 2")
        self.signature = max(1, sizes.message // 4)
        self.query = nn.Linear(sizes.hidden, self.signature)
        self.update = nn.Linear(sizes.message - self.signature + sizes.hidden, sizes.hidden)

    def read(self, hidden: Tensor, incoming: Incoming) -> Tensor:
        """See `MessageLayer.read`."""
        signature, value = incoming.messages.tensor_split([self.signature], dim=-1)
        score = torch.matmul(self.query(hidden), signature.transpose(-1, -2)) / math.sqrt(self.signature)
        heard = torch.matmul(masked_softmax(score, incoming.heard), value)
        return torch.tanh(self.update(torch.cat((heard, hidden), dim=-1)))
