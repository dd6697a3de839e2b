"""Where simulated robots stand and charge is where their agents believe they do."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parley_sim.world_setup import set_up_world
from policy_core.config import ConfigError

CONFIG = Path(__file__).parents[3] / "config"


def run(tmp_path: Path, *backends: str) -> Any:
    """What a run with forklifts of these backends is told."""
    agents = "".join(
        f"  - {{name: forklift_{number}, kind: forklift, host: h, backend: {backend}}}\n"
        for number, backend in enumerate(backends, start=1)
    )
    (tmp_path / "fleet.yaml").write_text(f"name: mixed\nagents:\n{agents}", encoding="utf-8")
    return SimpleNamespace(
        floorplan=str(CONFIG / "floorplans" / "small_dc.yaml"),
        warehouse=str(CONFIG / "warehouse.yaml"),
        contract=str(CONFIG / "contract.yaml"),
        fleet=str(tmp_path / "fleet.yaml"),
        seed=0,
    )


def test_beside_real_robots_simulated_ones_park_and_charge_at_their_own_place(tmp_path: Path) -> None:
    setup = set_up_world(run(tmp_path, "hardware", "sim", "hardware", "sim"), "")
    world, batteries = setup.world, setup.batteries
    parking = [setup.plan.places[index] for index in setup.plan.of_type("parking")]
    assert world.robots == ("forklift_2", "forklift_4")
    batteries.energy[:] *= 0.5
    for row, (name, home) in enumerate(zip(world.robots, (parking[1], parking[3]), strict=True)):
        pose = world.pose(name)
        assert math.dist(pose[:2], home.before(setup.motion.dock_reach)[:2]) < 0.01
        batteries.use(row, pose, 0.03, is_loaded=False)
        assert batteries.charging[row]
        batteries.use(row, pose._replace(x=pose.x + 1.0), 0.03, is_loaded=False)
        assert not batteries.charging[row]
    assert batteries.counted["charging_s"] == pytest.approx(2 * setup.motion.step)
    held = batteries.energy.copy()
    batteries.count_anew()
    assert not any(batteries.counted.values()) and (batteries.energy == held).all()
    world.close()


def test_a_fleet_larger_than_the_parking_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"parking places, .* has 30 forklifts"):
        set_up_world(run(tmp_path, *["sim"] * 30), "")
