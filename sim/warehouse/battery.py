"""What a truck's work takes out of its battery, and what a charger puts back: for both simulators and the robot.

Work is rolling resistance, acceleration and lift over the efficiencies of their drives, and a constant power for
computers, laser and radio; nothing is won back by braking. After the energy models of electric vehicles (Larminie and
Lowry, Electric Vehicle Technology Explained, 2nd ed. 2012, ch. 8) without air and slopes.

Every parking place has a charger: a truck that stands docked at its place charges whenever it does (opportunity
charging).
"""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.settings import BatteryNumbers, MotionNumbers
from sim.warehouse.skill import RESTING, can_take_job, is_turned

GRAVITY = 9.81  # m/s^2
HOUR = 3600.0  # s; energy is kept in Wh
NEAR, STRAIGHT, STILL = 0.15, 0.2, 0.05  # m, rad, m/s: how exactly a truck must stand for its charger to reach it


@kernel
def power(
    was: float, speed: float, turn: float, lift: float, is_loaded: bool, step: float, numbers: BatteryNumbers
) -> float:
    """What the truck takes up during one motion step (W).

    Args:
        was, speed: m/s before and after the step.
        turn: rad/s.
        lift: m/s, positive upwards.
        is_loaded: a pallet hangs on the forks.
        step: s.
        numbers: of battery and truck.
    """
    load = numbers.load_mass if is_loaded else 0.0
    mass = numbers.truck_mass + load
    wheels = max(abs(speed), abs(turn) * numbers.half_track)
    drive = numbers.rolling_resistance * mass * GRAVITY * wheels
    drive += max(0.0, 0.5 * mass * (speed * speed - was * was) / step)
    raised = (numbers.fork_mass + load) * GRAVITY * max(lift, 0.0)
    return numbers.idle_power + drive / numbers.drive_efficiency + raised / numbers.lift_efficiency


@kernel
def is_docked(pose: np.ndarray, x: float, y: float, yaw: float, dock_reach: float) -> bool:
    """The truck (x, y, yaw, speed in map) stands so in the parking place at x, y, yaw that the charger reaches it."""
    reach = dock_reach + 2.0 * NEAR
    if abs(pose[3]) > STILL or abs(x - pose[0]) > reach or abs(y - pose[1]) > reach:
        return False
    dx = x - dock_reach * math.cos(yaw) - pose[0]
    dy = y - dock_reach * math.sin(yaw) - pose[1]
    return math.hypot(dx, dy) < NEAR and not is_turned(yaw - pose[2], STRAIGHT)


@kernel
def spend(
    energy: float, watts: float, charges: bool, step: float, numbers: BatteryNumbers
) -> tuple[float, float, bool]:
    """One motion step of the battery.

    Args:
        energy: held before the step (Wh).
        watts: taken up, see `power`.
        charges: stands on a charger, which then feeds the truck, too.
        step: s.
        numbers: of battery and truck.

    Returns:
        Energy held after the step (Wh), energy taken up (Wh), and whether the battery was being filled.
    """
    wanted = watts * step / HOUR
    if charges:
        full = min(numbers.capacity, energy + numbers.charge_power * step / HOUR - wanted)
        return max(full, 0.0), wanted, energy < numbers.capacity
    used = min(wanted, energy)
    return energy - used, used, False


@kernel
def may_charge(skill: np.ndarray, share: float, numbers: BatteryNumbers) -> bool:
    """`charge` is a choice: the robot has no job, is not resting already, and its battery is low."""
    return can_take_job(skill) and skill[RESTING] == 0.0 and share < numbers.charge_below


@kernel
def end_rest(skill: np.ndarray, share: float, numbers: BatteryNumbers) -> None:
    """A robot that rests takes jobs again as soon as its battery holds enough."""
    if share >= numbers.charge_until:
        skill[RESTING] = 0.0


@kernel
def limping(motion: MotionNumbers, factor: float) -> MotionNumbers:
    """The move skill's numbers at `factor` times the speeds."""
    return MotionNumbers(
        motion.cruise_speed * factor,
        motion.dock_speed * factor,
        motion.yaw_rate,
        motion.acceleration,
        motion.step,
        motion.fork_low,
        motion.fork_high,
        motion.fork_speed,
        motion.dock_reach,
        motion.lookahead,
        motion.give_way_after,
        motion.resolve_after,
        motion.drive_lag,
        motion.drive_acceleration,
        motion.turn_lag,
        motion.turn_acceleration,
    )
