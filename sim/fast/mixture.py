"""A batch of worlds on several floor plans at once, so that one gradient step learns from all of them.

Every plan has a `FastWarehouse` of its own with its share of the worlds, one block of worlds after another; to the
trainer it is one batch (policy_core/environment.py). World e plays what it plays among worlds of its own plan alone:
all its chance comes from (seed, first_world + e).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from policy_core.config import ConfigError
from policy_core.environment import KindObservation, Observations, Step
from sim.fast import env
from sim.fast.env import FastWarehouse, crew_of
from sim.warehouse.randomisation import read_randomisation


def make(worlds: int, floorplans: Sequence[str], **settings: Any) -> Mixture:
    """Build worlds on these floor plans, shared out as evenly as can be; a plan named twice gets two shares.

    Args:
        worlds: E, at least one for each plan.
        floorplans: paths; as many zones and stations in all.
        settings: as `sim.fast.env.make` takes them, but for `floorplan`.

    Raises:
        ConfigError: there are more plans than worlds or none, plans come from elsewhere, too, or their crews differ.
    """
    if isinstance(floorplans, str) or not 1 <= len(floorplans) <= worlds:
        seen = repr(floorplans) if isinstance(floorplans, str) else f"{len(floorplans)} of them for {worlds} world(s)"
        raise ConfigError(
            f"floorplans: saw {seen}; wanted a list of 1 or more, and a world for each. Name fewer plans, or ask for "
            "more worlds (of each process, where there are several; the evaluation has a number of its own)."
        )
    if "floorplan" in settings:
        raise ConfigError(
            f"floorplan: saw '{settings['floorplan']}' beside floorplans; wanted the list alone. Leave floorplan out; "
            "where it is the run's, give the run floorplans with this one plan, which is the same world."
        )
    if settings.get("randomisation") and read_randomisation(settings["randomisation"]).floorplans:
        raise ConfigError(
            f"{settings['randomisation']}: names floorplans, and so does the mixture; wanted them in one place. Leave "
            "those of the file empty, or take sim.fast.env:make, which draws one plan for all worlds of a reset."
        )
    bounds = [round(place * worlds / len(floorplans)) for place in range(len(floorplans) + 1)]
    parts = [
        env.make(last - first, floorplan=plan, **settings)
        for plan, (first, last) in zip(floorplans, itertools.pairwise(bounds), strict=True)
    ]
    crew_of([part.tables for part in parts], parts[0].kinds.count("forklift"))
    return Mixture(parts)


class Mixture:
    """Warehouses of one fleet side by side, as one batch; see `BatchEnvironment`, `Advising` and `Restorable`.

    Args:
        parts: in the order of the worlds; contract and agents are the same in all.
    """

    def __init__(self, parts: Sequence[FastWarehouse]) -> None:
        self.contract, self.agents, self.kinds = parts[0].contract, parts[0].agents, parts[0].kinds
        self.parts = parts
        self._bounds = list(itertools.accumulate((part.worlds for part in parts), initial=0))
        self.worlds = self._bounds[-1]

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        return _join(
            [part.reset(seed, first_world + first) for part, first in zip(self.parts, self._bounds, strict=False)]
        )

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick with the chosen candidates [E, N, 1] (or [E, N]); ended worlds start anew."""
        steps = [part.step(own) for part, own in zip(self.parts, np.split(actions, self._bounds[1:-1]), strict=True)]
        truncated = np.concatenate([step.truncated for step in steps])
        final = None
        if truncated.any():  # of a part where none ended, no row is read
            final = _join([step.observations if step.final is None else step.final for step in steps])
        return Step(
            _join([step.observations for step in steps]),
            np.concatenate([step.reward for step in steps]),
            np.concatenate([step.terminated for step in steps]),
            truncated,
            final,
            [_on_plan(figures, place) for place, step in enumerate(steps) for figures in step.kpis],
        )

    def advise(self) -> np.ndarray:
        """What each warehouse's central planner, who sees everything, would now choose [E, N, 1]."""
        return np.concatenate([part.advise() for part in self.parts])

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of everything that changes, chance included; `restore` goes on from there bit for bit."""
        return {
            f"{place}/{name}": array for place, part in enumerate(self.parts) for name, array in part.snapshot().items()
        }

    def restore(self, snapshot: dict[str, np.ndarray]) -> Observations:
        """Take up a snapshot of a mixture of the same plans and size.

        Raises:
            ValueError: it is of another size, or of another number of plans.
        """
        saved: dict[str, dict[str, np.ndarray]] = {}
        for name, array in snapshot.items():
            place, _, own = name.partition("/")
            saved.setdefault(place, {})[own] = array
        if list(saved) != [str(place) for place in range(len(self.parts))]:
            raise ValueError(f"saved of {len(saved)} floor plan(s), this mixture has {len(self.parts)}")
        return _join([part.restore(own) for part, own in zip(self.parts, saved.values(), strict=True)])


def _join(seen: Sequence[Observations]) -> Observations:
    """What the fleets of all parts sense, one block of worlds after another."""
    kinds = {
        name: KindObservation(
            *(np.concatenate(part) for part in zip(*(each.kinds[name] for each in seen), strict=True))
        )
        for name in seen[0].kinds
    }
    position, alive, state = (
        np.concatenate([getattr(each, part) for each in seen]) for part in ("position", "alive", "state")
    )
    return Observations(kinds, position, alive, state)


def _on_plan(figures: dict[str, float], place: int) -> dict[str, float]:
    """An episode's figures, with the place of its plan in the mixture where it says what it drew."""
    return figures | {"draw floorplan": float(place)} if "draw floorplan" in figures else figures
