"""The warehouse as a PettingZoo world: PettingZoo's own tests, and that it is the very world of the trainer."""

from __future__ import annotations

import importlib
import itertools
import re
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from pettingzoo.test import parallel_api_test, parallel_seed_test, render_test
from pettingzoo.utils import parallel_to_aec

from policy_core.agents.scale import RANGE_LIMIT as NETWORKS_LIMIT
from policy_core.agents.scale import Scale
from policy_core.config import ConfigError
from sim.fast.env import make
from sim.parallel_env import CONFIG, WORLDS, WarehouseParallelEnv, parallel_env
from sim.parallel_form import RANGE_LIMIT

TICKS = 40
Senses = dict[str, dict[str, np.ndarray]]


def build(world: str = "fast", **settings: Any) -> WarehouseParallelEnv:
    return parallel_env(world=world, **{"episode": float(TICKS), **settings})


def legal_actions(senses: Senses, rng: np.random.Generator) -> dict[str, int]:
    return {agent: int(rng.choice(np.flatnonzero(each["action_mask"]))) for agent, each in senses.items()}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("scaled", [False, True])
def test_pettingzoos_own_tests_pass_without_a_warning(world: str, scaled: bool) -> None:
    build(world).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(build(world, scaled=scaled), num_cycles=2 * TICKS)
        parallel_seed_test(lambda: build(world, scaled=scaled), num_cycles=10)


@pytest.mark.parametrize("world", WORLDS)
def test_pettingzoos_render_test_passes_for_pictures(world: str) -> None:
    def in_turns(render_mode: str) -> Any:  # PettingZoo's test takes turns, and opens a window only where it may
        env = build(world, render_mode=render_mode)
        env.metadata["render_modes"] = ["rgb_array"]
        return parallel_to_aec(env)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_test(in_turns)


@pytest.mark.parametrize("world", WORLDS)
def test_it_is_the_world_of_the_trainer_step_by_step(world: str) -> None:
    env = build(world)
    module, function = WORLDS[world].split(":")
    batched = getattr(importlib.import_module(module), function)(1, episode=float(TICKS), stagger=False)
    senses, _ = env.reset(seed=3)
    seen, rng = batched.reset(3), np.random.default_rng(0)
    for _ in range(TICKS):
        for kind, board in seen.kinds.items():
            names = [agent for agent in env.possible_agents if agent.startswith(kind)]
            for row, agent in enumerate(names):
                low = env.observation_space(agent)["observation"].low
                high = env.observation_space(agent)["observation"].high
                np.testing.assert_array_equal(senses[agent]["observation"], board.vector[0, row].clip(low, high))
                np.testing.assert_array_equal(senses[agent]["action_mask"], board.mask[0, row])
        actions = legal_actions(senses, rng)
        senses, rewards, terminated, truncated, infos = env.step(actions)
        step = batched.step(np.array([[actions[agent] for agent in env.possible_agents]]))
        assert list(rewards.values()) == pytest.approx(step.reward[0].tolist())
        seen = step.observations
        if not step.truncated[0]:
            np.testing.assert_allclose(env.state(), seen.state[0])
    assert all(truncated.values()) and not any(terminated.values()) and env.agents == []
    assert all(info["kpis"] == step.kpis[0] for info in infos.values())
    env.close()


def test_what_agents_sense_lies_in_their_spaces_and_stays_as_it_was() -> None:
    env = build(episode=300.0)
    rng = np.random.default_rng(1)
    senses, _ = env.reset(seed=1)
    kept = []
    while env.agents:
        assert all(env.observation_space(agent).contains(each) for agent, each in senses.items())
        kept.append((senses, {agent: each["observation"].copy() for agent, each in senses.items()}))
        senses, *_ = env.step(legal_actions(senses, rng))
    for given, copies in kept:
        assert all(np.array_equal(given[agent]["observation"], copy) for agent, copy in copies.items())
    one, later = kept[10][0]["forklift_1"]["observation"], kept[-1][0]["forklift_1"]["observation"]
    assert not np.array_equal(one, later)  # or nothing would have been tested


def test_numbers_are_clipped_and_scaled_as_the_networks_do_it() -> None:
    assert RANGE_LIMIT == NETWORKS_LIMIT
    raw, scaled = build(), build(scaled=True)
    (seen, _), (small, _) = raw.reset(seed=2), scaled.reset(seed=2)
    for _ in range(30):
        actions = dict.fromkeys(raw.agents, 0)
        seen, small = raw.step(actions)[0], scaled.step(actions)[0]
    for agent, kind in zip(raw.possible_agents, raw.world.kinds, strict=True):
        spec = raw.world.contract.kind(kind)
        for part, fields in (("observation", spec.observation), ("candidates", spec.candidate)):
            wanted = Scale(fields)(torch.from_numpy(seen[agent][part]))
            np.testing.assert_allclose(small[agent][part], wanted.numpy(), atol=2e-5)


def test_a_masked_action_counts_as_the_first_and_is_told() -> None:
    one, other = build(), build()
    senses, _ = one.reset(seed=4)
    other.reset(seed=4)
    masked = {agent: int(np.argmin(each["action_mask"])) for agent, each in senses.items()}
    assert all(senses[agent]["action_mask"][action] == 0 for agent, action in masked.items())
    first, _, _, _, told = one.step(masked)
    second, _, _, _, silent = other.step(dict.fromkeys(masked, 0))
    assert all(np.array_equal(first[agent][part], second[agent][part]) for agent in first for part in first[agent])
    assert all(info == {"illegal_action": True} for info in told.values())
    assert all(info == {} for info in silent.values())


@pytest.mark.parametrize(
    ("action", "words"),
    [(15, "quality_1 has candidates 0 to 9, saw 15"), (-1, "saw -1"), (0.5, "wanted an integer"), (None, "none for")],
)
def test_an_action_that_is_none_is_refused_by_name(action: Any, words: str) -> None:
    env = build()
    env.reset(seed=1)
    actions: dict[str, Any] = dict.fromkeys(env.agents, 0)
    actions["quality_1"] = action
    if action is None:
        del actions["quality_1"]
    with pytest.raises(ValueError, match=words):
        env.step(actions)


def test_episodes_without_a_seed_follow_from_the_last_seed() -> None:
    def starts(env: WarehouseParallelEnv, *seeds: int | None) -> list[np.ndarray]:
        return [env.reset(seed=seed)[0]["inventory_1"]["observation"] for seed in seeds]

    one, other = starts(build(), 7, None, None), starts(build(), 7, None, None)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(one, 2))
    assert not np.array_equal(starts(build(), None)[0], starts(build(), None)[0])


def test_steps_outside_an_episode() -> None:
    env = build(episode=1.0)
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step({})
    env.reset(seed=1)
    env.step(dict.fromkeys(env.agents, 0))
    assert env.agents == [] and env.step({}) == ({}, {}, {}, {}, {})


def test_pictures_are_of_the_world_as_it_is_now() -> None:
    env = build(render_mode="rgb_array", picture=(640, 400))
    senses, _ = env.reset(seed=1)
    first = env.render()
    assert first is not None and first.shape == (400, 640, 3) and first.dtype == np.uint8
    again = env.render()
    np.testing.assert_array_equal(first, again)
    rng = np.random.default_rng(0)
    for _ in range(10):
        senses, *_ = env.step(legal_actions(senses, rng))
    assert not np.array_equal(first, env.render())


def test_a_window_without_a_display_and_a_wrong_name_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    env = build(render_mode="human")
    env.reset(seed=1)
    with pytest.raises(ConfigError, match=r"a window needs .* Or write a film|write a film"):
        env.render()
    with pytest.raises(ConfigError, match="wanted one of fast, bullet"):
        build_by_name("slow")
    with pytest.raises(ConfigError, match="render_mode: saw 'ansi'"):
        build(render_mode="ansi")
    with pytest.raises(ConfigError, match="without a render_mode"):
        build().render()


def build_by_name(world: str) -> WarehouseParallelEnv:
    return WarehouseParallelEnv(world)


def test_without_pettingzoo_the_extra_is_named() -> None:
    script = "import sys; sys.modules['pettingzoo'] = None\nimport sim.parallel_env"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=CONFIG.parent, check=False
    )
    assert done.returncode == 1
    assert "the extra 'worlds': make setup" in done.stderr.splitlines()[-1]


def test_the_example_in_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (CONFIG.parent / "docs" / "worlds.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(example, "docs/worlds.md", "exec"), {})
    assert re.fullmatch(r"earned -?\d+\.\d\d, [1-9]\d+ m driven\n", capsys.readouterr().out)


@pytest.mark.parametrize("world", WORLDS)
def test_it_takes_its_files_from_anywhere(world: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = build(world, render_mode="rgb_array")
    env.reset(seed=1)
    assert env.render() is not None
    env.close()
    monkeypatch.chdir(CONFIG.parent)
    assert env.possible_agents == list(make(1).agents)
