"""How robots move, meet, see and use energy in one motion step, for all of them at once. No kernel is imported.

Axis letters: W worlds, R robots of a world. Angles in rad, lengths in m, energy in Wh.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

FRONT, REAR, HALF_WIDTH = 0.76, 0.67, 0.33  # m, the outline around a robot's centre, forks included
NEAR_MISS = 0.25  # m between outlines
SECTORS, RAYS_A_SECTOR, LASER_RANGE, MOST_ADVANCES = 8, 3, 8.0, 24
GRAVITY, HOUR = 9.81, 3600.0
REACHES = {"away": 0.15, "turned": 0.2, "speed": 0.05}  # m, rad, m/s: how exactly a truck must stand to be charged


class Bodies(NamedTuple):
    """Robots before or after a step."""

    pose: np.ndarray  # [W, R, 4] x, y, yaw, speed (m/s)
    turning: np.ndarray  # [W, R] rad/s
    fork: np.ndarray  # [W, R] m
    energy: np.ndarray  # [W, R] Wh


def drive(before: Bodies, command: np.ndarray, motion: Any) -> Bodies:
    """Follow commands [W, R, 3] (m/s, rad/s, fork height) for one motion step; energy is left as it is.

    Speeds approach what is commanded by a first-order lag, with limited acceleration. A robot goes the way of its mean
    speed, along the heading in the middle of the step.
    """
    step = motion.step
    speed = _lagging(before.pose[..., 3], command[..., 0], motion.drive_lag, motion.drive_acceleration, step)
    turning = _lagging(before.turning, command[..., 1], motion.turn_lag, motion.turn_acceleration, step)
    way, turn = (before.pose[..., 3] + speed) / 2 * step, (before.turning + turning) / 2 * step
    heading = before.pose[..., 2] + turn / 2
    pose = np.stack(
        [
            before.pose[..., 0] + way * np.cos(heading),
            before.pose[..., 1] + way * np.sin(heading),
            wrapped(before.pose[..., 2] + turn),
            speed,
        ],
        axis=-1,
    )
    raised = np.clip(command[..., 2] - before.fork, -motion.fork_speed * step, motion.fork_speed * step)
    return Bodies(pose, turning, before.fork + raised, before.energy)


def _lagging(value: np.ndarray, wanted: np.ndarray, lag: float, acceleration: float, step: float) -> np.ndarray:
    share = 1 - np.exp(-step / lag) if lag > 0 else 1.0
    return value + np.clip(share * (wanted - value), -acceleration * step, acceleration * step)


def wrapped(angle: np.ndarray) -> np.ndarray:
    """The same angles within half a turn of zero."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def spend(before: Bodies, after: Bodies, is_loaded: np.ndarray, dock: np.ndarray, motion: Any, battery: Any) -> Bodies:
    """`after` with the energy that the step has left; `dock` [W, R, 3] is where a robot stands to be charged."""
    mass = battery.truck_mass + battery.load_mass * is_loaded
    was, speed = before.pose[..., 3], after.pose[..., 3]
    wheels = np.maximum(np.abs(speed), np.abs(after.turning) * battery.half_track)
    faster = np.maximum(mass * (speed**2 - was**2) / (2 * motion.step), 0)
    drive_power = (battery.rolling_resistance * mass * GRAVITY * wheels + faster) / battery.drive_efficiency
    lifted = np.maximum(after.fork - before.fork, 0) / motion.step
    lift_power = (battery.fork_mass + battery.load_mass * is_loaded) * GRAVITY * lifted / battery.lift_efficiency
    used = (battery.idle_power + drive_power + lift_power) * motion.step / HOUR
    filled = before.energy - used + battery.charge_power * motion.step / HOUR * is_docked(after, dock)
    return after._replace(energy=np.clip(filled, 0, battery.capacity))


def is_docked(bodies: Bodies, dock: np.ndarray) -> np.ndarray:
    """Whether robots stand so exactly at their docks [W, R, 3] that the charger reaches them [W, R]."""
    away = np.linalg.norm(dock[..., :2] - bodies.pose[..., :2], axis=-1)
    turned = np.abs(wrapped(dock[..., 2] - bodies.pose[..., 2]))
    still = np.abs(bodies.pose[..., 3]) <= REACHES["speed"]
    return (away < REACHES["away"]) & (turned <= REACHES["turned"]) & still


def outlines(pose: np.ndarray) -> np.ndarray:
    """Twelve points of each outline, in map [W, R, 12, 2]: five along each side, the middles of front and rear."""
    along = np.linspace(FRONT, -REAR, 5)
    sides = [(x, y) for x in along for y in (HALF_WIDTH, -HALF_WIDTH)]
    points = np.array([*sides, (FRONT, 0.0), (-REAR, 0.0)])
    c, s = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    turn = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)  # [W, R, 2, 2]
    return pose[..., None, :2] + np.einsum("wrij,pj->wrpi", turn, points)


def gaps(pose: np.ndarray) -> np.ndarray:
    """Metres from each robot's body to the nearest outline point of another one [W, R]; 0: a point is inside."""
    away = outlines(pose)[:, None] - pose[:, :, None, None, :2]  # [W, robot, other, 12, 2]
    c, s = (each[:, :, None, None] for each in (np.cos(pose[..., 2]), np.sin(pose[..., 2])))
    along, aside = away[..., 0] * c + away[..., 1] * s, away[..., 1] * c - away[..., 0] * s
    beyond = np.maximum(np.maximum(along - FRONT, -REAR - along), 0)
    gap = np.hypot(beyond, np.maximum(np.abs(aside) - HALF_WIDTH, 0)).min(-1)
    gap[:, np.eye(pose.shape[1], dtype=bool)] = np.inf
    return gap.min(-1)


def scan(pose: np.ndarray, clearance: np.ndarray, origin: np.ndarray, cell: float) -> np.ndarray:
    """The nearest return in each of 8 sectors of 45 degrees, the first one centred ahead, left-positive [W, R, 8] (m).

    Three rays a sector, 15 degrees apart, advance by the clearance of the cell they have come to until that is below a
    cell's side; and the outline points of other robots count in the sector that they are seen in.
    """
    rays = (np.arange(SECTORS * RAYS_A_SECTOR) - 1) * np.pi / 12
    heading = pose[..., 2:3] + rays
    way = np.stack([np.cos(heading), np.sin(heading)], axis=-1)  # [W, R, rays, 2]
    reach = np.zeros(heading.shape)
    for _ in range(MOST_ADVANCES):
        at = pose[..., None, :2] + reach[..., None] * way
        free = _looked_up(at, clearance, origin, cell)
        reach = np.where(free >= cell, reach + free, reach)
    nearest = reach.reshape(*pose.shape[:2], SECTORS, RAYS_A_SECTOR).min(-1)
    away = outlines(pose)[:, None] - pose[:, :, None, None, :2]
    bearing = np.arctan2(away[..., 1], away[..., 0]) - pose[:, :, None, None, 2]
    sector = np.rint(bearing / (np.pi / 4)).astype(int) % SECTORS
    metres = np.linalg.norm(away, axis=-1)
    metres[:, np.eye(pose.shape[1], dtype=bool)] = np.inf
    for number in range(SECTORS):
        seen = np.where(sector == number, metres, np.inf).min((-1, -2))
        nearest[..., number] = np.minimum(nearest[..., number], seen)
    return np.minimum(nearest, LASER_RANGE)


def _looked_up(at: np.ndarray, clearance: np.ndarray, origin: np.ndarray, cell: float) -> np.ndarray:
    """Clearance at points [..., 2]; -1 off the floor."""
    index = np.trunc((at - origin) / cell).astype(int)
    rows, columns = clearance.shape
    column, row = index[..., 0], index[..., 1]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    found = clearance[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)].astype(float)
    return np.where(inside, found, -1.0)


def team_reward(before: np.ndarray, after: np.ndarray, weights: dict[str, float], names: tuple[str, ...]) -> np.ndarray:
    """What each team has earned [W] between two counts of KPIs [W, KPIs]."""
    earned = np.zeros(len(before))
    for name, weight in weights.items():
        place = names.index(name)
        earned += weight * (after[:, place] - before[:, place])
    return earned
