"""The observation functions write what config/contract.yaml says, where it says it."""

from __future__ import annotations

import numpy as np
import pytest

from sim.fast.env import make
from sim.warehouse import laser, observe
from sim.warehouse.facts import queue_facts
from sim.warehouse.observe import QUEUE
from sim.warehouse.settings import SKUS
from sim.warehouse.skill import SKILL_SIZE
from sim.warehouse.state import INSPECTION
from tests.unit.sim.warehouse_world import CONFIG, changed, orders, world

STREAM = orders((0.0, 200.0, 0, [3, 4]), (0.0, 100.0, 1, [5]))
ENV = world(STREAM)
ON_RELEASE = world(STREAM, its=changed(jobs={"offered": "released"}))  # forklifts see what inventory agents released


@pytest.fixture(scope="module")
def first():
    return ENV.reset(3)


def field(observations, kind, name, agent=0):
    return observations.kinds[kind].vector[0, agent, ENV.contract.kind(kind).place(name)]


def candidates(observations, kind, name, agent=0):
    place = ENV.contract.kind(kind).place(name, of_candidate=True)
    return observations.kinds[kind].candidates[0, agent][:, place]


def test_choices_match_the_contract():
    sizes = {name: kind.candidates for name, kind in ENV.contract.kinds.items()}
    assert sizes == {
        "forklift": observe.FORKLIFT_CHOICES,
        "inventory": observe.INVENTORY_CHOICES,
        "quality": observe.QUALITY_CHOICES,
    }


def test_every_field_of_the_contract_lies_where_the_kernel_writes_it(first):
    """Each field is checked against facts known without the kernel."""
    step = ENV.step(np.zeros((1, len(ENV.kinds)), np.int64))
    seen = step.observations
    for agent in range(4):
        x, y, yaw = seen.position[0, agent]
        assert field(seen, "forklift", "heading", agent) == pytest.approx([np.cos(yaw), np.sin(yaw)], abs=1e-6)
        assert field(seen, "forklift", "activity", agent).tolist() == [1, 0, 0]
        nearest = min(
            (np.hypot(*(seen.position[0, other, :2] - (x, y))) for other in range(4) if other != agent),
        )
        assert np.hypot(*field(seen, "forklift", "neighbours", agent)[:2]) == pytest.approx(nearest, rel=1e-5)
        assert (field(seen, "forklift", "clearance", agent) <= laser.LASER_RANGE).all()
    stock = sum(field(seen, "inventory", "stock", zone) for zone in (0, 1))
    assert stock.sum() == 39 and (stock >= 1).all()
    assert field(seen, "inventory", "demand").tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert field(seen, "inventory", "finishing").tolist() == [0, 0, 0, 0.5, 0.5, 1, 0, 0, 0, 0, 0, 0]
    slack = field(seen, "inventory", "slack")
    assert slack[3] == pytest.approx(199.0) and slack[5] == pytest.approx(99.0) and slack[0] == observe.NO_SLACK
    assert field(seen, "inventory", "open_lines")[0] == 3
    assert field(seen, "quality", "arriving")[0] == 0


def test_an_inventory_agent_may_release_only_what_its_zone_holds():
    ON_RELEASE.reset(3)
    seen = ON_RELEASE.step(np.zeros((1, len(ENV.kinds)), np.int64)).observations
    assert seen.kinds["inventory"].mask[0, :, 1].any()
    for zone in (0, 1):
        release = candidates(seen, "inventory", "verb", zone)[:, 1] > 0.5
        mask = seen.kinds["inventory"].mask[0, zone]
        families = candidates(seen, "inventory", "sku", zone).argmax(1)
        for choice in np.flatnonzero(mask & release):
            assert field(seen, "inventory", "stock", zone)[families[choice]] >= 1
    assert (candidates(seen, "inventory", "verb")[9:, 2] == 1).all()


def test_a_released_line_becomes_a_job_of_its_family_for_every_idle_forklift():
    ON_RELEASE.reset(3)
    seen = ON_RELEASE.step(np.zeros((1, len(ENV.kinds)), np.int64)).observations
    mask = seen.kinds["inventory"].mask[0]
    zone = next(zone for zone in (0, 1) if mask[zone, 1])
    family = candidates(seen, "inventory", "sku", zone)[1].argmax()
    actions = np.zeros((1, len(ENV.kinds)), np.int64)
    actions[0, 4 + zone] = 1
    seen = ON_RELEASE.step(actions).observations
    for robot in range(4):
        assert seen.kinds["forklift"].mask[0, robot, 1]
        assert candidates(seen, "forklift", "promised", robot)[1] == 1.0
        assert candidates(seen, "forklift", "job", robot)[1].tolist() == [0, 0, 1, 0]
        assert candidates(seen, "forklift", "sku", robot)[1].argmax() == family
        assert field(seen, "forklift", "jobs", robot).tolist() == [0, 0, 1, 0]
    dx, dy = candidates(seen, "forklift", "pallet")[1]
    x, y, yaw = seen.position[0, 0]
    slot = int(np.flatnonzero(ON_RELEASE.state.job_type[0] == 2)[0])
    place = ON_RELEASE.state.pallet_place[0, slot]
    assert x + np.cos(yaw) * dx - np.sin(yaw) * dy == pytest.approx(ENV.tables.place_x[place], abs=1e-4)
    assert y + np.sin(yaw) * dx + np.cos(yaw) * dy == pytest.approx(ENV.tables.place_y[place], abs=1e-4)


def test_a_truck_senses_its_own_job_from_the_grant_to_the_drop():
    seen = ENV.reset(3)
    job, family = (candidates(seen, "forklift", name)[1].tolist() for name in ("job", "sku"))
    nothing = [0.0] * SKUS
    actions = np.zeros((1, len(ENV.kinds)), np.int64)
    actions[0, 0] = 1
    phases = []
    for _ in range(300):
        seen = ENV.step(actions).observations
        actions[0, 0] = 0
        has_job = ENV.robots.pallet[0, 0] >= 0
        assert field(seen, "forklift", "job").tolist() == (job if has_job else [0, 0, 0, 0])
        assert field(seen, "forklift", "job_sku").tolist() == (family if has_job else nothing)
        assert field(seen, "forklift", "job_sku", agent=1).tolist() == nothing
        phases.append((bool(has_job), field(seen, "forklift", "is_loaded")[0] > 0.5))
        if not has_job:
            break
    assert list(dict.fromkeys(phases)) == [(True, False), (True, True), (False, False)]


def test_a_scan_falls_into_eight_sectors_centred_on_forward():
    out = np.zeros(8)
    ranges = np.full(360, np.inf, np.float32)
    ranges[0], ranges[90], ranges[270], ranges[5] = 2.0, 3.0, 4.0, np.nan
    laser.sectors_of_scan(ranges, 0.0, np.pi / 180, out)
    assert out.tolist() == [2.0, 8, 3.0, 8, 8, 8, 4.0, 8]


def test_quality_choices_follow_the_state_of_the_queue():
    kind = ENV.contract.kind("quality")
    vector, cand = np.zeros(kind.observation_size), np.zeros((kind.candidates, kind.candidate_size))
    mask, verb, subject = (np.zeros(kind.candidates, t) for t in (bool, np.int32, np.int32))
    queue = np.array([[41, 1, 2, 0], [42, 1, 3, 1], [-1, 0, 0, 0]], np.int32)
    facts = np.array([[0.0, 0, 5, 0], [0.9, 1, 9, 0], [0, 0, 0, 0]])
    observe.observe_quality(vector, cand, mask, verb, subject, queue, facts, 0.0, 2.0, np.array([0.1, 0.2, 0.3]), True)
    assert mask.tolist() == [True, True, True, False, True, True, False, False, True, False]
    assert subject[8] == 42 and cand[8, kind.place("reading", of_candidate=True)][0] == pytest.approx(0.9)
    observe.observe_quality(vector, cand, mask, verb, subject, queue, facts, 3.0, 2.0, np.array([0.1, 0.2, 0.3]), True)
    assert not mask[1] and not mask[2], "one inspection at a time"


@pytest.mark.parametrize(("plan", "places"), [("small_dc", 3), ("large_dc", 4)])
def test_every_pallet_at_a_station_is_seen_by_its_inspector_however_many_places_there_are(plan, places):
    files = {name: str(CONFIG / f"{name}.yaml") for name in ("warehouse", "contract", "orders", "bodies")}
    large = make(1, floorplan=str(CONFIG / "floorplans" / f"{plan}.yaml"), **files)
    large.reset(0)
    state, tables = large.state, large.tables
    there = np.flatnonzero((tables.place_type == INSPECTION) & (tables.place_group == 0))
    assert len(there) == places
    slots = np.flatnonzero(state.pallet_serial[0] >= 0)[:places]
    numbers = large.settings.rules()

    def seen():
        queue, facts, history = np.zeros((QUEUE, 4), np.int32), np.zeros((QUEUE, 4)), np.zeros(3)
        queue_facts(state, 0, 0, tables, numbers, queue, facts, history)
        return queue[:, 0].tolist()

    state.place_pallet[0, there] = -1
    assert seen() == [-1, -1, -1]
    state.place_pallet[0, there[-1]] = slots[-1]
    last = int(state.pallet_serial[0, slots[-1]])
    assert last in seen() and seen().count(-1) == QUEUE - 1
    state.place_pallet[0, there] = slots
    assert seen() == state.pallet_serial[0, slots[:QUEUE]].tolist()


def test_skill_rows_and_families_fit():
    assert ENV.robots.skill.shape[2] == SKILL_SIZE and SKUS == 12
