"""`parley train`, `export` and `verify` as a person runs them: results, Ctrl-C, going on, and errors in words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from parley_bringup.cli.bundle import export, verify
from parley_bringup.cli.train import train
from policy_core.config import read_settings
from policy_core.ppo.settings import TrainingSettings
from tests.support.training_runs import tiny_settings

ROOT = Path(__file__).parents[3]
FRAMES = 32 * 16 * 3  # of one iteration


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    for command in (train, export, verify):
        app.command()(command)
    return app


def write_settings(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump(tiny_settings(**changes).model_dump(mode="json")))
    return path


def test_train_export_verify_with_json_results(app: typer.Typer, tmp_path: Path) -> None:
    config = write_settings(tmp_path / "settings.yaml")
    steps = (
        [
            "train",
            "--config",
            config,
            "--run-dir",
            tmp_path / "run",
            "--frames",
            FRAMES,
            "--json",
            tmp_path / "train.json",
        ],
        ["export", tmp_path / "run", tmp_path / "bundle", "--json", tmp_path / "export.json"],
        ["verify", tmp_path / "bundle", "--trials", 2, "--json", tmp_path / "verify.json"],
    )
    for step in steps:
        result = CliRunner().invoke(app, [str(word) for word in step])
        assert result.exit_code == 0, result.output
    trained, exported, verified = (json.loads((tmp_path / f"{step[0]}.json").read_text()) for step in steps)
    assert trained["iterations"] == 1
    assert trained["best_return"] == exported["evaluation"]["return"]
    assert exported["protocol_id"] == verified["protocol_id"]
    assert verified["greatest_difference"] < 1e-5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--config", "nowhere.yaml"], "no such file"),
        (["export", "nowhere", "bundle"], "no such file"),
        (["verify", "nowhere"], "no such folder"),
    ],
)
def test_errors_are_one_message_and_not_zero(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_is_named_with_the_nearest_good_one(app: typer.Typer, tmp_path: Path) -> None:
    content = tiny_settings().model_dump(mode="json")
    content["ppo"]["gama"] = content["ppo"].pop("gamma")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(content))
    result = CliRunner().invoke(app, ["train", "--config", str(tmp_path / "settings.yaml")])
    assert result.exit_code == 2
    assert "did you mean 'gamma'?" in result.output


def test_ctrl_c_saves_and_exits_130_and_resume_goes_on(app: typer.Typer, tmp_path: Path) -> None:
    config = write_settings(tmp_path / "settings.yaml", frames=100_000 * FRAMES, checkpoint={"every": 50_000})
    command = [sys.executable, "-m", "parley_bringup.cli.train"]
    command += ["--config", str(config), "--run-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | paths())
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("building 32 worlds")
        assert process.stdout.readline().startswith("1/100000")  # the first iteration is behind us
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=10)
    assert process.returncode == 130
    assert "go on with: parley train --resume" in output
    assert time.monotonic() - began < 30
    saved = sorted((tmp_path / "run").glob("checkpoint-*.pt"))
    assert len(saved) == 1
    done = int(saved[0].stem.split("-")[1])
    words = ["train", "--config", str(config), "--run-dir", str(tmp_path / "run"), "--resume"]
    result = CliRunner().invoke(app, [*words, "--frames", str((done + 1) * FRAMES), "--json", str(tmp_path / "r.json")])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "r.json").read_text())["iterations"] == done + 1


def test_several_seeds_are_trained_once_each_and_what_was_stopped_goes_on(app: typer.Typer, tmp_path: Path) -> None:
    config = write_settings(tmp_path / "settings.yaml", frames=2 * FRAMES)
    words = ["train", "--config", str(config), "--run-dir", str(tmp_path / "runs"), "--seeds", "0..1,4"]
    first = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "all.json")])
    assert first.exit_code == 0, first.output
    returns = {each["seed"]: each["best_return"] for each in json.loads((tmp_path / "all.json").read_text())}
    assert list(returns) == [0, 1, 4]
    assert len(set(returns.values())) > 1  # the seeds differ in more than their name
    (tmp_path / "runs" / "seed-1.json").unlink()  # as if stopped before its last iteration
    (tmp_path / "runs" / "seed-1" / "checkpoint-2.pt").unlink(missing_ok=True)
    written = (tmp_path / "runs" / "seed-0.json").stat().st_mtime_ns
    again = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "again.json")])
    assert again.exit_code == 0, again.output
    assert "seed 0: finished before" in again.output
    assert {each["seed"]: each["best_return"] for each in json.loads((tmp_path / "again.json").read_text())} == returns
    assert (tmp_path / "runs" / "seed-0.json").stat().st_mtime_ns == written
    assert json.loads((tmp_path / "runs" / "seed-1.json").read_text())["best_return"] == returns[1]
    (tmp_path / "runs" / "seed-4.json").write_text("{}")
    torn = CliRunner().invoke(app, words)
    assert torn.exit_code == 2
    assert "not the result of a training" in torn.output
    other = CliRunner().invoke(app, [*words, "--set", "ppo.epochs=1"])
    assert other.exit_code == 2
    assert "other settings" in other.output


@pytest.mark.parametrize("text", ["", "a", "3..1", "1,1", "-2", "0..2,1"])
def test_wrong_seeds_are_refused_before_anything_is_built(app: typer.Typer, tmp_path: Path, text: str) -> None:
    config = write_settings(tmp_path / "settings.yaml")
    words = ["train", "--config", str(config), "--run-dir", str(tmp_path / "runs"), "--seeds", text]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "wanted" in result.output
    assert not (tmp_path / "runs").exists()


def paths() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def test_the_demos_settings_name_every_setting_and_nothing_else() -> None:
    path = ROOT / "config" / "training" / "demo.yaml"
    settings = read_settings(TrainingSettings, path)
    written = yaml.safe_load(path.read_text())
    known = settings.model_dump(mode="json")
    assert written.keys() == known.keys()
    for section in ("threads", "architecture", "channel", "ppo", "evaluation", "checkpoint"):
        assert written[section].keys() == known[section].keys(), section
