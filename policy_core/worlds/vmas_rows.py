"""Single rows of VMAS batches: copying a world from one batch to another, and whether rows alone tell a world.

VMAS spreads a batch's state over many objects (environment, scenario, entities, their states), each holding tensors
[E, ...]. Two batches of one scenario are alike, so walking both side by side finds every pair of such tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def pairs(mine: Any, theirs: Any, own: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    """Everything that two alike objects hold in the same places: attributes, items of lists and dicts.

    Args:
        mine: one object.
        theirs: the other.
        own: first parts of the modules of classes whose attributes are looked into.
    """
    seen: set[int] = set()
    pending = [(mine, theirs)]
    while pending:
        pair = pending.pop()
        first, second = pair
        yield pair
        if id(first) in seen or type(first) is not type(second):
            continue
        seen.add(id(first))
        if isinstance(first, (list, tuple)):
            pending += zip(first, second, strict=False)
        elif isinstance(first, dict):
            is_named = all(isinstance(key, str) for key in first)  # else keys may be agents, which each has its own of
            pending += (
                [(value, second[key]) for key, value in first.items() if key in second]
                if is_named
                else zip(first.values(), second.values(), strict=False)
            )
        elif type(first).__module__.split(".")[0] in own and hasattr(first, "__dict__"):
            pending.append((vars(first), vars(second)))


def copy_rows(to: Any, source: Any, rows: Tensor, worlds: int) -> None:
    """Copy these rows of every tensor [E, ...] of one batch to the other, whatever holds it.

    Rows keep their index, so that a tensor that is E long by chance stays as it is.
    """
    done: set[int] = set()
    for mine, theirs in pairs(to, source, _modules(to)):
        if isinstance(mine, Tensor) and isinstance(theirs, Tensor) and id(mine) not in done:
            done.add(id(mine))
            if mine.dim() and mine.shape == theirs.shape and mine.shape[0] == worlds and mine.stride(0):
                mine[rows] = theirs[rows].to(mine.dtype)


def shares_chance(first: Any, second: Any, worlds: int) -> bool:
    """Whether what a start draws for all worlds together differs between two batches: a goal, a mass, a number."""
    partner: dict[int, int] = {}
    for mine, theirs in pairs(first, second, _modules(first)):
        if isinstance(mine, Tensor):
            is_row = mine.dim() > 0 and mine.shape[0] == worlds
            if not is_row and isinstance(theirs, Tensor) and not torch.equal(mine, theirs):
                return True
        elif isinstance(mine, (bool, int, float, str)):
            if mine != theirs and not (mine != mine and theirs != theirs):
                return True
        elif hasattr(mine, "__dict__") and partner.setdefault(id(mine), id(theirs)) != id(theirs):
            return True
    return False


def _modules(world: Any) -> tuple[str, ...]:
    return "vmas", type(world.scenario).__module__.split(".")[0]
