"""A curriculum: what each stage plays, that a killed run goes on exactly, and bad ones told in words."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from policy_core.config import ConfigError, parse_settings
from policy_core.ppo.checkpoint import read_checkpoint, save_numbered
from policy_core.ppo.curriculum import Stage, stage_at
from policy_core.ppo.run import Run
from policy_core.ppo.settings import TrainingSettings
from policy_core.ppo.train import train
from tests.support.staged_world import STARTS
from tests.support.training_runs import tiny_settings

FRAMES = 8 * 16 * 3  # of one iteration
WORLD = "tests.support.staged_world:make"
STAGES = [
    {"until": 0.5},
    {"until": 1.0, "env_settings": {"variant": 2}, "channel": {"loss": 0.6, "burst": 2.0, "delay": 0.1}},
]


def staged(stages: list[dict[str, Any]] = STAGES, **changes: Any) -> TrainingSettings:
    sizes = {"hidden": 16, "heads": 2, "attention": 8, "candidate": 8, "memory": True}
    content = {"env": WORLD, "worlds": 8, "frames": 6 * FRAMES, "architecture": sizes, "curriculum": stages}
    return tiny_settings(**content | changes)


def quiet() -> Console:
    return Console(quiet=True)


def weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    parts = ("policy", "critic", "scale")
    return {f"{part}.{name}": weight.clone() for part in parts for name, weight in content[part].items()}


def are_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def trained(settings: TrainingSettings, folder: Path, iterations: int = 6) -> dict[str, torch.Tensor]:
    run = Run(settings, folder)
    for _ in range(iterations):
        run.iterate()
    return weights(run.content())


def test_a_single_stage_without_changes_is_the_run_without_a_curriculum(tmp_path: Path) -> None:
    plain = trained(staged([]), tmp_path)
    assert are_same(plain, trained(staged([{"until": 1.0}]), tmp_path))
    assert not are_same(plain, trained(staged(), tmp_path))
    milder = [STAGES[0], STAGES[1] | {"channel": {}}]
    assert not are_same(
        trained(staged(milder), tmp_path), trained(staged(), tmp_path)
    )  # the channel alone matters, too


@pytest.mark.parametrize("stopped", [2, 3, 4])  # in the first stage, between the two, in the second
def test_a_run_resumed_in_any_stage_ends_with_the_very_same_weights(tmp_path: Path, stopped: int) -> None:
    settings = staged(checkpoint={"every": 1, "keep": 9})
    unbroken = trained(settings, tmp_path)
    run = Run(settings, tmp_path)
    for _ in range(stopped):
        run.iterate()
    save_numbered(tmp_path, stopped, run.content(), 9)
    train(settings, tmp_path, resume=True, console=quiet())
    assert are_same(unbroken, weights(read_checkpoint(tmp_path / "checkpoint-0000006.pt")))


def test_a_checkpoint_taken_for_one_of_another_stage_would_not_go_on_the_same(tmp_path: Path) -> None:
    settings = staged()
    run = Run(settings, tmp_path)
    for _ in range(4):
        run.iterate()
    content = copy.deepcopy(run.content())
    assert content["stage"] == 1
    ends = []
    for stage in (1, 0):
        again = Run(settings, tmp_path)
        again.take_up(copy.deepcopy(content) | {"stage": stage})
        while again.iteration < 6:
            again.iterate()
        ends.append(weights(again.content()))
    assert are_same(ends[0], trained(settings, tmp_path))
    assert not are_same(ends[0], ends[1])


def test_each_stage_plays_its_world_and_its_air_and_evaluation_plays_the_runs_own(tmp_path: Path) -> None:
    settings = staged(evaluation={"every": 3, "worlds": 5, "ticks": 4, "seed": 77})
    text = io.StringIO()
    STARTS.clear()
    outcome = train(settings, tmp_path, console=Console(file=text, width=300))
    assert [start for start in STARTS if start[1] == 8] == [(0, 8, 3, 0), (2, 8, 3, 0), (2, 8, 3 + 7919 * 3, 0)]
    assert {start for start in STARTS if start[1] == 5} == {(0, 5, 77, 0)}
    assert len(outcome.evaluations) == 2
    told = text.getvalue()
    assert "stage 1 of 2, until 50% of the run: as the run's own world" in told
    assert "stage 2 of 2, until 100% of the run: env_settings: {'variant': 2}, channel: {'loss': 0.6" in told
    assert told.index("evaluation at 1,152") < told.index("stage 2 of 2")
    run = Run(settings, tmp_path / "other")
    figures = [run.iterate() for _ in range(6)]
    assert [each["curriculum/stage"] for each in figures] == [1, 1, 1, 2, 2, 2]
    heard = [each["links heard"] for each in figures]
    assert max(heard[3:]) < 0.6 * min(heard[:3])
    assert run.policy.channel == settings.channel  # what evaluation and the bundle play


def test_nothing_of_the_old_worlds_is_remembered_in_the_new_ones(tmp_path: Path) -> None:
    run = Run(staged(channel={"radio_range": 10.0, "loss": 0.3, "burst": 3.0}, ticks=16), tmp_path)
    for _ in range(3):
        run.iterate()
    collector = run.collector
    collector.begins.fill_(False)
    collector.memory.fill_(1.0)
    collector.running_return[:], collector.running_ticks[:] = 5.0, 5
    assert collector.bursts.state is not None
    air = collector.air.generator.get_state()
    run.enter_due_stage()
    assert run.stage == 1 and collector.environment is run.environment and run.environment.variant == 2
    assert collector.begins.all() and not collector.memory.any() and collector.bursts.state is None
    assert not collector.running_return.any() and not collector.running_ticks.any()
    assert torch.equal(collector.air.generator.get_state(), air)


def test_a_lengthened_run_stretches_its_stages(tmp_path: Path) -> None:
    run = Run(staged(), tmp_path)
    for _ in range(4):
        run.iterate()
    longer = Run(staged(frames=12 * FRAMES), tmp_path)
    longer.take_up(run.content())
    assert longer.stage == 1
    assert [longer.iterate()["curriculum/stage"] for _ in range(3)] == [1, 1, 2]


def test_a_checkpoint_from_before_there_were_stages_goes_on_without_but_not_with(tmp_path: Path) -> None:
    run = Run(staged([]), tmp_path)
    run.iterate()
    content = copy.deepcopy(run.content())
    del content["stage"], content["settings"]["curriculum"]
    again = Run(staged([]), tmp_path)
    again.take_up(content)
    run.iterate(), again.iterate()
    assert are_same(weights(run.content()), weights(again.content()))
    with pytest.raises(ConfigError, match=r"the run was started with curriculum: \[\], now"):
        Run(staged(), tmp_path).take_up(content)


def test_a_stage_ends_at_its_share_of_the_iterations() -> None:
    stages = [Stage(until=0.3), Stage(until=0.35), Stage(until=1.0)]  # the second is shorter than an iteration
    assert [stage_at(stages, i / 10) for i in range(10)] == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2]
    assert [stage_at(stages, i / 5) for i in range(5)] == [0, 0, 2, 2, 2]
    assert stage_at([], 0.5) == 0


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ([{"until": 0.5}, {"until": 0.5}, {"until": 1.0}], r"end at \[0.5, 0.5, 1.0\]; wanted .* increase"),
        ([{"until": 0.5}, {"until": 0.9}], "last stage ends at 0.9 .* wanted 1.0"),
        ([{"until": 1.5}], r"curriculum.0.until: .* less than or equal to 1"),
        ([{"until": 0.0}, {"until": 1.0}], r"curriculum.0.until: .* greater than 0"),
        ([{"until": 1.0, "env_setings": {}}], "curriculum.0.env_setings: unknown key; did you mean 'env_settings'"),
        (
            [{"until": 1.0, "channel": {"bits": 8}}],
            "channel.bits: unknown key; known keys: burst, deadline, delay, loss",
        ),
        (
            [{"until": 0.5}, {"until": 1.0, "channel": {"loss": 1.5}}],
            "curriculum, stage 2: its channel, loss: .*saw 1.5",
        ),
        (
            [{"until": 1.0, "channel": {"loss": 0.9, "burst": 2}}],
            "curriculum, stage 1: its channel, .*bursts of at least 9",
        ),
    ],
)
def test_bad_stages_are_told_in_words(stages: list[dict[str, Any]], told: str) -> None:
    content = staged([]).model_dump(mode="json")
    parse_settings(TrainingSettings, content | {"curriculum": STAGES}, "test")
    with pytest.raises(ConfigError, match=told):
        parse_settings(TrainingSettings, content | {"curriculum": stages}, "test")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"env_settings": {"actors": 3}},
            "another fleet .*: 4 agents, 1 sender, 3 actor; wanted 3 agents, 1 sender, 2",
        ),
        ({"env_settings": {"rounds": 1}}, "another contract"),
        ({"env_settings": {"state": 2}}, "another state .*: 2 numbers; wanted 4 numbers"),
        ({"env_settings": {"colour": 1}}, "env_settings: .* does not accept them"),
        ({"env": "tests.support.nowhere:make"}, "cannot be found"),
    ],
)
def test_a_stage_that_cannot_be_played_is_told_before_the_run(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=f"curriculum, stage 2: .*{told}"):
        Run(staged([{"until": 0.9}, {"until": 1.0, **changes}]), tmp_path)


def test_an_adviser_is_needed_in_the_stages_that_advice_reaches(tmp_path: Path) -> None:
    world = {"env": "tests.unit.policy_core.test_advice:make_advised"}
    stages = [{"until": 0.5}, {"until": 1.0, "env": WORLD}]
    ppo = {"advice_start": 1.0, "advice_until": 0.5}
    Run(staged(stages, ppo=ppo, **world), tmp_path)
    with pytest.raises(ConfigError, match=f"curriculum, stage 2: ppo.advice_start: '{WORLD}' has no adviser"):
        Run(staged(stages, ppo=ppo | {"advice_until": 0.6}, **world), tmp_path)


def test_the_evaluation_has_the_stages_fleet(tmp_path: Path) -> None:
    settings = staged([{"until": 1.0, "env_settings": {"actors": 3}}])
    with pytest.raises(ConfigError, match="the evaluation beside the curriculum: its world has another fleet"):
        train(settings, tmp_path, console=quiet())
