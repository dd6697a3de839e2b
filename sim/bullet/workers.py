"""PyBullet worlds shared between processes: each worker has some of them as a `BulletWarehouse` of its own.

Bullet and the rules around it run on one core, so E worlds in one process take E times as long; in W processes a W-th
of that, while there are cores. World e plays the same in whichever process it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_core.environment import KindObservation, Observations, Step
from policy_core.worlds.processes import Content, Crew, Worker, map_arrays, serve_parent, shared_memory, shares
from sim.bullet.snapshots import Snapshot, check_fit, from_text, join, share, to_text

if TYPE_CHECKING:
    from sim.bullet.env import BulletWarehouse

SERVE = "sim.bullet.workers:serve"


class BulletWorkers:
    """A batch of PyBullet warehouses that other processes play; see `BatchEnvironment`.

    It has what a learner needs: the protocol, the adviser, and snapshots, which are those of a `BulletWarehouse` of
    the same size. The bodies themselves stay where they are.

    Args:
        settings: of `sim.bullet.env.make`, but for the numbers of worlds and workers.
        like: a warehouse of one world that these settings build.
        worlds: E.
        workers: processes, at most E.

    Raises:
        WorldError: a worker did not start; later of any call, if one failed, died or hangs. All have then ended.
    """

    def __init__(self, settings: dict[str, Any], like: BulletWarehouse, worlds: int, workers: int) -> None:
        self.contract, self.agents, self.kinds, self.worlds = like.contract, like.agents, like.kinds, worlds
        self._has_guard = bool(settings["guard"])
        self._shares = shares(worlds, workers)
        layout = _layout(like, worlds)
        with shared_memory(layout) as file:
            self._arrays = map_arrays(layout, file.fileno())
            self.workers = [
                Worker(
                    f"world worker {place} (worlds {first} to {last - 1})",
                    SERVE,
                    {"settings": settings, "worlds": worlds, "first": first, "last": last},
                    file.fileno(),
                )
                for place, (first, last) in enumerate(self._shares)
            ]
        self._crew = Crew(self.workers)

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        self._crew.ask({"do": "reset", "seed": seed, "first_world": first_world})
        return self._observations("now")

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick with the chosen candidates [E, N, 1] (or [E, N]); ended worlds start anew."""
        self._arrays["actions"][:] = actions.reshape(self.worlds, -1)
        kpis = [figures for answer in self._crew.ask({"do": "step"}) for figures in answer["kpis"]]
        truncated = self._arrays["truncated"].copy()
        final = self._observations("final") if truncated.any() else None
        reward, terminated = self._arrays["reward"].copy(), np.zeros(self.worlds, np.bool_)
        return Step(self._observations("now"), reward, terminated, truncated, final, kpis)

    def advise(self) -> np.ndarray:
        """What the central planner, who sees everything, would now choose [E, N, 1]."""
        self._crew.ask({"do": "advise"})
        return self._arrays["advice"].copy()

    def snapshot(self) -> Snapshot:
        """What `restore` needs to go on bit for bit, here or in a `BulletWarehouse` of the same size."""
        return join([from_text(answer["snapshot"]) for answer in self._crew.ask({"do": "snapshot"})])

    def restore(self, snapshot: Snapshot) -> Observations:
        """Play the episodes of a snapshot up to where it was taken.

        Raises:
            ValueError: it is of another size, or of worlds with a guard and these have none, or the other way.
        """
        check_fit(snapshot, self.worlds, len(self.agents), self._has_guard)
        parts = [to_text(share(snapshot, *bounds)) for bounds in self._shares]
        self._crew.ask(*({"do": "restore", "snapshot": part} for part in parts))
        return self._observations("now")

    def close(self) -> None:
        """End the workers."""
        self._crew.close()

    def _observations(self, moment: str) -> Observations:
        """A copy of what all agents sense."""
        parts = {name: self._arrays[f"{moment} {name}"].copy() for name in ("position", "alive", "state")}
        kinds = {
            kind: KindObservation(*(self._arrays[f"{moment} {kind} {name}"].copy() for name in KindObservation._fields))
            for kind in dict.fromkeys(self.kinds)
        }
        return Observations(kinds, **parts)


def serve() -> None:
    """A worker's whole life."""
    serve_parent(_begin)


def _begin(job: Content, memory: int) -> Callable[[Content], Content]:
    from sim.bullet.env import BulletWarehouse, make  # which itself makes `BulletWorkers`

    first, last = job["first"], job["last"]
    env = make(last - first, **job["settings"])
    assert isinstance(env, BulletWarehouse)
    arrays = {name: array[first:last] for name, array in map_arrays(_layout(env, job["worlds"]), memory).items()}
    return lambda request: _do(request, env, arrays, first)


def _do(request: Content, env: BulletWarehouse, arrays: dict[str, np.ndarray], first: int) -> Content:
    """One request; arrays of results go to the own rows of the shared ones."""
    match request["do"]:
        case "reset":
            seed, all_first = request["seed"], request["first_world"]
            _write(arrays, "now", env.start(seed, all_first + first, env.draw_plan(seed, all_first)))
        case "step":
            step = env.step(arrays["actions"])
            _write(arrays, "now", step.observations)
            _write(arrays, "final", step.final or step.observations)  # other workers' worlds may have ended
            arrays["reward"][:], arrays["truncated"][:] = step.reward, step.truncated
            return {"kpis": step.kpis}
        case "advise":
            arrays["advice"][:] = env.advise()
        case "snapshot":
            return {"snapshot": to_text(env.snapshot())}
        case "restore":
            _write(arrays, "now", env.restore(from_text(request["snapshot"])))
    return {}


def _write(arrays: dict[str, np.ndarray], moment: str, observations: Observations) -> None:
    for name, part in _parts(observations):
        arrays[f"{moment} {name}"][:] = part


def _parts(observations: Observations) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("position", "alive", "state"):
        yield name, getattr(observations, name)
    for kind, sensed in observations.kinds.items():
        for name, part in sensed._asdict().items():
            yield f"{kind} {name}", part


def _layout(like: BulletWarehouse, worlds: int) -> dict[str, np.ndarray]:
    """Every shared array by name, as an example of its shape and type."""
    agents = len(like.agents)
    senses = {name: np.repeat(part[:1], worlds, axis=0) for name, part in _parts(like.observe())}
    return {
        "actions": np.zeros((worlds, agents), np.int64),
        "advice": np.zeros((worlds, agents, 1), np.float32),
        "reward": np.zeros((worlds, agents), np.float32),
        "truncated": np.zeros(worlds, np.bool_),
        **{f"{moment} {name}": part for moment in ("now", "final") for name, part in senses.items()},
    }
