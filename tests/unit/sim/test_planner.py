"""The central planner decides lawfully, knows only what somebody could know, and does better than who sees less."""

from __future__ import annotations

import numpy as np
import pytest

from sim.fast.evaluate import play
from sim.warehouse.baselines import make_baseline
from sim.warehouse.decisions import CLAIM, RELEASE
from tests.unit.sim.warehouse_world import changed, orders, world

RNG = np.random.default_rng(5)
STREAM = orders(
    *[(12.0 * k, 12.0 * k + 240, k % 2, RNG.integers(0, 12, RNG.integers(1, 5)).tolist()) for k in range(40)]
)


@pytest.mark.parametrize("offered", ["stock", "released"])
def test_every_choice_is_a_legal_one_and_no_two_agents_want_the_same(offered):
    env = world(STREAM, worlds=4, its=changed(jobs={"offered": offered}))
    env.reset(3)
    claims = releases = 0
    for _ in range(200):
        advice = env.advise()
        assert advice.shape == (4, len(env.kinds), 1)
        start = 0
        for board in env.boards.values():
            count = board.mask.shape[1]
            chosen = advice[:, start : start + count].astype(int)
            assert np.take_along_axis(board.mask, chosen, 2).all()
            verb, subject = (np.take_along_axis(part, chosen, 2)[..., 0] for part in (board.verb, board.subject))
            for wanted in (CLAIM, RELEASE):
                for e in range(4):
                    subjects = subject[e][verb[e] == wanted]
                    assert len(set(subjects.tolist())) == len(subjects)
                    claims += len(subjects) * (wanted == CLAIM)
                    releases += len(subjects) * (wanted == RELEASE)
            start += count
        env.step(advice)
    assert claims > 40 and (releases > 40 if offered == "released" else releases == 0)


def test_hidden_defects_are_hidden_from_it_too():
    env = world(STREAM)
    env.reset(3)
    for _ in range(150):
        advice = env.advise()
        env.state.pallet_defective[...] ^= True
        assert (env.advise() == advice).all()
        env.state.pallet_defective[...] ^= True
        env.step(advice)


def test_who_sees_everything_finishes_more_orders_than_the_auction_and_that_more_than_nearest_job():
    env = world(STREAM, episode=420.0)

    def finished(name: str) -> float:
        runs = [
            play(env, lambda kind, number: make_baseline(name, env.contract, kind, number), seed, reach=30)
            for seed in range(6)
        ]
        return sum(run["orders_done"] for run in runs)

    planned = sum(play(env, None, seed, reach=30)["orders_done"] for seed in range(6))
    assert planned > finished("contract-net") > 1.2 * finished("greedy")
