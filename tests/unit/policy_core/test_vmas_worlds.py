"""VMAS worlds pay what the raw batch pays, begin anew cheaply, and keep their chance to themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.unit.policy_core.outside_world import NAVIGATION, build, draw


def test_vmas_pays_what_the_raw_batch_pays() -> None:
    import vmas

    world = build(NAVIGATION, worlds=5, max_steps=20, options={"n_agents": 3})
    mixed = int(np.random.SeedSequence((5, 0)).generate_state(1)[0])
    raw = vmas.make_env("navigation", num_envs=5, max_steps=20, terminated_truncated=True, n_agents=3)
    first, senses = world.reset(5), raw.reset(seed=mixed)
    assert np.array_equal(first.kinds["agent"].vector, torch.stack(senses, 1).numpy())
    assert np.array_equal(first.position[..., :2], torch.stack([agent.state.pos for agent in raw.agents], 1).numpy())
    for tick, action in enumerate(draw(world, 20)):
        step = world.step(action)
        senses, rewards, _, truncated, _ = raw.step(list(torch.from_numpy(action).unbind(1)))
        assert np.array_equal(step.reward, torch.stack(rewards, 1).numpy())
        assert step.truncated.all() == truncated.all() == (tick == 19)
        seen = step.final if tick == 19 else step.observations
        assert np.array_equal(seen.kinds["agent"].vector, torch.stack(senses, 1).numpy())
    assert {"return", "ticks", "info pos_rew"} <= step.kpis[0].keys()
    assert not np.array_equal(step.observations.kinds["agent"].vector, step.final.kinds["agent"].vector)


@pytest.mark.parametrize("name", ["navigation", "balance", "transport"])
def test_a_vmas_world_that_begins_anew_is_the_spare_one_to_the_last_bit(name: str) -> None:
    world = build(f"vmas:{name}", worlds=5, max_steps=1000)
    world.reset(1)
    for action in draw(world, 12):
        step = world.step(action)
    kept = step.observations.kinds["agent"].vector
    ended, rows = torch.tensor([True, False, True, False, False]), [0, 2]
    vectors, _ = world._start(ended, [torch.from_numpy(kept)], torch.from_numpy(step.observations.position))
    assert np.array_equal(vectors[0][1], kept[1])
    assert not np.array_equal(vectors[0][0], kept[0])
    for action in draw(world, 12, seed=1):
        step = world.step(action)
        senses, rewards, *_ = world.spare.step(list(torch.from_numpy(action).unbind(1)))
        assert np.array_equal(step.reward[rows], torch.stack(rewards, 1).numpy()[rows])
        assert np.array_equal(step.observations.kinds["agent"].vector[rows], torch.stack(senses, 1).numpy()[rows])


def test_a_vmas_world_whose_goal_is_drawn_for_all_is_started_its_own_way() -> None:
    assert not build(NAVIGATION).is_slow
    world = build("vmas:simple_push", max_steps=3)
    assert world.is_slow
    world.reset(0)
    for action in draw(world, 4):
        step = world.step(action)
    assert np.isfinite(step.reward).all()


def test_vmas_tells_a_task_done_from_time_over() -> None:
    world = build("vmas:balance", worlds=64, max_steps=60)
    world.reset(0)
    terminated = truncated = 0
    for action in draw(world, 120):
        step = world.step(action)
        assert not (step.terminated & step.truncated).any()
        assert len(step.kpis) == (step.terminated | step.truncated).sum()
        terminated, truncated = terminated + step.terminated.sum(), truncated + step.truncated.sum()
    assert terminated > 0
    assert truncated > 0


def test_another_batch_of_vmas_leaves_this_ones_chance_alone() -> None:
    def play(with_other: bool) -> np.ndarray:
        world, other = build(NAVIGATION, max_steps=5), build(NAVIGATION, max_steps=5)
        world.reset(1)
        for action in draw(world, 12):
            if with_other:
                other.reset(9)
            step = world.step(action)
        return step.observations.kinds["agent"].vector

    assert np.array_equal(play(False), play(True))
