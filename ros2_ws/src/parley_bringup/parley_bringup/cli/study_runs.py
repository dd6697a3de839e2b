"""The episodes of `parley study`: worlds of a condition, and policies that play in them by turns."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from parley_bringup.cli.contenders import (
    WORLDS_AT_ONCE,
    close_world,
    decides_together,
    generated_orders,
    joint_policy,
    make_world,
    policy_maker,
)
from parley_bringup.paths import home
from parley_bringup.run_choices import read_plan
from parley_bringup.study.records import Key, Run
from parley_bringup.study.settings import Condition, Policy, StudySettings
from parley_bringup.study.sources import days_of, plan_of
from policy_core.config import ConfigError
from sim.fast.env import ORDERS_HELD, FastWarehouse, Streams
from sim.fast.evaluate import Stop, play, play_together
from sim.warehouse.order_replay import replay
from sim.warehouse.orders import OrderStream, read_order_settings
from sim.warehouse.randomisation import Draw
from sim.warehouse.settings import read_warehouse

STOP_CHANCE = 4099  # names the stream of chance that says which robots stop, and when
BUNDLED = ("learned", "silenced", "without")


class Task(NamedTuple):
    """One episode that is to be played."""

    condition: Condition
    policy: Policy
    bundle: str  # its name; empty where the policy is none
    folder: str  # of the bundle
    seed: int
    digest: str
    commit: str

    @property
    def key(self) -> Key:
        """Which episode it is."""
        return Key(self.condition.name, self.policy, self.bundle, self.seed)


def in_batches(tasks: Iterable[Task]) -> list[list[Task]]:
    """Tasks that one process plays together: those of a policy that decides for many worlds, else each by itself."""
    batches: dict[object, list[list[Task]]] = {}
    for task in tasks:
        is_alone = task.condition.world != "fast" or not decides_together(_called(task))
        own = batches.setdefault(task.key if is_alone else task.key._replace(seed=-1), [])
        if not own or len(own[-1]) == WORLDS_AT_ONCE:
            own.append([])
        own[-1].append(task)
    return [batch for own in batches.values() for batch in own]


class Player:
    """Plays batches of tasks; keeps the last condition's worlds and the policies of single agents."""

    def __init__(self, settings: StudySettings, data: Path | None) -> None:
        """Nothing is made yet."""
        self._settings = settings
        self._data = data
        self._warehouse = read_warehouse(home() / "config" / "warehouse.yaml")
        self._at = ""
        self._world: FastWarehouse | None = None
        self._makers: dict[tuple[str, str], Any] = {}

    def play(self, batch: Sequence[Task]) -> list[Run]:
        """Tasks that differ in the seed: it gives every policy the same orders, stock, defects and stops."""
        began = time.perf_counter()
        task, condition = batch[0], batch[0].condition
        world = self._enter(condition)
        seeds = [each.seed for each in batch]
        stops = [draw_stops(self._settings, condition, seed) for seed in seeds]
        air: dict[str, Any] = {
            "reach": self._warehouse.radio.range,
            "loss": condition.loss,
            "delay": condition.delay,
            "is_silenced": task.policy == "silenced",
        }
        if condition.world == "fast" and decides_together(_called(task)):
            policy = joint_policy(_called(task), world, condition.bits)
            played = play_together(world.widened(len(batch)), policy, seeds, stops=stops, **air)
        else:
            make = self._maker(task, world)
            alone = zip(seeds, stops, strict=True)
            played = [play(world, make(seed), seed, bits=condition.bits, stops=own, **air) for seed, own in alone]
        wall = (time.perf_counter() - began) / len(batch)
        return [
            Run(
                **each.key._asdict(),
                digest=each.digest,
                forklifts=condition.forklifts,
                commit=each.commit,
                wall_s=round(wall, 3),
                kpis=kpis,
            )
            for each, kpis in zip(batch, played, strict=True)
        ]

    def close(self) -> None:
        """Let go of the world."""
        if self._world is not None:
            close_world(self._world)
        self._world, self._at = None, ""

    def _enter(self, condition: Condition) -> FastWarehouse:
        if self._world is None or self._at != condition.name:
            self.close()
            self._world, self._at = open_condition(self._settings, condition, self._data), condition.name
        return self._world

    def _maker(self, task: Task, world: FastWarehouse) -> Any:
        name = _called(task)
        if (name, task.folder) not in self._makers:
            self._makers[name, task.folder] = policy_maker(name, world)
        return self._makers[name, task.folder]


def _called(task: Task) -> str:
    return f"bundle:{task.folder}" if task.policy in BUNDLED else task.policy


def open_condition(settings: StudySettings, condition: Condition, data: Path | None) -> FastWarehouse:
    """The world of a condition.

    Raises:
        ConfigError: its plan, map or orders cannot be used, or the plan does not park so many forklifts.
    """
    seconds = 60.0 * settings.minutes_of(condition)
    orders = read_order_settings(home() / "config" / "orders.yaml")
    orders = orders.model_copy(update={"lines_per_hour": orders.lines_per_hour * condition.load})
    expected = orders.lines_per_hour * (seconds + orders.backlog) / 3600.0  # an order has one line at least
    days = days_of(condition, data)

    def replayed(rng: np.random.Generator, duration: float, draw: Draw) -> OrderStream:
        return replay(days[int(rng.integers(len(days)))], orders, "auto", duration)[0]

    streams: Streams = replayed if days else generated_orders(orders)
    return make_world(
        condition.world,
        [read_plan(plan_of(condition, data))],
        condition.forklifts,
        seconds,
        read_warehouse(home() / "config" / "warehouse.yaml"),
        streams,
        np.asarray(orders.popularity, float),
        orders_held=max(ORDERS_HELD, math.ceil(1.2 * expected + 6.0 * math.sqrt(expected))),
    )


def draw_stops(settings: StudySettings, condition: Condition, seed: int) -> list[Stop]:
    """Which robots die for good or join late in an episode, exactly as many as the condition says, and when."""
    rng = np.random.default_rng((seed, STOP_CHANCE))
    robots = rng.permutation(condition.forklifts).tolist()
    moments = rng.random(condition.forklifts)
    seconds = 60.0 * settings.minutes_of(condition)
    stops = []
    for robot, moment in zip(robots[: condition.dying], moments, strict=False):
        stops.append(Stop(robot, seconds * _between(settings.dies_after, moment)))
    late = slice(condition.dying, condition.dying + condition.joining)
    for robot, moment in zip(robots[late], moments[late], strict=True):
        stops.append(Stop(robot, 0.0, seconds * _between(settings.joins_after, moment)))
    return stops


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + (span[1] - span[0]) * float(share)


def play_all(settings: StudySettings, data: Path | None, tasks: Sequence[Task], jobs: int) -> Iterator[Run]:
    """Play tasks in batches, each given back when its batch is done; with several jobs in processes of their own.

    Raises:
        ConfigError: a process died.
    """
    if jobs == 1:
        player = Player(settings, data)
        try:
            for batch in in_batches(tasks):
                yield from player.play(batch)
        finally:
            player.close()
        return
    context = multiprocessing.get_context("spawn")  # a fork would share torch's and numba's threads
    with ProcessPoolExecutor(jobs, context, _begin_worker, (settings, data)) as pool:
        try:
            for done in as_completed([pool.submit(_play_in_worker, batch) for batch in in_batches(tasks)]):
                yield from done.result()
        except BrokenProcessPool:
            raise ConfigError(
                "a process of the study died, perhaps for want of memory; what is done is kept: start the same command "
                "again, with fewer --jobs."
            ) from None
        finally:  # given up in the middle: nobody waits for the episodes under way
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()


_players: list[Player] = []  # of a worker process: its own


def _begin_worker(settings: StudySettings, data: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _players.append(Player(settings, data))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play_in_worker(batch: list[Task]) -> list[Run]:
    return _players[0].play(batch)
