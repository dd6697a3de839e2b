"""`python -m sim.warm`: compile once what the worlds call, so that no node and no test waits for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sim.bullet.env import make as make_with_bodies
from sim.fast.env import make

CONFIG = Path(__file__).parents[1] / "config"


def main() -> None:
    """Play a tick of a one-world warehouse without and with bodies."""
    started = time.perf_counter()
    files: dict[str, Any] = {
        "floorplan": str(CONFIG / "floorplans" / "small_dc.yaml"),
        "warehouse": str(CONFIG / "warehouse.yaml"),
        "contract": str(CONFIG / "contract.yaml"),
        "orders": str(CONFIG / "orders.yaml"),
        "bodies": str(CONFIG / "bodies.yaml"),
    }
    world, bodies = make(1, **files), make_with_bodies(1, **files)
    for each in (world, bodies):
        each.reset(0)
        each.step(np.zeros((1, len(each.kinds)), np.int64))
    bodies.close()
    print(f"kernels are compiled ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
