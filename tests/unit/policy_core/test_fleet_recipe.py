"""The recipe of the shipped bundle, made small: its files are read, and both of its stages are played."""

from __future__ import annotations

from pathlib import Path

import yaml

from policy_core.config import parse_settings
from policy_core.ppo.run import Run
from policy_core.ppo.settings import TrainingSettings
from sim.fast.env import FastWarehouse
from sim.fast.mixture import Mixture

RECIPE = Path(__file__).parents[3] / "config" / "training" / "fleet.yaml"
WORLDS, TICKS, AGENTS = 8, 16, 8


def test_the_fleets_recipe_plays_home_then_all_its_floors(tmp_path: Path) -> None:
    recipe = yaml.safe_load(RECIPE.read_text())
    smaller = {"worlds": WORLDS, "ticks": TICKS, "frames": 3 * WORLDS * TICKS * AGENTS}
    run = Run(parse_settings(TrainingSettings, recipe | smaller, str(RECIPE)), tmp_path)
    played = []
    for _ in range(3):
        run.iterate()
        played.append(run.collector.environment)
    assert isinstance(played[0], FastWarehouse) and played[1] is played[2]
    assert isinstance(played[2], Mixture) and [part.worlds for part in played[2].parts] == [2, 2, 2, 2]
