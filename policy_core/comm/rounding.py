"""How the numbers of a message become bits: even grids in [-1, 1], and three ways to learn through the rounding.

- `straight_through`: rounded in training and in execution alike; the gradient passes as if nothing were rounded
  (Bengio et al. 2013, arXiv:1308.3432).
- `dru`, discretise or regularise (Foerster et al. 2016, arXiv:1605.06676, section 5.2): in training noise before the
  squashing function teaches to keep away from the threshold, and nothing is rounded; in execution it is. The paper's
  logistic function and one bit are our tanh and any number of bits.
- `gumbel`, as HetNet draws its binary messages (Seraj et al. 2022, section 4.3): the head gives a logit for every
  bit; in training a bit is drawn by logistic noise, and its gradient is that of the binary concrete distribution
  (Maddison et al. 2017, arXiv:1611.00712, section 3.2; Jang et al. 2017, arXiv:1611.01144, straight-through); in
  execution the likelier value is taken.

The noise is drawn when experience is collected and kept with the links, so a replay rounds as the rollout did.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from policy_core.comm.wire import UNROUNDED

Rounding = Literal["straight_through", "dru", "gumbel"]


def quantise(message: Tensor, bits: int) -> Tensor:
    """Round numbers in [-1, 1] to 2^bits even steps; the gradient passes straight through (Bengio 2013)."""
    if bits >= UNROUNDED:
        return message
    rounded = to_grid(torch.round((message.detach() + 1) * ((2**bits - 1) / 2)), bits)
    return _pass_through(rounded, message)


def to_grid(codes: Tensor, bits: int) -> Tensor:
    """The numbers in [-1, 1] that the codes 0 to 2^bits - 1 mean; the same floats as `wire.decode_values` gives."""
    steps = codes.new_full((), 2**bits - 1)  # on the device: CUDA would multiply by a plain number's inverse
    return (2 * codes - steps) / steps


def draw_bits(logits: Tensor, bits: int, noise: Tensor | None, temperature: float) -> Tensor:
    """Numbers [..., M] of the bits that these logits [..., M * bits] make, the lowest bit first.

    Args:
        logits: of every bit being 1.
        bits: of one number.
        noise: standard logistic [..., M * bits]; None: the likelier value of every bit.
        temperature: of the gradient, sigmoid((logit + noise) / temperature)'.
    """
    noisy = (logits if noise is None else logits + noise).unflatten(-1, (-1, bits))
    weights = 2.0 ** torch.arange(bits, dtype=logits.dtype, device=logits.device)
    rounded = to_grid((noisy.detach() > 0).to(logits.dtype) @ weights, bits)
    return _pass_through(rounded, to_grid(torch.sigmoid(noisy / temperature) @ weights, bits))


def express(
    raw: Tensor, bits: int, rounding: Rounding, temperature: float, noise: Tensor | None, *, learning: bool
) -> Tensor:
    """A message [..., M] from what the head gives [..., M], or [..., M * bits] for `gumbel`.

    Args:
        raw: before squashing or drawing.
        bits: of one number; 32: unrounded.
        rounding: how it is learned through.
        temperature: of gumbel's gradient.
        noise: see `channel.draw_noise`, of raw's shape; None: none.
        learning: in training; else as deployed.
    """
    if rounding == "gumbel":
        return draw_bits(raw, bits, noise if learning else None, temperature)
    if rounding == "dru" and learning:
        return torch.tanh(raw if noise is None else raw + noise)
    said = quantise(torch.tanh(raw), bits)
    return said if noise is None or rounding == "dru" else said + noise


def _pass_through(rounded: Tensor, smooth: Tensor) -> Tensor:
    """Exactly the rounded numbers, with the smooth ones' gradient."""
    return rounded + (smooth - smooth.detach()) if smooth.requires_grad else rounded
