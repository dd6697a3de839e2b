"""The batched warehouse: E worlds of one floor plan behind the trainer's protocol (policy_core/environment.py).

Agents are forklifts, then inventory agents (one a zone), then quality stations, as in config/contract.yaml. The
reward is the team's: the weighted change of the KPIs in one tick (config/warehouse.yaml, section reward). An episode
ends by truncation only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from policy_core.contract import Contract, Kind, read_contract
from policy_core.environment import KindObservation, Observations, Step
from sim.fast.fleet import Board, Robots, observe_world, tick_worlds
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.kpis import KPIS, derive
from sim.warehouse.orders import OrderStream, generate, read_order_settings
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import WarehouseSettings, read_warehouse
from sim.warehouse.skill import SKILL_SIZE, new_skill, parked_pose
from sim.warehouse.state import ABSENT, INSPECTION, NO_JOB, PARKING, SLOT, UNDECIDED, make_state, open_world
from sim.warehouse.stations import middle_of

STATE_SIZE = 14
ORDERS_HELD = 256  # orders one world can receive in an episode

Streams = Callable[[np.random.Generator, float], OrderStream]


def make(
    worlds: int,
    forklifts: int = 4,
    episode: float = 600.0,
    floorplan: str = "config/floorplans/small_dc.yaml",
    warehouse: str = "config/warehouse.yaml",
    contract: str = "config/contract.yaml",
    orders: str = "config/orders.yaml",
    load: tuple[float, float] = (0.7, 1.3),
    stagger: bool = True,
) -> FastWarehouse:
    """Build the training world from files.

    Args:
        worlds: E.
        forklifts: robots in each world; at most the plan's parking places.
        episode: seconds of simulated time until truncation.
        load: each episode's order rate is the configured one times a number drawn from this range.
        stagger: cut first episodes to different lengths, so that worlds do not end together.
    """
    streams, popularity = order_streams(orders, load)
    return FastWarehouse(
        worlds,
        forklifts,
        episode,
        build_tables(read_floorplan(floorplan)),
        read_warehouse(warehouse),
        read_contract(contract),
        streams,
        popularity,
        stagger=stagger,
    )


def order_streams(orders: str, load: tuple[float, float]) -> tuple[Streams, np.ndarray]:
    """What gives each episode its orders, at the file's rate times a number drawn from `load`; popularity [SKUS]."""
    settings = read_order_settings(Path(orders))

    def stream(rng: np.random.Generator, duration: float) -> OrderStream:
        scaled = settings.model_copy(update={"lines_per_hour": settings.lines_per_hour * rng.uniform(*load)})
        return generate(scaled, int(rng.integers(2**31)), duration)

    return stream, np.asarray(settings.popularity, float)


class FastWarehouse:
    """E worlds of one floor plan. See `make`."""

    def __init__(
        self,
        worlds: int,
        forklifts: int,
        episode: float,
        tables: Tables,
        settings: WarehouseSettings,
        contract: Contract,
        streams: Streams,
        popularity: np.ndarray,
        *,
        stagger: bool = False,
    ) -> None:
        """Allocate all arrays; `reset` starts the worlds. `popularity` [SKUS] shapes the initial stock."""
        homes = np.flatnonzero(tables.place_type == PARKING)
        if not 1 <= forklifts <= len(homes):
            raise ValueError(f"the plan parks 1 to {len(homes)} forklifts, saw {forklifts}; add parking places")
        zones = int(tables.place_group[tables.place_type == SLOT].max()) + 1
        stations = int(tables.place_group[tables.place_type == INSPECTION].max()) + 1
        self.contract = contract
        self.worlds = worlds
        self.tables = tables
        self.settings = settings
        self.kinds = ("forklift",) * forklifts + ("inventory",) * zones + ("quality",) * stations
        numbers = [*range(forklifts), *range(zones), *range(stations)]
        self.agents = tuple(f"{kind}_{number + 1}" for kind, number in zip(self.kinds, numbers, strict=True))
        self._ticks = max(1, round(episode / contract.tick))
        self._streams = streams
        self._popularity = popularity
        self._stagger = stagger
        self._homes = homes
        self._rules = settings.rules()
        self._motion = settings.motion_numbers()
        self._weights = settings.reward_weights()
        self.state = make_state(worlds, tables, ORDERS_HELD)
        self.robots = Robots(
            pose=np.zeros((worlds, forklifts, 4)),
            skill=np.zeros((worlds, forklifts, SKILL_SIZE)),
            fork=np.zeros((worlds, forklifts)),
            pallet=np.full((worlds, forklifts), -1, np.int32),
            touching=np.zeros((worlds, forklifts), np.bool_),
            near=np.zeros((worlds, forklifts), np.bool_),
            turning=np.zeros((worlds, forklifts)),
        )
        counts = {"forklift": forklifts, "inventory": zones, "quality": stations}
        self.boards = {name: _board(worlds, count, contract.kind(name)) for name, count in counts.items()}
        self._left = np.zeros(worlds, np.int64)
        self._length = np.zeros(worlds, np.int64)
        self._rng: list[np.random.Generator] = []
        self._stations_at = _stations(tables, zones, stations)

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        self._rng = [np.random.default_rng((seed, first_world + world)) for world in range(self.worlds)]
        for world in range(self.worlds):
            self._open(world)
            if self._stagger:
                self._left[world] = self._length[world] = self._rng[world].integers(
                    min(16, self._ticks), self._ticks + 1
                )
        return self._observations()

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick with the chosen candidates [E, N, 1] (or [E, N]); ended worlds start anew."""
        before = self.state.kpi.copy()
        self._tick(np.ascontiguousarray(actions.reshape(self.worlds, -1), np.int64))
        gained = (self.state.kpi - before) @ self._weights
        reward = np.repeat(gained[:, None], len(self.agents), axis=1).astype(np.float32)
        self._left -= 1
        truncated = self._left <= 0
        final, kpis = None, []
        if truncated.any():
            final = self._observations()
            for world in np.flatnonzero(truncated):
                kpis.append(self.kpis(int(world)))
                self._open(int(world))
        return Step(self._observations(), reward, np.zeros(self.worlds, np.bool_), truncated, final, kpis)

    def kpis(self, world: int) -> dict[str, float]:
        """KPIs of one world's running episode."""
        counts = dict(zip(KPIS, self.state.kpi[world].tolist(), strict=True))
        return derive(counts, float(self.state.time[world]))

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of everything that changes, chance included; `restore` goes on from there bit for bit."""
        chance = json.dumps([rng.bit_generator.state for rng in self._rng]).encode()
        saved = {name: array.copy() for name, array in self._changing()}
        return saved | {"chance": np.frombuffer(chance, np.uint8).copy()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> Observations:
        """Take up a snapshot of a world of the same size.

        Raises:
            ValueError: it is of another size.
        """
        states = json.loads(snapshot["chance"].tobytes())
        for name, array in self._changing():
            if snapshot[name].shape != array.shape:
                raise ValueError(f"{name}: saved as {snapshot[name].shape}, this world has {array.shape}")
            array[...] = snapshot[name]
        self._rng = [np.random.default_rng() for _ in states]
        for rng, state in zip(self._rng, states, strict=True):
            rng.bit_generator.state = state
        return self._observations()

    def _tick(self, choices: np.ndarray) -> None:
        """Apply the chosen candidates [E, N], let a tick pass, and write what everybody then senses."""
        tick_worlds(
            self.state,
            self.robots,
            *self.boards.values(),
            choices,
            self.tables,
            self._rules,
            self._motion,
            self.contract.tick,
        )

    def _changing(self) -> list[tuple[str, np.ndarray]]:
        groups: dict[str, Any] = {"state": self.state, "robots": self.robots, **self.boards}
        named = [(f"{group}.{name}", array) for group, part in groups.items() for name, array in part._asdict().items()]
        return [*named, ("left", self._left), ("length", self._length)]

    def _open(self, world: int) -> None:
        rng = self._rng[world]
        stream = self._streams(rng, self._ticks * self.contract.tick)
        open_world(self.state, world, self.tables, self.settings, stream, self._popularity, rng)
        for robot in range(self.robots.pose.shape[1]):
            home = self._homes[robot]
            self.robots.pose[world, robot] = parked_pose(home, self.tables, self._motion)
            self.robots.skill[world, robot] = new_skill(home, self.robots.pose[world, robot], self.tables)
            self.robots.fork[world, robot] = self._motion.fork_low
        self.robots.pallet[world] = -1
        self.robots.turning[world] = 0.0
        self.robots.touching[world] = self.robots.near[world] = False
        self._left[world] = self._length[world] = self._ticks
        observe_world(
            self.state,
            world,
            self.robots,
            self.boards["forklift"],
            self.boards["inventory"],
            self.boards["quality"],
            self.tables,
            self._rules,
            self._motion,
        )

    def _observations(self) -> Observations:
        kinds = {
            name: KindObservation(board.vector.copy(), board.candidates.copy(), board.mask.copy())
            for name, board in self.boards.items()
        }
        fixed = np.broadcast_to(self._stations_at, (self.worlds, *self._stations_at.shape))
        position = np.concatenate([self.robots.pose[:, :, :3], fixed], axis=1).astype(np.float32)
        alive = np.ones((self.worlds, len(self.agents)), np.bool_)
        return Observations(kinds, position, alive, self._brief())

    def _brief(self) -> np.ndarray:
        """The whole world in a few numbers [E, STATE_SIZE], for the critic."""
        s = self.state
        overdue = s.order_active & (s.order_due < s.time[:, None])
        held = s.pallet_state != ABSENT
        columns = [
            self._left / self._ticks,
            s.order_active.sum(1) / 20,
            overdue.sum(1) / 10,
            (s.line_state == 1).sum(1) / 20,
            (s.line_state == 2).sum(1) / 20,
            held.sum(1) / len(self.tables.place_type),
            (held & (s.pallet_state == UNDECIDED)).sum(1) / 10,
            (s.reorder_sku >= 0).sum(1) / 10,
            *[((s.job_type == kind) & (s.job_phase == 0)).sum(1) / 10 for kind in range(NO_JOB + 1, 4)],
            (s.job_phase > 0).sum(1) / 4,
            (s.place_pallet >= 0).sum(1) / len(self.tables.place_type),
        ]
        return np.stack(columns, axis=1).astype(np.float32)


def _board(worlds: int, agents: int, kind: Kind) -> Board:
    choices = kind.candidates
    return Board(
        np.zeros((worlds, agents, kind.observation_size), np.float32),
        np.zeros((worlds, agents, choices, kind.candidate_size), np.float32),
        np.zeros((worlds, agents, choices), np.bool_),
        np.zeros((worlds, agents, choices), np.int32),
        np.zeros((worlds, agents, choices), np.int32),
    )


def _stations(tables: Tables, zones: int, stations: int) -> np.ndarray:
    """Where the agents without wheels stand: the middle of their zone or station [Z + Q, 3]."""
    placed = [(SLOT, zone) for zone in range(zones)] + [(INSPECTION, station) for station in range(stations)]
    return np.array([middle_of(tables, kind, group) for kind, group in placed], np.float32)
