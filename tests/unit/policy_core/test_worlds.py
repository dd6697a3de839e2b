"""Worlds of others, played through their adapters: they say what the raw worlds say, and can be trained in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from parley_bringup.cli.train import parse_change, read_changed, train
from policy_core.config import ConfigError
from policy_core.environment import BatchEnvironment, Observations
from policy_core.ppo.batch import prepare
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run, make_environment
from policy_core.ppo.settings import TrainingSettings
from policy_core.worlds.names import resolve
from policy_core.worlds.single import episode_seed
from policy_core.worlds.workers import WorldError
from tests.unit.policy_core.test_train_command import paths

ROOT = Path(__file__).parents[3]
WORLDS = ROOT / "config" / "training" / "worlds.yaml"
SPEAKER = "pettingzoo:mpe2.simple_speaker_listener_v4"
SHELVES = "rware:rware-tiny-2ag-v2"
NAVIGATION = "vmas:navigation"
ALL = (SPEAKER, "pettingzoo:mpe2.simple_tag_v3", SHELVES, NAVIGATION, "vmas:simple_push", "vmas:balance")
E = 4


def settings(env: str, **changes: Any) -> TrainingSettings:
    content = yaml.safe_load(WORLDS.read_text()) | {"env": env, "env_settings": {}}
    return TrainingSettings.model_validate(content | changes)


def build(env: str, worlds: int = E, **env_settings: Any) -> BatchEnvironment:
    return make_environment(settings(env, env_settings=env_settings), worlds)


def draw(world: BatchEnvironment, ticks: int, seed: int = 0) -> np.ndarray:
    """Decisions [T, E, N, P] within what the contract allows; options that are never legal are left out."""
    chance = np.random.default_rng(seed)
    actions = np.zeros((ticks, world.worlds, len(world.agents), world.contract.action_size), dtype=np.float32)
    for agent, name in enumerate(world.kinds):
        kind = world.contract.kinds[name]
        for place, options in enumerate(kind.blocks):
            actions[:, :, agent, place] = chance.integers(0, options, (ticks, world.worlds))
        start = len(kind.blocks)
        for control in kind.controls:
            shape = (ticks, world.worlds, control.size)
            actions[:, :, agent, start : start + control.size] = chance.uniform(control.low, control.high, shape)
            start += control.size
    return actions


def parts(observations: Observations) -> list[np.ndarray]:
    kinds = [part for kind in observations.kinds.values() for part in kind]
    return [*kinds, observations.position, observations.alive, observations.state]


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


@pytest.mark.parametrize("env", [SPEAKER, SHELVES])
def test_workers_play_what_one_process_plays_bit_for_bit(env: str) -> None:
    options = {"max_cycles": 7} if env == SPEAKER else {"max_steps": 9}
    alone, shared = (build(env, worlds=5, workers=workers, options=options) for workers in (0, 2))
    for one, other in zip(parts(alone.reset(3, 4)), parts(shared.reset(3, 4)), strict=True):
        assert np.array_equal(one, other)
    for action in draw(alone, 20):
        one, other = alone.step(action), shared.step(action)
        pairs = zip(parts(one.observations), parts(other.observations), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FLAGS_AND_REWARD)
        assert one.kpis == other.kpis
        assert (one.final is None) == (other.final is None)
        if one.final is not None:
            assert all(np.array_equal(*pair) for pair in zip(parts(one.final), parts(other.final), strict=True))
    shared.close()


FLAGS_AND_REWARD = ("reward", "terminated", "truncated")


def test_a_killed_worker_is_told_by_name_and_the_others_end() -> None:
    world = build(SPEAKER, workers=2)
    world.reset(0)
    processes = [worker.process for worker in world.workers]
    processes[1].kill()
    processes[1].wait(timeout=10)
    with pytest.raises(WorldError, match=rf"worker 1 \(worlds 2 to 3\), process {processes[1].pid}, .*SIGKILL"):
        world.step(draw(world, 1)[0])
    assert all(process.poll() is not None for process in processes)


def test_a_world_that_fails_in_a_worker_is_told_with_its_traceback() -> None:
    world = build(SPEAKER, workers=2)
    world.reset(0)
    with pytest.raises(WorldError, match=r"worker 0 \(worlds 0 to 1\) failed:\nTraceback(.|\n)*not in action space"):
        world.step(np.full((E, 2, 1), 77, dtype=np.float32))


def test_workers_end_with_a_parent_that_is_killed() -> None:
    code = (
        "from policy_core.worlds.pettingzoo import make; import time;"
        f"w = make(2, {SPEAKER.split(':')[1]!r}, workers=2); w.reset(0);"
        "print(*[each.process.pid for each in w.workers], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | paths()
    )
    try:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.send_signal(signal.SIGKILL)
        limit = time.monotonic() + 20
        while any(is_running(child) for child in children) and time.monotonic() < limit:
            time.sleep(0.05)
        assert not any(is_running(child) for child in children)
    finally:
        parent.kill()
        parent.wait(timeout=10)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (SPEAKER, []),
        (SHELVES, ["--set", "env_settings.workers=2", "--set", "env_settings.options.max_steps=20"]),
        ("vmas:transport", ["--set", "env_settings.max_steps=20"]),
    ],
)
def test_a_short_training_of_each_by_name(
    env: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    app = typer.Typer()
    app.command()(train)
    changes = ["worlds=4", "ticks=32", "evaluation.worlds=2", "evaluation.ticks=25", "ppo.minibatch=64"]
    words = [*words, *(word for change in changes for word in ("--set", change))]
    folder = tmp_path / "run"
    result = CliRunner().invoke(app, ["--env", env, "--run-dir", str(folder), "--frames", "400", *words])
    assert result.exit_code == 0, result.output
    kept = yaml.safe_load((folder / "settings.yaml").read_text())
    assert (kept["env"], kept["worlds"]) == (env, 4)
    assert list(folder.glob("checkpoint-*.pt"))


def test_names_stand_for_functions() -> None:
    assert resolve("sim.fast.env:make", {"a": 1}) == ("sim.fast.env", "make", {"a": 1})
    assert resolve(SHELVES, {}) == ("policy_core.worlds.gymnasium", "make", {"name": "rware:rware-tiny-2ag-v2"})
    assert resolve("vmas:transport", {"rounds": 0})[2] == {"name": "transport", "rounds": 0}


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ("transport", "wanted 'module:function'"),
        ("smac:3m", "no prefix 'smac'.*vmas:transport"),
        ("vmas:navigatoin", "did you mean 'navigation'"),
        ("pettingzoo:mpe2.simple_nothing_v0", "simple_nothing_v0"),
        ("pettingzoo:nopackage.world_v0", "'nopackage' is not installed"),
        ("pettingzoo:numpy", "no parallel_env"),
        ("rware:rware-no-such-v2", "rware-no-such"),
    ],
)
def test_a_wrong_name_is_told_in_words(env: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build(env)


@pytest.mark.parametrize(
    ("env", "env_settings", "told"),
    [
        (SPEAKER, {"options": {"cycles": 3}}, "does not accept the options"),
        (SHELVES, {"options": {"colour": 3}}, "does not accept the options"),
        (NAVIGATION, {"options": {"n_agnets": 3}}, "does not accept the options"),
        (SPEAKER, {"workers": -1}, "saw -1, wanted 0 or more"),
        (SPEAKER, {"messages": 9}, "messages"),
    ],
)
def test_wrong_settings_of_a_world_are_told_in_words(env: str, env_settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build(env, **env_settings)


def test_settings_are_changed_one_by_one_with_their_types() -> None:
    changed = read_changed(WORLDS, [parse_change(text) for text in ("ppo.epochs=7", "env_settings.options.a=[1, x]")])
    assert changed.ppo.epochs == 7
    assert changed.env_settings["options"] == {"a": [1, "x"]}
    for text, told in (
        ("ppo.epoch=7", "did you mean 'epochs'"),
        ("ppo.epochs=many", "ppo.epochs"),
        ("worlds.own=1", "'worlds' is a value"),
        ("worlds", "wanted KEY=VALUE"),
    ):
        with pytest.raises(ConfigError, match=told):
            read_changed(WORLDS, [parse_change(text)])
