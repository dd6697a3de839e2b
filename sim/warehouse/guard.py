"""The safety layer: every command passes here last, and what comes out is what the robot is really sent.

Nothing in this file is learned, and nothing learned can go around it. Three checks, in this order: watchdogs
(is what we know fresh and finite?), limits (speed, turn rate, acceleration), and the way ahead (would the body
touch something before it could stop?).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field as Bound

from policy_core.config import Settings, read_settings
from sim.warehouse.look_ahead import Outline, allowed_share, obstacles_seen, seen_from

STOPPED = "stopped for an obstacle"  # why a command became zero
CREEP = 0.01  # m/s (or rad/s); what is left of a command below this is no motion worth sending
LONGEST_STEP = 0.2  # s between two commands that the acceleration limits still count
NOTHING_OWN = np.zeros((0, 3))
NOTHING_EXPECTED = (0.0, 0.0, 0.0, -1.0)


class Limits(Settings):
    """What the drive is allowed to do."""

    speed: float = Bound(ge=0.05, le=3)
    reverse_speed: float = Bound(ge=0.05, le=3)
    turn_rate: float = Bound(ge=0.1, le=4)
    acceleration: float = Bound(ge=0.1, le=10)
    deceleration: float = Bound(ge=0.1, le=10)
    turn_acceleration: float = Bound(ge=0.1, le=50)


class Watchdog(Settings):
    """How old each input may be."""

    odom: float = Bound(ge=0.05, le=10)
    scan: float = Bound(ge=0.05, le=10)
    decision: float = Bound(ge=0.5, le=60)
    invalid_share: float = Bound(ge=0, le=1)


class Stopping(Settings):
    """How much room the robot keeps, and how it brakes."""

    margin: float = Bound(ge=0, le=1)
    docking_margin: float = Bound(ge=0, le=0.5)
    robot_margin: float = Bound(ge=0, le=2)
    expected_tolerance: float = Bound(ge=0, le=0.5)
    load_tolerance: float = Bound(ge=0, le=0.2)
    reaction: float = Bound(ge=0, le=2)
    braking: float = Bound(ge=0.1, le=10)


class GuardSettings(Settings):
    """config/guard.yaml."""

    limits: Limits
    watchdog: Watchdog
    stopping: Stopping


class Sensed(NamedTuple):
    """What the guard judges a command by; stamps in seconds of the node's clock."""

    ranges: np.ndarray  # [L] m from the robot's centre; +inf: nothing in reach
    angles: np.ndarray  # [L] rad in base_link, left-positive
    hidden: np.ndarray  # [n, 2] m in base_link: obstacles of the map, used where the load hides them from the laser
    robots: np.ndarray  # [m, 2] m in base_link: outlines of other robots, from where they are to where they can stop
    odom_stamp: float
    scan_stamp: float
    decision_stamp: float  # the last tick at which the task server confirmed what this robot does


class Work(NamedTuple):
    """What the robot is doing, as far as it changes what counts as an obstacle."""

    is_loaded: bool = False  # the load widens the body, and its own returns are no obstacle
    is_docking: bool = False  # entering or leaving a place: the room kept free is smaller
    pallet: tuple[float, float, float] | None = None  # pallet that is meant to be approached: x, y (m), yaw, base_link


class Verdict(NamedTuple):
    """The command really sent, and why it differs from the one asked for (empty: it does not)."""

    v: float  # m/s
    w: float  # rad/s
    reason: str


class Guard:
    """Judges one robot's commands, one after another."""

    def __init__(self, settings: GuardSettings, outline: Outline) -> None:
        self.settings = settings
        self._outline = outline
        self._sent = (0.0, 0.0)
        self._sent_at = -math.inf
        near, half = outline.load_near, outline.load_half
        slack = settings.stopping.load_tolerance
        # The laser sees only the near face of the load, which may sit a little askew. Growing the far end as well
        # would hide a wall in front of the load.
        self._own_load = np.array([[near, near + 2 * half, half], [near - slack, near + slack, half + slack]])

    def check(self, v: float, w: float, sensed: Sensed, now: float, work: Work) -> Verdict:
        """The command to send instead of (v, w): as near to it as safety allows.

        Args:
            v: speed asked for (m/s, forward positive).
            w: turn rate asked for (rad/s, left positive).
            sensed: the latest scan and the stamps of all inputs.
            now: the node's clock (s).
            work: load and docking.
        """
        blind = self._blind(v, w, sensed, now)
        if blind:
            return self._send(0.0, 0.0, now, blind)
        v, w, reason = self._within_limits(v, w, now)
        allowed = self._allowed_share(v, w, self._obstacles(sensed, work), sensed.robots, work)
        if allowed < 1.0:
            reason = "slowed for an obstacle"
            v, w = v * allowed, w * allowed
            if abs(v) < CREEP and abs(w) < CREEP:
                v, w, reason = 0.0, 0.0, STOPPED
        return self._send(v, w, now, reason)

    def stand(self, now: float) -> None:
        """Note that the robot was told to stand, without a command to judge."""
        self._send(0.0, 0.0, now, "")

    def _blind(self, v: float, w: float, sensed: Sensed, now: float) -> str:
        """Why nothing may move, or an empty text."""
        watchdog = self.settings.watchdog
        if not (math.isfinite(v) and math.isfinite(w)):
            return "command not finite"
        for name, stamp, limit in (
            ("odom", sensed.odom_stamp, watchdog.odom),
            ("scan", sensed.scan_stamp, watchdog.scan),
            ("decision", sensed.decision_stamp, watchdog.decision),
        ):
            if not abs(now - stamp) <= limit:  # also true of NaN, and of a stamp from another clock
                return f"{name} stale"
        rays = len(sensed.ranges)
        usable = np.count_nonzero(sensed.ranges > 0.0)  # +inf is; NaN, -inf and zero are not (REP-117)
        if rays == 0 or rays - usable > watchdog.invalid_share * rays:
            return "scan blind"
        return ""

    def _within_limits(self, v: float, w: float, now: float) -> tuple[float, float, str]:
        """Clip to what the drive may do, seen from the last command sent."""
        limits = self.settings.limits
        wanted_v = min(max(v, -limits.reverse_speed), limits.speed)
        wanted_w = min(max(w, -limits.turn_rate), limits.turn_rate)
        reason = "over the limits" if (wanted_v, wanted_w) != (v, w) else ""
        elapsed = min(max(now - self._sent_at, 0.0), LONGEST_STEP)
        sent_v, sent_w = self._sent
        speeding_up = abs(wanted_v) > abs(sent_v) and wanted_v * sent_v >= 0.0
        change = (limits.acceleration if speeding_up else limits.deceleration) * elapsed
        turn_change = limits.turn_acceleration * elapsed
        return (
            min(max(wanted_v, sent_v - change), sent_v + change),
            min(max(wanted_w, sent_w - turn_change), sent_w + turn_change),
            reason,
        )

    def _obstacles(self, sensed: Sensed, work: Work) -> np.ndarray:
        """Points in base_link [n, 2] that are neither the own load nor the pallet being docked to."""
        expected, half = NOTHING_EXPECTED, self._outline.load_half + self.settings.stopping.expected_tolerance
        if work.pallet is not None:
            expected = (*work.pallet, half)
        if not work.is_loaded:
            return obstacles_seen(sensed.ranges, sensed.angles, NOTHING_OWN, expected)
        seen = obstacles_seen(sensed.ranges, sensed.angles, self._own_load, expected)
        hidden = self._in_shadow(sensed.hidden)
        if work.pallet is not None:
            hidden = hidden[np.abs(seen_from(hidden, *work.pallet)).max(axis=1) > half]
        return np.concatenate([seen, hidden])

    def _in_shadow(self, points: np.ndarray) -> np.ndarray:
        """Those of the points [n, 2] that the load hides from the laser."""
        near, half = self._outline.load_near, self._outline.load_half
        is_hidden = (points[:, 0] > near + 2 * half) & (np.abs(points[:, 1]) < half / near * points[:, 0])
        return np.asarray(points[is_hidden])

    def _allowed_share(self, v: float, w: float, points: np.ndarray, robots: np.ndarray, work: Work) -> float:
        stopping = self.settings.stopping
        return allowed_share(
            v,
            w,
            points,
            stopping.docking_margin if work.is_docking else stopping.margin,
            robots,
            stopping.robot_margin,
            self._outline.loaded if work.is_loaded else self._outline.chassis,
            stopping.reaction,
            stopping.braking,
        )

    def _send(self, v: float, w: float, now: float, reason: str) -> Verdict:
        self._sent, self._sent_at = (v, w), now
        return Verdict(v, w, reason)


def read_guard(path: Path | str) -> GuardSettings:
    """Load config/guard.yaml; raises ConfigError in words."""
    return read_settings(GuardSettings, path)
