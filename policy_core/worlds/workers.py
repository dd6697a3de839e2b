"""Slow worlds shared between processes: each worker plays some of them, and all arrays lie in memory they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from policy_core.environment import Observations, Step
from policy_core.worlds.fleet import Fleet, blank, make_fleet
from policy_core.worlds.processes import Content, Crew, Worker, map_arrays, serve_parent, shared_memory
from policy_core.worlds.single import Batch, build_world

SERVE = "policy_core.worlds.workers:serve"


class Job(NamedTuple):
    """What a worker is asked to build; plain data, because it travels as JSON."""

    build: str  # "module:function" that gives one world
    settings: dict[str, Any]  # of it
    message_size: int
    rounds: int
    tick: float
    worlds: int  # of all workers together
    first: int  # of the own among them
    last: int  # behind the own


class Workers:
    """A batch whose worlds other processes play; see `BatchEnvironment`."""

    def __init__(self, jobs: list[Job], fleet: Fleet) -> None:
        """Start the workers and wait until their worlds are built."""
        self.fleet = fleet
        self.worlds = jobs[0].worlds
        self.contract, self.agents, self.kinds = fleet.contract, fleet.agents, fleet.kinds
        layout = _layout(fleet, self.worlds)
        with shared_memory(layout) as file:
            self.arrays = map_arrays(layout, file.fileno())
            self.workers = [
                Worker(
                    f"world worker {place} (worlds {job.first} to {job.last - 1})", SERVE, job._asdict(), file.fileno()
                )
                for place, job in enumerate(jobs)
            ]
        self._crew = Crew(self.workers)

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        self._crew.ask({"do": "reset", "seed": seed, "first_world": first_world})
        return self._observe("now", slice(None))

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick; see `BatchEnvironment`."""
        self.arrays["actions"][:] = actions
        kpis = [figures for answer in self._crew.ask({"do": "step"}) for figures in answer["kpis"]]
        terminated, truncated = self.arrays["terminated"].copy(), self.arrays["truncated"].copy()
        ended = terminated | truncated
        final = self._observe("final", ended) if ended.any() else None
        return Step(self._observe("now", slice(None)), self.arrays["reward"].copy(), terminated, truncated, final, kpis)

    def close(self) -> None:
        """End the workers."""
        self._crew.close()

    def _observe(self, moment: str, worlds: np.ndarray | slice) -> Observations:
        """A copy of what these worlds' agents sense; the other rows are blank."""
        observations = blank(self.fleet, self.worlds)
        for name, part in _parts(observations):
            part[worlds] = self.arrays[f"{moment} {name}"][worlds]
        return observations


def serve() -> None:
    """A worker's whole life."""
    serve_parent(_begin)


def _begin(content: Content, memory: int) -> Callable[[Content], Content]:
    job = Job(**content)
    singles = [build_world(job.build, job.settings) for _ in range(job.first, job.last)]
    fleet = make_fleet(singles[0].members, message_size=job.message_size, rounds=job.rounds, tick=job.tick)
    batch = Batch(singles, fleet)
    own = slice(job.first, job.last)
    arrays = {name: array[own] for name, array in map_arrays(_layout(fleet, job.worlds), memory).items()}
    return lambda request: {"kpis": _do(request, batch, arrays, job.first)}


def _do(request: Content, batch: Batch, arrays: dict[str, np.ndarray], first: int) -> list[dict[str, float]]:
    """One request; results go to the shared arrays, own rows."""
    if request["do"] == "reset":
        _share(arrays, "now", batch.reset(request["seed"], request["first_world"] + first))
        return []
    step = batch.step(arrays["actions"])
    _share(arrays, "now", step.observations)
    if step.final is not None:
        _share(arrays, "final", step.final)
    for name in ("reward", "terminated", "truncated"):
        arrays[name][:] = getattr(step, name)
    return step.kpis


def _share(arrays: dict[str, np.ndarray], moment: str, observations: Observations) -> None:
    for name, part in _parts(observations):
        arrays[f"{moment} {name}"][:] = part


def _parts(observations: Observations) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays that differ from a blank observation's, by name."""
    yield "alive", observations.alive
    for name, kind in observations.kinds.items():
        yield f"{name} vector", kind.vector
        yield f"{name} mask", kind.mask


def _layout(fleet: Fleet, worlds: int) -> dict[str, np.ndarray]:
    """Every shared array by name, as an example of its shape and type."""
    example = dict(_parts(blank(fleet, worlds)))
    agents = len(fleet.agents)
    return {
        "actions": np.zeros((worlds, agents, fleet.contract.action_size), dtype=np.float32),
        "reward": np.zeros((worlds, agents), dtype=np.float32),
        "terminated": np.zeros(worlds, dtype=bool),
        "truncated": np.zeros(worlds, dtype=bool),
        **{f"{moment} {name}": part for moment in ("now", "final") for name, part in example.items()},
    }
