"""Learning curves: read from runs and results, and drawn with intervals over seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from parley_bringup.cli.plot import plot
from policy_core.config import ConfigError
from policy_core.ppo.curves import Curve, interval, make_band, read_curve
from policy_core.ppo.train import train
from tests.support.training_runs import tiny_settings

FRAMES = 32 * 16 * 3  # of one iteration


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a short training, as run folders and as results."""
    top = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        settings = tiny_settings(seed=seed, frames=4 * FRAMES, evaluation={"every": 2, "worlds": 8, "ticks": 8})
        outcome = train(settings, top / f"run-{seed}", console=Console(quiet=True))
        (top / f"result-{seed}.json").write_text(json.dumps({"evaluations": outcome.evaluations}))
    return top


@pytest.mark.parametrize("over", ["frames", "cpu"])
def test_log_and_result_tell_the_same_curve(runs: Path, over: str) -> None:
    log = read_curve(runs / "run-0", "evaluation/return", over)
    result = read_curve(runs / "result-0.json", "evaluation/return", over)
    np.testing.assert_allclose(log.spent, result.spent, rtol=1e-5)
    np.testing.assert_allclose(log.figure, result.figure, rtol=1e-5)
    assert len(log.spent) == 2 and (over == "cpu" or log.spent.tolist() == [2 * FRAMES, 4 * FRAMES])


def test_plot_draws_a_band_and_tells_the_end(runs: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(plot)
    words = [f"tiny={runs}/run-*", "--out", str(tmp_path / "c.png"), "--json", str(tmp_path / "c.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 run(s)" in result.output
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    band = json.loads((tmp_path / "c.json").read_text())["bands"]["tiny"]
    assert band["seeds"] == 2 and band["low"][-1] <= band["mean"][-1] <= band["high"][-1]


def test_what_is_not_there_is_named(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no figure 'evaluation/joy'; there are .*evaluation/return"):
        read_curve(runs / "run-0", "evaluation/joy")
    with pytest.raises(ConfigError, match="no run there"):
        read_curve(tmp_path, "evaluation/return")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a training result"):
        read_curve(tmp_path / "x.json", "evaluation/return")


def test_a_band_is_the_mean_over_the_part_in_common() -> None:
    long = Curve(np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 2.0]))
    short = Curve(np.array([5.0, 15.0]), np.array([2.5, 3.5]))
    band = make_band([long, short])
    assert (band.spent[0], band.spent[-1]) == (5.0, 15.0)
    np.testing.assert_allclose(band.mean, (band.spent / 10 + 2 + band.spent / 10) / 2)
    with pytest.raises(ConfigError, match="no part in common"):
        make_band([long, Curve(np.array([30.0, 40.0]), np.array([0.0, 1.0]))])


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    values = np.random.default_rng(0).normal(size=(20, 400))  # 400 experiments of 20 seeds
    low, high = interval(values)
    assert 0.88 < ((low < 0) & (high > 0)).mean() < 0.98
