"""How the robots of a fast world move for a tick: commands, drives, batteries, and contacts on the way."""

from __future__ import annotations

import math

import numpy as np

from sim.fast.contacts import count_contacts
from sim.fast.robots import Notes, Robots, write_goals
from sim.warehouse.battery import end_rest, is_docked, limping, power, spend
from sim.warehouse.compiled import kernel
from sim.warehouse.kpis import BLOCKED_S, CHARGING_S, DISTANCE_M, ENERGY_WH, FLAT_S
from sim.warehouse.motion import move
from sim.warehouse.numbers import Numbers, battery_of, motion_of
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.sight import Fleet
from sim.warehouse.skill import BLOCKED_TOTAL, HOME, SPEED, TRAVELLED, has_lifted, wrap
from sim.warehouse.state import State


@kernel
def drive(s: State, e: int, robots: Robots, tables: Tables, numbers: Numbers, tick: float, notes: Notes) -> None:
    """Let the robots of world e drive for one tick (s), in motion steps."""
    motion = motion_of(numbers.motion[e])
    drive_share, turn_share = _shares(motion)
    count = robots.pose.shape[1]
    blocked = travelled = 0.0
    for robot in range(count):
        blocked -= robots.skill[e, robot, BLOCKED_TOTAL]
        travelled -= robots.skill[e, robot, TRAVELLED]
    command, was, goals, settled, moved = notes.command, notes.was, notes.goals, notes.settled, notes.moved
    command[:], was[:], settled[:] = 0.0, 0.0, False
    write_goals(s, e, robots, goals)
    lift = motion.fork_speed * motion.step
    for step in range(int(round(tick / motion.step))):
        command_robots(command, s, e, robots, goals, s.time[e] + step * motion.step, tables, numbers)
        for robot in range(count):
            pose = robots.pose[e, robot]
            if math.isnan(pose[0]):
                continue
            was[robot, 0], was[robot, 1] = pose[3], robots.fork[e, robot]
            v, w, height = command[robot, 0], command[robot, 1], command[robot, 2]
            robots.fork[e, robot] += max(-lift, min(lift, height - robots.fork[e, robot]))
            is_still = v == 0.0 and w == 0.0 and pose[3] == 0.0 and robots.turning[e, robot] == 0.0
            moved[robot] = step == 0 or not is_still
            if is_still and settled[robot]:
                continue
            yaw = pose[2]
            robots.turning[e, robot] = _follow_command(
                pose, robots.turning[e, robot], v, w, motion, drive_share, turn_share
            )
            settled[robot] = is_still and pose[2] == yaw  # two ways of saying an angle may take turns
            moved[robot] = moved[robot] or not settled[robot]
        use_energy(s, e, robots, was, tables, numbers)
        count_contacts(s, e, robots, moved)
    rest(e, robots, numbers)
    for robot in range(count):
        blocked += robots.skill[e, robot, BLOCKED_TOTAL]
        travelled += robots.skill[e, robot, TRAVELLED]
    s.kpi[e, BLOCKED_S] += blocked
    s.kpi[e, DISTANCE_M] += travelled


@kernel
def command_robots(
    command: np.ndarray,
    s: State,
    e: int,
    robots: Robots,
    goals: np.ndarray,
    now: float,
    tables: Tables,
    numbers: Numbers,
) -> None:
    """Let every robot's skill choose its command [R, 3]: m/s, rad/s and fork height (m); the dead and empty stand."""
    motion, battery = motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    slow = limping(motion, battery.limp_speed)
    for robot in range(len(command)):
        if not robots.alive[e, robot] or robots.energy[e, robot] <= 0.0:
            command[robot, 0] = command[robot, 1] = 0.0
            command[robot, 2] = robots.fork[e, robot]
            robots.skill[e, robot, SPEED] = 0.0
            continue
        is_weak = robots.energy[e, robot] < battery.limp_below * battery.capacity
        v, w, height = move(
            robots.skill[e, robot],
            robots.pose[e, robot],
            robots.fork[e, robot],
            now,
            Fleet(robots.pose[e], goals, robot),
            tables,
            slow if is_weak else motion,
        )
        command[robot, 0], command[robot, 1], command[robot, 2] = v, w, height


@kernel
def use_energy(s: State, e: int, robots: Robots, was: np.ndarray, tables: Tables, numbers: Numbers) -> None:
    """One motion step of every battery, after the robots have moved.

    A robot that an outage holds uses and takes nothing.

    Args:
        s: counts energy, and time on chargers and with empty batteries.
        e: world.
        robots: as they are after the step.
        was: speed (m/s) and fork height (m) before it [R, 2].
        tables: where the chargers are.
        numbers: of all worlds.
    """
    motion, battery = motion_of(numbers.motion[e]), battery_of(numbers.battery[e])
    for robot in range(len(was)):
        pose = robots.pose[e, robot]
        if math.isnan(pose[0]):
            continue
        if not robots.alive[e, robot] and robots.energy[e, robot] > 0.0:
            robots.charging[e, robot] = False
            continue
        raised = (robots.fork[e, robot] - was[robot, 1]) / motion.step
        is_loaded = has_lifted(robots.skill[e, robot])
        watts = power(was[robot, 0], pose[3], robots.turning[e, robot], raised, is_loaded, motion.step, battery)
        home = int(robots.skill[e, robot, HOME])
        x, y, yaw = tables.place_x[home], tables.place_y[home], tables.place_yaw[home]
        charges = is_docked(pose, x, y, yaw, motion.dock_reach)
        energy, used, is_filling = spend(robots.energy[e, robot], watts, charges, motion.step, battery)
        robots.energy[e, robot] = energy
        robots.charging[e, robot] = is_filling
        s.kpi[e, ENERGY_WH] += used
        if is_filling:
            s.kpi[e, CHARGING_S] += motion.step
        if energy <= 0.0:
            s.kpi[e, FLAT_S] += motion.step


@kernel
def rest(e: int, robots: Robots, numbers: Numbers) -> None:
    """Robots that rest at their chargers take jobs again once their batteries hold enough."""
    battery = battery_of(numbers.battery[e])
    for robot in range(robots.energy.shape[1]):
        end_rest(robots.skill[e, robot], robots.energy[e, robot] / battery.capacity, battery)


@kernel
def obey(pose: np.ndarray, turning: float, v: float, w: float, numbers: MotionNumbers) -> float:
    """Move a body [4] for one motion step as its drive follows a command (m/s, rad/s); gives its new yaw rate.

    Speeds approach the command with a lag of first order and a limit of acceleration; the way is that of the mean
    speed. What truck these numbers stand for is in config/warehouse.yaml, section fitted.
    """
    drive_share, turn_share = _shares(numbers)
    return _follow_command(pose, turning, v, w, numbers, drive_share, turn_share)


@kernel
def _follow_command(
    pose: np.ndarray, turning: float, v: float, w: float, numbers: MotionNumbers, drive_share: float, turn_share: float
) -> float:
    speed = _follow(pose[3], v, drive_share, numbers.drive_acceleration, numbers.step)
    rate = _follow(turning, w, turn_share, numbers.turn_acceleration, numbers.step)
    ahead, turn = 0.5 * (pose[3] + speed) * numbers.step, 0.5 * (turning + rate) * numbers.step
    pose[0] += ahead * math.cos(pose[2] + 0.5 * turn)
    pose[1] += ahead * math.sin(pose[2] + 0.5 * turn)
    pose[2] = wrap(pose[2] + turn)
    pose[3] = speed
    return rate


@kernel
def _shares(numbers: MotionNumbers) -> tuple[float, float]:
    """The shares of a wanted change of speed, and of yaw rate, that one motion step brings by the drives' lag."""
    drive = 1.0 - math.exp(-numbers.step / numbers.drive_lag) if numbers.drive_lag > 0.0 else 1.0
    turn = 1.0 - math.exp(-numbers.step / numbers.turn_lag) if numbers.turn_lag > 0.0 else 1.0
    return drive, turn


@kernel
def _follow(value: float, wanted: float, share: float, most: float, step: float) -> float:
    change = (wanted - value) * share
    return value + max(-most * step, min(most * step, change))
