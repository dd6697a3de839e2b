"""The processes of one run: who holds which worlds, and sums over all of them.

Every process computes on its own worlds; losses are divided by the counts of all, and gradients are added up. So a
run gives the same result on one process as on many, but for the order in which floats are added.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from policy_core.config import ConfigError


class Ranks:
    """This process among all of a run; alone unless started by torchrun."""

    def __init__(self, index: int = 0, count: int = 1, device: torch.device | str = "cpu") -> None:
        self.index = index
        self.count = count
        self.device = device

    def rows(self, worlds: int) -> slice:
        """Own worlds among all.

        Raises:
            ConfigError: the worlds cannot be split evenly.
        """
        if worlds % self.count:
            raise ConfigError(f"worlds: {worlds} cannot be split over {self.count} processes; wanted a multiple")
        each = worlds // self.count
        return slice(self.index * each, (self.index + 1) * each)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes, the same in each."""
        if self.count > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def join(self, tensor: Tensor, dim: int) -> Tensor:
        """All processes' tensors of one shape behind one another, the same in each."""
        if self.count == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim=dim)

    def collect(self, content: Any) -> list[Any]:
        """What every process has to tell, in order; only on the first process, elsewhere empty."""
        if self.count == 1:
            return [content]
        told: list[Any] | None = [None] * self.count if self.index == 0 else None
        dist.gather_object(content, told)
        return told or []

    def agree(self, wish: bool) -> bool:
        """Whether any process wishes it, the same in each."""
        return wish if self.count == 1 else bool(self.sum(torch.tensor(float(wish), device=self.device)) > 0)

    def sum_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Add up all processes' gradients in place; a parameter without one counts as zeros."""
        if self.count == 1:
            return
        flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
        dist.all_reduce(flat)
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)


def join_ranks(device: torch.device) -> Ranks:
    """Join the processes that torchrun started (gloo on the CPU, NCCL on CUDA); alone without torchrun."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks()
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # torchrun keeps one store over all restarts: without a prefix, a process may find the address of a dead one
        store, rank, size = next(dist.rendezvous("env://"))
        fresh = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        dist.init_process_group(backend, store=fresh, rank=rank, world_size=size)
    return Ranks(dist.get_rank(), count, device)
