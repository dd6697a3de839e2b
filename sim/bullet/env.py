"""The batched warehouse with bodies that have mass: goods and decisions of the fast world, moved by PyBullet.

The same rules, boards, chance and rewards as `sim.fast.env`, world by world for the same seed; only the way from a
motion command to a pose goes through a `BulletWorld`. So what a policy is worth in the fast world can be held against
what it is worth where trucks slip, brake late and push pallets.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from policy_core.config import ConfigError
from policy_core.contract import Contract, read_contract
from policy_core.environment import Observations
from sim.bullet.contact_log import ContactLog, NearMissLog
from sim.bullet.fleet_guard import FleetGuard
from sim.bullet.ledger_bodies import ASTRAY, LedgerBodies, LedgerPallet
from sim.bullet.snapshots import check_fit
from sim.bullet.workers import BulletWorkers
from sim.bullet.world import BulletWorld
from sim.fast.driving import command_robots, rest, use_energy
from sim.fast.env import ORDERS_HELD, FastWarehouse, Streams, order_streams
from sim.fast.fleet import begin_tick, end_tick
from sim.fast.robots import goals_of
from sim.warehouse.bodies import Bodies, read_bodies
from sim.warehouse.floorplan import FloorPlan, read_floorplan
from sim.warehouse.guard import GuardSettings, read_guard
from sim.warehouse.kpis import BLOCKED_S, CONTACTS, DISTANCE_M, NEAR_MISSES
from sim.warehouse.numbers import motion_of
from sim.warehouse.randomisation import Draw, Randomisation, drawn_bodies, read_randomisation
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import WarehouseSettings, check_limits, read_warehouse
from sim.warehouse.skill import BLOCKED, BLOCKED_TOTAL, TRAVELLED
from sim.warehouse.state import ABSENT


class Hall(NamedTuple):
    """One world's bodies, and what keeps them in step with its ledger and counts what happens to them."""

    world: BulletWorld
    pallets: LedgerBodies
    contacts: ContactLog
    near_misses: NearMissLog
    rows: dict[str, int]  # name and number of every robot that is there
    guard: FleetGuard | None


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
    workers: int = 0,
    guard: str = "",
) -> BulletWarehouse | BulletWorkers:
    """Build the world from files; arguments as of `sim.fast.env.make`, and the settings of the bodies.

    Args:
        workers: processes to share the worlds between, at most E; 0: this one plays them all.
        guard: path of config/guard.yaml, to let every robot's guard judge its commands; empty: no guard in the loop.

    Raises:
        ConfigError: a file or number cannot be used.
        WorldError: a worker did not start.
    """
    if workers < 0:
        raise ConfigError(f"env_settings.workers: saw {workers}, wanted 0 (this process plays) or more")
    if workers:
        settings: dict[str, Any] = {
            "forklifts": forklifts,
            "episode": episode,
            "floorplan": floorplan,
            "warehouse": warehouse,
            "contract": contract,
            "orders": orders,
            "bodies": bodies,
            "load": load,
            "stagger": stagger,
            "randomisation": randomisation,
            "guard": guard,
        }
        like = make(1, **settings)  # what is wrong with the settings is told here, before any process starts
        assert isinstance(like, BulletWarehouse)
        return BulletWorkers(settings, like, worlds, min(workers, worlds))
    streams, popularity = order_streams(orders, load)
    ranges = read_randomisation(randomisation) if randomisation else None
    floors = [read_floorplan(plan) for plan in (ranges.floorplans if ranges else ()) or (floorplan,)]
    return BulletWarehouse(
        worlds,
        forklifts,
        episode,
        [build_tables(plan) for plan in floors],
        read_warehouse(warehouse),
        read_bodies(bodies),
        read_contract(contract),
        streams,
        popularity,
        floors,
        stagger=stagger,
        randomisation=ranges,
        guard=read_guard(guard) if guard else None,
    )


class BulletWarehouse(FastWarehouse):
    """E worlds of one floor plan, each in a Bullet client of its own. See `make`.

    Without `guard` no guard is in the loop, as in the fast world; with it every robot's commands go through its own, as
    on ROS (`sim.warehouse.guarded_skill`). `touched` counts the contacts of each world's running episode by
    what was touched: robot, wall, rack, pallet and so on. A pallet whose body is not where the ledger has it is left
    where it is, and what is odd about it is kept in `oddities`: (world, words) of the running episodes. `on_step`, if
    set, is told after every motion step which world has moved, and its bodies.

    Raises:
        ConfigError: the move skill wants what the bodies cannot do.
    """

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
        floor: FloorPlan | Sequence[FloorPlan],
        *,
        stagger: bool = False,
        randomisation: Randomisation | None = None,
        orders_held: int = ORDERS_HELD,
        guard: GuardSettings | None = None,
    ) -> None:
        """As `FastWarehouse`; `floor` is what the plan was built from, or of several plans what each was built from."""
        check_limits(settings.motion, bodies, "the settings of the bodies")
        self._floors = (floor,) if isinstance(floor, FloorPlan) else tuple(floor)
        super().__init__(
            worlds,
            forklifts,
            episode,
            plans,
            settings,
            bodies,
            contract,
            streams,
            popularity,
            stagger=stagger,
            randomisation=randomisation,
            orders_held=orders_held,
        )
        self.oddities: list[tuple[int, str]] = []
        self.touched: list[Counter[str]] = [Counter() for _ in range(worlds)]
        self.on_step: Callable[[int, BulletWorld], None] | None = None
        self._guard = guard
        self._names = self.agents[:forklifts]
        self._steps = round(contract.tick / settings.motion.step)
        self._command = np.zeros((forklifts, 3))
        self._halls: list[Hall | None] = [None] * worlds
        self._opening: list[str] = [""] * worlds  # each world's chance at the start of its episode, as JSON
        self._decided: list[list[bytes]] = [[] for _ in range(worlds)]  # choices [N] int16 of its ticks since then

    @property
    def floor(self) -> FloorPlan:
        """The plan that the running episodes play on."""
        return self._floors[int(self._plan[0])]

    def world(self, number: int) -> BulletWorld:
        """The bodies of one world."""
        return self._hall(number).world

    def judged(self, number: int) -> dict[str, int]:
        """Motion steps of one world's robots in which their guards changed a command, by the reason; none without."""
        guard = self._hall(number).guard
        return dict(guard.reasons) if guard else {}

    def astray(self, number: int) -> list[int]:
        """Serials of the pallets of one world that nobody works on and whose body is not at their place."""
        bodies, state = self.world(number), self.state
        lost = []
        for slot in np.flatnonzero((state.pallet_state[number] != ABSENT) & (state.pallet_place[number] >= 0)).tolist():
            serial = int(state.pallet_serial[number, slot])
            if slot in self.robots.pallet[number]:
                continue
            place = self.floor.places[state.pallet_place[number, slot]]
            if serial not in bodies.pallets or math.dist(bodies.pallet_pose(serial)[:2], (place.x, place.y)) > ASTRAY:
                lost.append(serial)
        return lost

    def close(self) -> None:
        """Give all Bullet clients back; a reset starts anew."""
        for number, hall in enumerate(self._halls):
            if hall is not None:
                hall.world.close()
                self._halls[number] = None

    def snapshot(self) -> dict[str, np.ndarray]:
        """What `restore` needs to go on bit for bit: how every episode began, and what was decided since.

        Bodies in contact cannot be written down whole, so they are not; equal commands from an equal start give equal
        bodies, so `restore` plays the running episodes again.
        """
        decided = b"".join(choices for world in self._decided for choices in world)
        chance = json.dumps(
            [[then, rng.bit_generator.state] for then, rng in zip(self._opening, self._rng, strict=True)]
        )
        return {
            "chance": np.frombuffer(chance.encode(), np.uint8).copy(),
            "ticks": np.array([len(world) for world in self._decided]),
            "decided": np.frombuffer(decided, np.int16).reshape(-1, len(self.agents)).astype(np.int64),
            "left": self._left.copy(),
            "length": self._length.copy(),
            "plan": self._plan.copy(),
            "guard": np.array([self._guard is not None]),
        }

    def restore(self, snapshot: dict[str, np.ndarray]) -> Observations:
        """Play the episodes of a snapshot, of a world of the same size, up to where it was taken.

        Raises:
            ValueError: it is of another size, or its robots had a guard and these have none, or the other way.
        """
        check_fit(snapshot, self.worlds, len(self.agents), self._guard is not None)
        if snapshot["plan"][0] != self._plan[0]:
            self._lay_out(int(snapshot["plan"][0]))
        ends = np.cumsum(snapshot["ticks"])
        self._rng = [np.random.default_rng() for _ in range(self.worlds)]
        for number, (then, now) in enumerate(json.loads(snapshot["chance"].tobytes())):
            self._rng[number].bit_generator.state = json.loads(then)
            self._open(number)
            for choices in snapshot["decided"][ends[number] - snapshot["ticks"][number] : ends[number]]:
                self._tick_one(number, choices)
            self._rng[number].bit_generator.state = now
        self._left[:], self._length[:] = snapshot["left"], snapshot["length"]
        return self.observe()

    def _hall(self, number: int) -> Hall:
        hall = self._halls[number]
        if hall is None:
            raise RuntimeError("this world has no bodies: call reset before step, and again after close")
        return hall

    def _open(self, world: int) -> None:
        """Start one world anew, with new bodies."""
        self._opening[world], self._decided[world] = json.dumps(self._rng[world].bit_generator.state), []
        super()._open(world)
        old = self._halls[world]
        if old is not None:
            old.world.close()
        self.touched[world].clear()
        self.oddities = [odd for odd in self.oddities if odd[0] != world]
        there = np.flatnonzero(~np.isnan(self.robots.pose[world, :, 0])).tolist()
        starts = [(self._names[row], *self.robots.pose[world, row, :3].tolist()) for row in there]
        motion, its = self.settings.motion, drawn_bodies(self._bodies, Draw(*self._drawn[world].tolist()))
        seed = zlib.crc32(self._opening[world].encode())  # of the sensors' noise; a draw would change the rules' chance
        bodies = BulletWorld(self.floor, starts, its, seed, motion.step, motion.dock_reach)
        self._halls[world] = Hall(
            bodies,
            LedgerBodies(bodies, self.floor, motion.dock_reach),
            ContactLog(bodies.robots),
            NearMissLog(len(there)),
            {name: row for row, name in zip(there, bodies.robots, strict=True)},
            FleetGuard(self._guard, there, its, self.tables, motion_of(self.numbers.motion[world]))
            if self._guard
            else None,
        )

    def _tick(self, choices: np.ndarray) -> None:
        for world in range(self.worlds):
            self._tick_one(world, choices[world])

    def _tick_one(self, world: int, choices: np.ndarray) -> None:
        self._decided[world].append(choices.astype(np.int16).tobytes())  # small: hours of them are kept
        begin_tick(self.parts, world, choices)
        self._drive(world)
        end_tick(self.parts, world, self.contract.tick)

    def _drive(self, world: int) -> None:
        """Let the robots of one world move for a tick."""
        hall = self._hall(world)
        self.oddities += [(world, words) for words in hall.pallets.match(self._ledger(world))]
        state, robots = self.state, self.robots
        skill, pose, fork = robots.skill[world], robots.pose[world], robots.fork[world]
        before = skill.sum(axis=0)
        contacts, near_misses = self.touched[world].total(), hall.near_misses.count
        goals = goals_of(state, world, robots)
        begun = len(self._decided[world]) * self._steps
        for step in range(self._steps):
            now = state.time[world] + step * self.settings.motion.step
            blocked = skill[:, BLOCKED].copy()
            command_robots(self._command, state, world, robots, goals, now, self.tables, self.numbers)
            is_powered = robots.alive[world] & (robots.energy[world] > 0.0)
            if hall.guard is not None:
                scans = hall.world.scans()
                hall.guard.judge(self._command, skill, pose, goals, scans, is_powered, blocked, now)
            was = np.column_stack([pose[:, 3], fork])
            for name, row in hall.rows.items():
                v, w, height = self._command[row].tolist()
                if is_powered[row]:
                    hall.world.command(name, v, w, height)
                else:
                    hall.world.stand(name)
            hall.world.step()
            if self.on_step is not None:
                self.on_step(world, hall.world)
            for name, row in hall.rows.items():
                told = hall.world.told_pose(name)
                pose[row], robots.turning[world, row] = told[:4], told.w
                fork[row] = hall.world.fork_height(name)
            use_energy(state, world, robots, was, self.tables, self.numbers)
            for contact in hall.contacts.note(begun + step, hall.world.contacts()):
                is_robot = contact.other in self._names
                self.touched[world]["robot" if is_robot else contact.other.rpartition("_")[0]] += 1
            hall.near_misses.note(np.array([hall.world.pose(name)[:4] for name in hall.rows]))
        rest(world, robots, self.numbers)
        after = skill.sum(axis=0)
        state.kpi[world, BLOCKED_S] += after[BLOCKED_TOTAL] - before[BLOCKED_TOTAL]
        state.kpi[world, DISTANCE_M] += after[TRAVELLED] - before[TRAVELLED]
        state.kpi[world, CONTACTS] += self.touched[world].total() - contacts
        state.kpi[world, NEAR_MISSES] += hall.near_misses.count - near_misses

    def _ledger(self, world: int) -> list[LedgerPallet]:
        """Every pallet of one world, as its rules have it."""
        state = self.state
        slots = np.flatnonzero(state.pallet_state[world] != ABSENT)
        columns = (state.pallet_serial, state.pallet_sku, state.pallet_place, state.job_robot)
        return [
            LedgerPallet(serial, sku, place, self._names[robot] if place < 0 else "")
            for serial, sku, place, robot in zip(*(column[world, slots].tolist() for column in columns), strict=True)
        ]
