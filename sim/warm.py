"""`python -m sim.warm`: compile the kernels once, so that no node and no test waits for it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from sim.fast.env import make
from sim.warehouse.jobs import reopen

CONFIG = Path(__file__).parents[1] / "config"


def main() -> None:
    """Play a tick of a one-world warehouse, and call the kernel that only the task server calls."""
    started = time.perf_counter()
    world = make(
        1,
        floorplan=str(CONFIG / "floorplans" / "small_dc.yaml"),
        warehouse=str(CONFIG / "warehouse.yaml"),
        contract=str(CONFIG / "contract.yaml"),
        orders=str(CONFIG / "orders.yaml"),
        bodies=str(CONFIG / "bodies.yaml"),
    )
    world.reset(0)
    world.step(np.zeros((1, len(world.kinds)), np.int64))
    reopen(world.state, 0, 0)
    print(f"kernels are compiled ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
