"""A bundle played in many worlds at once: each world's episode is the one its agents would play by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.comm.graph import GraphSettings
from policy_core.export.bundle import Bundle, read_bundle
from policy_core.serving.joint import JointPolicy
from policy_core.serving.onboard import OnboardPolicy
from sim.fast.air import carry
from sim.fast.env import FastWarehouse
from sim.fast.evaluate import Stop, play, play_together
from sim.warehouse.orders import generate, read_order_settings
from sim.warehouse.randomisation import read_randomisation
from tests.unit.sim.warehouse_world import CONFIG, world

ORDERS = read_order_settings(CONFIG / "orders.yaml")
SEEDS = (11, 4, 902)
REACH = 25.0


@pytest.fixture(scope="module")
def alone() -> FastWarehouse:
    env = world(None, episode=40.0)  # type: ignore[arg-type]
    env._streams = lambda rng, duration, draw: generate(ORDERS, int(rng.integers(2**31)), duration)
    return env


@pytest.fixture(scope="module")
def three(alone: FastWarehouse) -> FastWarehouse:
    return alone.widened(len(SEEDS))


@pytest.fixture(scope="module")
def bundle(alone: FastWarehouse) -> Bundle:
    return read_bundle(CONFIG / "bundles" / "demo", alone.contract)


def with_memory(bundle: Bundle, graph: GraphSettings) -> Bundle:
    """Fresh weights that remember, and hear by that graph."""
    architecture = bundle.manifest.architecture.model_copy(update={"memory": True})
    channel = bundle.manifest.channel.model_copy(update={"graph": graph})
    policy = FleetPolicy(bundle.manifest.contract, architecture, channel).eval().requires_grad_(False)
    manifest = bundle.manifest.model_copy(update={"architecture": architecture, "channel": channel})
    return Bundle(manifest, policy, 0)


def same(one: dict[str, float], other: dict[str, float]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert other[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


def test_a_world_of_a_batch_is_the_one_that_its_seed_gives_alone(alone: FastWarehouse, three: FastWarehouse) -> None:
    together = three.reset_each(SEEDS)
    for row, seed in enumerate(SEEDS):
        single = alone.reset(seed)
        for name, kind in single.kinds.items():
            for part, whole in zip(kind, together.kinds[name], strict=True):
                assert (part[0] == whole[row]).all()
        for name, array in alone.state._asdict().items():
            assert np.array_equal(array[0], getattr(three.state, name)[row], equal_nan=array.dtype.kind == "f"), name
        assert (alone.robots.energy[0] == three.robots.energy[row]).all()
    assert (three.robots.energy[0] != three.robots.energy[1]).any(), "seeds differ"
    with pytest.raises(ValueError, match="2 seeds that draw 1 floor plan"):
        three.reset_each(SEEDS[:2])


AIRS = [
    {},
    {"is_silenced": True},
    {"loss": 0.3},
    {"loss": 0.3, "delay": 0.1},
    {"bits": 2},
    {"stops": True},
]


@pytest.mark.parametrize("air", AIRS, ids=lambda air: ",".join(air) or "plain")
def test_a_batch_plays_what_agents_by_themselves_play(
    alone: FastWarehouse, three: FastWarehouse, bundle: Bundle, air: dict[str, float]
) -> None:
    told = dict(air)
    bits = int(told.pop("bits", 32))
    stops = [[Stop(row, 5.0 * row, 30.0)] for row in range(3)] if told.pop("stops", False) else [[], [], []]
    joint = JointPolicy(bundle, three.kinds, bits)
    found = play_together(three, joint, SEEDS, reach=REACH, stops=stops, **told)  # type: ignore[arg-type]
    for seed, own, episode in zip(SEEDS, stops, found, strict=True):
        single = play(
            alone, lambda kind, number: OnboardPolicy(bundle, kind, number + 1), seed,
            reach=REACH, bits=bits, stops=own, **told,  # type: ignore[arg-type]
        )  # fmt: skip
        same(single, episode)
    assert len({episode["reward"] for episode in found}) == 3


@pytest.mark.parametrize(
    "graph", [GraphSettings(kind="nearest", neighbours=2), GraphSettings(kind="star", hub="quality")]
)
def test_memory_and_graph_are_as_on_board(
    alone: FastWarehouse, three: FastWarehouse, bundle: Bundle, graph: GraphSettings
) -> None:
    other = with_memory(bundle, graph)
    found = play_together(three, JointPolicy(other, three.kinds), SEEDS, reach=REACH, loss=0.2)
    single = play(alone, lambda kind, number: OnboardPolicy(other, kind, number + 1), SEEDS[2], reach=REACH, loss=0.2)
    same(single, found[2])


def test_what_is_heard_and_remembered_matters(three: FastWarehouse, bundle: Bundle) -> None:
    """Otherwise the tests above could not tell one air from another."""
    rewards = [
        [
            episode["reward"]
            for episode in play_together(three, JointPolicy(bundle, three.kinds, bits), SEEDS, reach=REACH, **air)
        ]
        for bits, air in ((32, {}), (32, {"is_silenced": True}), (32, {"loss": 0.3}), (32, {"delay": 0.1}), (1, {}))
    ]
    assert len({tuple(each) for each in rewards}) == len(rewards)


def test_the_planner_plays_a_batch_as_it_plays_one(alone: FastWarehouse, three: FastWarehouse) -> None:
    for seed, episode in zip(SEEDS, play_together(three, None, SEEDS, reach=REACH), strict=True):
        same(play(alone, None, seed, reach=REACH), episode)


def test_worlds_that_draw_their_own_air_keep_it_in_a_batch(bundle: Bundle, alone: FastWarehouse) -> None:
    ranges = read_randomisation(CONFIG / "randomisation.yaml").model_copy(update={"floorplans": ()})
    env = FastWarehouse(
        1, 4, 30.0, alone._plans, alone.settings, alone._bodies, alone.contract, alone._streams, alone._popularity,
        randomisation=ranges,
    )  # fmt: skip
    found = play_together(env.widened(3), JointPolicy(bundle, env.kinds), SEEDS, reach=REACH)
    assert len({episode["draw link_loss"] for episode in found}) == 3
    single = play(env, lambda kind, number: OnboardPolicy(bundle, kind, number + 1), SEEDS[1], reach=REACH)
    same(single, found[1])


def test_loss_and_delay_take_the_share_that_they_should() -> None:
    worlds, agents = 40, 9
    chances = [np.random.default_rng(seed) for seed in range(worlds)]
    position, alive = np.zeros((worlds, agents, 3), np.float32), np.ones((worlds, agents), np.bool_)
    alive[:, -1] = False
    delay = np.where(np.arange(worlds) < 20, 0.0, 0.1)
    heard, age = carry(chances, position, alive, 2, reach=1.0, loss=np.full(worlds, 0.3), delay=delay)
    assert not heard[..., -1].any() and not heard[..., -1, :].any()
    others = ~np.eye(agents - 1, dtype=bool)
    share = heard[:, :, :-1, :-1][..., others].mean(axis=(1, 2))
    assert share[:20].mean() == pytest.approx(0.7, abs=0.02) and not age[:20].any()
    assert share[20:].mean() < 0.66 and (age[20:, :, :-1].max(axis=(1, 2)) == pytest.approx(0.4))
    position[:, 0, 0] = 1.5
    heard, _ = carry(chances, position, alive, 1, reach=1.0, loss=np.zeros(worlds), delay=np.zeros(worlds))
    assert not heard[:, 0, 0, 1:].any() and heard[:, 0, 1, 2:-1].all()
