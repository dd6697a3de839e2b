"""One policy, four ways to run it: trainer, exported bundle, fleet engine, one on-board policy per agent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.agents.senses import Senses
from policy_core.comm.channel import Links
from policy_core.contract import ContractError
from policy_core.export.bundle import Bundle, Provenance, read_bundle, write_bundle
from policy_core.serving.choice import Judgement, draw_decision
from policy_core.serving.engine import FleetEngine
from policy_core.serving.onboard import OnboardPolicy
from policy_core.serving.policy import Heard, Observation
from tests.support.small_fleets import COUNTS, draw_senses, make_policy, perfect_links

TOLERANCE = 1e-5
TEMPERATURE = 0.5
KINDS = [kind for kind, count in COUNTS.items() for _ in range(count)]
NAMES = [f"{kind}_{index}" for index, kind in enumerate(KINDS)]
FLEET = dict(zip(NAMES, KINDS, strict=True))
ROUNDS = 3


@pytest.fixture(scope="module")
def policy() -> FleetPolicy:
    return make_policy(ROUNDS, seed=11)


@pytest.fixture(scope="module")
def bundle(policy: FleetPolicy, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path: Path = tmp_path_factory.mktemp("bundles") / "bundle"
    provenance = Provenance(settings={}, frames=0, git_commit="unknown", trained_fleet=COUNTS)
    write_bundle(path, policy, TEMPERATURE, provenance)
    return read_bundle(path, policy.contract)


def observation_of(senses: Senses, row: int, agent: int) -> Observation:
    kind = senses.kinds[KINDS[agent]]
    number = KINDS[:agent].count(KINDS[agent])
    x, y, yaw = senses.position[row, agent].tolist()
    return Observation(
        kind.vector[row, number].numpy(),
        kind.candidates[row, number].numpy(),
        kind.mask[row, number].numpy(),
        (x, y, yaw),
    )


def trainer_answer(policy: FleetPolicy, senses: Senses, links: Links) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choices [B, N], messages [B, K, N, M] and flat logits [B, all candidates]."""
    with torch.no_grad():
        answer = policy(senses, links)
    logits = torch.cat([part.flatten(1) for part in answer.logits.values()], dim=1)
    choices = [
        [
            draw_decision(
                policy.contract.kinds[kind],
                Judgement(answer.logits[kind][row, KINDS[:agent].count(kind)].numpy(), np.empty(0)),
                observation_of(senses, row, agent),
                TEMPERATURE,
            )[0]
            for agent, kind in enumerate(KINDS)
        ]
        for row in range(len(senses.position))
    ]
    return np.array(choices), torch.stack(answer.messages, 1).numpy(), logits.numpy()


def heard_by(receiver: int, spoken: list[np.ndarray], senses: Senses, links: Links, row: int, r: int) -> Heard:
    others = [agent for agent in range(len(NAMES)) if agent != receiver]
    present = links.heard[row, r, receiver, others].numpy()
    messages = np.stack([spoken[agent] for agent in others]) * present[:, None]
    return Heard(
        messages.astype(np.float32),
        links.age[row, r, receiver, others].numpy(),
        present,
        senses.position[row, others].numpy(),
        tuple(KINDS[agent] for agent in others),
    )


def lossy_links(senses: Senses, seed: int, age: float = 0.0) -> Links:
    links = perfect_links(senses, ROUNDS, age)
    kept = torch.rand(links.heard.shape, generator=torch.Generator().manual_seed(seed)) > 0.3
    return Links(links.heard & kept, links.age)


def test_the_exported_bundle_decides_as_the_trainer(policy: FleetPolicy, bundle: Bundle) -> None:
    senses = draw_senses(batch=20, seed=4)
    links = lossy_links(senses, 5, age=0.2)
    trained, exported = trainer_answer(policy, senses, links), trainer_answer(bundle.policy, senses, links)
    assert np.array_equal(trained[0], exported[0])
    np.testing.assert_allclose(trained[1], exported[1], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(trained[2], exported[2], atol=TOLERANCE, rtol=0)


def test_each_agent_on_board_says_and_chooses_the_same_round_by_round(policy: FleetPolicy, bundle: Bundle) -> None:
    senses = draw_senses(batch=20, seed=6)
    links = lossy_links(senses, 7, age=0.4)
    choices, messages, logits = trainer_answer(policy, senses, links)
    for row in range(20):
        agents = [OnboardPolicy(bundle, kind) for kind in KINDS]
        spoken = [agents[i].begin(observation_of(senses, row, i)) for i in range(len(NAMES))]
        for r in range(ROUNDS):
            np.testing.assert_allclose(np.stack(spoken), messages[row, r], atol=TOLERANCE, rtol=0)
            replies = [agents[i].hear(heard_by(i, spoken, senses, links, row, r)) for i in range(len(NAMES))]
            assert all((reply is None) == (r == ROUNDS - 1) for reply in replies)
            spoken = [reply for reply in replies if reply is not None]
        flat = np.concatenate([agent.judge().logits for agent in agents])
        legal = np.isfinite(logits[row])
        assert np.array_equal(np.isfinite(flat), legal)
        np.testing.assert_allclose(flat[legal], logits[row][legal], atol=TOLERANCE, rtol=0)
        assert [agent.choose() for agent in agents] == choices[row].tolist()


def test_the_fleet_engine_decides_the_same_in_any_order_of_agents(policy: FleetPolicy, bundle: Bundle) -> None:
    order = np.array([3, 0, 4, 2, 1])
    engine = FleetEngine(bundle, {NAMES[i]: KINDS[i] for i in order}, device="cpu")
    senses = draw_senses(batch=10, seed=8)
    links = lossy_links(senses, 9)
    choices, messages, _ = trainer_answer(policy, senses, links)
    for row in range(10):
        observations = {NAMES[i]: observation_of(senses, row, i) for i in order}
        heard = links.heard[row].numpy()[:, order][:, :, order]
        answer = engine.decide(observations, heard)
        assert [answer.choices[name] for name in NAMES] == choices[row].tolist()
        np.testing.assert_allclose(answer.messages, messages[row][:, order], atol=TOLERANCE, rtol=0)


def test_an_absent_agent_is_masked_in_engine_and_on_board_alike(bundle: Bundle) -> None:
    senses = draw_senses(batch=1, seed=10)
    observations = {NAMES[i]: observation_of(senses, 0, i) for i in range(len(NAMES)) if i != 1}
    answer = FleetEngine(bundle, FLEET, device="cpu").decide(observations)
    assert NAMES[1] not in answer.choices
    assert np.abs(answer.messages[:, 1]).max() == 0
    alive = senses.alive.clone()
    alive[0, 1] = False
    links = perfect_links(senses._replace(alive=alive), ROUNDS)
    agents = {name: OnboardPolicy(bundle, FLEET[name]) for name in observations}
    spoken = {name: agent.begin(observations[name]) for name, agent in agents.items()}
    for r in range(ROUNDS):
        said = [spoken.get(name, np.zeros(6, np.float32)) for name in NAMES]
        spoken = {name: agents[name].hear(heard_by(NAMES.index(name), said, senses, links, 0, r)) for name in agents}
    assert {name: agent.choose() for name, agent in agents.items()} == answer.choices
    for name, agent in agents.items():
        legal = observations[name].mask
        np.testing.assert_allclose(
            agent.judge().logits[legal], answer.judged[name].logits[legal], atol=TOLERANCE, rtol=0
        )


def test_who_is_out_of_radio_range_is_not_read_on_board(bundle: Bundle) -> None:
    senses = draw_senses(batch=1, seed=12)
    far = senses.position.clone()
    far[0, 1] = torch.tensor([500.0, 0.0, 0.0])
    senses = senses._replace(position=far)
    observation = observation_of(senses, 0, 0)
    links = Links(torch.ones(1, ROUNDS, 5, 5, dtype=torch.bool), torch.zeros(1, ROUNDS, 5, 5))
    judged = []
    for loudness in (0.0, 1.0):
        agent = OnboardPolicy(bundle, KINDS[0])
        agent.begin(observation)
        for r in range(ROUNDS):
            said = [np.full(6, loudness if i == 1 else 0.5, np.float32) for i in range(5)]
            agent.hear(heard_by(0, said, senses, links, 0, r))
        judged.append(agent.judge().logits)
    assert np.array_equal(judged[0], judged[1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vector": np.zeros(4, np.float32)}, r"scout\.vector: shape \(4,\); the contract wants \(5,\)"),
        ({"vector": np.array([0, 0, np.nan, 0, 0], np.float32)}, "field 'view' is"),
        ({"candidates": np.full((4, 3), np.inf, np.float32)}, "field 'place' is"),
        ({"mask": np.zeros(4, bool)}, "no candidate of 4 is legal"),
        ({"position": (np.nan, 0.0, 0.0)}, r"scout\.position"),
    ],
)
def test_a_bad_observation_is_refused_by_the_name_of_the_field(bundle: Bundle, change: dict, told: str) -> None:
    good = observation_of(draw_senses(batch=1), 0, 0)
    with pytest.raises(ContractError, match=told):
        OnboardPolicy(bundle, "scout").begin(good._replace(**change))
