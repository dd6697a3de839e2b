"""The numbers of E worlds as rows, so that each world can have its own; kernels unpack them once a world and tick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.settings import BatteryNumbers, MotionNumbers, Rules


class Numbers(NamedTuple):
    """Rows in the order of the fields of `Rules`, `MotionNumbers` and `BatteryNumbers`."""

    rules: np.ndarray  # [E, Rules] float64
    motion: np.ndarray  # [E, MotionNumbers] float64
    battery: np.ndarray  # [E, BatteryNumbers] float64
    laser_noise: np.ndarray  # [E] m, standard deviation of the nearest return of a sector
    has_laser: np.ndarray  # [E] bool: forklifts sense what stands around them; without, every sector is free


def make_numbers(worlds: int, rules: Rules, motion: MotionNumbers, battery: BatteryNumbers) -> Numbers:
    """The same numbers for all worlds."""
    rows = [np.tile(np.array(numbers, float), (worlds, 1)) for numbers in (rules, motion, battery)]
    return Numbers(rows[0], rows[1], rows[2], np.zeros(worlds), np.ones(worlds, np.bool_))


@kernel
def rules_of(row: np.ndarray) -> Rules:
    """A row as `Rules`."""
    return Rules(row[0], row[1], row[2], row[3], row[4], int(row[5]), row[6], row[7], row[8], row[9] > 0.0)


@kernel
def motion_of(row: np.ndarray) -> MotionNumbers:
    """A row as `MotionNumbers`."""
    r = row
    return MotionNumbers(
        r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]
    )


@kernel
def battery_of(row: np.ndarray) -> BatteryNumbers:
    """A row as `BatteryNumbers`."""
    r = row
    return BatteryNumbers(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13])
