"""Memory: gradient through time, the replay of sequences, and a task that needs to remember."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from policy_core.agents.actions import judge
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.contract import Contract
from policy_core.environment import KindObservation, Observations, Step
from policy_core.export.bundle import Provenance, read_bundle, write_bundle
from policy_core.export.verify import draw_observation, verify_bundle
from policy_core.ppo.batch import prepare
from policy_core.ppo.evaluate import evaluate
from policy_core.ppo.ranks import Ranks
from policy_core.ppo.run import Run
from policy_core.ppo.update import replay
from policy_core.serving.engine import FleetEngine
from policy_core.serving.onboard import OnboardPolicy
from tests.support.small_fleets import draw_senses, in_double, make_policy, perfect_links
from tests.support.training_runs import tiny_settings

SIZES = {"hidden": 32, "heads": 4, "attention": 16, "candidate": 16}
STEP = 1e-6
LENGTH = 4


class RecallWorld:
    """An agent is shown a bit in the first tick and is paid for naming it in the fourth. Optimum 1, chance 0.5."""

    contract = Contract.model_validate(
        {
            "version": 1,
            "message_size": 1,
            "rounds": 0,
            "tick": 1.0,
            "kinds": {
                "agent": {
                    "observation": [{"name": "shown", "size": 2, "unit": "one-hot", "low": -1, "high": 1}],
                    "choices": [{"name": "said", "options": 2}],
                }
            },
        }
    )
    agents, kinds = ("agent_1",), ("agent",)

    def __init__(self, worlds: int) -> None:
        self.worlds = worlds

    def reset(self, seed: int, first_world: int = 0) -> Observations:
        self.chance = np.random.default_rng((seed, first_world))
        self.tick = 0
        self.bit = self.chance.integers(0, 2, self.worlds)
        return self._observe()

    def step(self, actions: np.ndarray) -> Step:
        self.tick += 1
        is_over = self.tick == LENGTH
        reward = ((actions[:, 0, 0] == self.bit) & is_over).astype(np.float32)[:, None]
        if is_over:
            self.tick = 0
            self.bit = self.chance.integers(0, 2, self.worlds)
        over = np.full(self.worlds, is_over)
        return Step(self._observe(), reward, over, np.zeros_like(over), None, [{}] * int(over.sum()))

    def _observe(self) -> Observations:
        shown = np.zeros((self.worlds, 1, 2), np.float32)
        if self.tick == 0:
            shown[np.arange(self.worlds), 0, self.bit] = 1
        kind = KindObservation(
            shown, np.zeros((self.worlds, 1, 0, 0), np.float32), np.ones((self.worlds, 1, 2), np.bool_)
        )
        ones = np.ones((self.worlds, 1), np.bool_)
        position = np.zeros((self.worlds, 1, 3), np.float32)
        return Observations({"agent": kind}, position, ones, np.zeros((self.worlds, 1), np.float32))


def make_recall(worlds: int) -> RecallWorld:
    return RecallWorld(worlds)


def start(folder: Path, *, memory: bool) -> Run:
    settings = tiny_settings(
        env="tests.unit.policy_core.test_memory:make_recall",
        worlds=64,
        ticks=16,
        frames=64 * 16 * 80,
        architecture=SIZES | {"memory": memory},
        channel={"radio_range": 10.0},
        ppo={"minibatch": 256, "learning_rate": 3e-3, "gamma": 0.95, "kl_limit": 0.1, "sequence": 8},
    )
    return Run(settings, folder)


def remembered(run: Run) -> float:
    """Share of episodes in which the bit was named."""
    return evaluate(run.policy, RecallWorld(64), ticks=8, seed=9, temperature=0.1).mean_return / 2


@pytest.mark.parametrize("memory", [True, False])
def test_what_was_seen_three_ticks_ago_is_learned_with_memory_only(tmp_path: Path, memory: bool) -> None:
    run = start(tmp_path, memory=memory)
    while run.iteration < run.iterations and remembered(run) < 0.98:
        run.iterate()
    assert remembered(run) > 0.95 if memory else remembered(run) < 0.7


def loss_after(policy: FleetPolicy, ticks: int, *, detach: bool = False) -> Tensor:
    """What the lifters choose in the last tick of `ticks`, of which the scouts sensed the first."""
    memory = None
    for tick in range(ticks):
        senses = in_double(draw_senses(batch=2, seed=tick))
        links = perfect_links(senses)
        answer = policy(senses, links._replace(age=links.age.double()), memory)
        memory = answer.hidden.detach() if detach else answer.hidden
    return -judge(policy.contract, answer, torch.zeros(2, 5, 1))[0][:, 3:].sum()


@pytest.mark.parametrize("ticks", [1, 2, 4])
def test_gradient_through_rounds_and_time_equals_finite_differences(ticks: int) -> None:
    policy = make_policy(memory=True).double()
    weights = [policy.actors["scout"].encoder.body[0].weight, policy.memory.weight_hh, policy.comm[0].head.weight]
    gradients = torch.autograd.grad(loss_after(policy, ticks), weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is None or gradient.abs().max() == 0:  # weight_hh meets only zeros in a single tick
            assert ticks == 1 and weight is policy.memory.weight_hh
            continue
        for place in gradient.abs().flatten().topk(3).indices.tolist():
            flat = weight.data.view(-1)
            kept = flat[place].item()
            with torch.no_grad():
                flat[place] = kept + STEP
                above = loss_after(policy, ticks)
                flat[place] = kept - STEP
                below = loss_after(policy, ticks)
                flat[place] = kept
            numeric, exact = (above - below).item() / (2 * STEP), gradient.view(-1)[place].item()
            assert abs(numeric - exact) / abs(exact) < 1e-4


def test_cutting_time_changes_the_gradient() -> None:
    policy = make_policy(memory=True).double()
    weight = policy.actors["scout"].encoder.body[0].weight
    whole, cut = (torch.autograd.grad(loss_after(policy, 3, detach=detach), weight)[0] for detach in (False, True))
    assert (whole - cut).abs().max() > 1e-3 * whole.abs().max()


@pytest.mark.parametrize("normaliser", ["contract", "running"])
def test_with_unchanged_weights_the_replay_of_sequences_gives_a_ratio_of_one(tmp_path: Path, normaliser: str) -> None:
    architecture = SIZES | {"memory": True, "normaliser": normaliser}
    changes = {"architecture": architecture, "channel": {"radio_range": 10.0, "loss": 0.3}}
    run = Run(tiny_settings(**changes, ticks=24, ppo={"sequence": 6, "minibatch": 256}), tmp_path)
    run.iterate()  # so that the second rollout begins with memories
    rollout = run.collector.collect(run.policy)
    assert rollout.memory.abs().max() > 0
    assert rollout.began.any(1).sum() == 3  # ticks 0, 8 and 16: episodes begin inside sequences too
    batch, _ = prepare(rollout, run.learner, run.settings.ppo, Ranks())
    assert batch.actions.shape[:2] == (4 * 32, 6)
    ratio = (replay(run.policy, batch)[0] - batch.log_probability).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)
    forgotten = batch._replace(memory=torch.zeros_like(batch.memory))
    assert (replay(run.policy, forgotten)[0] - batch.log_probability).abs().max() > 1e-3  # control


def test_on_board_and_engine_remember_alike_and_forget_when_told(tmp_path: Path) -> None:
    policy = make_policy(rounds=0, memory=True)
    write_bundle(tmp_path / "b", policy, 0.5, Provenance(settings={}, frames=0, git_commit="x", trained_fleet={}))
    bundle = read_bundle(tmp_path / "b")
    engine, agent = FleetEngine(bundle, {"scout_1": "scout"}, device="cpu"), OnboardPolicy(bundle, "scout")
    chance = np.random.default_rng(0)
    seen = [draw_observation(bundle.manifest.contract.kinds["scout"], chance) for _ in range(4)]
    told = []
    for observation in (*seen, seen[0]):
        answer = engine.decide({"scout_1": observation})
        agent.begin(observation)
        legal = observation.mask
        told.append(agent.judge().logits[legal])
        np.testing.assert_allclose(told[-1], answer.judged["scout_1"].logits[legal], atol=1e-5, rtol=0)
        assert agent.choose() == answer.choices["scout_1"]
    assert np.abs(told[0] - told[-1]).max() > 1e-4  # the same observation, another past
    engine.forget()
    agent.forget()
    agent.begin(seen[0])
    again = engine.decide({"scout_1": seen[0]}).judged["scout_1"].logits[seen[0].mask]
    np.testing.assert_array_equal(agent.judge().logits[seen[0].mask], told[0])
    np.testing.assert_allclose(again, told[0], atol=1e-5, rtol=0)


def test_a_fleet_of_one_decides_with_an_empty_inbox(tmp_path: Path) -> None:
    policy = make_policy()
    provenance = Provenance(settings={}, frames=0, git_commit="x", trained_fleet={"scout": 1})
    write_bundle(tmp_path / "b", policy, 0.5, provenance)
    assert verify_bundle(tmp_path / "b", trials=2).choices == 2
