"""One trace of decisions played in the fast and in the PyBullet warehouse: what the bodies change.

The trace is what nearest-job agents decided in the fast world. Both worlds play it by name (claim pallet 17, release
line 2 of the order of 63.0 s), each decision at its tick or, where trucks are later, as soon as it is offered. So both
fleets do the same jobs, and what differs is how long the way took, who touched whom, and what follows for the goods.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field as Bound

from policy_core.config import Settings, read_settings
from policy_core.environment import Observations
from policy_core.serving.policy import Observation
from sim.bullet.env import BulletWarehouse
from sim.fast.env import FastWarehouse
from sim.warehouse.baselines import make_baseline
from sim.warehouse.decisions import CHARGE, CLAIM, INSPECT, PASS, REJECT_PALLET, RELEASE, REORDER
from sim.warehouse.state import CARRYING, GRANTED, LINES, NO_JOB

BY_SUBJECT = (CLAIM, CHARGE, REORDER, INSPECT, PASS, REJECT_PALLET)  # verbs whose subject means the same in both worlds
KEPT_KPIS: tuple[str, ...] = (
    "orders_done",
    "lines_shipped",
    "pallets_received",
    "pallets_stored",
    "distance_m",
    "blocked_s",
)
KEPT_KPIS += ("contacts", "near_misses")


class ParityLimits(Settings):
    """config/parity.yaml."""

    patience: float = Bound(ge=0, le=600)
    carried_out: float = Bound(ge=0, le=1)
    approach: float = Bound(ge=0, le=1)
    haul: float = Bound(ge=0, le=1)
    mean: float = Bound(ge=0, le=1)
    lines_shipped: float = Bound(ge=0, le=1)
    distance: float = Bound(ge=0, le=1)
    robots_per_hour: float = Bound(ge=0, le=1000)
    things_per_hour: float = Bound(ge=0, le=1000)
    astray_per_hour: float = Bound(ge=0, le=1000)


class Decision(NamedTuple):
    """What one agent decided at one tick, in words that hold in both worlds."""

    tick: int
    agent: int
    verb: int
    subject: tuple[float, ...]


class Leg(NamedTuple):
    """Half a job: `approach` from the grant to the lifted pallet, `haul` from there until it is set down."""

    half: str
    pallet: int  # serial
    robot: int
    place: int  # where the pallet stood (approach) or went (haul)
    seconds: float


class Played(NamedTuple):
    """What one world made of a trace."""

    legs: tuple[Leg, ...]
    kpis: dict[str, float]
    touched: dict[str, int]  # contacts begun, by what was touched; empty in the fast world, which knows robots only
    carried_out: int  # decisions
    astray: int  # pallets that at the end are not where the ledger has them
    oddities: tuple[str, ...]


def record(env: FastWarehouse, seed: int, ticks: int) -> list[Decision]:
    """What nearest-job agents decide in a one-world environment."""
    numbers = _numbers(env)
    policies = [
        make_baseline("greedy", env.contract, kind, number) for kind, number in zip(env.kinds, numbers, strict=True)
    ]
    trace: list[Decision] = []

    def choose(tick: int, observations: Observations) -> np.ndarray:
        choices = np.zeros(len(policies), np.int64)
        for agent, policy in enumerate(policies):
            seen, row = observations.kinds[env.kinds[agent]], numbers[agent]
            x, y, yaw = observations.position[0, agent].tolist()
            policy.begin(Observation(seen.vector[0, row], seen.candidates[0, row], seen.mask[0, row], (x, y, yaw)))
            choices[agent] = policy.choose()
        for agent, choice in enumerate(choices.tolist()):
            offered = dict(_offers(env, agent))
            if choice in offered:
                trace.append(Decision(tick, agent, *offered[choice]))
        return choices

    _play(env, seed, ticks, choose)
    return trace


def replay(env: FastWarehouse, seed: int, ticks: int, trace: Sequence[Decision], patience: float) -> Played:
    """Play a trace; decisions that are not offered within `patience` (s) of their tick are given up."""
    waiting: list[deque[Decision]] = [deque() for _ in env.kinds]
    for decision in trace:
        waiting[decision.agent].append(decision)
    late = round(patience / env.contract.tick)
    done = 0

    def choose(tick: int, observations: Observations) -> np.ndarray:
        nonlocal done
        choices = np.zeros(len(env.kinds), np.int64)
        for agent, queue in enumerate(waiting):
            while queue and queue[0].tick < tick - late:
                queue.popleft()
            if not queue or queue[0].tick > tick:
                continue
            offered = {named: choice for choice, named in _offers(env, agent)}
            for decision in queue:
                if decision.tick > tick:
                    break
                if (decision.verb, decision.subject) in offered:
                    choices[agent] = offered[decision.verb, decision.subject]
                    queue.remove(decision)
                    done += 1
                    break
        return choices

    legs = _play(env, seed, ticks, choose)
    if not isinstance(env, BulletWarehouse):
        return Played(tuple(legs), env.kpis(0), {}, done, 0, ())
    odd = tuple(words for _, words in env.oddities)
    return Played(tuple(legs), env.kpis(0), dict(env.touched[0]), done, len(env.astray(0)), odd)


def compare(
    fast: FastWarehouse, bullet: BulletWarehouse, seeds: Sequence[int], minutes: float, limits: ParityLimits
) -> Iterator[dict[str, Any]]:
    """One row of figures for every seed, as it comes; `summary` puts them together."""
    ticks = round(60.0 * minutes / fast.contract.tick)
    for seed in seeds:
        trace = record(fast, seed, ticks)
        worlds = {
            "fast": replay(fast, seed, ticks, trace, limits.patience),
            "bullet": replay(bullet, seed, ticks, trace, limits.patience),
        }
        row: dict[str, Any] = {"seed": seed, "minutes": minutes, "decisions": len(trace), "legs": _pairs(worlds)}
        for name, played in worlds.items():
            row[name] = {key: played.kpis[key] for key in KEPT_KPIS}
            row[name] |= {"carried_out": played.carried_out, "oddities": list(played.oddities)}
            row[name]["astray"] = played.astray
        touched = worlds["bullet"].touched
        row["fast"]["touched_robots"], row["bullet"]["touched_robots"] = (
            row["fast"]["contacts"],
            touched.get("robot", 0),
        )
        row["bullet"]["touched"] = touched
        yield row


def summary(rows: Sequence[dict[str, Any]], limits: ParityLimits) -> list[dict[str, Any]]:
    """What all seeds say together: one line a figure, with what both worlds have, the limit, and whether it holds."""
    hours = sum(row["minutes"] for row in rows) / 60.0

    def total(world: str, key: str) -> float:
        return float(sum(row[world][key] for row in rows))

    figures: list[dict[str, Any]] = []
    for half in ("approach", "haul"):
        pairs = np.array([pair for row in rows for pair in row["legs"][half]], float).reshape(-1, 2)
        apart = np.abs(pairs[:, 1] - pairs[:, 0])
        if not len(pairs):
            pairs = np.full((1, 2), math.nan)  # nothing to compare is beyond every limit
        medians, means = np.median(pairs, axis=0).tolist(), pairs.mean(axis=0).tolist()
        line = _share_line(f"{half}, median (s)", medians[0], medians[1], getattr(limits, half))
        line |= {"pairs": len(apart), "apart_median": _quantile(apart, 0.5), "apart_90": _quantile(apart, 0.9)}
        figures.append(line)
        figures.append(_share_line(f"{half}, mean (s)", means[0], means[1], limits.mean))
    for key, limit in (("lines_shipped", limits.lines_shipped), ("distance_m", limits.distance)):
        figures.append(_share_line(key, total("fast", key), total("bullet", key), limit))
    decided = sum(row["decisions"] for row in rows)
    shares = [total(world, "carried_out") / max(decided, 1) for world in ("fast", "bullet")]
    figures.append(
        _line("decisions carried out", shares[0], shares[1], limits.carried_out, shares[1] >= limits.carried_out)
    )
    met = [total(world, "touched_robots") / hours for world in ("fast", "bullet")]
    rest = (total("bullet", "contacts") - total("bullet", "touched_robots")) / hours
    odd = total("bullet", "astray") / hours
    for name, fast, bullet, most in (
        ("robots touched per hour", met[0], met[1], limits.robots_per_hour),
        ("walls, racks, pallets touched per hour", math.nan, rest, limits.things_per_hour),
        ("pallets astray per hour", 0.0, odd, limits.astray_per_hour),
    ):
        figures.append(_line(name, fast, bullet, most, bullet <= most))
    return figures


def read_limits(path: Path | str) -> ParityLimits:
    """Load config/parity.yaml; raises ConfigError in words."""
    return read_settings(ParityLimits, path)


def _line(name: str, fast: float, bullet: float, limit: float, holds: bool) -> dict[str, Any]:
    return {"figure": name, "fast": fast, "bullet": bullet, "limit": limit, "holds": bool(holds)}


def _share_line(name: str, fast: float, bullet: float, limit: float) -> dict[str, Any]:
    apart = abs(bullet - fast) / fast if fast else math.inf  # nothing to compare is no parity
    return _line(name, fast, bullet, limit, apart <= limit) | {"apart": apart}


def _quantile(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else math.nan


def _pairs(worlds: dict[str, Played]) -> dict[str, list[list[float]]]:
    """Seconds [fast, bullet] of every leg that both worlds have: the same pallet, robot and place."""
    found: dict[str, list[list[float]]] = {"approach": [], "haul": []}
    theirs = {leg[:4]: leg.seconds for leg in worlds["bullet"].legs}
    for leg in worlds["fast"].legs:
        if leg[:4] in theirs:
            found[leg.half].append([leg.seconds, theirs[leg[:4]]])
    return found


def _play(env: FastWarehouse, seed: int, ticks: int, choose: Callable[[int, Observations], np.ndarray]) -> list[Leg]:
    """Play one world and watch its jobs; the episode must be longer than `ticks`."""
    if env.worlds != 1:
        raise ValueError(f"a trace is played in one world, saw an environment of {env.worlds}; make it with worlds=1")
    observations = env.reset(seed)
    legs: list[Leg] = []
    began: dict[int, tuple[int, int, float]] = {}  # pallet slot: phase, robot, since
    for tick in range(ticks):
        step = env.step(choose(tick, observations)[None])
        if step.truncated[0]:
            raise ValueError(f"the episode ended after {tick + 1} ticks, wanted more than {ticks}; make it longer")
        observations = step.observations
        _watch(env, began, legs)
    return legs


def _watch(env: FastWarehouse, began: dict[int, tuple[int, int, float]], legs: list[Leg]) -> None:
    """Note which jobs of world 0 have come further since the last tick."""
    state = env.state
    now = float(state.time[0])
    for slot in range(state.job_type.shape[1]):
        phase = int(state.job_phase[0, slot]) if state.job_type[0, slot] != NO_JOB else -1
        serial = int(state.pallet_serial[0, slot])
        if slot not in began:
            if phase == GRANTED:
                began[slot] = (GRANTED, int(state.job_robot[0, slot]), now)
            continue
        was, robot, since = began[slot]
        if was == GRANTED and phase == CARRYING:
            legs.append(Leg("approach", serial, robot, int(state.job_target[0, slot]), now - since))
            began[slot] = (CARRYING, robot, now)
        elif was == CARRYING and phase not in (GRANTED, CARRYING):
            legs.append(Leg("haul", serial, robot, int(state.pallet_place[0, slot]), now - since))
            del began[slot]
        elif was == GRANTED and phase != GRANTED:
            del began[slot]  # the job was taken away


def _offers(env: FastWarehouse, agent: int) -> Iterator[tuple[int, tuple[int, tuple[float, ...]]]]:
    """Choices an agent of world 0 has now, and what they mean; of several that mean the same, which of them."""
    twins: Counter[tuple[int, tuple[float, ...]]] = Counter()
    mask = env.boards[env.kinds[agent]].mask[0, _numbers(env)[agent]]
    for choice in np.flatnonzero(mask).tolist():
        named = _named(env, agent, choice)
        if named is not None:
            verb, subject = named
            yield choice, (verb, (*subject, twins[named]))
            twins[named] += 1


def _named(env: FastWarehouse, agent: int, choice: int) -> tuple[int, tuple[float, ...]] | None:
    """What a choice means in both worlds; None for doing nothing and for right of way."""
    board, row = env.boards[env.kinds[agent]], _numbers(env)[agent]
    verb, subject = int(board.verb[0, row, choice]), int(board.subject[0, row, choice])
    if verb == RELEASE:
        order, state = subject // LINES, env.state
        return verb, (
            float(state.order_arrival[0, order]),
            float(state.order_due[0, order]),
            int(state.order_dock[0, order]),
            subject % LINES,
        )
    return (verb, (subject,)) if verb in BY_SUBJECT else None


def _numbers(env: FastWarehouse) -> list[int]:
    """Each agent's number within its kind [N]."""
    return [env.kinds[:agent].count(kind) for agent, kind in enumerate(env.kinds)]
