"""Training with bursts, noise, rounding and graphs: the replay hears the rollout, and a resumed run goes on alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from policy_core.ppo.batch import prepare
from policy_core.ppo.checkpoint import read_checkpoint, save_numbered
from policy_core.ppo.evaluate import evaluate
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run, make_environment
from policy_core.ppo.train import train
from policy_core.ppo.update import replay
from tests.support.training_runs import tiny_settings

ALONE = Ranks()
NEAREST = {"kind": "nearest", "neighbours": 1}
AIRS: dict[str, dict[str, Any]] = {
    "bursts": {"loss": 0.3, "burst": 4.0, "delay": 0.05, "noise": 0.2, "bits": 8},
    "dru": {"loss": 0.1, "noise": 0.5, "bits": 1, "rounding": "dru", "graph": NEAREST},
    "gumbel": {"loss": 0.3, "burst": 3.0, "bits": 2, "rounding": "gumbel", "graph": NEAREST},
    "star": {"bits": 4, "graph": {"kind": "star", "hub": "sender"}},
}
every_air = pytest.mark.parametrize("air", list(AIRS))


def settings_of(air: str, **changes: Any) -> Any:
    return tiny_settings(channel={"radio_range": 10.0, **AIRS[air]}, **changes)


@every_air
def test_with_unchanged_weights_the_replay_gives_a_ratio_of_one(air: str, tmp_path: Path) -> None:
    run = Run(settings_of(air), tmp_path)
    rollout = run.collector.collect(run.policy)
    batch, _ = prepare(rollout, run.learner, run.settings.ppo, ALONE)
    log_probability = replay(run.policy, batch)[0]
    ratio = (log_probability - batch.log_probability).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)
    if batch.links.noise is not None:  # negative control: other noise is another policy
        moved = batch._replace(links=batch.links._replace(noise=batch.links.noise.roll(1, dims=0)))
        assert (replay(run.policy, moved)[0] - batch.log_probability).abs().max() > 1e-4


@pytest.mark.parametrize("air", ["bursts", "gumbel"])
def test_a_resumed_run_ends_with_the_very_same_weights(air: str, tmp_path: Path) -> None:
    ticks = 10  # of episodes of 8, so that the links remember something when the run is given up
    settings = settings_of(air, ticks=ticks, frames=4 * 32 * ticks * 3)
    train(settings, tmp_path / "unbroken", console=Console(quiet=True))
    run = Run(settings, tmp_path / "broken")
    for _ in range(2):
        run.iterate()
    save_numbered(tmp_path / "broken", 2, run.content(), 2)
    state = read_checkpoint(tmp_path / "broken" / "checkpoint-0000002.pt")["collectors"][0]["bursts"]
    assert torch.equal(state, run.collector.bursts.state)
    assert 0 < (state == run.collector.bursts.BAD).float().mean() < 0.5
    train(settings, tmp_path / "broken", resume=True, console=Console(quiet=True))
    unbroken, broken = (
        read_checkpoint(tmp_path / name / "checkpoint-0000004.pt")["policy"] for name in ("unbroken", "broken")
    )
    assert all(torch.equal(unbroken[name], broken[name]) for name in unbroken)


@every_air
def test_bits_are_told_and_evaluation_rounds_as_deployed(air: str, tmp_path: Path) -> None:
    run = Run(settings_of(air), tmp_path)
    figures = run.iterate()
    heard_by_anybody = 2 / 3 if AIRS[air].get("graph") == NEAREST else 1  # nobody's nearest is the third in the row
    wanted = heard_by_anybody * 2 * 2 * AIRS[air]["bits"]  # rounds x numbers x bits
    assert figures["bits per tick and agent"] == pytest.approx(wanted)
    said: list[torch.Tensor] = []
    for layer in run.policy.comm:
        speak = layer.speak
        layer.speak = lambda hidden, noise, speak=speak: said.append(speak(hidden, noise)) or said[-1]
    judges = make_environment(run.settings, 8)
    evaluate(run.policy, judges, ticks=3, seed=1, temperature=1.0)
    assert run.policy.training
    if AIRS[air].get("noise") is None or air == "dru":
        assert len(torch.cat(said).unique()) <= 2 ** AIRS[air]["bits"]
