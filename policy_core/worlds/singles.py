"""E worlds of an interface that knows one world at a time, as one batch: in this process or shared between workers."""

from __future__ import annotations

from typing import Any

from policy_core.config import ConfigError
from policy_core.environment import BatchEnvironment
from policy_core.worlds.fleet import make_fleet
from policy_core.worlds.processes import shares
from policy_core.worlds.single import Batch, build_world
from policy_core.worlds.workers import Job, Workers


def make(
    worlds: int,
    build: str,
    name: str,
    message_size: int = 16,
    rounds: int = 2,
    tick: float = 1.0,
    workers: int = 0,
    options: dict[str, Any] | None = None,
) -> BatchEnvironment:
    """Build E worlds.

    Args:
        worlds: E.
        build: "module:function" that gives one world, from its name and options.
        name: of the world, as that function takes it.
        message_size: M of the learned messages.
        rounds: K; 0: no learned messages.
        tick: what one step stands for (s).
        workers: processes to share the worlds between, at most E; 0: this one plays them all.
        options: of the world.

    Raises:
        ConfigError: there is no such world, it does not take these options, or the number of workers is negative.
    """
    if workers < 0:
        raise ConfigError(f"env_settings.workers: saw {workers}, wanted 0 or more")
    workers = min(workers, worlds)  # an evaluation may play fewer worlds than training
    settings = {"name": name, "options": options}
    first = build_world(build, settings)
    fleet = make_fleet(first.members, message_size=message_size, rounds=rounds, tick=tick)
    if workers == 0:
        return Batch([first, *(build_world(build, settings) for _ in range(worlds - 1))], fleet)
    jobs = [
        Job(build, settings, message_size, rounds, tick, worlds, begin, end) for begin, end in shares(worlds, workers)
    ]
    return Workers(jobs, fleet)
