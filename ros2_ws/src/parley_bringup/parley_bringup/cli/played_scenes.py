"""An episode of one world, scene by scene, with any policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from parley_bringup.paths import home
from parley_bringup.run_choices import checked_policy
from policy_core.contract import Contract
from policy_core.export.bundle import read_bundle
from policy_core.serving.policy import AgentPolicy
from policy_core.serving.watched import WatchedPolicy, tells_attention
from sim.fast.env import FastWarehouse
from sim.fast.evaluate import MakePolicy, decide
from sim.view.scene import Scene, scene_of
from sim.warehouse.baselines import make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.orders import generate, read_order_settings
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import WarehouseSettings


def policy_maker(wanted: str | None, contract: Contract, seed: int) -> tuple[str, MakePolicy, bool]:
    """A policy's name, what makes each agent's, and whether agents tell whom they listen to.

    Raises:
        ConfigError: there is no such policy.
    """
    if wanted is not None and not wanted.startswith("bundle:") and Path(wanted).is_dir():
        wanted = f"bundle:{wanted}"
    full = checked_policy(wanted)
    if not full.startswith("bundle:"):
        return full, lambda kind, number: make_baseline(full, contract, kind, number, seed), False
    bundle = read_bundle(full.removeprefix("bundle:"), contract)
    return (
        f"bundle:{Path(full.removeprefix('bundle:')).name}",
        lambda kind, number: WatchedPolicy(bundle, kind, number + 1),
        tells_attention(bundle),
    )


def open_world(
    name: str, plan: FloorPlan, settings: WarehouseSettings, contract: Contract, forklifts: int, episode: float
) -> FastWarehouse:
    """One world of a simulator, with orders from the generator."""
    orders = read_order_settings(home() / "config" / "orders.yaml")
    size = (
        1,
        forklifts,
        episode,
        [build_tables(plan)],
        settings,
        read_bodies(home() / "config" / "bodies.yaml"),
        contract,
        lambda rng, duration, draw: generate(orders, int(rng.integers(2**31)), duration),
        np.asarray(orders.popularity, float),
    )
    if name == "fast":
        return FastWarehouse(*size)
    from sim.bullet.env import BulletWarehouse

    world: FastWarehouse = BulletWarehouse(*size, plan)
    return world


def scenes_of(
    world: FastWarehouse,
    make_policy: MakePolicy,
    seed: int,
    ticks: int,
    reach: float,
    loss: float,
) -> Iterator[Scene]:
    """Play an episode: the scene at its start, and after every tick."""
    air = np.random.default_rng((seed, 7919))
    numbers = [world.kinds[:agent].count(kind) for agent, kind in enumerate(world.kinds)]
    policies = [make_policy(kind, number) for kind, number in zip(world.kinds, numbers, strict=True)]
    observations = world.reset(seed)
    yield scene_of(world)
    for tick in range(ticks):
        choices = decide(world, policies, numbers, observations, air, reach, loss, False)[None]
        if tick + 1 < ticks:
            observations = world.step(choices).observations
        else:
            world.advance(choices)  # `step` would begin the next episode
        yield scene_of(world, links=links_of(policies))


def links_of(policies: list[AgentPolicy]) -> np.ndarray | None:
    """The share of its attention that each agent (row) gave each other one in the last round [N, N], if they tell."""
    told = [
        policy.attention for policy in policies if isinstance(policy, WatchedPolicy) and hasattr(policy, "attention")
    ]
    if len(told) < len(policies):
        return None
    links = np.zeros((len(told), len(told)))
    for agent, shares in enumerate(told):
        if shares is None:
            return None
        links[agent, [other for other in range(len(told)) if other != agent]] = shares
    return links
