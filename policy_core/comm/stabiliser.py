"""Watching and clipping the gradient of every single message on its way back from receiver to sender.

Clipping parameters' gradients bounds the sum over all links; one receiver with an exploding loss can still drown what
all others have to tell a sender. Here each link's gradient is bounded by itself, by hooks on the messages' copies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from policy_core.comm.layer import Incoming

COUNTED = ("heard", "reached", "norm")  # links heard; of these with a gradient; sum of its norms


class GradientStabiliser:
    """A tap for one forward and backward pass, see `FleetPolicy.forward`.

    Args:
        rounds: K.
        kinds: names, in the order of their indices.
        limit: greatest norm of one link's gradient, in units of the loss per number; 0: watched only.
    """

    def __init__(self, rounds: int, kinds: tuple[str, ...], limit: float, device: torch.device | str) -> None:
        self.kinds = kinds
        self.limit = limit
        self.sums = torch.zeros(rounds, len(kinds) ** 2, len(COUNTED), device=device)

    def tap(self, round_index: int, messages: Tensor, incoming: Incoming) -> Tensor:
        """Hook the messages [B, R, J, M] of one round; gives them back."""
        if not messages.requires_grad:
            return messages
        pair = self._pairs(incoming)

        def note(gradient: Tensor) -> Tensor | None:
            norm = gradient.norm(dim=-1)
            heard = incoming.heard
            counted = torch.stack((heard.float(), (heard & (norm > 0)).float(), norm.float() * heard), dim=-1)
            self.sums[round_index].index_add_(0, pair, counted.reshape(-1, len(COUNTED)))
            if not self.limit:
                return None
            return gradient * (self.limit / norm.clamp(min=self.limit)).unsqueeze(-1)

        messages.register_hook(note)
        return messages

    def figures(self) -> dict[str, Tensor]:
        """Share of heard links that carry gradient and its mean norm, per round and pair of kinds that talk."""
        told = {}
        for number, sums in enumerate(self.sums, start=1):
            heard, reached, norm = sums.unbind(-1)
            for place, links in enumerate(heard):
                if links > 0:
                    receiver, sender = divmod(place, len(self.kinds))
                    label = f"round {number}/{self.kinds[sender]} to {self.kinds[receiver]}"
                    told[f"message gradient share/{label}"] = reached[place] / links
                    told[f"message gradient norm/{label}"] = norm[place] / links
            told[f"message gradient norm/round {number}"] = norm.sum() / heard.sum().clamp(min=1)
        return told

    def _pairs(self, incoming: Incoming) -> Tensor:
        """Index of (receiver kind, sender kind) of every link, flat [B * R * J]."""
        batch, receivers, links = incoming.heard.shape
        sender = incoming.sender_kind.expand(batch, -1)
        if incoming.senders is None:
            sender = sender.unsqueeze(1).expand(-1, receivers, -1)
        else:
            sender = sender.gather(1, incoming.senders.flatten(1)).view(batch, receivers, links)
        receiver = incoming.receiver_kind.expand(batch, -1).unsqueeze(-1)
        return (receiver * len(self.kinds) + sender).flatten()
