"""The recipes of the fleet, made small: their files are read, and both of their stages are played."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from policy_core.config import parse_settings
from policy_core.ppo.run import Run
from policy_core.ppo.settings import TrainingSettings
from sim.fast.env import FastWarehouse
from sim.fast.mixture import Mixture

TRAINING = Path(__file__).parents[3] / "config" / "training"
WORLDS, TICKS, AGENTS = 8, 16, 8


@pytest.mark.parametrize("name", ["fleet", "fleet_long"])
def test_a_recipe_plays_home_then_all_its_floors(tmp_path: Path, name: str) -> None:
    recipe = yaml.safe_load((TRAINING / f"{name}.yaml").read_text())
    smaller = {"worlds": WORLDS, "ticks": TICKS, "frames": 3 * WORLDS * TICKS * AGENTS}
    run = Run(parse_settings(TrainingSettings, recipe | smaller, name), tmp_path)
    played = []
    for _ in range(3):
        run.iterate()
        played.append(run.collector.environment)
    assert isinstance(played[0], FastWarehouse) and played[1] is played[2]
    assert isinstance(played[2], Mixture) and [part.worlds for part in played[2].parts] == [2, 2, 2, 2]
