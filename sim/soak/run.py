"""Hours of one world under checks: does the fleet keep working, does anything creep, leak or break."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from sim.fast.env import FastWarehouse
from sim.fast.evaluate import MakePolicy, decide
from sim.soak.bodies_watch import BodiesWatch
from sim.soak.findings import Findings
from sim.soak.ledger_watch import LedgerWatch
from sim.soak.limits import SoakLimits
from sim.soak.memory import MemorySamples
from sim.soak.motion_watch import MotionWatch
from sim.warehouse.bodies import Bodies
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.kpis import KPIS

HOUR = 3600.0  # s
SHOWN = ("orders_done", "lines_shipped", "pallets_received", "blocked_s", "contacts", "near_misses", "flat_s")


def soak(
    env: FastWarehouse,
    make_policy: MakePolicy | None,
    plan: FloorPlan,
    bodies: Bodies,
    limits: SoakLimits,
    seed: int,
    hours: float,
    *,
    reach: float,
    loss: float = 0.0,
    on_tick: Callable[[float], None] = lambda seconds: None,
    on_hour: Callable[[dict[str, Any]], None] = lambda result: None,
    disturb: Callable[[int], None] = lambda tick: None,
) -> dict[str, Any]:
    """Play one world for `hours` of simulated time and look at it all the way.

    Args:
        env: one world whose episode is longer than the run, without stagger; of either simulator.
        make_policy: gives each agent's policy; None: the central planner decides for all.
        plan: what the world was built from.
        bodies: what its trucks can do.
        limits: what they must keep to.
        seed: of the world and of the channel.
        hours: of simulated time.
        reach: radio range (m).
        loss: chance that one message to one receiver is lost.
        on_tick: told how many simulated seconds are over, after every tick.
        on_hour: given the result so far, after every simulated hour.
        disturb: called before every tick; tests do their mischief here.

    Returns:
        Checks, memory, figures by the hour and of the whole run, and the digest of all that happened. Whether all
        held is `holds`.
    """
    if env.worlds != 1:
        raise ValueError(f"a soak plays one world, saw an environment of {env.worlds}; make it with worlds=1")
    ticks = max(1, round(hours * HOUR / env.contract.tick))
    findings, memory = Findings(), MemorySamples(2 + math.ceil(hours * HOUR / limits.memory.every))
    numbers = [env.kinds[:agent].count(kind) for agent, kind in enumerate(env.kinds)]
    places = zip(env.kinds, numbers, strict=True)
    policies = [] if make_policy is None else [make_policy(kind, number) for kind, number in places]
    air, digest = np.random.default_rng((seed, 7919)), hashlib.sha256()
    observations = env.reset(seed)
    robots, step = env.robots.pose.shape[1], env.settings.motion.step
    motion = MotionWatch(findings, plan, env.tables, bodies.forklift.max_speed, limits.jump)
    pallets = MotionWatch(findings, plan, env.tables, bodies.forklift.max_speed, limits.jump)
    ledger = LedgerWatch(findings, env.tables, limits.pause, limits.stuck, robots)
    watched = BodiesWatch(findings, motion, pallets, limits, step)
    has_bodies = hasattr(env, "on_step")
    if has_bodies:
        env.on_step = lambda number, world: watched.step(world)  # type: ignore[attr-defined]
    began, worked, by_hour = time.perf_counter(), time.process_time(), [_figures(env)]
    every = max(1, round(limits.memory.every / env.contract.tick))

    def result() -> dict[str, Any]:
        spent, simulated = time.perf_counter() - began, float(env.state.time[0])
        return {
            "holds": not findings.failed,
            "failed": findings.failed,
            "simulated_s": simulated,
            "wall_s": spent,
            "cpu_s": time.process_time() - worked,
            "real_time_factor": simulated / spent,
            "checks": findings.rows(),
            "memory": memory.flatness(limits.memory.settled)._asdict() | {"samples_h_mb": memory.table()},
            "by_hour": [{name: later[name] - sooner[name] for name in SHOWN} for sooner, later in pairwise(by_hour)],
            "kpis": env.kpis(0),
            "touched": dict(getattr(env, "touched", [{}])[0]),
            "judged": env.judged(0) if has_bodies else {},  # type: ignore[attr-defined]
            "odd_pallets": len(getattr(env, "oddities", ())),
            "digest": digest.hexdigest(),
        }

    for tick in range(ticks):
        disturb(tick)
        if make_policy is None:
            step_taken = env.step(env.advise())
        else:
            step_taken = env.step(decide(env, policies, numbers, observations, air, reach, loss, False)[None])
        if step_taken.truncated[0]:
            raise ValueError(f"the episode ended after {tick + 1} ticks, wanted more than {ticks}; make it longer")
        observations = step_taken.observations
        now, pose = float(env.state.time[0]), env.robots.pose[0]
        if has_bodies:
            watched.look(now, env.world(0))  # type: ignore[attr-defined]
        else:
            motion.look(now, {name: tuple(row) for name, row in zip(env.agents, pose.tolist(), strict=False)})
        ledger.look(env.state, 0, env.robots)
        for array in (pose, env.robots.fork[0], env.robots.energy[0], env.state.kpi[0]):
            digest.update(array.tobytes())
        if tick % every == 0:
            memory.take(now)
        if (tick + 1) % round(HOUR / env.contract.tick) == 0:
            by_hour.append(_figures(env))
            on_hour(result())
        on_tick(now)
        if "finite" in findings.failed:
            break  # nothing after this means anything
    if has_bodies:
        env.on_step = None  # type: ignore[attr-defined]
        for name, where in sorted(_all_bodies(env.world(0)).items()):  # type: ignore[attr-defined]
            digest.update(f"{name} {where!r}".encode())
    for name, array in zip(env.state._fields, env.state, strict=True):
        digest.update(name.encode() + array.tobytes())
    flat, now = memory.flatness(limits.memory.settled), float(env.state.time[0])
    findings.measure("memory is flat (MB/h)", now, flat.slope, limits.memory.slope, "memory grows")
    findings.measure("memory holds still (MB)", now, flat.growth, limits.memory.growth, "samples lie apart")
    return result()


def _figures(env: FastWarehouse) -> dict[str, float]:
    return dict(zip(KPIS, env.state.kpi[0].tolist(), strict=True))


def _all_bodies(world: Any) -> dict[str, Any]:
    poses = {name: (world.pose(name), world.joint_states(name)) for name in world.robots}
    return poses | {f"pallet_{pallet}": world.pallet_pose(pallet) for pallet in world.pallets}
