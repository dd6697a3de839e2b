"""Retelling: what only others sense is learned through messages, without any reward for it."""

from __future__ import annotations

from pathlib import Path

import torch

from policy_core.ppo.batch import prepare
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run
from policy_core.ppo.update import replay, step_policy
from tests.support.training_runs import tiny_settings

ALONE = Ranks()


def make_run(folder: Path, **channel: float) -> Run:
    ppo = {"retelling": 10.0, "entropy_start": 0.0}
    channel = {"radio_range": 10.0, "loss": 0.0} | channel
    return Run(tiny_settings(channel=channel, ppo=ppo, env_settings={"message_size": 32}, worlds=16), folder)


def errors(run: Run, steps: int, *, detach: bool = False) -> list[float]:
    """The actors' error of retelling before each step, with no reward to learn from."""
    batch, _ = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)
    batch = batch._replace(advantage=torch.zeros_like(batch.advantage))
    seen = []
    for _ in range(steps):
        seen.append(replay(run.policy, batch, run.learner.retelling)[3][..., 1:].mean().item())
        step_policy(batch, run.learner, run.settings.ppo, 0.0, ALONE, detach=detach)
    return seen


def test_the_error_falls_by_messages_and_much_less_where_nobody_is_in_range(tmp_path: Path) -> None:
    told = errors(make_run(tmp_path / "told"), 200)
    alone = errors(make_run(tmp_path / "alone", radio_range=0.001), 200)
    assert told[-1] < 0.5 * alone[-1] < 0.5 * alone[0]


def test_the_listeners_error_teaches_the_sender_unless_messages_are_detached(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    batch, _ = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)
    weight = run.policy.actors["sender"].encoder.body[0].weight
    replay(run.policy, batch, run.learner.retelling)[3][..., 1:].sum().backward()
    assert weight.grad.abs().max() > 0
    weight.grad = None
    replay(run.policy, batch, run.learner.retelling, detach=True)[3][..., 1:].sum().backward()
    assert weight.grad is None or weight.grad.abs().max() == 0


def test_the_dead_are_not_told_of(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    senses = prepare(run.collector.collect(run.policy), run.learner, run.settings.ppo, ALONE)[0].senses
    senses = senses.map(lambda part: part[:, 0])
    hidden = torch.zeros(*senses.alive.shape, run.policy.architecture.hidden)
    dead = senses._replace(alive=senses.alive.clone())
    dead.alive[:, 1] = False
    spoiled = {name: kind._replace(vector=kind.vector.clone()) for name, kind in dead.kinds.items()}
    spoiled["actor"].vector[:, 0] += 100.0
    retelling = run.learner.retelling
    torch.testing.assert_close(
        retelling(run.policy, hidden, dead), retelling(run.policy, hidden, dead._replace(kinds=spoiled))
    )
    alive = dead._replace(alive=senses.alive, kinds=spoiled)
    assert (retelling(run.policy, hidden, alive) - retelling(run.policy, hidden, senses)).abs().max() > 0.05


def test_a_run_goes_on_with_what_it_has_learned_to_retell(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.iterate()
    other = make_run(tmp_path)
    other.take_up(run.content())
    for mine, its in zip(run.learner.retelling.parameters(), other.learner.retelling.parameters(), strict=True):
        torch.testing.assert_close(mine, its)
