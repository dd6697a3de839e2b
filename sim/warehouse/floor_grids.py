"""Grids over the floor: how far every cell is from what stands, and which route nodes can be nearest to a patch."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from policy_core.config import ConfigError
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.rectangles import distance_to_each, nearest_rectangle

CLEARANCE_CELL = 0.1  # m
PATCH = 0.5  # m: side of the squares of floor for which the nearest nodes are listed
TILE = 64  # cells of a clearance grid that are made at a time
MOST_CELLS = 5_000_000  # of the clearance grids: 50,000 m2


def check_cells(plan: FloorPlan) -> None:
    """Raise ConfigError, before anything large is made, if the floor has more cells than grids hold."""
    cells = plan.size[0] * plan.size[1] / CLEARANCE_CELL**2
    if cells > MOST_CELLS:
        raise ConfigError(
            f"floor plan '{plan.name}': {plan.size[0]:.0f} x {plan.size[1]:.0f} m are {cells / 1e6:.0f} million cells "
            f"of {CLEARANCE_CELL} m; tables hold at most {MOST_CELLS / 1e6:g} million. Use a part of the floor "
            f"(parley import-map --window), or a smaller cell."
        )


def clearance_grid(plan: FloorPlan, rectangles: np.ndarray) -> np.ndarray:
    """Distance (m) from each cell centre to the nearest of the rectangles [B, 5], exact: [H, W] float32.

    Tile by tile: what is farther from a tile's middle than the nearest rectangle plus the tile's diagonal is not asked.
    """
    columns, rows = (max(1, int(np.ceil(side / CLEARANCE_CELL - 1e-6))) for side in plan.size)
    x = plan.origin[0] + (np.arange(columns) + 0.5) * CLEARANCE_CELL
    y = plan.origin[1] + (np.arange(rows) + 0.5) * CLEARANCE_CELL
    found = np.empty((rows, columns), dtype=np.float32)
    for row in range(0, rows, TILE):
        for column in range(0, columns, TILE):
            centre = np.stack(np.meshgrid(x[column : column + TILE], y[row : row + TILE]), axis=-1)
            middle = (centre[0, 0] + centre[-1, -1]) / 2
            away = distance_to_each(middle, rectangles)
            near = away <= away.min(initial=np.inf) + np.hypot(*(centre[-1, -1] - centre[0, 0])) + 1e-9
            found[row : row + TILE, column : column + TILE] = nearest_rectangle(centre, rectangles[near])
    return found


def near_nodes(plan: FloorPlan, node: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each patch of the floor the nodes that are nearest to any of its points; see `Tables.near_node`.

    A node farther from a patch's middle than the nearest one by more than the patch's diagonal is nearest to none.
    """
    columns, rows = (max(1, int(np.ceil(side / PATCH))) for side in plan.size)
    x, y = plan.origin[0] + (np.arange(columns) + 0.5) * PATCH, plan.origin[1] + (np.arange(rows) + 0.5) * PATCH
    middle = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    tree = KDTree(node)
    reach = tree.query(middle)[0] + np.hypot(PATCH, PATCH) + 1e-3
    found = tree.query_ball_point(middle, reach, return_sorted=True)
    start = np.cumsum([0, *map(len, found)])
    return np.concatenate(found).astype(np.int32), start.astype(np.int32), np.array([rows, columns], np.int32)
