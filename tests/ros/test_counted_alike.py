"""The simulator's node counts near misses and contacts between robots as the batched simulator does."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sim.bullet.contact_log import NEAR, ContactLog, NearMissLog
from sim.bullet.contacts import Contact
from sim.fast.contacts import count_contacts
from sim.warehouse.kpis import CONTACTS, KPIS, NEAR_MISSES
from sim.warehouse.outline import outline_gap

NAMES = ("a", "b", "c")


def walk(seed: int, steps: int = 600) -> np.ndarray:
    """Poses [steps, R, 4] of robots that wander through each other in 5 x 5 m."""
    rng = np.random.default_rng(seed)
    phase, pace = rng.uniform(0, 6.3, (2, len(NAMES), 3)), rng.uniform(0.5, 2.0, (len(NAMES), 3))
    time = 0.1 * np.arange(steps)[:, None, None]
    return np.concatenate([2.5 * np.sin(pace * time + phase[0]), np.zeros((steps, len(NAMES), 1))], axis=2)


@pytest.mark.parametrize("seed", range(3))
def test_both_simulators_count_the_same_poses_alike(seed: int) -> None:
    poses = walk(seed)
    state = SimpleNamespace(kpi=np.zeros((1, len(KPIS))))
    robots = SimpleNamespace(touching=np.zeros((1, 3), bool), near=np.zeros((1, 3), bool), pose=None)
    contacts, near_misses = ContactLog(NAMES, lull=1), NearMissLog(len(NAMES))
    for step, pose in enumerate(poses):
        robots.pose = pose[None]
        count_contacts.py_func(state, 0, robots, np.ones(3, bool))
        pairs = [(i, j) for i in range(3) for j in range(3) if i != j and outline_gap(pose[i], pose[j]) <= 0.0]
        contacts.note(step, [Contact(NAMES[i], NAMES[j], 9.0) for i, j in pairs])
        near_misses.note(pose)
    assert near_misses.count == state.kpi[0, NEAR_MISSES] > 10
    assert sum(contacts.counts.values()) == state.kpi[0, CONTACTS] > 5


@pytest.mark.parametrize(("gap", "count"), [(NEAR + 0.01, 0), (NEAR - 0.01, 2)])
def test_the_limit_is_a_quarter_of_a_metre_between_outlines(gap: float, count: int) -> None:
    apart = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    apart[1, 1] -= outline_gap(apart[0], apart[1]) - gap
    log = NearMissLog(2)
    for _ in range(5):
        log.note(apart)
    assert log.count == count
    apart[1, 1] += 1.0
    log.note(apart)
    apart[1, 1] -= 1.0
    log.note(apart)
    assert log.count == 2 * count
