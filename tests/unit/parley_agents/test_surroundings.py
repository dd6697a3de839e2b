"""What is known without looking lies where it stands, seen from the robot."""

import math
from pathlib import Path

import numpy as np
import pytest

from parley_agents.look_ahead import outline_of
from parley_agents.surroundings import Surroundings
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.routes import build_tables

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture(scope="module")
def surroundings():
    tables = build_tables(read_floorplan(CONFIG / "floorplans" / "small_dc.yaml"))
    return Surroundings(tables, outline_of(read_bodies(CONFIG / "bodies.yaml"), 0.7))


def test_the_outer_wall_lies_ahead_of_a_robot_that_faces_it(surroundings):
    pose = np.array([15.0, 3.0, -math.pi / 2, 0.0])  # 2.9 m from the inner face of the south wall
    seen = surroundings.seen_from(pose, pose[None], 0)
    ahead = seen[np.abs(seen[:, 1]) < 0.2]
    assert ahead[:, 0].min() == pytest.approx(2.9, abs=0.1)


def test_another_robot_is_an_outline_and_one_never_heard_of_is_nothing(surroundings):
    pose = np.array([15.0, 3.0, 0.0, 0.0])
    alone = surroundings.seen_from(pose, np.array([pose, [np.nan] * 4]), 0)
    met = surroundings.seen_from(pose, np.array([pose, [17.5, 3.0, math.pi, 0.0]]), 0)
    fresh = met[len(alone) :]
    assert fresh[:, 0].min() == pytest.approx(2.5 - 1.05, abs=0.01)
    assert fresh[:, 0].max() == pytest.approx(2.5 + 0.35, abs=0.01)
