"""The fit finds numbers it is not told, and the shipped ones belong to the shipped bodies."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.bullet.motion_fit import (
    AT_ONCE,
    FITTED,
    Driven,
    courses,
    digest,
    drive_bullet,
    figures,
    fit,
    hall,
    misses,
    write_fitted,
)
from sim.fast.driving import obey
from sim.warehouse.bodies import read_bodies
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse

CONFIG = Path(__file__).parents[3] / "config"
WAREHOUSE = CONFIG / "warehouse.yaml"
NUMBERS = read_warehouse(WAREHOUSE).motion_numbers()
BODIES = read_bodies(CONFIG / "bodies.yaml")


def made(truth, noise=0.0, steps=240) -> Driven:
    """A body with known numbers under commands that jump about."""
    random = np.random.default_rng(3)
    pose, turning = np.zeros(4), 0.0
    poses, rates, commands = [pose.copy()], [0.0], []
    v = w = 0.0
    for step in range(steps):
        if step % 12 == 0:
            v, w = random.uniform(-0.5, 1.4), random.uniform(-1.2, 1.2)
        turning = obey(pose, turning, v, w, truth)
        poses.append(pose + noise * random.normal(size=4))
        rates.append(turning)
        commands.append((v, w))
    return Driven(np.array(poses), np.array(rates), np.array(commands))


@pytest.mark.parametrize(
    "values", [(0.15, 0.9, 0.05, 2.2), (0.3, 3.0, 0.2, 6.0)], ids=["slow to speed up", "slow to answer"]
)
def test_it_finds_the_numbers_of_a_body_it_only_sees_move(values):
    truth = NUMBERS._replace(**dict(zip(FITTED, values, strict=True)))
    found = fit([made(truth, noise=0.0005)], NUMBERS)
    assert [found[name] for name in FITTED] == pytest.approx(values, rel=0.15, abs=0.02)
    assert np.abs(misses([made(truth)], truth)).max() < 1e-9
    assert np.abs(misses([made(truth)], NUMBERS._replace(**AT_ONCE))).max() > 0.05


def test_a_body_obeys_within_its_acceleration_and_behind_by_its_lag():
    pose, turning = np.zeros(4), 0.0
    numbers = NUMBERS._replace(drive_lag=0.0, drive_acceleration=1.0, turn_lag=0.4, turn_acceleration=1000.0)
    for _ in range(4):
        turning = obey(pose, turning, 2.0, 0.0, numbers)
    assert pose[3] == pytest.approx(0.4)
    assert pose[0] == pytest.approx(0.5 * 1.0 * 0.4**2), "the way of even acceleration, exactly"
    for _ in range(4):
        turning = obey(pose, turning, 0.4, 1.0, numbers)
    assert turning == pytest.approx(1 - math.exp(-1))


def test_the_shipped_numbers_bring_the_fast_body_nearer_to_a_truck_than_obeying_at_once():
    plan = hall()
    tables = build_tables(plan)
    legs = courses(plan, 2, seed=7)
    driven = [drive_bullet(course, plan, tables, NUMBERS, BODIES) for course in legs]
    fitted = figures(driven, legs, tables, NUMBERS)
    at_once = figures(driven, legs, tables, NUMBERS._replace(**AT_ONCE))
    print("fitted", fitted, "at once", at_once, sep="\n")
    assert fitted["position_rms_m"] < 0.03 and fitted["yaw_rms_rad"] < 0.03
    assert fitted["yaw_rms_rad"] < 0.5 * at_once["yaw_rms_rad"]
    assert fitted["job_rms_s"] < min(1.5, 0.6 * at_once["job_rms_s"])


def test_a_truck_that_cannot_do_the_job_is_told_in_words():
    weak = BODIES.model_copy(update={"pallet": BODIES.pallet.model_copy(update={"mass": 2 * BODIES.forks.rated_load})})
    plan = hall()
    with pytest.raises(ConfigError, match="never lifted"):
        drive_bullet(courses(plan, 1, seed=0)[0], plan, build_tables(plan), NUMBERS, weak)


def test_the_shipped_numbers_are_of_the_shipped_bodies():
    source = read_warehouse(WAREHOUSE).fitted.source
    assert f"bodies {digest(BODIES)}" in source, "bodies.yaml has changed: run parley fit-motion --write"
    heavier = BODIES.model_copy(update={"pallet": BODIES.pallet.model_copy(update={"mass": 121.0})})
    assert digest(heavier) not in source
    other = BODIES.model_copy(update={"amr": BODIES.amr.model_copy(update={"mass": 81.0})})
    assert digest(other) == digest(BODIES), "no AMR was driven, so none can change what was fitted"


def test_writing_changes_the_numbers_and_nothing_else(tmp_path):
    path = tmp_path / "warehouse.yaml"
    shutil.copy(WAREHOUSE, path)
    values = dict(zip(FITTED, (0.25, 0.9, 0.0, 7.125), strict=True))
    write_fitted(path, values, "a test")
    read = read_warehouse(path)
    assert read.fitted.model_dump() == {**values, "source": "a test"}
    assert read.model_copy(update={"fitted": None}) == read_warehouse(WAREHOUSE).model_copy(update={"fitted": None})
    old, new = WAREHOUSE.read_text().splitlines(), path.read_text().splitlines()
    assert len(old) == len(new)
    assert all(line.partition("#")[2] == other.partition("#")[2] for line, other in zip(old, new, strict=True))


def test_a_file_without_the_section_is_refused_whole(tmp_path):
    path = tmp_path / "warehouse.yaml"
    text = WAREHOUSE.read_text().replace("  turn_lag:", "  turn_leg:")
    path.write_text(text)
    with pytest.raises(ConfigError, match="no line for 'turn_lag'"):
        write_fitted(path, dict.fromkeys(FITTED, 1.0), "a test")
    assert path.read_text() == text
