"""The identity of a learned protocol: messages mean something only to agents that were trained together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor

from policy_core.comm.wire import UNROUNDED


def identify_protocol(contract_digest: str, comm_weights: Mapping[str, Tensor], bits: int = UNROUNDED) -> int:
    """Unsigned 64-bit digest of the contract and of the message layers' names, shapes and weights.

    Where numbers are rounded their bits count, too: they tell what a code on the wire means.
    """
    digest = hashlib.sha256(contract_digest.encode())
    if bits != UNROUNDED:
        digest.update(f"bits {bits}\n".encode())
    for name in sorted(comm_weights):
        weight = comm_weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.numpy().tobytes())
    return int.from_bytes(digest.digest()[:8], "little")
