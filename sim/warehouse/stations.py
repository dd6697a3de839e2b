"""Where agents without wheels stand."""

from __future__ import annotations

from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES
from sim.warehouse.routes import Tables


def middle_of(tables: Tables, place_type: int, group: int) -> tuple[float, float, float]:
    """The middle of a zone or station: x (m), y (m), yaw 0 (rad) in map.

    Raises:
        ConfigError: the floor plan has no such place.
    """
    chosen = (tables.place_type == place_type) & (tables.place_group == group)
    if not chosen.any():
        raise ConfigError(
            f"the floor plan has no {PLACE_TYPES[place_type]} place in group {group}, but there is an agent for it; "
            "give such places this group, or take the agent out of the fleet manifest."
        )
    return float(tables.place_x[chosen].mean()), float(tables.place_y[chosen].mean()), 0.0
