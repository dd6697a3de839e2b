"""Domain randomisation: what is drawn, that it acts, and that it is written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from policy_core.comm.channel import receive
from policy_core.config import ConfigError
from sim.fast.air import DEADLINE, in_time
from sim.fast.env import make
from sim.fast.evaluate import play
from sim.warehouse.baselines import make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.kpis import KPI
from sim.warehouse.randomisation import LIMITS, Draw, drawn_bodies, drawn_settings, read_randomisation
from sim.warehouse.settings import BatteryNumbers, MotionNumbers, Rules
from tests.unit.sim.warehouse_world import CONFIG, changed, orders, settings, tables, world

SHIPPED = read_randomisation(CONFIG / "randomisation.yaml")
STREAM = orders((1.0, 200.0, 0, [3, 4]))
STILL = {name: (default, default) for name, default in Draw()._asdict().items() if name in LIMITS} | {
    "outages": (0.0, 0.0),
    "link_loss": (0.0, 0.0),
    "charge": (0.5, 0.5),
    "small_orders": (0.0, 0.0),
    "skew": (0.0, 0.0),
    "fill": (1.0, 1.0),
}


def ranges(**changes):
    """Ranges that draw nothing but what is changed."""
    return SHIPPED.model_copy(update={**STILL, "robots": None, "floorplans": (), **changes})


def test_it_is_off_unless_asked_for():
    env = world(STREAM, worlds=3)
    env.reset(0)
    assert env.draws(0) == {} and not [name for name in env.kpis(0) if name.startswith("draw")]
    assert (env.numbers.rules == np.array(settings().rules())).all()
    assert (env.numbers.motion == np.array(settings().motion_numbers())).all()


def test_a_range_of_robots_alone_draws_nothing_else():
    files = {name: str(CONFIG / f"{name}.yaml") for name in ("warehouse", "contract", "orders", "bodies")}
    plain, teams = (
        make(12, 4, 60.0, str(CONFIG / "floorplans" / "small_dc.yaml"), robots=robots, **files)
        for robots in (None, [1, 3])
    )
    seen = plain.reset(3), teams.reset(3)
    for name, rows in plain.numbers._asdict().items():
        assert (rows == getattr(teams.numbers, name)).all(), name
    present = [int(each) for each in np.isfinite(teams.robots.pose[:, :, 0]).sum(1)]
    assert set(present) == {1, 2, 3} and [teams.draws(world)["robots"] for world in range(12)] == present
    assert (seen[1].alive[:, :4].sum(1) == present).all() and seen[0].alive.all()
    both = teams.robots.energy[np.isfinite(teams.robots.pose[:, :, 0])], plain.robots.energy
    for energy in both:
        shares = energy / plain.settings.battery.capacity
        assert shares.min() >= plain.settings.battery.initial_share[0] and shares.max() > 0.9
    assert (teams.robots.down_at == np.inf).all() == (plain.robots.down_at == np.inf).all()
    shipped = make(12, robots=[1, 3], randomisation=str(CONFIG / "randomisation.yaml"), **files)
    shipped.reset(3)
    assert not (shipped.numbers.motion == plain.numbers.motion).all()
    assert {shipped.draws(world)["robots"] for world in range(12)} == {1.0, 2.0, 3.0}


@pytest.mark.parametrize(
    ("robots", "told"),
    [([3, 9], r"saw \[3, 9\], but the world has 4"), ([2, 1], "range"), ([0, 1], "range"), ([2], "range")],
)
def test_a_range_of_robots_that_cannot_be_is_told_in_words(robots, told):
    with pytest.raises(ConfigError, match=f"robots: .*{told}"):
        make(1, robots=robots)


def test_every_world_draws_its_own_within_the_ranges_and_the_same_again():
    env = world(STREAM, worlds=6, randomisation=SHIPPED)
    env.reset(5)
    drawn = [env.draws(each) for each in range(6)]
    for name in LIMITS:
        low, high = getattr(SHIPPED, name)
        values = [draw[name] for draw in drawn]
        assert all(low <= value <= high for value in values), name
        assert len(set(values)) == 6, name
    assert {draw["robots"] for draw in drawn} == {3.0, 4.0}
    env.reset(5)
    assert [env.draws(each) for each in range(6)] == drawn
    env.reset(6)
    assert env.draws(0) != drawn[0]


def test_a_draw_changes_the_numbers_of_its_world_and_is_written_into_its_record():
    env = world(STREAM, worlds=4, episode=3.0, randomisation=SHIPPED)
    env.reset(1)
    drawn = env.draws(2)
    its, motion = settings(), settings().motion_numbers()
    row = dict(zip(MotionNumbers._fields, env.numbers.motion[2], strict=True))
    assert row["cruise_speed"] == pytest.approx(motion.cruise_speed * drawn["speed"])
    assert row["acceleration"] == pytest.approx(motion.acceleration * drawn["acceleration"])
    assert row["drive_lag"] - motion.drive_lag == pytest.approx(drawn["lag"]) == row["turn_lag"] - motion.turn_lag
    row = dict(zip(BatteryNumbers._fields, env.numbers.battery[2], strict=True))
    assert row["capacity"] == pytest.approx(its.battery.capacity * drawn["battery"])
    bodies = read_bodies(CONFIG / "bodies.yaml")
    assert row["load_mass"] == pytest.approx(bodies.pallet.mass * drawn["mass"])
    row = dict(zip(Rules._fields, env.numbers.rules[2], strict=True))
    assert row["lead_high"] == pytest.approx(its.replenishment.lead_time[1] * drawn["lead_time"])
    assert env.numbers.laser_noise[2] == drawn["laser_noise"]
    for _ in range(3):
        step = env.step(np.zeros((4, len(env.kinds)), np.int64))
    assert step.kpis[2]["draw mass"] == drawn["mass"] and env.draws(2) != drawn, "the next episode draws anew"


def test_frictions_and_masses_reach_the_bodies():
    bodies = read_bodies(CONFIG / "bodies.yaml")
    drawn = drawn_bodies(bodies, Draw(mass=1.2, friction=0.8))
    assert drawn.pallet.mass == pytest.approx(1.2 * bodies.pallet.mass)
    assert drawn.forklift.wheel_friction == pytest.approx(0.8 * bodies.forklift.wheel_friction)
    assert drawn_settings(settings(), Draw(charge=0.1)).battery.initial_share == (0.1, 1.0)
    assert drawn_bodies(bodies, Draw()) == bodies and drawn_settings(settings(), Draw()) == settings()


def used(**changes):
    """What a world whose robots all take what was released does in two minutes: energy (Wh) and distance (m)."""
    env = make(1, stagger=False, load=(1.0, 1.0))
    env.settings = changed(jobs={"offered": "released"})
    env._randomisation = ranges(**changes)
    env.reset(2)
    env.robots.energy[:] = 0.9 * env.numbers.battery[0, 0]
    for _ in range(120):
        seen = env.observe()
        choices = [seen.kinds[kind].mask[0, :, 1].astype(np.int64) for kind in ("forklift", "inventory", "quality")]
        env.step(np.concatenate(choices)[None])
    return env.state.kpi[0, KPI["energy_wh"]], env.state.kpi[0, KPI["distance_m"]]


def test_mass_speed_and_lag_act():
    energy, distance = used()
    heavy, same = used(mass=(2.0, 2.0))
    assert same == distance and heavy > 1.1 * energy
    assert used(speed=(0.5, 0.5))[1] < 0.8 * distance
    assert used(lag=(0.3, 0.3))[1] not in (distance, 0.0)


def test_laser_noise_blurs_what_is_seen_and_only_that():
    sharp = world(STREAM, randomisation=ranges())
    blurred = world(STREAM, randomisation=ranges(laser_noise=(0.1, 0.1)))
    one, other = sharp.reset(4), blurred.reset(4)
    place = sharp.contract.kind("forklift").place("clearance")
    difference = (one.kinds["forklift"].vector - other.kinds["forklift"].vector)[0]
    inside = one.kinds["forklift"].vector[0][:, place] < 7.5
    assert 0.03 < np.abs(difference[:, place][inside]).mean() < 0.2
    difference[:, place] = 0.0
    assert not difference.any()


def test_demand_scales_the_orders():
    received = {}
    for factor in (0.5, 2.0):
        env = make(4, stagger=False, load=(1.0, 1.0))
        env._randomisation = ranges(demand=(factor, factor))
        env.reset(0)
        received[factor] = np.isfinite(env.state.stream_time).sum()
    assert received[2.0] > 2.5 * received[0.5]


def test_defects_outages_and_fleet_size_act():
    env = world(STREAM, worlds=8, randomisation=ranges(defects=(0.0, 0.0), outages=(1.0, 1.0), robots=(2, 2)))
    seen = env.reset(0)
    assert not env.state.draw_defective.any() and np.isfinite(env.robots.down_at).all()
    assert seen.alive[:, :2].all() and not seen.alive[:, 2:4].any()
    assert world(STREAM, randomisation=ranges()).reset(0).alive.all()


def test_a_batch_draws_one_of_the_floor_plans_and_a_snapshot_remembers_which(tmp_path):
    ours = CONFIG / "floorplans" / "small_dc.yaml"
    plan = read_floorplan(ours)
    plan.model_copy(update={"name": "with more room", "size": (plan.size[0] + 2.0, plan.size[1])}).write(
        tmp_path / "b.yaml"
    )
    content = yaml.safe_load((CONFIG / "randomisation.yaml").read_text())
    content["floorplans"] = [str(ours), str(tmp_path / "b.yaml")]
    (tmp_path / "randomisation.yaml").write_text(yaml.safe_dump(content))
    env = make(1, stagger=False, randomisation=str(tmp_path / "randomisation.yaml"))
    saved, columns = {}, {}
    for seed in range(8):
        env.reset(seed)
        drawn = env.draws(0)["floorplan"]
        saved[drawn], columns[drawn] = env.snapshot(), env.tables.clearance.shape[1]
    assert columns[1.0] == columns[0.0] + 20, "both plans were drawn, and the second is 2 m wider"
    for drawn, snapshot in saved.items():
        env.restore(snapshot)
        assert env.draws(0)["floorplan"] == drawn and env.tables.clearance.shape[1] == columns[drawn]


def test_plans_for_different_fleets_are_refused():
    other = tables()
    other = other._replace(place_group=np.where(other.place_type == 2, other.place_group + 1, other.place_group))
    with pytest.raises(ConfigError, match="different numbers of zones and stations"):
        type(world(STREAM))(1, 2, 60.0, [tables(), other], settings(), None, world(STREAM).contract, None, None)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mass", [1.3, 0.8], "mass"),
        ("lag", [0.0, 2.0], "lag"),
        ("robots", [0, 3], "robots"),
        ("massive", [1, 1], "mass"),
    ],
)
def test_bad_ranges_are_refused_by_name(tmp_path, name, value, words):
    content = yaml.safe_load((CONFIG / "randomisation.yaml").read_text())
    content[name] = value
    path = tmp_path / "randomisation.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=words):
        read_randomisation(path)


def test_messages_are_as_late_in_evaluation_as_in_training():
    chance, count, rounds = np.random.default_rng(3), 6, 3
    expected = chance.random((count, count)) < 0.7
    np.fill_diagonal(expected, False)
    lost = chance.random((rounds, count, count)) < 0.1
    delay = chance.exponential(0.1, (rounds, count, count))
    there = receive(*(torch.tensor(each)[None] for each in (expected, lost, delay)), DEADLINE)
    sent = np.zeros(count)
    for number in range(rounds):
        arrival = sent[None, :] + delay[number]
        heard, read_at = in_time(arrival, expected, expected & ~lost[number], sent, (number + 1) * DEADLINE)
        np.testing.assert_array_equal(heard, there.heard[0, number].numpy())
        age = np.where(heard, read_at[:, None], 0.0)
        np.testing.assert_allclose(age, there.age[0, number].numpy())
        sent = read_at
    assert 0 < heard.sum() < expected.sum()


def test_a_drawn_delay_makes_messages_old_or_absent():
    for delay in ((0.0, 0.0), (0.3, 0.3)):
        env = world(STREAM, episode=5.0, randomisation=ranges(link_delay=delay))
        ears = []

        def ear(kind, number, env=env, ears=ears):
            policy = make_baseline("greedy", env.contract, kind, number, 0)
            hear = policy.hear
            policy.hear = lambda heard: ears.append((heard.present.mean(), heard.age.max())) or hear(heard)
            return policy

        play(env, ear, 1, reach=1000.0)
        share, oldest = np.mean([each[0] for each in ears]), max(each[1] for each in ears)
        if delay == (0.0, 0.0):
            assert share == 1.0 and oldest == 0.0
        else:
            assert 0.1 < share < 0.9 and 0.0 < oldest <= 2 * DEADLINE
