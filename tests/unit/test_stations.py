"""Where agents without wheels stand, against the floor plan's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from parley_bringup.paths import home
from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES, read_floorplan
from sim.warehouse.routes import build_tables
from sim.warehouse.stations import middle_of


@pytest.mark.parametrize(("kind", "group"), [("slot", 0), ("slot", 1), ("inspection", 1)])
def test_an_agent_without_wheels_stands_in_the_middle_of_its_places(kind: str, group: int) -> None:
    plan = read_floorplan(home() / "config" / "floorplans" / "small_dc.yaml")
    tables, number = build_tables(plan), PLACE_TYPES.index(kind)
    places = [(place.x, place.y, 0.0) for place in plan.places if (place.type, place.group) == (kind, group)]
    assert middle_of(tables, number, group) == pytest.approx(tuple(np.mean(places, axis=0)), abs=1e-4)
    with pytest.raises(ConfigError, match=f"no {kind} place in group 9"):
        middle_of(tables, number, 9)
