"""The fast world as the trainer meets it."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from sim.fast.evaluate import play
from sim.warehouse.baselines import make_baseline
from sim.warehouse.laser import LASER_RANGE
from sim.warehouse.settings import Sensing
from tests.unit.sim.warehouse_world import changed, orders, settings, world

STREAM = orders(*[(20.0 * k, 20.0 * k + 200, k % 2, [k % 12, (k + 5) % 12]) for k in range(12)])


def played(env, seed, ticks=80):
    rng = np.random.default_rng(1)
    observations = env.reset(seed)
    trace = []
    for _ in range(ticks):
        choices = [
            (rng.random(observations.kinds[kind].mask.shape) * observations.kinds[kind].mask).argmax(-1)
            for kind in observations.kinds
        ]
        step = env.step(np.concatenate(choices, axis=1))
        observations = step.observations
        trace.append((step.reward.copy(), observations.position.copy()))
    return trace


def test_same_seed_same_run_and_worlds_do_not_share_chance():
    env = world(STREAM, worlds=2)
    first, second = played(env, 4), played(env, 4)
    for (reward, position), (again, where) in zip(first, second, strict=True):
        assert (reward == again).all() and (position == where).all()
    assert (env.state.draw_lead[0] != env.state.draw_lead[1]).any()


def test_a_restored_world_goes_on_bit_for_bit_also_into_the_next_episode():
    env, other = world(STREAM, worlds=2, episode=30.0), world(STREAM, worlds=2, episode=30.0)
    env.reset(4)
    choices = np.random.default_rng(2).integers(0, 2, (40, 2, len(env.kinds)))
    for choice in choices[:20]:
        env.step(choice)
    saved = env.snapshot()
    went_on = [env.step(choice) for choice in choices[20:]]
    other.reset(99)
    other.restore(saved)
    for step, again in zip(went_on, [other.step(choice) for choice in choices[20:]], strict=True):
        assert (step.reward == again.reward).all()
        assert (step.observations.state == again.observations.state).all()
        assert (step.observations.position == again.observations.position).all()
    assert any(step.truncated.all() for step in went_on)


def test_observations_are_finite_fresh_and_offer_a_choice():
    env = world(STREAM, worlds=2)
    seen = env.reset(0)
    for observation in seen.kinds.values():
        assert np.isfinite(observation.vector).all() and np.isfinite(observation.candidates).all()
        assert observation.mask[..., 0].all()
    kept = seen.kinds["forklift"].vector.copy()
    for _ in range(3):
        env.step(np.ones((2, len(env.kinds)), np.int64) * 0)
    assert (seen.kinds["forklift"].vector == kept).all(), "an earlier observation must not change under the reader"


def test_an_episode_ends_by_truncation_with_its_kpis_and_last_observation():
    env = world(STREAM, episode=5.0)
    env.reset(0)
    for tick in range(1, 6):
        step = env.step(np.zeros((1, len(env.kinds)), np.int64))
        assert step.truncated[0] == (tick == 5) and not step.terminated[0]
    assert step.final is not None and len(step.kpis) == 1 and step.kpis[0]["seconds"] == 5.0
    assert env.state.time[0] == 0.0


@pytest.mark.parametrize("offered", ["stock", "released"])
def test_an_auction_and_where_jobs_are_on_a_board_the_nearest_job_beat_chance_in_the_same_worlds(offered):
    """Where stock is offered, the nearest pallet is as good as any; only who is told does better."""
    env = world(STREAM, its=changed(jobs={"offered": offered}))
    shipped = {}
    for name in ("random", "greedy", "contract-net"):
        runs = [
            play(
                env,
                lambda kind, number, s=seed, n=name: make_baseline(n, env.contract, kind, number, s),
                seed,
                reach=30,
            )
            for seed in range(3)
        ]
        shipped[name] = np.mean([run["lines_shipped"] for run in runs])
    assert shipped["contract-net"] > 1.1 * shipped["random"]
    if offered == "released":
        assert shipped["greedy"] > 1.1 * shipped["random"]
    else:
        assert shipped["contract-net"] > 1.1 * shipped["greedy"]


@pytest.mark.parametrize(
    ("offered", "figure", "sign"), [("stock", "lines_shipped", -1), ("released", "claim_conflicts", 1)]
)
def test_a_silenced_auction_knows_less(offered, figure, sign):
    """Where stock is offered it does not know what to bring; where jobs are, not who bids for them."""
    env = world(STREAM, its=changed(jobs={"offered": offered}))

    def figure_of(is_silenced: bool) -> float:
        runs = [
            play(
                env,
                lambda kind, number: make_baseline("contract-net", env.contract, kind, number),
                seed,
                reach=30,
                is_silenced=is_silenced,
            )
            for seed in range(2)
        ]
        return float(np.sum([run[figure] for run in runs]))

    assert sign * figure_of(True) > sign * figure_of(False)


def test_without_a_laser_every_sector_is_free_and_nothing_else_is_different():
    shipped = settings()
    seeing, blind = world(STREAM), world(STREAM, its=shipped.model_copy(update={"sensing": Sensing(laser=False)}))
    place = seeing.contract.kind("forklift").place("clearance")
    assert shipped.sensing.laser
    seen, unseen = seeing.reset(3), blind.reset(3)
    for _ in range(20):
        one, other = seen.kinds["forklift"].vector, unseen.kinds["forklift"].vector
        assert (other[..., place] == LASER_RANGE).all() and (one[..., place] < LASER_RANGE).any()
        assert (np.delete(one, np.r_[place], -1) == np.delete(other, np.r_[place], -1)).all()
        choices = np.array(
            [
                [
                    np.flatnonzero(board.mask[0, row])[-1]
                    for board in seeing.boards.values()
                    for row in range(board.mask.shape[1])
                ]
            ]
        )
        seen, unseen = seeing.step(choices).observations, blind.step(choices).observations
    assert (seeing.robots.pose == blind.robots.pose).all()


@pytest.mark.parametrize("value", [2, "far", None])
def test_a_laser_that_is_neither_on_nor_off_is_refused_by_name(value):
    with pytest.raises(ValidationError, match="laser"):
        Sensing(laser=value)
