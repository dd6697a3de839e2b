"""One warehouse through PettingZoo's interface, beside worlds of others through theirs; and how fast films are drawn.

What one step is differs: of MPE it is 0.1 s of point masses, of RWARE one move on a grid, of ours one decision of
eight agents and the ten motion steps of 0.1 s that carry it out. So decisions and motion steps are counted apart, and
the price of a step is given, too.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from sim.parallel_env import parallel_env
from sim.view.scene import between, scene_of
from sim.view.top_down import TopDown
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from tests.benchmarks.conftest import Record

REPEATS, STEPS = 7, 400
FRAMES = 200


class Side(NamedTuple):
    """A world to time: `play` takes so many steps with legal random actions and gives the CPU seconds of the steps."""

    name: str
    agents: int
    motion_steps: int  # of 0.1 s, that one step carries out for every agent that moves
    moving: int  # agents that move
    play: Callable[[int], float]


def test_parallel_interface(record: Record) -> None:
    sides = [ours(scaled=False), ours(scaled=True), kernel_alone()]
    sides += [mpe("simple_speaker_listener_v4"), mpe("simple_spread_v3")]
    sides += [rware("rware-tiny-2ag-v2"), rware("rware-tiny-8ag-v2")]
    for side in sides:
        side.play(20)
    spent: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(REPEATS):
        for side in sides:
            spent[side.name].append(side.play(STEPS) / STEPS)
    rows = []
    base = sides[3].agents / median(spent[sides[3].name])
    for side in sides:
        step = median(spent[side.name])
        rows.append(
            {
                "world": side.name,
                "agents": side.agents,
                "us_per_step": 1e6 * step,
                "decisions_per_s": side.agents / step,
                "to_speaker_listener": side.agents / step / base,
                "motion_steps_per_s": side.moving * side.motion_steps / step,
            }
        )
    config = {"steps": STEPS, "repeats": REPEATS, "clock": "process CPU time of step alone", "actions": "random, legal"}
    record("one world through PettingZoo", config, rows)


def ours(*, scaled: bool) -> Side:
    env = parallel_env(scaled=scaled)
    rng = np.random.default_rng(0)
    senses: dict[str, Any] = {}

    def play(steps: int) -> float:
        nonlocal senses
        spent = 0.0
        for _ in range(steps):
            if not env.agents:
                senses, _ = env.reset(seed=1)
            actions = {name: int(rng.choice(np.flatnonzero(each["action_mask"]))) for name, each in senses.items()}
            began = time.process_time_ns()
            senses, *_ = env.step(actions)
            spent += time.process_time_ns() - began
        return spent * 1e-9

    moving = env.world.kinds.count("forklift")
    return Side(f"Parley, {'scaled' if scaled else 'SI units'}", len(env.possible_agents), 10, moving, play)


def kernel_alone() -> Side:
    """The compiled tick without PettingZoo's dictionaries: the least a step can take."""
    env = parallel_env()
    rng = np.random.default_rng(0)
    left = 0

    def play(steps: int) -> float:
        nonlocal left
        spent = 0.0
        for _ in range(steps):
            if left == 0:
                env.world.reset(1)
                left = 600
            masks = [board.mask for board in env.world.boards.values()]
            choices = np.concatenate([np.argmax(mask * rng.random(mask.shape), axis=2) for mask in masks], axis=1)
            began = time.process_time_ns()
            env.world.advance(choices)
            spent += time.process_time_ns() - began
            left -= 1
        return spent * 1e-9

    return Side("Parley, the tick alone", len(env.possible_agents), 10, env.world.kinds.count("forklift"), play)


def mpe(name: str) -> Side:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = import_module(f"mpe2.{name}").parallel_env()
    env.reset(seed=1)

    def play(steps: int) -> float:
        spent = 0.0
        for _ in range(steps):
            if not env.agents:
                env.reset()
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            began = time.process_time_ns()
            env.step(actions)
            spent += time.process_time_ns() - began
        return spent * 1e-9

    moving = sum(agent.movable for agent in env.unwrapped.world.agents)
    return Side(f"MPE2 {name}", len(env.possible_agents), 1, moving, play)


def rware(name: str) -> Side:
    import_module("rware")
    env = gymnasium.make(name, disable_env_checker=True)
    env.reset(seed=1)
    agents = len(env.action_space)  # type: ignore[arg-type]

    def play(steps: int) -> float:
        spent = 0.0
        for _ in range(steps):
            actions = env.action_space.sample()
            began = time.process_time_ns()
            *_, terminated, truncated, _ = env.step(actions)
            spent += time.process_time_ns() - began
            if terminated or truncated:
                env.reset()
        return spent * 1e-9

    return Side(name, agents, 1, agents, play)


def test_pictures_from_above(record: Record) -> None:
    env = parallel_env()
    senses, _ = env.reset(seed=1)
    rng = np.random.default_rng(0)
    scenes = []
    for _ in range(120):
        actions = {name: int(rng.choice(np.flatnonzero(each["action_mask"]))) for name, each in senses.items()}
        senses, *_ = env.step(actions)
        scenes.append(scene_of(env.world, links=np.full((8, 8), 1 / 7) * rng.random((8, 8)) * 2))
    plan, bodies = read_floorplan("config/floorplans/small_dc.yaml"), read_bodies("config/bodies.yaml")
    rows = []
    for size in ((640, 400), (960, 640), (1920, 1280)):
        for with_links in (False, True):
            view = TopDown(plan, env.possible_agents, size, bodies, with_links=with_links)
            spent = []
            for number in range(FRAMES):
                one, other = scenes[number % 100], scenes[number % 100 + 1]
                one, other = one._replace(links=None), other if with_links else other._replace(links=None)
                began = time.process_time_ns()
                view.draw(between(one, other, 0.5))
                spent.append((time.process_time_ns() - began) * 1e-9)
            rows.append(
                {
                    "size": "{}x{}".format(*size),
                    "links": with_links,
                    "ms_per_picture": 1e3 * median(spent),
                    "pictures_per_s": 1 / median(spent),
                }
            )
    record("pictures from above", {"frames": FRAMES, "clock": "process CPU time"}, rows)
