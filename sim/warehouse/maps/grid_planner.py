"""Shortest ways on a grid of free cells, as MovingAI's benchmarks define them.

Eight neighbours; a diagonal step costs sqrt 2 and needs both cells beside it free, so no corner is cut (Sturtevant,
Benchmarks for Grid-Based Pathfinding, Transactions on Computational Intelligence and AI in Games 4(2), 2012). A* with
the octile distance, which is consistent, so the first way found is a shortest one.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numba import njit

from policy_core.config import ConfigError

Cell = tuple[int, int]  # row, column
DIAGONAL = math.sqrt(2.0)


def shortest_way(free: np.ndarray, start: Cell, goal: Cell) -> np.ndarray:
    """A shortest way over free cells, both ends included.

    Args:
        free: where a robot may stand [H, W] bool.
        start: row and column.
        goal: row and column.

    Returns:
        Rows and columns [L, 2]; L is 0 where no way leads there.

    Raises:
        ConfigError: an end that is outside the grid or not free.
    """
    for name, cell in (("start", start), ("goal", goal)):
        inside = 0 <= cell[0] < free.shape[0] and 0 <= cell[1] < free.shape[1]
        if not inside or not free[cell]:
            raise ConfigError(f"the {name} (row {cell[0]}, column {cell[1]}) is no free cell of the grid.")
    cells = _search(np.ascontiguousarray(free), start[0], start[1], goal[0], goal[1])
    return np.stack([cells // free.shape[1], cells % free.shape[1]], axis=1)


def way_length(way: np.ndarray) -> float:
    """Cells travelled along a way [L, 2]; a diagonal step counts sqrt 2. Inf for no way at all."""
    if len(way) == 0:
        return math.inf
    diagonal = int((np.abs(np.diff(way, axis=0)).sum(axis=1) == 2).sum())
    return len(way) - 1 - diagonal + DIAGONAL * diagonal


@njit(cache=True)
def _octile(row: int, column: int, to_row: int, to_column: int) -> float:
    down, right = abs(row - to_row), abs(column - to_column)
    return max(down, right) + (DIAGONAL - 1.0) * min(down, right)


@njit(cache=True)
def _search(free: np.ndarray, row: int, column: int, to_row: int, to_column: int) -> np.ndarray:
    """Cells (row * width + column) of a shortest way [L]; empty if there is none."""
    height, width = free.shape
    cost = np.full(height * width, np.inf)
    before = np.full(height * width, -1, np.int64)
    done = np.zeros(height * width, np.bool_)
    start, goal = row * width + column, to_row * width + to_column
    cost[start] = 0.0
    heap = [(_octile(row, column, to_row, to_column), start)]
    while len(heap) > 0:
        here = heapq.heappop(heap)[1]
        if done[here]:
            continue
        done[here] = True
        if here == goal:
            break
        at_row, at_column = here // width, here % width
        for down in range(-1, 2):
            for right in range(-1, 2):
                new_row, new_column = at_row + down, at_column + right
                if new_row < 0 or new_column < 0 or new_row >= height or new_column >= width:
                    continue
                there = new_row * width + new_column
                if done[there] or not free[new_row, new_column]:
                    continue
                is_diagonal = down != 0 and right != 0
                if is_diagonal and not (free[at_row, new_column] and free[new_row, at_column]):
                    continue
                new_cost = cost[here] + (DIAGONAL if is_diagonal else 1.0)
                if new_cost < cost[there]:
                    cost[there] = new_cost
                    before[there] = here
                    heapq.heappush(heap, (new_cost + _octile(new_row, new_column, to_row, to_column), there))
    if not done[goal]:
        return np.zeros(0, np.int64)
    count = 1
    cell = goal
    while cell != start:
        cell = before[cell]
        count += 1
    way = np.empty(count, np.int64)
    cell = goal
    for step in range(count - 1, -1, -1):
        way[step] = cell
        cell = before[cell]
    return way
