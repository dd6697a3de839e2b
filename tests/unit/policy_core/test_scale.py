"""Scales as seen in training: right statistics, part of the weights, and still while a rollout is learned from."""

from __future__ import annotations

from pathlib import Path

import torch

from policy_core.agents.scale import SPREAD_LIMIT, RunningScale
from policy_core.contract import Field
from policy_core.export.bundle import Provenance, read_bundle, write_bundle
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run
from tests.support.training_runs import tiny_settings

FIELDS = (Field(name="view", size=3, unit="1", low=-1, high=1),)
alone = Ranks().sum


def draw(rows: int, seed: int) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=chance) * torch.tensor([1.0, 20.0, 0.1]) + torch.tensor([0.0, 300.0, -5.0])


def test_pieces_of_any_size_give_the_mean_and_spread_of_all() -> None:
    scale, parts = RunningScale(FIELDS), [draw(10, 0), draw(500, 1), draw(90, 2)]
    for part in parts:
        scale.watch(part, alone)
    seen = torch.cat(parts)
    expected = (seen - seen.mean(0)) / seen.std(0, unbiased=False)
    torch.testing.assert_close(scale(seen), expected.clamp(-SPREAD_LIMIT, SPREAD_LIMIT), atol=1e-3, rtol=1e-3)


def test_it_starts_as_the_identity_and_a_number_that_never_varies_is_harmless() -> None:
    scale = RunningScale(FIELDS)
    torch.testing.assert_close(scale(torch.tensor([0.5, -1.0, 2.0])), torch.tensor([0.5, -1.0, 2.0]))
    scale.watch(torch.full((50, 3), 7.0), alone)
    assert scale(torch.full((3,), 7.0)).abs().max() < 1e-3
    assert torch.isfinite(scale(torch.full((3,), 8.0))).all()


def test_statistics_move_between_iterations_and_travel_in_the_bundle(tmp_path: Path) -> None:
    sizes = {"hidden": 32, "heads": 4, "attention": 16, "candidate": 16, "normaliser": "running"}
    run = Run(tiny_settings(architecture=sizes), tmp_path / "run")
    scale = run.policy.actors["sender"].encoder.scale_vector
    before = scale.count.item()
    rollout = run.collector.collect(run.policy)
    assert scale.count == before
    run.iterate()
    assert scale.count == before + 32 * 16
    assert rollout.senses.kinds["sender"].vector.shape[-1] == len(scale.mean)
    provenance = Provenance(settings={}, frames=0, git_commit="x", trained_fleet={})
    write_bundle(tmp_path / "bundle", run.policy, 0.5, provenance)
    read = read_bundle(tmp_path / "bundle").policy.actors["sender"].encoder.scale_vector
    torch.testing.assert_close(read.mean, scale.mean)
    assert read.count == scale.count
