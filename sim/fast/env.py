"""The batched warehouse: E worlds of one floor plan behind the trainer's protocol (policy_core/environment.py).

Agents are forklifts, then inventory agents (one a zone), then quality stations, as in config/contract.yaml. The
reward is the team's: the weighted change of the KPIs in one tick (config/warehouse.yaml, section reward). An episode
ends by truncation only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from policy_core.config import ConfigError
from policy_core.contract import Contract, read_contract
from policy_core.environment import KindObservation, Observations, Step
from sim.fast.fleet import tick_worlds
from sim.fast.planner import Planner
from sim.fast.robots import NOISE, Board, Parts, Worlds, bind, count_the_living, make_robots
from sim.fast.senses import observe_world
from sim.warehouse.bodies import Bodies, read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.kpis import KPIS, derive
from sim.warehouse.numbers import make_numbers
from sim.warehouse.order_variety import generate_drawn
from sim.warehouse.orders import OrderStream, read_order_settings
from sim.warehouse.randomisation import (
    Draw,
    Randomisation,
    drawn_bodies,
    drawn_settings,
    no_ranges,
    read_randomisation,
    with_robots,
)
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import Rules, WarehouseSettings, read_warehouse
from sim.warehouse.skill import new_skill, parked_pose
from sim.warehouse.state import ABSENT, INSPECTION, NO_JOB, PARKING, SLOT, UNDECIDED, make_state, open_world
from sim.warehouse.stations import middle_of

STATE_SIZE = 17
ORDERS_HELD = 256  # orders one world can receive in an episode, unless it is told otherwise

PLAN_CHANCE = 77  # names the stream of chance that a batch's floor plan is drawn from


class Streams(Protocol):
    """Makes the orders of an episode."""

    def __call__(self, rng: np.random.Generator, duration: float, draw: Draw, /) -> OrderStream:
        """Orders for `duration` (s) as the world's draw has them; fixed orders ignore that."""


def make(
    worlds: int,
    forklifts: int = 4,
    episode: float = 600.0,
    floorplan: str = "config/floorplans/small_dc.yaml",
    warehouse: str = "config/warehouse.yaml",
    contract: str = "config/contract.yaml",
    orders: str = "config/orders.yaml",
    bodies: str = "config/bodies.yaml",
    load: tuple[float, float] = (0.7, 1.3),
    stagger: bool = True,
    randomisation: str = "",
    robots: Sequence[int] | None = None,
) -> FastWarehouse:
    """Build the training world from files.

    Args:
        worlds: E.
        forklifts: robots in each world; at most the plan's parking places.
        episode: seconds of simulated time until truncation.
        load: each episode's order rate is the configured one times a number drawn from this range.
        stagger: cut first episodes to different lengths, so that worlds do not end together.
        randomisation: path of ranges that worlds draw their numbers from; empty: all are as configured.
        robots: at least and at most so many of the forklifts are there, drawn by each world at each episode; None: as
            `randomisation` says, or all.

    Raises:
        ConfigError: a file cannot be used, or what is asked for does not fit together.
    """
    streams, popularity = order_streams(orders, load)
    numbers = read_warehouse(warehouse)
    ranges = read_randomisation(randomisation) if randomisation else None
    if robots is not None:
        ranges = with_robots(ranges or no_ranges(numbers), robots, forklifts)
    plans = (ranges.floorplans if ranges else ()) or (floorplan,)
    return FastWarehouse(
        worlds,
        forklifts,
        episode,
        [build_tables(read_floorplan(plan)) for plan in plans],
        numbers,
        read_bodies(bodies),
        read_contract(contract),
        streams,
        popularity,
        stagger=stagger,
        randomisation=ranges,
    )


def order_streams(orders: str, load: tuple[float, float]) -> tuple[Streams, np.ndarray]:
    """What gives each episode its orders, at the file's rate times a number drawn from `load`; popularity [SKUS]."""
    settings = read_order_settings(Path(orders))

    def stream(rng: np.random.Generator, duration: float, draw: Draw) -> OrderStream:
        return generate_drawn(settings, rng, duration, draw, rng.uniform(*load))

    return stream, np.asarray(settings.popularity, float)


class FastWarehouse:
    """E worlds of one floor plan. See `make`."""

    def __init__(
        self,
        worlds: int,
        forklifts: int,
        episode: float,
        plans: Sequence[Tables],
        settings: WarehouseSettings,
        bodies: Bodies,
        contract: Contract,
        streams: Streams,
        popularity: np.ndarray,
        *,
        stagger: bool = False,
        randomisation: Randomisation | None = None,
        orders_held: int = ORDERS_HELD,
    ) -> None:
        """Allocate all arrays; `reset` starts the worlds.

        Args:
            plans: floor plans with the same zones and stations; `reset` draws one for all worlds.
            popularity: of the families [SKUS]; shapes the initial stock.
            orders_held: orders one world can receive in an episode.
        """
        zones, stations = crew_of(plans, forklifts)
        self.contract = contract
        self.worlds = worlds
        self.settings = settings
        self.kinds = ("forklift",) * forklifts + ("inventory",) * zones + ("quality",) * stations
        numbers = [*range(forklifts), *range(zones), *range(stations)]
        self.agents = tuple(f"{kind}_{number + 1}" for kind, number in zip(self.kinds, numbers, strict=True))
        self._plans = plans
        self._ticks = max(1, round(episode / contract.tick))
        self._streams = streams
        self._popularity = popularity
        self._stagger = stagger
        self._randomisation = randomisation
        self._orders_held = orders_held
        self._bodies = bodies
        self._weights = settings.reward_weights()
        counts = {"forklift": forklifts, "inventory": zones, "quality": stations}
        self.boards, self.sensed, self.masks = _boards(worlds, counts, contract)
        self._planner = Planner(contract)
        self._left = np.zeros(worlds, np.int64)
        self._length = np.zeros(worlds, np.int64)
        self._drawn = np.tile(np.array(Draw()), (worlds, 1))
        self._rng: list[np.random.Generator] = []
        self._lay_out(0)

    def _lay_out(self, plan: int) -> None:
        """Take up a floor plan: all arrays that depend on one."""
        worlds, forklifts = self.worlds, self.kinds.count("forklift")
        self._plan = np.array([plan])
        self.tables = tables = self._plans[plan]
        self._homes = np.flatnonzero(tables.place_type == PARKING)
        self._stations_at = _stations(tables, self.kinds.count("inventory"), self.kinds.count("quality"))
        self.numbers = make_numbers(
            worlds, self.settings.rules(), self.settings.motion_numbers(), self.settings.battery_numbers(self._bodies)
        )
        self.numbers.has_laser[:] = self.settings.sensing.laser
        self.state = make_state(worlds, tables, self._orders_held)
        self.robots = make_robots(worlds, forklifts)
        boards = self.boards
        self.parts = Parts(
            self.state,
            self.robots,
            boards["forklift"],
            boards["inventory"],
            boards["quality"],
            tables,
            self.numbers,
        )
        self._bound: Worlds | None = None  # of all these arrays, from the first tick on

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        """Start every world anew; world e draws all its chance from (seed, first_world + e)."""
        return self.start(seed, first_world, self.draw_plan(seed, first_world))

    def draw_plan(self, seed: int, first_world: int) -> int:
        """Number of the floor plan on which a reset with these lets all worlds play."""
        return int(np.random.default_rng((seed, first_world, PLAN_CHANCE)).integers(len(self._plans)))

    def start(self, seed: int, first_world: int, plan: int) -> Observations:
        """`reset` on a plan that somebody else has drawn: for worlds that are some of a larger batch."""
        return self._begin([(seed, first_world + world) for world in range(self.worlds)], plan)

    def reset_each(self, seeds: Sequence[int]) -> Observations:
        """Start each world as a world alone starts from its seed [E].

        Raises:
            ValueError: there are more or fewer seeds than worlds, or they draw different floor plans.
        """
        plans = {self.draw_plan(seed, 0) for seed in seeds}
        if len(seeds) != self.worlds or len(plans) > 1:
            raise ValueError(
                f"{len(seeds)} seeds that draw {len(plans)} floor plan(s) for {self.worlds} world(s); wanted a seed "
                "for each, and one plan for all. Give worlds of another plan a batch of their own."
            )
        return self._begin([(seed, 0) for seed in seeds], plans.pop())

    def widened(self, worlds: int) -> FastWarehouse:
        """The same warehouse with so many worlds, not started, and without stagger."""
        if type(self) is not FastWarehouse:
            raise TypeError(f"{type(self).__name__}: only the batched world can be made again with more worlds")
        return FastWarehouse(
            worlds,
            self.kinds.count("forklift"),
            self._ticks * self.contract.tick,
            self._plans,
            self.settings,
            self._bodies,
            self.contract,
            self._streams,
            self._popularity,
            randomisation=self._randomisation,
            orders_held=self._orders_held,
        )

    def _begin(self, chances: Sequence[tuple[int, int]], plan: int) -> Observations:
        if plan != self._plan[0]:
            self._lay_out(plan)
        self._rng = [np.random.default_rng(chance) for chance in chances]
        for world in range(self.worlds):
            self._open(world)
            if self._stagger:
                self._left[world] = self._length[world] = self._rng[world].integers(
                    min(16, self._ticks), self._ticks + 1
                )
        return self.observe()

    def step(self, actions: np.ndarray) -> Step:
        """Advance one tick with the chosen candidates [E, N, 1] (or [E, N]); ended worlds start anew."""
        gained = self.advance(actions)
        reward = np.repeat(gained[:, None], len(self.agents), axis=1).astype(np.float32)
        truncated = self._left <= 0
        final, kpis = None, []
        if truncated.any():
            final = self.observe()
            for world in np.flatnonzero(truncated):
                kpis.append(self.kpis(int(world)))
                self._open(int(world))
        return Step(self.observe(), reward, np.zeros(self.worlds, np.bool_), truncated, final, kpis)

    def advise(self) -> np.ndarray:
        """What the central planner, who sees everything, would now choose [E, N, 1]."""
        return self._planner.decide(self.state, self.boards)[..., None].astype(np.float32)

    def advance(self, actions: np.ndarray) -> np.ndarray:
        """`step` without a look at it: the team's reward [E]; `boards` hold what is sensed now, no world ends."""
        before = self.state.kpi.copy()
        self._tick(np.ascontiguousarray(actions.reshape(self.worlds, -1), np.int64))
        self._left -= 1
        gained: np.ndarray = (self.state.kpi - before) @ self._weights
        return gained

    def kpis(self, world: int) -> dict[str, float]:
        """KPIs of one world's running episode, and as `draw ...` what it drew, if worlds differ."""
        counts = dict(zip(KPIS, self.state.kpi[world].tolist(), strict=True))
        drawn = {f"draw {name}": value for name, value in self.draws(world).items()}
        return derive(counts, float(self.state.time[world])) | drawn

    def draws(self, world: int) -> dict[str, float]:
        """What one world drew for its running episode (sim/warehouse/randomisation.py); empty without randomisation."""
        if self._randomisation is None:
            return {}
        names = dict(zip(Draw._fields, self._drawn[world].tolist(), strict=True))
        return {**names, "floorplan": float(self._plan[0])}

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
        if 0 <= snapshot["plan"][0] < len(self._plans) and snapshot["plan"][0] != self._plan[0]:
            self._lay_out(int(snapshot["plan"][0]))
        for name, array in self._changing():
            if snapshot[name].shape != array.shape:
                raise ValueError(f"{name}: saved as {snapshot[name].shape}, this world has {array.shape}")
            array[...] = snapshot[name]
        self._rng = [np.random.default_rng() for _ in states]
        for rng, state in zip(self._rng, states, strict=True):
            rng.bit_generator.state = state
        return self.observe()

    def _tick(self, choices: np.ndarray) -> None:
        """Apply the chosen candidates [E, N], let a tick pass, and write what everybody then senses."""
        if self._bound is None:
            self._bound = bind(self.parts)
        tick_worlds(self._bound, choices, self.contract.tick)

    def _changing(self) -> list[tuple[str, np.ndarray]]:
        groups: dict[str, Any] = {"state": self.state, "robots": self.robots, "numbers": self.numbers, **self.boards}
        named = [(f"{group}.{name}", array) for group, part in groups.items() for name, array in part._asdict().items()]
        return [*named, ("left", self._left), ("length", self._length), ("drawn", self._drawn), ("plan", self._plan)]

    def _open(self, world: int) -> None:
        rng = self._rng[world]
        draw = Draw() if self._randomisation is None else self._randomisation.draw(rng)
        settings = self._apply(world, draw)
        stream = self._streams(rng, self._ticks * self.contract.tick, draw)
        open_world(self.state, world, self.tables, settings, stream, self._popularity, rng)
        motion = settings.motion_numbers()
        for robot in range(self.robots.pose.shape[1]):
            home = self._homes[robot]
            self.robots.pose[world, robot] = parked_pose(home, self.tables, motion)
            self.robots.skill[world, robot] = new_skill(home, self.robots.pose[world, robot], self.tables)
            self.robots.fork[world, robot] = motion.fork_low
        if draw.robots >= 0:
            self.robots.pose[world, int(draw.robots) :] = np.nan  # these are not there
        self.robots.pallet[world] = -1
        self.robots.turning[world] = 0.0
        self.robots.touching[world] = self.robots.near[world] = False
        self._left[world] = self._length[world] = self._ticks
        self._draw_robots(world, settings, rng)
        count_the_living(self.state, world, self.robots)
        observe_world(self.parts, world)

    def _apply(self, world: int, draw: Draw) -> WarehouseSettings:
        """Give one world the numbers it drew."""
        self._drawn[world] = draw
        if self._randomisation is None:
            return self.settings
        settings = drawn_settings(self.settings, draw)
        self.numbers.rules[world] = settings.rules()
        self.numbers.motion[world] = settings.motion_numbers()
        self.numbers.battery[world] = settings.battery_numbers(drawn_bodies(self._bodies, draw))
        self.numbers.laser_noise[world] = draw.laser_noise
        return settings

    def _draw_robots(self, world: int, settings: WarehouseSettings, rng: np.random.Generator) -> None:
        """Batteries and outages of one world's episode."""
        robots, outages = self.robots, settings.outages
        count = robots.pose.shape[1]
        shares = rng.uniform(*settings.battery.initial_share, count)
        robots.energy[world] = settings.battery.capacity * np.where(np.isnan(robots.pose[world, :, 0]), 0.0, shares)
        robots.charging[world] = False
        robots.heard[world] = 0.0
        robots.noise[world] = rng.normal(size=NOISE)
        is_hit = rng.random(count) < outages.share
        down_at, away = rng.uniform(*outages.after, count), rng.uniform(*(outages.back_after or (0.0, 0.0)), count)
        robots.down_at[world] = np.where(is_hit, down_at, np.inf)
        robots.up_at[world] = np.where(is_hit & (outages.back_after is not None), down_at + away, np.inf)

    def observe(self) -> Observations:
        """What all agents sense now."""
        kinds = {
            name: KindObservation(board.vector.copy(), board.candidates.copy(), board.mask.copy())
            for name, board in self.boards.items()
        }
        fixed = np.broadcast_to(self._stations_at, (self.worlds, *self._stations_at.shape))
        position = np.concatenate([self.robots.pose[:, :, :3], fixed], axis=1).astype(np.float32)
        alive = np.ones((self.worlds, len(self.agents)), np.bool_)
        alive[:, : self.robots.alive.shape[1]] = self.robots.alive
        return Observations(kinds, np.nan_to_num(position), alive, self.brief())

    def brief(self) -> np.ndarray:
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
            (self.robots.energy / self.numbers.battery[:, :1]).mean(1),
            self.robots.alive.mean(1),
            self._staffed(),
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def _staffed(self) -> np.ndarray:
        """Whether the stations of each world are staffed [E], as `calendar.is_staffed` has it."""
        length, handover = (self.numbers.rules[:, Rules._fields.index(name)] for name in ("shift_length", "handover"))
        return np.asarray((self.state.time - self.state.shift_start) % length < length - handover)


def crew_of(plans: Sequence[Tables], forklifts: int) -> tuple[int, int]:
    """How many zones and stations all plans have.

    Raises:
        ConfigError: they differ, or one has too few parking places.
    """
    crews = set()
    for tables in plans:
        homes = int((tables.place_type == PARKING).sum())
        if not 1 <= forklifts <= homes:
            raise ConfigError(f"the plan parks 1 to {homes} forklifts, saw {forklifts}; add parking places")
        zones, stations = (int(tables.place_group[tables.place_type == kind].max()) + 1 for kind in (SLOT, INSPECTION))
        crews.add((zones, stations))
    if len(crews) != 1:
        raise ConfigError(
            f"floor plans with different numbers of zones and stations: {sorted(crews)}; wanted the same in all, for "
            "the fleet is the same. Give places other groups, or leave out the plans that differ."
        )
    return crews.pop()


def _boards(worlds: int, counts: dict[str, int], contract: Contract) -> tuple[dict[str, Board], np.ndarray, np.ndarray]:
    """A board of each kind, all their vectors and candidates in one row, and all their masks in one row.

    Kind after kind, of each its vectors, then its candidates: of one world, the row is what that world's agents sense.
    """
    kinds = {name: (count, contract.kind(name)) for name, count in counts.items()}
    senses, masks = [], []
    for count, kind in kinds.values():
        senses += [(worlds, count, kind.observation_size), (worlds, count, kind.candidates, kind.candidate_size)]
        masks.append((worlds, count, kind.candidates))
    sensed, vectors_and_candidates = _side_by_side(senses, np.float32)
    allowed, each = _side_by_side(masks, np.bool_)
    boards = {
        name: Board(vector, candidates, mask, np.zeros(mask.shape, np.int32), np.zeros(mask.shape, np.int32))
        for name, vector, candidates, mask in zip(
            kinds, vectors_and_candidates[::2], vectors_and_candidates[1::2], each, strict=True
        )
    }
    return boards, sensed, allowed


def _side_by_side(shapes: Sequence[tuple[int, ...]], dtype: type) -> tuple[np.ndarray, list[np.ndarray]]:
    """A row of zeros, and pieces of it in these shapes, one after another."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    row = np.zeros(ends[-1], dtype)
    return row, [piece.reshape(shape) for piece, shape in zip(np.split(row, ends[:-1]), shapes, strict=True)]


def _stations(tables: Tables, zones: int, stations: int) -> np.ndarray:
    """Where the agents without wheels stand: the middle of their zone or station [Z + Q, 3]."""
    placed = [(SLOT, zone) for zone in range(zones)] + [(INSPECTION, station) for station in range(stations)]
    return np.array([middle_of(tables, kind, group) for kind, group in placed], np.float32)
