"""Fits how the fast world's trucks follow their commands to trucks driven in PyBullet.

Single trucks drive legs in an empty hall under the move skill: a seeded way over the floor with its turns, docking,
lifting, and the same with a load. The commands they were given are then played to `sim.fast.fleet.obey`, the fast
world's body, open loop over windows of a few seconds; least squares (Levenberg 1944, as scipy.optimize.least_squares
with a trust region) finds the lags and accelerations with which it ends each step nearest to where the truck was.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from policy_core.config import ConfigError
from sim.bullet.world import BulletWorld
from sim.fast.driving import obey
from sim.warehouse.bodies import Bodies
from sim.warehouse.floorplan import FloorPlan, Place
from sim.warehouse.motion import move
from sim.warehouse.routes import Tables, build_tables
from sim.warehouse.settings import Fitted, MotionNumbers, WarehouseSettings
from sim.warehouse.sight import Fleet
from sim.warehouse.skill import PARKED, can_take_job, has_lifted, new_skill, parked_pose, start_job

FITTED = ("drive_lag", "drive_acceleration", "turn_lag", "turn_acceleration")
LOW, HIGH = (0.0, 0.3, 0.0, 0.5), (1.0, 10.0, 1.0, 20.0)  # bounds of the search
WINDOW = 30  # motion steps played open loop before the fast body is put where the truck was
ARM = 1.0  # m; what an angle (rad) weighs against a way (m)
LONGEST = 240.0  # s that one leg may take
AT_ONCE = {"drive_lag": 0.0, "drive_acceleration": 1000.0, "turn_lag": 0.0, "turn_acceleration": 1000.0}
ROUGHLY = (0.02, 1.5, 0.02, 4.0)  # where the search begins


class Driven(NamedTuple):
    """One truck's way in PyBullet: T motion steps and what it was told at each."""

    pose: np.ndarray  # [T + 1, 4] x, y (m), yaw (rad), speed (m/s)
    turning: np.ndarray  # [T + 1] rad/s
    command: np.ndarray  # [T, 2] m/s, rad/s


class Course(NamedTuple):
    """A job for one truck: from where it is parked to a pallet, with it to another place, until that is left."""

    home: int
    pick: int
    drop: int


def hall() -> FloorPlan:
    """An empty floor of 24 x 16 m with places along its edges, facing all ways."""
    places = [Place(name=f"park_{row}", type="parking", x=1.5, y=3.0 + 5.0 * row, yaw=math.pi) for row in range(3)]
    spots = [(22.5, 4.0, 0.0), (22.5, 9.0, 0.0), (6.0, 1.5, -math.pi / 2), (14.0, 1.5, -math.pi / 2)]
    spots += [(6.0, 14.5, math.pi / 2), (17.0, 14.5, math.pi / 2), (12.0, 8.0, 0.0)]
    places += [Place(name=f"slot_{row}", type="slot", x=x, y=y, yaw=yaw) for row, (x, y, yaw) in enumerate(spots)]
    return FloorPlan(name="test course", size=(24.0, 16.0), lattice=2.0, places=tuple(places), boxes=())


def courses(plan: FloorPlan, count: int, seed: int) -> list[Course]:
    """Seeded jobs over the hall."""
    random = np.random.default_rng(seed)
    homes, slots = plan.of_type("parking"), plan.of_type("slot")
    picked = [random.choice(slots, 2, replace=False) for _ in range(count)]
    return [Course(int(random.choice(homes)), int(pick), int(drop)) for pick, drop in picked]


def drive_bullet(course: Course, plan: FloorPlan, tables: Tables, numbers: MotionNumbers, bodies: Bodies) -> Driven:
    """Let a truck in PyBullet do a job.

    Raises:
        ConfigError: it did not carry the pallet, or was not done after `LONGEST`.
    """
    start = parked_pose(course.home, tables, numbers)
    world = BulletWorld(plan, [("truck", *start[:3].tolist())], bodies, 0, numbers.step, numbers.dock_reach)
    place = plan.places[course.pick]
    world.add_pallet(1, place.x, place.y, place.yaw, 0)
    poses, turning, commands, carried = [start], [0.0], [], False
    try:
        skill = _opened(course, start, tables)
        for step in range(round(LONGEST / numbers.step)):
            told = _told(skill, poses[-1], world.fork_height("truck"), step, course, tables, numbers)
            world.command("truck", *told.tolist())
            world.step()
            pose = world.pose("truck")
            carried |= world.carried_by("truck") == 1
            poses.append(np.array(pose[:4]))
            turning.append(pose.w)
            commands.append(told[:2])
            if can_take_job(skill):
                break
    finally:
        world.close()
    if not (carried and can_take_job(skill)):
        raise ConfigError(
            f"a truck of these bodies did not bring a pallet from {place.name} to {plan.places[course.drop].name} in "
            f"{LONGEST:g} s ({'carried' if carried else 'never lifted'}); there is nothing to fit. Look at bodies.yaml."
        )
    return Driven(np.array(poses), np.array(turning), np.array(commands))


def seconds_fast(course: Course, tables: Tables, numbers: MotionNumbers) -> float:
    """How long the same job takes the fast world's body under the same skill (s); NaN if it is never done."""
    pose, turning, fork = parked_pose(course.home, tables, numbers), 0.0, numbers.fork_low
    skill = _opened(course, pose, tables)
    for step in range(round(LONGEST / numbers.step)):
        v, w, height = _told(skill, pose, fork, step, course, tables, numbers).tolist()
        turning = obey(pose, turning, v, w, numbers)
        lift = numbers.fork_speed * numbers.step
        fork += max(-lift, min(lift, height - fork))
        if can_take_job(skill):
            return (step + 1) * numbers.step
    return math.nan


def misses(driven: Sequence[Driven], numbers: MotionNumbers) -> np.ndarray:
    """Where the fast body is, as seen from the truck, at every step of every window [n, 3]: m along, m aside, rad."""
    found = []
    for run in driven:
        for first in range(0, len(run.command), WINDOW):
            pose, turning = run.pose[first].copy(), float(run.turning[first])
            for step in range(first, min(first + WINDOW, len(run.command))):
                v, w = run.command[step].tolist()
                turning = obey(pose, turning, v, w, numbers)
                x, y, yaw, _ = run.pose[step + 1].tolist()
                dx, dy, c, s = pose[0] - x, pose[1] - y, math.cos(yaw), math.sin(yaw)
                found.append((c * dx + s * dy, c * dy - s * dx, math.remainder(pose[2] - yaw, math.tau)))
    return np.array(found)


def fit(driven: Sequence[Driven], numbers: MotionNumbers) -> dict[str, float]:
    """The four numbers of `obey` that bring its body nearest to the trucks."""

    def residual(values: np.ndarray) -> np.ndarray:
        changed = numbers._replace(**dict(zip(FITTED, values.tolist(), strict=True)))
        return (misses(driven, changed) * (1.0, 1.0, ARM)).ravel()

    found = least_squares(residual, ROUGHLY, bounds=(LOW, HIGH), x_scale=(0.05, 1.0, 0.05, 2.0), diff_step=0.02)
    return {name: round(float(value), 4) for name, value in zip(FITTED, found.x, strict=True)}


def figures(
    driven: Sequence[Driven], legs: Sequence[Course], tables: Tables, numbers: MotionNumbers
) -> dict[str, float]:
    """How far a fast body with these numbers is from the trucks: m and rad over windows, s over whole jobs."""
    apart = misses(driven, numbers)
    theirs = np.array([len(run.command) * numbers.step for run in driven])
    ours = np.array([seconds_fast(course, tables, numbers) for course in legs])
    return {
        "position_rms_m": float(np.sqrt((apart[:, :2] ** 2).sum(axis=1).mean())),
        "position_95_m": float(np.quantile(np.hypot(apart[:, 0], apart[:, 1]), 0.95)),
        "yaw_rms_rad": float(np.sqrt((apart[:, 2] ** 2).mean())),
        "job_mean_s": float(ours.mean()),
        "job_truck_mean_s": float(theirs.mean()),
        "job_rms_s": float(np.sqrt(((ours - theirs) ** 2).mean())),
    }


def run_fit(settings: WarehouseSettings, bodies: Bodies, count: int, seed: int) -> dict[str, Any]:
    """Drive, fit, and judge by jobs that were not fitted to; `fitted` is what belongs into config/warehouse.yaml."""
    plan, numbers = hall(), settings.motion_numbers()
    tables = build_tables(plan)
    legs, held_out = courses(plan, count, seed), courses(plan, max(2, count // 2), seed + 1)
    driven = [drive_bullet(course, plan, tables, numbers, bodies) for course in legs]
    judged = [drive_bullet(course, plan, tables, numbers, bodies) for course in held_out]
    fitted = fit(driven, numbers)
    before = {name: getattr(numbers, name) for name in FITTED}
    return {
        "jobs": count,
        "seed": seed,
        "bodies": digest(bodies),
        "before": before,
        "fitted": fitted,
        "judged_on": len(held_out),
        "residuals": {
            name: figures(judged, held_out, tables, numbers._replace(**values))
            for name, values in (("at once", AT_ONCE), ("before", before), ("fitted", fitted))
        },
    }


def digest(bodies: Bodies) -> str:
    """A name for the numbers of the bodies, whatever comments and order the file has; AMRs are not what was driven."""
    numbers = bodies.model_dump(exclude={"amr"})
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:16]


def write_fitted(path: Path, fitted: dict[str, float], source: str) -> None:
    """Put the numbers into the `fitted` section of a warehouse file; comments and the rest of it stay.

    Raises:
        ConfigError: the file has no such section with these keys, each on a line of its own.
    """
    text = path.read_text(encoding="utf-8")
    section = re.search(r"^fitted:.*\n(?:[ ]+.*\n)+", text, re.MULTILINE)
    if section is None:
        raise ConfigError(f"{path}: has no section 'fitted' to write to; take it over from the shipped file.")
    changed = section.group()
    for key, value in {**fitted, "source": source}.items():
        line = re.compile(rf"^(  {key}: *)([^#\n]*?)([ ]*(?:#.*)?)$", re.MULTILINE)
        found = line.search(changed)
        if found is None:
            raise ConfigError(f"{path}: section 'fitted' has no line for '{key}'; take it over from the shipped file.")
        written = f"{found[1]}{value}{_room(found, str(value))}"
        changed = changed[: found.start()] + written + changed[found.end() :]
    Fitted.model_validate({**fitted, "source": source})
    part = path.with_name(path.name + ".part")
    part.write_text(text[: section.start()] + changed + text[section.end() :], encoding="utf-8")
    part.replace(path)


def _room(found: re.Match[str], value: str) -> str:
    """The rest of a line, its comment where it was if there is room."""
    rest = found[3].lstrip()
    column = len(found[2]) + len(found[3]) - len(rest)
    return " " * max(2, column - len(value)) + rest if rest else ""


def _opened(course: Course, pose: np.ndarray, tables: Tables) -> np.ndarray:
    skill = new_skill(course.home, pose, tables)
    assert skill[0] == PARKED
    start_job(skill, course.pick, course.drop, False)
    return skill


def _told(
    skill: np.ndarray, pose: np.ndarray, fork: float, step: int, course: Course, tables: Tables, numbers: MotionNumbers
) -> np.ndarray:
    """Speed, yaw rate and fork height [3] that the skill of a lone truck wants."""
    goal = np.array([course.drop if has_lifted(skill) else course.pick], np.int32)
    alone = Fleet(pose[None], goal, 0)
    return np.array(move(skill, pose, fork, step * numbers.step, alone, tables, numbers))
