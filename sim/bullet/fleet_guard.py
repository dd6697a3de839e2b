"""The guards of one world's robots: every command of their skills goes through them before a body is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sim.bullet.laser import ray_angles
from sim.warehouse.bodies import Bodies
from sim.warehouse.guard import GuardSettings
from sim.warehouse.guarded_skill import Seen, guarded_skills
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers
from sim.warehouse.sight import Fleet


class FleetGuard:
    """A guard for each robot of a world, fed from its laser; what it knows is always fresh.

    Args:
        settings: config/guard.yaml.
        rows: which of the fleet's robots are there; in the order of the laser's scans.
        bodies: what they are made of.
        tables: of the floor plan.
        numbers: of the move skill.

    Attributes:
        reasons: motion steps of robots in which a command was changed, by the guard's reason.
    """

    def __init__(
        self, settings: GuardSettings, rows: Sequence[int], bodies: Bodies, tables: Tables, numbers: MotionNumbers
    ) -> None:
        self.reasons: Counter[str] = Counter()
        self._rows = tuple(rows)
        self._guarded = guarded_skills(len(self._rows), settings, bodies, tables, numbers)
        self._angles = ray_angles(bodies.laser)

    def judge(
        self,
        command: np.ndarray,
        skill: np.ndarray,
        poses: np.ndarray,
        goals: np.ndarray,
        scans: np.ndarray,
        is_powered: np.ndarray,
        blocked: np.ndarray,
        now: float,
    ) -> None:
        """Replace commands by what the guards let through, and tell the skills.

        Args:
            command: of the fleet [R, 3]: m/s, rad/s and fork height (m); changed in place.
            skill: rows [R, SKILL_SIZE]; changed in place.
            poses: told of all robots [R, 4]; NaN: not there.
            goals: places they head for [R].
            scans: of the robots that are there [rows, L] (m).
            is_powered: whether each lives and has energy [R]; the others stand and are not judged.
            blocked: how long each was blocked before this step [R] (s).
            now: s.
        """
        for guarded, row, ranges in zip(self._guarded, self._rows, scans, strict=True):
            if not is_powered[row]:
                guarded.stand(skill[row], now)
                continue
            seen = Seen(ranges, self._angles, now, now, now)
            v, w = command[row, :2].tolist()
            verdict = guarded.send(skill[row], v, w, seen, Fleet(poses, goals, row), now, float(blocked[row]))
            command[row, :2] = verdict[:2]
            if verdict.reason:
                self.reasons[verdict.reason] += 1
