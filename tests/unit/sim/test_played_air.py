"""What `play` does to messages and robots beside what the world draws: loss, delay, bits, stops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policy_core.comm.rounding import quantise
from policy_core.export.bundle import read_bundle
from policy_core.serving.onboard import OnboardPolicy
from sim.fast.air import rounded
from sim.fast.evaluate import Stop, play, stop_robots
from sim.warehouse.baselines import make_baseline
from tests.unit.sim.warehouse_world import CONFIG, orders, world

STREAM = orders(*[(3.0 * k, 3.0 * k + 200, k % 2, [k % 12, (k + 5) % 12]) for k in range(12)])
REACH = 1000.0


@pytest.fixture(scope="module")
def env():
    return world(STREAM, episode=60.0)


@pytest.fixture(scope="module")
def learned(env):
    bundle = read_bundle(CONFIG / "bundles" / "demo", env.contract)
    return lambda kind, number: OnboardPolicy(bundle, kind, number + 1)


def talkers(env, name="contract-net"):
    return lambda kind, number: make_baseline(name, env.contract, kind, number)


def test_no_delay_and_all_bits_change_nothing_and_some_of_either_does(env, learned):
    plain = play(env, learned, 3, reach=REACH)
    assert play(env, learned, 3, reach=REACH, delay=0.0, bits=32) == plain
    assert play(env, learned, 3, reach=REACH, bits=1)["reward"] != plain["reward"]
    assert play(env, learned, 3, reach=REACH, delay=0.15)["reward"] != plain["reward"]


def test_a_delay_beyond_all_deadlines_is_silence(env, learned):
    late = play(env, learned, 3, reach=REACH, delay=1e9)
    assert late == play(env, learned, 3, reach=REACH, is_silenced=True)
    assert late != play(env, learned, 3, reach=REACH)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_numbers_are_rounded_as_in_training(bits):
    messages = np.tanh(np.random.default_rng(0).normal(size=(50, 16))).astype(np.float32)
    messages[:3, :2] = (-1.0, 1.0)
    wanted = quantise(torch.from_numpy(messages), bits).numpy()
    found = rounded(messages, bits)
    assert found.dtype == np.float32 and (found == wanted).all()
    assert len(np.unique(found)) <= 2**bits and (found != messages).any()
    assert not rounded(np.zeros((2, 16), np.float32), bits).any(), "who says nothing goes on saying nothing"
    assert rounded(messages, 32) is not messages and (rounded(messages, 32) == messages).all()


def test_messages_that_are_no_shares_are_not_rounded_but_refused(env):
    with pytest.raises(ValueError, match=r"wanted numbers in \[-1, 1\].*32 bits"):
        play(env, talkers(env), 3, reach=REACH, bits=8)
    assert play(env, talkers(env, "greedy"), 3, reach=REACH, bits=8)["seconds"] == 60.0


def test_stopped_robots_are_dead_and_counted(env):
    whole = play(env, None, 3, reach=REACH)
    assert whole["alive_s"] == 4 * 60.0
    dying = play(env, None, 3, reach=REACH, stops=[Stop(1, 20.0), Stop(2, 30.0, 45.0)])
    assert dying["alive_s"] == 4 * 60.0 - 40.0 - 15.0 and dying["distance_m"] < whole["distance_m"]
    late = play(env, talkers(env), 3, reach=REACH, stops=[Stop(robot, 0.0, 15.0) for robot in range(4)])
    assert late["alive_s"] == 4 * 45.0
    assert play(env, None, 3, reach=REACH) == whole, "the next episode knows nothing of it"


def test_who_stops_from_the_start_is_seen_dead_at_once(env):
    env.reset(3)
    seen = stop_robots(env, [Stop(0, 0.0, 15.0)])
    assert seen.alive[0].tolist() == [False] + [True] * (len(env.kinds) - 1)
    assert not seen.kinds["forklift"].vector[0, 0].any() and seen.kinds["forklift"].mask[0, 0].sum() == 1
