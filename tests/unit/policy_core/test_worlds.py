"""Worlds of others, played through their adapters, say what the raw worlds say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy_core.ppo.batch import prepare
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run
from policy_core.worlds.single import episode_seed
from tests.unit.policy_core.outside_world import ALL, NAVIGATION, SHELVES, SPEAKER, E, build, draw, parts, settings


@pytest.mark.parametrize("env", ALL)
def test_a_world_keeps_to_its_own_contract(env: str) -> None:
    world = build(env)
    counts = {name: world.kinds.count(name) for name in world.contract.kinds}
    assert tuple(name for name, count in counts.items() for _ in range(count)) == world.kinds
    step = None
    for observations in (world.reset(3), (step := world.step(draw(world, 1)[0])).observations):
        for name, kind in observations.kinds.items():
            told = world.contract.kinds[name]
            assert kind.vector.shape == (E, counts[name], told.observation_size)
            assert kind.vector.dtype == np.float32
            assert np.isfinite(kind.vector).all()
            assert kind.mask.shape == (E, counts[name], sum(told.blocks))
            assert kind.mask[..., told.firsts].all()
        assert observations.position.shape == (E, len(world.agents), 3)
        assert observations.alive.all()
        assert all(part.dtype in (np.float32, bool) for part in parts(observations))
    assert step.reward.shape == (E, len(world.agents))
    assert step.reward.dtype == np.float32


def test_agents_that_begin_alike_share_a_kind() -> None:
    assert build(SPEAKER).kinds == ("speaker", "listener")
    assert build("pettingzoo:mpe2.simple_tag_v3").kinds == ("adversary",) * 3 + ("agent",)
    assert build(SHELVES).kinds == ("agent", "agent")
    assert build(NAVIGATION, rounds=0, message_size=3).contract.message_size == 3


def test_speaker_and_listener_earn_what_the_raw_world_pays() -> None:
    from mpe2 import simple_speaker_listener_v4

    world = build(SPEAKER, options={"max_cycles": 10})
    first, actions = world.reset(5, first_world=2), draw(world, 23)
    raws = [simple_speaker_listener_v4.parallel_env(max_cycles=10) for _ in range(E)]
    for place, raw in enumerate(raws):
        senses, _ = raw.reset(seed=episode_seed(5, 2 + place, 0))
        assert np.array_equal(first.kinds["listener"].vector[place, 0], senses["listener_0"])
    for tick, action in enumerate(actions):
        step = world.step(action)
        for place, raw in enumerate(raws):
            sent = {name: int(action[place, agent, 0]) for agent, name in enumerate(world.agents)}
            senses, rewards, _, _, _ = raw.step(sent)
            assert step.reward[place].tolist() == [np.float32(rewards[name]) for name in world.agents]
            if not raw.agents:
                assert np.array_equal(step.final.kinds["listener"].vector[place, 0], senses["listener_0"])
                senses, _ = raw.reset(seed=episode_seed(5, 2 + place, (tick + 1) // 10))
            assert np.array_equal(step.observations.kinds["speaker"].vector[place, 0], senses["speaker_0"])
        assert step.truncated.all() == (tick % 10 == 9)
        assert not step.terminated.any()
        assert [figures["ticks"] for figures in step.kpis] == [10.0] * (E if step.truncated.all() else 0)


def test_continuous_controls_reach_a_pettingzoo_world_in_their_range() -> None:
    from mpe2 import simple_speaker_listener_v4

    world = build(SPEAKER, worlds=1, options={"continuous_actions": True})
    assert world.contract.kinds["listener"].controls[0].low == 0.0
    assert world.contract.action_size == 5
    raw = simple_speaker_listener_v4.parallel_env(continuous_actions=True)
    raw.reset(seed=episode_seed(5, 0, 0))
    world.reset(5)
    for action in draw(world, 5):
        paid = raw.step({"speaker_0": action[0, 0, :3], "listener_0": action[0, 1]})[1]
        assert world.step(action).reward[0].tolist() == [np.float32(paid[name]) for name in world.agents]


def test_robots_among_shelves_earn_what_the_raw_world_pays_and_time_is_a_cut() -> None:
    import gymnasium
    import rware  # noqa: F401

    world = build(SHELVES, worlds=1, options={"max_steps": 120})
    first, actions = world.reset(7), draw(world, 125)
    raw = gymnasium.make("rware-tiny-2ag-v2", disable_env_checker=True, max_steps=120)
    senses, _ = raw.reset(seed=episode_seed(7, 0, 0))
    assert np.array_equal(first.kinds["agent"].vector[0], senses)
    paid = 0.0
    for tick, action in enumerate(actions):
        step = world.step(action)
        senses, rewards, terminated, _, _ = raw.step(tuple(action[0, :, 0].astype(int).tolist()))
        paid += sum(rewards)
        assert np.array_equal(step.reward[0], np.array(rewards, dtype=np.float32))
        assert terminated == (tick == 119)  # what the world calls it
        assert step.truncated[0] == (tick == 119)
        assert not step.terminated[0]
        if step.truncated[0]:
            assert np.array_equal(step.final.kinds["agent"].vector[0], senses)
            senses, _ = raw.reset(seed=episode_seed(7, 0, 1))
        assert np.array_equal(step.observations.kinds["agent"].vector[0], senses)


def test_a_world_of_many_choices_at_once() -> None:
    world = build(SHELVES, worlds=2, options={"msg_bits": 3})
    assert world.contract.kinds["agent"].blocks == (5, 2, 2, 2)
    world.reset(0)
    own = world.singles[0].world.unwrapped
    world.step(np.tile(np.array([0, 1, 0, 1], dtype=np.float32), (2, 2, 1)))
    assert [agent.message.tolist() for agent in own.agents] == [[1, 0, 1], [1, 0, 1]]


class Leaving:
    """A parallel world of three, in which one leaves at the second tick and time is up at the fourth."""

    possible_agents = ("walker_0", "walker_1", "guard_0")

    def __init__(self) -> None:
        self.agents: list[str] = []
        self.tick = 0

    def observation_space(self, agent: str) -> Any:
        from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

        if agent == "guard_0":
            return Dict({"observation": Box(0, 9, (2,), np.float32), "action_mask": MultiBinary(3)})
        return Dict({"room": Discrete(4), "place": Box(-np.inf, np.inf, (2, 1), np.float64)})

    def action_space(self, agent: str) -> Any:
        from gymnasium.spaces import Box, Discrete, Tuple

        return Discrete(3) if agent == "guard_0" else Tuple((Box(-2, 6, (1,)), Discrete(1), Discrete(2, start=5)))

    def _senses(self) -> dict[str, Any]:
        walker = {"room": 2, "place": np.array([[self.tick], [7.0]])}
        guard = {"observation": np.array([self.tick, 1.0]), "action_mask": np.array([1, 0, 1])}
        return {agent: guard if agent == "guard_0" else walker for agent in self.agents}

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.agents, self.tick = list(self.possible_agents), 0
        return self._senses(), {}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        assert actions.keys() == set(self.agents)
        self.seen = actions
        self.tick += 1
        senses, acting = self._senses(), list(self.agents)
        if self.tick == 2:
            self.agents.remove("walker_1")
        if self.tick == 4:
            self.agents.clear()
        return (
            senses,
            dict.fromkeys(acting, 1.0),
            {agent: self.tick == 2 and agent == "walker_1" for agent in acting},
            {agent: self.tick == 4 for agent in acting},
            {agent: {"won": self.tick == 4} for agent in acting},
        )


def parallel_env() -> Leaving:
    return Leaving()


def test_an_agent_that_left_is_dead_and_spaces_of_every_form_are_read() -> None:
    world = build(f"pettingzoo:{__name__}", worlds=1)
    walker, guard = world.contract.kinds["walker"], world.contract.kinds["guard"]
    assert [(field.name, field.size) for field in walker.observation] == [("place", 2), ("room", 4)]
    assert walker.blocks == (2, 2)  # of the first only one is ever legal
    assert (walker.controls[0].low, walker.controls[0].high) == (-2.0, 6.0)
    assert guard.blocks == (3,)
    first = world.reset(0)
    assert first.kinds["walker"].mask[0, 0].tolist() == [True, False, True, True]
    assert first.kinds["guard"].mask[0, 0].tolist() == [True, False, True]
    assert first.kinds["walker"].vector[0, 0].tolist() == [0, 7, 0, 0, 1, 0]
    action = np.array([[[0, 1, 3.5], [0, 0, -2], [2, 0, 0]]], dtype=np.float32)
    steps = [world.step(action) for _ in range(4)]
    assert world.singles[0].world.seen["guard_0"] == 2
    box, alone, shifted = world.singles[0].world.seen["walker_0"]
    assert (box.tolist(), alone, shifted) == ([3.5], 0, 6)
    assert steps[0].observations.alive.tolist() == [[True, True, True]]
    for step in steps[1:3]:
        assert step.observations.alive.tolist() == [[True, False, True]]
        assert not step.observations.kinds["walker"].vector[0, 1].any()
        assert step.observations.kinds["walker"].mask[0, 1].tolist() == [True, False, True, False]
    assert steps[1].reward.tolist() == [[1, 1, 1]]
    assert steps[2].reward.tolist() == [[1, 0, 1]]
    assert steps[3].truncated[0] and not steps[3].terminated[0]
    assert steps[3].final.alive.tolist() == [[True, False, True]]
    assert steps[3].kpis == [{"return": pytest.approx(10 / 3), "ticks": 4.0, "info won": 1.0}]
    assert steps[3].observations.alive.all()


def test_who_dies_has_nothing_to_expect_and_who_lives_on_has(tmp_path: Path) -> None:
    ppo = {"gamma": 1.0, "gae_lambda": 0.0}
    run = Run(settings(f"pettingzoo:{__name__}", worlds=1, ticks=4, ppo=ppo), tmp_path)
    for head in run.learner.critic.values.values():
        torch.nn.init.constant_(head.bias, 100.0)
    batch, _ = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, Ranks())
    expected = run.learner.scale.restore(batch.target[:, 0])  # [T, N] reward and what the critic makes of what follows
    assert expected[1].tolist() == pytest.approx([101, 1, 101], abs=10)  # walker_1 leaves after the second tick
    assert expected[0].tolist() == pytest.approx([101, 101, 101], abs=10)
    assert expected[3].tolist() == pytest.approx([101, 0, 101], abs=10)  # cut off by time, and the dead stay dead
