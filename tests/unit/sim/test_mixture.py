"""Several floor plans in one batch: each world plays what it plays alone, and a learner sees one batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.comm.channel import ChannelSettings
from policy_core.config import ConfigError
from policy_core.environment import Advising, Observations, Step
from policy_core.ppo.check import check_world
from policy_core.ppo.checkpoint import Restorable
from policy_core.ppo.evaluate import evaluate
from policy_core.ppo.rollout import Collector
from sim.fast import env
from sim.fast.mixture import Mixture, make
from tests.unit.sim.warehouse_world import CONFIG

SMALL, LARGE = (str(CONFIG / "floorplans" / f"{name}_dc.yaml") for name in ("small", "large"))
FILES = {name: str(CONFIG / f"{name}.yaml") for name in ("warehouse", "contract", "orders", "bodies")}
TICKS = 24


def arrays(seen: Observations) -> list[np.ndarray]:
    return [*(part for kind in seen.kinds.values() for part in kind), seen.position, seen.alive, seen.state]


def choices(worlds: int, agents: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 3, (TICKS, worlds, agents, 1)).astype(np.float32)


def play(world, seed: int, first_world: int = 0, actions: np.ndarray | None = None) -> tuple[list, list[Step]]:
    """First observations and advice, and every step."""
    seen = world.reset(seed, first_world)
    acts = choices(world.worlds, len(world.agents)) if actions is None else actions
    return [*arrays(seen), world.advise()], [world.step(each) for each in acts]


def are_same(one: tuple[list, list[Step]], other: tuple[list, list[Step]], rows: slice = slice(None)) -> bool:
    """Whether the second's worlds played bit for bit what these rows of the first played."""
    pairs = list(zip(one[0], other[0], strict=True))
    for a, b in zip(one[1], other[1], strict=True):
        if not np.array_equal(a.truncated[rows], b.truncated):
            return False
        pairs += list(zip(arrays(a.observations), arrays(b.observations), strict=True))
        pairs += [(a.reward, b.reward), (a.terminated, b.terminated)]
        if a.truncated[rows].any():
            ended = a.truncated[rows]
            pairs += [(x[rows][ended], y[ended]) for x, y in zip(arrays(a.final), arrays(b.final), strict=True)]
    return all(np.array_equal(a if len(a) == len(b) else a[rows], b) for a, b in pairs)


@pytest.fixture(scope="module")
def mixed() -> Mixture:
    return make(5, [SMALL, LARGE], episode=20.0, **FILES)


def test_a_mixture_of_one_plan_is_the_plain_world_bit_for_bit():
    plain = play(env.make(3, floorplan=SMALL, episode=20.0, **FILES), 4)
    one = make(3, [SMALL], episode=20.0, **FILES)
    mixture = play(one, 4)
    assert are_same(plain, mixture)
    assert [step.kpis for step in plain[1]] == [step.kpis for step in mixture[1]]
    assert sum(len(step.kpis) for step in plain[1]) >= 3
    assert not are_same(plain, play(one, 5))


def test_each_block_plays_what_its_worlds_play_alone(mixed):
    assert [part.worlds for part in mixed.parts] == [2, 3]
    acts = choices(5, len(mixed.agents))
    whole = play(mixed, 4, 20, acts)
    small, large = (env.make(n, floorplan=plan, episode=20.0, **FILES) for n, plan in ((2, SMALL), (3, LARGE)))
    assert are_same(whole, play(small, 4, 20, acts[:, :2]), slice(0, 2))
    alone = play(large, 4, 22, acts[:, 2:])
    assert are_same(whole, alone, slice(2, 5))
    assert not are_same(whole, play(large, 4, 20, acts[:, 2:]), slice(2, 5))  # with the chance of other worlds
    assert not are_same(whole, play(small, 4, 22, acts[:, 2:4]), slice(2, 4))  # on the other plan
    kpis = [figures for step in whole[1] for figures in step.kpis]
    assert len(kpis) == sum(int(step.truncated.sum()) for step in whole[1])
    assert any(step.truncated.any() and not step.truncated.all() for step in whole[1])


def test_a_restored_mixture_goes_on_bit_for_bit(mixed):
    mixed.reset(4)
    acts = choices(5, len(mixed.agents))
    for each in acts[:12]:
        mixed.step(each)
    saved = mixed.snapshot()
    went_on = [mixed.step(each) for each in acts[12:]]
    mixed.reset(9)
    again = arrays(mixed.restore(saved)), [mixed.step(each) for each in acts[12:]]
    assert are_same((again[0], went_on), again)
    assert any(step.truncated.any() for step in went_on)
    with pytest.raises(ValueError, match=r"saved of 2 floor plan\(s\), this mixture has 1"):
        make(5, [SMALL], **FILES).restore(saved)
    with pytest.raises(ValueError, match="saved as"):
        make(4, [SMALL, LARGE], **FILES).restore(saved)


def test_learner_and_evaluation_take_it_for_one_batch(mixed):
    assert isinstance(mixed, Advising) and isinstance(mixed, Restorable)
    check_world(mixed, mixed.reset(1))
    torch.manual_seed(0)
    sizes = Architecture(hidden=16, heads=2, attention=8, candidate=8)
    policy = FleetPolicy(mixed.contract, sizes, ChannelSettings(radio_range=25.0))
    collector = Collector(mixed, ticks=22, sequence=1, hidden=0, seed=1, device=torch.device("cpu"))
    rollout = collector.collect(policy, with_advice=True)
    assert rollout.reward.shape == (22, 5, len(mixed.agents)) and rollout.advice.shape[:3] == rollout.reward.shape
    assert len(rollout.episodes) == int(rollout.truncated.sum()) >= 5
    assert {len(final.worlds) for final in rollout.finals} <= {1, 2, 3, 4, 5}
    judged = evaluate(policy, mixed, ticks=22, seed=3, temperature=0.5)
    assert np.isfinite(judged.mean_return) and judged.kpis


def test_an_episodes_record_names_the_place_of_its_plan_and_how_many_robots_were_there():
    mixture = make(4, [SMALL, LARGE], episode=3.0, stagger=False, robots=[1, 2], **FILES)
    mixture.reset(1)
    kpis = [figures for each in choices(4, len(mixture.agents))[:3] for figures in mixture.step(each).kpis]
    assert [figures["draw floorplan"] for figures in kpis] == [0, 0, 1, 1]
    assert {figures["draw robots"] for figures in kpis} <= {1.0, 2.0}


@pytest.mark.parametrize(("worlds", "plans", "shares"), [(5, 2, [2, 3]), (7, 3, [2, 3, 2]), (3, 3, [1, 1, 1])])
def test_worlds_are_shared_out_evenly(worlds, plans, shares):
    assert [part.worlds for part in make(worlds, [SMALL] * plans, **FILES).parts] == shares


def test_what_does_not_fit_is_told_in_words(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"saw 2 of them for 1 world\(s\); wanted .* a world for each"):
        make(1, [SMALL, LARGE], **FILES)
    with pytest.raises(ConfigError, match="saw 0 of them"):
        make(1, [], **FILES)
    with pytest.raises(ConfigError, match="wanted a list"):
        make(99, SMALL, **FILES)
    with pytest.raises(ConfigError, match="beside floorplans"):
        make(2, [SMALL], floorplan=LARGE, **FILES)
    ranges = yaml.safe_load((CONFIG / "randomisation.yaml").read_text()) | {"floorplans": [SMALL]}
    (tmp_path / "ranges.yaml").write_text(yaml.safe_dump(ranges))
    with pytest.raises(ConfigError, match="names floorplans, and so does the mixture"):
        make(2, [SMALL], randomisation=str(tmp_path / "ranges.yaml"), **FILES)
    plan = yaml.safe_load(Path(SMALL).read_text())
    for place in plan["places"]:
        if place["type"] == "slot":
            place["group"] = 0
    (tmp_path / "one_zone.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(ConfigError, match="floor plans with different numbers of zones and stations"):
        make(2, [SMALL, str(tmp_path / "one_zone.yaml")], **FILES)
