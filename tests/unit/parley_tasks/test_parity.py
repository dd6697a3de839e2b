"""The task server and the training world are one warehouse: the same decisions give the same state, KPIs and boards."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from parley_agents.convert import board_of, queue_facts, stock_facts
from parley_agents.inventory import InventoryBody
from parley_agents.quality import QualityBody
from parley_tasks.convert import Reporter
from parley_tasks.dispatcher import LIFTED, OF_FLEET, SET_DOWN, TO_PICK, Dispatcher, Word
from parley_tasks.history import Names
from parley_tasks.ledger import Identity, Ledger
from policy_core.serving.policy import Observation
from sim.fast.env import make
from sim.warehouse.baselines import make_baseline
from sim.warehouse.decisions import CLAIM, REORDER
from sim.warehouse.facts import open_jobs
from sim.warehouse.kpis import BLOCKED_S, CHARGING_S, CONTACTS, DISTANCE_M, ENERGY_WH, FLAT_S, KPIS, NEAR_MISSES
from sim.warehouse.observe import PICK_DISTANCE
from sim.warehouse.skill import BLOCKED_TOTAL, TRAVELLED, has_lifted
from sim.warehouse.state import CARRYING, State
from tests.support.scripted_decisions import CREW, TOP

TICKS = 270
OF_ROBOTS = [
    BLOCKED_S,
    DISTANCE_M,
    CONTACTS,
    NEAR_MISSES,
    ENERGY_WH,
    CHARGING_S,
    FLAT_S,
]  # reach the task server a tick later
OF_RULES = [index for index in range(len(KPIS)) if index not in OF_ROBOTS]


@pytest.fixture(scope="module", params=["stock", "released"])
def world(request, tmp_path_factory):
    shipped, warehouse = TOP / "config" / "warehouse.yaml", tmp_path_factory.mktemp("config") / "warehouse.yaml"
    text = shipped.read_text(encoding="utf-8")
    assert "offered: stock " in text
    warehouse.write_text(text.replace("offered: stock ", f"offered: {request.param} "), encoding="utf-8")
    world = make(1, episode=600.0, warehouse=str(warehouse), load=(1.0, 1.0), stagger=False)
    world.reset(2)
    return world


def copy_of(state: State) -> State:
    """The state with as many orders as it really has, as the ledger keeps it."""
    orders = int(np.isfinite(state.stream_time[0]).sum())
    fields = ("stream_time", "stream_due", "stream_dock", "stream_sku")
    cut = {field: getattr(state, field)[:, :orders] for field in fields}
    return State(*(array.copy() for array in state._replace(**cut)))


def choose(world, tick) -> list[int]:
    """What greedy agents choose on the training world's own observations.

    At first the inventory agents reorder, and every other forklift takes the farthest job, so that all kinds of job
    have their turn.
    """
    choices = []
    observed = world.observe()
    for kind, member in zip(world.kinds, CREW.members, strict=True):
        seen = observed.kinds[kind]
        policy = make_baseline("greedy", world.contract, kind, int(member))
        policy.begin(Observation(seen.vector[0, member], seen.candidates[0, member], seen.mask[0, member], (0, 0, 0)))
        may = seen.mask[0, member] & np.isin(world.boards[kind].verb[0, member], (REORDER, CLAIM))
        wanted = np.flatnonzero(may)
        is_led = (kind == "inventory" and tick < 4) or (kind == "forklift" and member % 2)
        choices.append(int(wanted[-1]) if is_led and len(wanted) else policy.choose())
    return choices


def words(world, choices) -> dict[str, Word]:
    """The same choices and progress as agents would report them."""
    said, s, robots = {}, world.state, world.robots
    for name, kind, member, choice in zip(CREW.names, CREW.kinds, CREW.members, choices, strict=True):
        board = world.boards[kind]
        word = Word(int(board.verb[0, member, choice]), int(board.subject[0, member, choice]))
        if kind == "forklift":
            slot, skill = int(robots.pallet[0, member]), robots.skill[0, member]
            if slot >= 0:
                is_carried = s.job_phase[0, slot] == CARRYING
                phase = LIFTED if has_lifted(skill) else SET_DOWN if is_carried else TO_PICK
                word = word._replace(job=int(s.job_serial[0, slot]), phase=phase)
            word = word._replace(
                pick_distance=float(board.candidates[0, member, choice, PICK_DISTANCE]),
                blocked=float(skill[BLOCKED_TOTAL]),
                travelled=float(skill[TRAVELLED]),
            )
        said[name] = word
    return said


def test_the_task_server_plays_the_same_warehouse_as_training(world, tmp_path):
    identity = Identity(4, 600.0, 1.0, "small_dc", "shipped", "as in training", ", ".join(CREW.names))
    names = Names(tuple(str(place) for place in range(len(world.tables.place_type))), CREW.robots)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", identity, world.tables, names, CREW.counters())
    state = copy_of(world.state)
    ledger.create(state)
    dispatcher = Dispatcher(CREW, world.tables, world.settings.rules(), 1.0, 8.0, ledger, state)
    reporter = Reporter(dispatcher)
    inventories = [InventoryBody(world.contract.kind("inventory"), (0, 0, 0)) for _ in range(2)]
    qualities = [QualityBody(world.contract.kind("quality"), (0, 0, 0)) for _ in range(2)]
    slots = state.job_type.shape[1]
    for tick in range(TICKS):
        dispatcher.advance(tick)
        for field, mine, its in zip(State._fields, state, copy_of(world.state), strict=True):
            if field != "kpi":
                np.testing.assert_array_equal(mine, its, err_msg=f"{field} at tick {tick}")
        np.testing.assert_array_equal(state.kpi[0, OF_RULES], world.state.kpi[0, OF_RULES])

        reporter.begin(tick, Time(sec=tick))
        jobs, opened = np.zeros((slots, 6), np.int32), np.zeros(slots)
        count = open_jobs(world.state, 0, world.tables, world.settings.rules(), jobs, opened)
        board = board_of(reporter.job_board(resolved=False), len(world.tables.place_type))
        np.testing.assert_array_equal(board.facts.jobs, jobs[:count])
        np.testing.assert_array_equal(board.facts.opened, opened[:count])
        for kind, bodies, reports, read in (
            ("inventory", inventories, reporter.stock_reports(), stock_facts),
            ("quality", qualities, reporter.quality_reports(), queue_facts),
        ):
            for member, (body, report) in enumerate(zip(bodies, reports, strict=True)):
                body.facts = read(report)
                seen, its = body.observe(float(tick)), world.boards[kind]
                np.testing.assert_array_equal(seen.mask, its.mask[0, member])
                np.testing.assert_array_equal(seen.vector, its.vector[0, member])
                np.testing.assert_array_equal(seen.candidates, its.candidates[0, member])

        choices = choose(world, tick)
        counted = {name: world.state.kpi[0, index] for name, index in OF_FLEET.items()}
        dispatcher.count_contacts({"forklift_1": world.state.kpi[0, CONTACTS], **counted})
        dispatcher.resolve(tick, words(world, choices))
        np.testing.assert_allclose(state.kpi[0, OF_ROBOTS], world.state.kpi[0, OF_ROBOTS], atol=1e-9)
        world.step(np.array([choices]))

    done = dispatcher.kpis()
    assert done["lines_shipped"] >= 1, "the script did some work"
    assert done["pallets_received"] >= 1
    assert done["inspections"] >= 1
    assert (done["pallets_in_vain"] >= 1) == world.settings.rules().offers_stock
    assert not dispatcher.tally
