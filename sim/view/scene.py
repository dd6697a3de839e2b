"""What a picture of one world shows, as plain facts; and what lies between two ticks of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sim.warehouse.routes import Tables
from sim.warehouse.skill import (
    ALIGN_DROP,
    ALIGN_HOME,
    ALIGN_PICK,
    BLOCKED,
    ENTER_DROP,
    ENTER_HOME,
    ENTER_PICK,
    HOME,
    IDLE,
    LEAVE_DROP,
    LEAVE_HOME,
    LEAVE_PICK,
    LIFT,
    LOWER,
    NODE,
    PARKED,
    PHASE,
    TO_DROP,
    TO_HOME,
    TO_PICK,
    has_lifted,
)
from sim.warehouse.state import ABSENT, CARRYING, GRANTED, INSPECTION, OPEN_LINE, RELEASED, SLOT, UNDECIDED
from sim.warehouse.stations import middle_of

PHASES = {
    IDLE: "idle",
    TO_PICK: "to pallet",
    ALIGN_PICK: "docking",
    ENTER_PICK: "docking",
    LIFT: "lifting",
    LEAVE_PICK: "leaving",
    TO_DROP: "carrying",
    ALIGN_DROP: "docking",
    ENTER_DROP: "docking",
    LOWER: "lowering",
    LEAVE_DROP: "leaving",
    TO_HOME: "going home",
    ALIGN_HOME: "parking",
    ENTER_HOME: "parking",
    PARKED: "parked",
    LEAVE_HOME: "leaving",
}
DRIVING = (TO_PICK, TO_DROP, TO_HOME)
EMPTY, DEAD, ABSENT_ROBOT = "battery empty", "out of order", "not there"
LONG_BLOCKED = 2.0  # s; from here on it is said


class Pallet(NamedTuple):
    """One pallet on the floor or on forks."""

    x: float  # m, map, as yaw (rad)
    y: float
    yaw: float
    sku: int
    state: int  # UNDECIDED, PASSED or REJECTED
    carrier: int  # robot, -1
    is_inspected: bool


class Scene(NamedTuple):
    """One world at one moment; R robots, N agents, robots first."""

    time: float  # s
    robots: np.ndarray  # [R, 4] x, y (m), yaw (rad), speed (m/s); NaN: not there
    forks: np.ndarray  # [R] m above the floor
    ways: tuple[np.ndarray, ...]  # of each robot, the points [n, 2] (m) it will pass; none where it stays
    pallets: dict[int, Pallet]  # by serial number
    reach: float  # m from a robot to the middle of the pallet on its forks
    stands: np.ndarray  # [N - R, 2] (m) where the agents without wheels are shown
    doing: tuple[str, ...]  # of each agent, in a few words
    kpis: dict[str, float]
    open_orders: int
    links: np.ndarray | None = None  # [N, N] share of its attention that the row gives the column; None: not known


def scene_of(world: Any, row: int = 0, links: np.ndarray | None = None) -> Scene:
    """What one of a simulator's worlds looks like now; `world` is a FastWarehouse or its like."""
    s, robots, tables = world.state, world.robots, world.tables
    count = robots.pose.shape[1]
    reach = world.settings.motion.dock_reach
    lifted = [bool(has_lifted(robots.skill[row, robot])) for robot in range(count)]
    pallets = _pallets(s, row, robots.pose[row], robots.pallet[row], lifted, tables, reach)
    goals = [_goal(s, row, robots.skill[row, robot], int(robots.pallet[row, robot])) for robot in range(count)]
    numbers = [world.kinds[:agent].count(kind) for agent, kind in enumerate(world.kinds)]
    still = list(zip(world.kinds, numbers, strict=True))[count:]
    doing = [_state_words(robots, row, robot)
             or _robot_words(robots.skill[row, robot], s.pallet_sku[row], int(robots.pallet[row, robot]))
             for robot in range(count)]  # fmt: skip
    doing += [_zone_words(s, row, n, tables) if kind == "inventory" else _station_words(s, row, n, tables)
              for kind, n in still]  # fmt: skip
    places = {"inventory": SLOT, "quality": INSPECTION}
    return Scene(
        float(s.time[row]),
        robots.pose[row].copy(),
        robots.fork[row].copy(),
        tuple(_way(robots.skill[row, r], robots.pose[row, r], goals[r], tables) for r in range(count)),
        pallets,
        reach,
        np.array([middle_of(tables, places[kind], n)[:2] for kind, n in still]).reshape(-1, 2),
        tuple(doing),
        world.kpis(row),
        int(s.order_active[row].sum()),
        links,
    )


def between(one: Scene, other: Scene, share: float) -> Scene:
    """The moment between two ticks: robots on the smooth curve that both poses, headings and speeds ask for.

    A cubic Hermite curve through the positions with the velocities as tangents, the short way round in yaw. What has
    no in-between (routes, states, KPIs) is that of the earlier tick.

    Args:
        one: the earlier tick.
        other: the later tick.
        share: how far from one to the other, in [0, 1].
    """
    span = other.time - one.time
    a, b, s = one.robots, other.robots, share
    basis = (2 * s**3 - 3 * s**2 + 1, (s**3 - 2 * s**2 + s) * span, 3 * s**2 - 2 * s**3, (s**3 - s**2) * span)
    poses = np.empty_like(a)
    poses[:, :2] = basis[0] * a[:, :2] + basis[1] * _velocity(a) + basis[2] * b[:, :2] + basis[3] * _velocity(b)
    turn = np.remainder(b[:, 2] - a[:, 2] + np.pi, 2 * np.pi) - np.pi
    poses[:, 2] = a[:, 2] + s * turn
    poses[:, 3] = a[:, 3] + s * (b[:, 3] - a[:, 3])
    pallets = {}
    for serial, pallet in one.pallets.items():
        later = other.pallets.get(serial, pallet)
        if pallet.carrier >= 0 and pallet.carrier == later.carrier:
            x, y, yaw = ahead(poses[pallet.carrier], one.reach)
        else:
            x, y = pallet.x + s * (later.x - pallet.x), pallet.y + s * (later.y - pallet.y)
            yaw = pallet.yaw
        pallets[serial] = pallet._replace(x=x, y=y, yaw=yaw)
    return one._replace(
        time=one.time + s * span,
        robots=poses,
        forks=one.forks + s * (other.forks - one.forks),
        pallets=pallets,
        links=other.links,
    )


def ahead(pose: np.ndarray, distance: float) -> tuple[float, float, float]:
    """A point (m) ahead of a pose, with the pose's yaw (rad)."""
    x, y, yaw = (float(value) for value in pose[:3])
    return x + distance * math.cos(yaw), y + distance * math.sin(yaw), yaw


def _velocity(poses: np.ndarray) -> np.ndarray:
    return poses[:, 3:4] * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=1)


def _pallets(
    s: Any, row: int, poses: np.ndarray, jobs: np.ndarray, lifted: list[bool], tables: Tables, reach: float
) -> dict[int, Pallet]:
    """Every pallet by serial number; one that was lifted or set down within the tick is where it is, not as booked."""
    carriers = {int(slot): robot for robot, slot in enumerate(jobs) if slot >= 0 and lifted[robot]}
    inspected = set(s.station_pallet[row].tolist())
    pallets = {}
    for slot in np.flatnonzero(s.pallet_state[row] != ABSENT).tolist():
        carrier, place = carriers.get(slot, -1), int(s.pallet_place[row, slot])
        if carrier >= 0:
            x, y, yaw = ahead(poses[carrier], reach)
        else:
            if place < 0 and s.job_phase[row, slot] == CARRYING:
                place = int(s.job_target[row, slot])
            if place < 0:
                continue
            x, y, yaw = (float(each[place]) for each in (tables.place_x, tables.place_y, tables.place_yaw))
        pallets[int(s.pallet_serial[row, slot])] = Pallet(
            x, y, yaw, int(s.pallet_sku[row, slot]), int(s.pallet_state[row, slot]), carrier, slot in inspected
        )
    return pallets


def _goal(s: Any, row: int, skill: np.ndarray, slot: int) -> int:
    """The place a robot heads for; -1 where it stays."""
    if slot < 0:
        return int(skill[HOME]) if TO_HOME <= skill[PHASE] < PARKED else -1
    return int(s.pallet_place[row, slot] if s.job_phase[row, slot] == GRANTED else s.job_target[row, slot])


def _way(skill: np.ndarray, pose: np.ndarray, goal: int, tables: Tables) -> np.ndarray:
    """The points [n, 2] on the way to a place, the robot's own and the place's among them."""
    if goal < 0:
        return np.zeros((0, 2))
    points = [(float(pose[0]), float(pose[1]))]
    if skill[PHASE] in DRIVING:
        node, end = int(skill[NODE]), int(tables.place_node[goal])
        points.append((float(tables.node_x[node]), float(tables.node_y[node])))
        while node != end:
            node = int(tables.next_node[node, end])
            points.append((float(tables.node_x[node]), float(tables.node_y[node])))
    points.append((float(tables.place_x[goal]), float(tables.place_y[goal])))
    return np.array(points)


def _state_words(robots: Any, row: int, robot: int) -> str:
    """Why a robot does not work, if that is not by its own choice; or that it charges and has no job."""
    if np.isnan(robots.pose[row, robot, 0]):
        return ABSENT_ROBOT
    if robots.energy[row, robot] <= 0.0:
        return EMPTY
    if not robots.alive[row, robot]:
        return DEAD
    return "parked, charging" if robots.charging[row, robot] and robots.pallet[row, robot] < 0 else ""


def _robot_words(skill: np.ndarray, skus: np.ndarray, slot: int) -> str:
    if skill[BLOCKED] >= LONG_BLOCKED:
        return f"blocked {skill[BLOCKED]:.0f} s"
    words = PHASES[int(skill[PHASE])]
    return f"{words}, family {skus[slot] + 1}" if slot >= 0 else words


def _zone_words(s: Any, row: int, zone: int, tables: Tables) -> str:
    own = (tables.place_type == SLOT) & (tables.place_group == zone)
    full = int((s.place_pallet[row, own] >= 0).sum())
    lines = s.line_state[row]
    waiting = int(((lines == OPEN_LINE) | (lines == RELEASED)).sum())
    return f"{full} of {int(own.sum())} slots, {waiting} lines"


def _station_words(s: Any, row: int, station: int, tables: Tables) -> str:
    own = (tables.place_type == INSPECTION) & (tables.place_group == station)
    slots = s.place_pallet[row, own]
    waiting = int((s.pallet_state[row, slots[slots >= 0]] == UNDECIDED).sum())
    slot = int(s.station_pallet[row, station])
    if slot >= 0:
        return f"inspects family {s.pallet_sku[row, slot] + 1}, {waiting} undecided"
    return f"idle, {waiting} undecided"
