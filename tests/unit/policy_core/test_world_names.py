"""A world is found by its name, and wrong names and settings are told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from parley_bringup.cli.train import parse_change, read_changed, train
from policy_core.config import ConfigError
from policy_core.worlds.names import resolve
from tests.unit.policy_core.outside_world import NAVIGATION, ROOT, SHELVES, SPEAKER, WORLDS, build


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
    wanted = {"build": "policy_core.worlds.gymnasium:build", "name": "rware:rware-tiny-2ag-v2"}
    assert resolve(SHELVES, {}) == ("policy_core.worlds.singles", "make", wanted)
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
