"""Who can be measured, by name, and the worlds they are measured in: what `eval`, `study` and `soak` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from parley_bringup.paths import home
from parley_bringup.run_choices import checked_policy, choose_one
from policy_core.comm.wire import UNROUNDED
from policy_core.config import ConfigError
from policy_core.contract import Contract, read_contract
from policy_core.export.bundle import Bundle, read_bundle
from policy_core.serving.joint import JointPolicy
from policy_core.serving.onboard import OnboardPolicy
from sim.fast.env import ORDERS_HELD, FastWarehouse, Streams
from sim.fast.evaluate import MakePolicy, play, play_together
from sim.warehouse.baselines import BASELINES, make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.guard import GuardSettings
from sim.warehouse.order_variety import generate_drawn
from sim.warehouse.orders import OrderSettings
from sim.warehouse.randomisation import Randomisation
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import WarehouseSettings

WORLDS = ("fast", "bullet")
WORLDS_AT_ONCE = 32  # of a batch; more are hardly faster for each, and more is lost when it is stopped
PLANNER = "planner"  # sees everything: no fleet could run it, but none should be far behind


def make_world(
    name: str,
    plans: Sequence[FloorPlan],
    forklifts: int,
    seconds: float,
    settings: WarehouseSettings,
    streams: Streams,
    popularity: np.ndarray,
    *,
    randomisation: Randomisation | None = None,
    orders_held: int = ORDERS_HELD,
    guard: GuardSettings | None = None,
) -> FastWarehouse:
    """One world of either simulator; whoever makes one of PyBullet closes it (`close_world`).

    Raises:
        ConfigError: a guard is wanted in the fast world.
    """
    config = home() / "config"
    bodies, contract = read_bodies(config / "bodies.yaml"), read_contract(config / "contract.yaml")
    tables = [build_tables(plan) for plan in plans]
    size = (1, forklifts, seconds, tables, settings, bodies, contract, streams, popularity)
    if name == "fast":
        if guard is not None:
            raise ConfigError(
                "saw --guard with --world fast, wanted --world bullet: the fast world has neither walls to touch nor a "
                "laser to see them by. Take --world bullet, or leave --guard out."
            )
        return FastWarehouse(*size, randomisation=randomisation, orders_held=orders_held)
    from sim.bullet.env import BulletWarehouse  # PyBullet takes a moment, and says so

    return BulletWarehouse(*size, plans, randomisation=randomisation, orders_held=orders_held, guard=guard)


def close_world(world: FastWarehouse) -> None:
    """Let go of PyBullet, if the world is one of its own."""
    close: Callable[[], None] = getattr(world, "close", lambda: None)
    close()


def generated_orders(settings: OrderSettings) -> Streams:
    """Orders that the generator draws anew in every episode."""
    return partial(generate_drawn, settings)


def policy_maker(name: str, world: FastWarehouse) -> Callable[[int], MakePolicy | None]:
    """For a seed, what makes each agent's policy; None for the planner."""
    plain = name.removesuffix(", silenced")
    if plain.startswith("bundle"):
        bundle = _bundle(plain, world.contract)
        return lambda seed: lambda kind, number: OnboardPolicy(bundle, kind, number + 1)
    choose_one("policy", plain, (*BASELINES, PLANNER, "bundle:FOLDER"))
    if plain == PLANNER:
        return lambda seed: None
    return lambda seed: lambda kind, number: make_baseline(plain, world.contract, kind, number, seed)


def decides_together(name: str) -> bool:
    """Whether this policy can decide for the fleets of many worlds at once: a bundle and the planner can."""
    return name.startswith((PLANNER, "bundle"))


def joint_policy(name: str, world: FastWarehouse, bits: int = UNROUNDED) -> JointPolicy | None:
    """What decides for a batch of worlds, with nothing remembered; None for the planner."""
    plain = name.removesuffix(", silenced")
    return None if plain == PLANNER else JointPolicy(_bundle(plain, world.contract), world.kinds, bits)


def play_episodes(
    name: str, world: FastWarehouse, seeds: Sequence[int], *, reach: float, loss: float = 0.0
) -> Iterator[dict[str, float]]:
    """An episode for each seed, as `play` gives it; played in batches where policy and world can.

    Args:
        name: of the policy; what ends on ", silenced" hears nothing.
        world: with E = 1, of either simulator.
        seeds: one of each episode.
        reach: radio range (m).
        loss: chance that one message to one receiver is lost.
    """
    is_silenced = name.endswith(", silenced")
    if decides_together(name) and type(world) is FastWarehouse:
        for first in range(0, len(seeds), WORLDS_AT_ONCE):
            some = seeds[first : first + WORLDS_AT_ONCE]
            plans = [world.draw_plan(seed, 0) for seed in some]
            found: dict[int, dict[str, float]] = {}
            for plan in sorted(set(plans)):  # a batch has one floor plan
                own = [seed for seed, drawn in zip(some, plans, strict=True) if drawn == plan]
                policy, batch = joint_policy(name, world), world.widened(len(own))
                played = play_together(batch, policy, own, reach=reach, loss=loss, is_silenced=is_silenced)
                found |= dict(zip(own, played, strict=True))
            yield from (found[seed] for seed in some)
        return
    make = policy_maker(name, world)
    for seed in seeds:
        yield play(world, make(seed), seed, reach=reach, loss=loss, is_silenced=is_silenced)


def _bundle(plain: str, contract: Contract) -> Bundle:
    return read_bundle(checked_policy(None if plain == "bundle" else plain).removeprefix("bundle:"), contract)
