"""Real agent nodes in processes' worth of DDS participants: what they say, hear, refuse, miss and decide."""

from __future__ import annotations

import copy
import math
import time

import numpy as np
import pytest
import torch

from parley_agents import convert
from parley_agents.policies import baseline_protocol
from parley_policy_server.policy_server_node import PolicyServer
from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.comm.channel import ChannelSettings
from policy_core.comm.wire import Message
from policy_core.contract import read_contract
from policy_core.export.bundle import Provenance, read_bundle, write_bundle
from policy_core.export.verify import decide_on_board
from sim.fast.senses import observe_world
from sim.warehouse import jobs
from sim.warehouse.state import LINES, OPEN_LINE
from tests.dds.lockstep_world import LockstepWorld
from tests.dds.parties import CONFIG, Party, Spy, agents_party, on_the_wire, start

FLEET = {"forklift_1": "forklift", "inventory_1": "inventory", "quality_1": "quality"}
COUNTS = {"forklift": 4, "inventory": 2, "quality": 2}
CONTRACT = read_contract(CONFIG / "contract.yaml")
ROUND_LIMIT = 0.4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    policy = FleetPolicy(CONTRACT, Architecture(), ChannelSettings(radio_range=100.0))
    provenance = Provenance(settings={}, frames=0, git_commit="none", trained_fleet={"forklift": 1})
    path = tmp_path_factory.mktemp("bundle") / "small"
    write_bundle(path, policy, 0.5, provenance)
    return path


def world_party(names, stop_at):
    """The world, and how to ask it whether it has come to `stop_at` (s)."""
    party = Party(lambda context: [LockstepWorld(context, str(CONFIG), names), Spy(context)])
    world, spy = party.nodes
    return party, world, spy, lambda: world.now >= stop_at


@pytest.mark.parametrize("clock", ["lockstep", "paced"])
def test_agents_in_two_participants_decide_every_tick_from_each_others_messages(tmp_path, bundle, clock):
    told = {"policy": f"bundle:{bundle}", "inference": "server", "clock": clock, "use_sim_time": True}
    told["round_limit"] = told["round_limit_paced"] = 5.0  # a busy machine is not what is tested here
    drivers = agents_party(tmp_path, FLEET, ["forklift_1"], **told)
    stations = agents_party(tmp_path, FLEET, ["inventory_1", "quality_1"], **told)
    party, world, spy, is_over = world_party(list(FLEET), stop_at=4.0)
    with on_the_wire(drivers, stations, party) as until:
        until(lambda: world.is_ready)
        world.say_facts()
        until(is_over, limit=30.0)
        until(lambda: len({m.tick for m in spy.messages}) >= 4 and len(spy.decisions) >= 12)

    read, checked, chosen_something = read_bundle(bundle), 0, False
    for tick in range(4):
        seen = {
            ros.sender: convert.observation_of(ros, CONTRACT.kind(ros.kind)) for ros in spy.reports if ros.tick == tick
        }
        said = {(ros.sender, ros.round): convert.message_of(ros) for ros in spy.messages if ros.tick == tick}
        decided = {ros.sender: ros for ros in spy.decisions if ros.tick == tick}
        assert set(seen) == set(decided) == set(FLEET)
        assert len(said) == len(FLEET) * CONTRACT.rounds
        assert all(ros.rounds_complete == CONTRACT.rounds for ros in decided.values())
        policies, messages = decide_on_board(read, FLEET, seen)
        choices = {name: policy.choose() for name, policy in policies.items()}
        for row, name in enumerate(FLEET):
            for number in range(CONTRACT.rounds):
                heard = said[(name, number + 1)].values
                np.testing.assert_allclose(heard, messages[number, row], atol=1e-5)
                checked += 1
            assert decided[name].choice == choices[name]
            chosen_something |= choices[name] > 0
    assert checked == 4 * 3 * 2 and chosen_something


def test_agents_sense_of_offered_stock_what_the_batched_world_shows(tmp_path, bundle):
    """One pallet is promised and offered again, the others are anybody's."""
    told = {"policy": f"bundle:{bundle}", "inference": "server", "round_limit": 5.0, "server_limit": 0.05}
    crew = {f"{kind}_{n}": kind for kind, count in COUNTS.items() for n in range(1, count + 1)}
    fleet = agents_party(tmp_path, crew, list(crew), **told)
    party, world, spy, is_over = world_party(list(crew), stop_at=6.0)
    shown, state = [], world.state
    assert world.rules.offers_stock
    slots = np.flatnonzero(state.pallet_serial[0] >= 0).tolist()
    order = state.order_active.shape[1] - 1
    state.order_active[0, order], state.order_due[0, order] = True, 100.0
    state.line_sku[0, LINES * order], state.line_state[0, LINES * order] = state.pallet_sku[0, slots[0]], OPEN_LINE
    assert jobs.grant(state, 0, slots[0], 3, world.tables, world.rules)
    jobs.reopen(state, 0, slots[0])

    def show():
        observe_world(world.world.parts, 0)
        shown.append(world.world.observe().kinds)

    world.on_tick = show
    with on_the_wire(fleet, party) as until:
        until(lambda: world.is_ready)
        world.say_facts()
        until(is_over, limit=60.0)
        until(lambda: len(spy.reports) >= 6 * len(crew))

    promised = CONTRACT.kind("forklift").place("promised", of_candidate=True)
    for ros in spy.reports:
        seen, its = convert.observation_of(ros, CONTRACT.kind(ros.kind)), shown[ros.tick][ros.kind]
        member = int(ros.sender[-1]) - 1
        if ros.kind != "forklift":
            np.testing.assert_allclose(seen.vector, its.vector[0, member], atol=1e-5)
        elif ros.tick > 0:  # later the batched world does not know what its robot is about
            continue
        np.testing.assert_array_equal(seen.mask, its.mask[0, member])
        np.testing.assert_allclose(seen.candidates, its.candidates[0, member], atol=1e-4)
        if ros.kind == "forklift":
            assert seen.mask.sum() > 10 and seen.candidates[:, promised].sum() == 1.0
    inventory = [ros for ros in spy.reports if ros.kind == "inventory"]
    finishing = CONTRACT.kind("inventory").place("finishing")
    assert any(np.array(ros.vector)[finishing].any() for ros in inventory)


def test_what_does_not_belong_is_dropped_and_counted_and_the_bytes_of_what_does_are_kept(tmp_path):
    host = agents_party(tmp_path, FLEET, ["inventory_1"], policy="greedy", round_limit=ROUND_LIMIT, max_age=2.0)
    party, _, spy, _ = world_party([], stop_at=0.0)
    agent = host.nodes[1]
    protocol = baseline_protocol("greedy", CONTRACT)
    values = np.random.default_rng(0).standard_normal(CONTRACT.message_size).astype(np.float32)
    good = Message("forklift_1", 3, 1, protocol, 0.0, (1.0, 2.0, 0.5), values)
    short, broken = values[:-1], np.where(np.arange(CONTRACT.message_size) == 3, np.float32(math.nan), values)
    strange = convert.tensor_message(good._replace(round=2))
    strange.tensor.dtype_bits = 64
    sent = {
        "accepted": convert.tensor_message(good),
        "dropped_foreign_protocol": convert.tensor_message(good._replace(protocol_id=protocol ^ 1)),
        "dropped_wrong_shape": convert.tensor_message(good._replace(values=short)),
        "dropped_not_finite": convert.tensor_message(good._replace(values=broken)),
        "dropped_too_old": convert.tensor_message(good._replace(stamp=-3.0 + 10.0, tick=2)),
        "dropped_from_the_future": convert.tensor_message(good._replace(stamp=1000.0)),
        "dropped_unknown_sender": convert.tensor_message(good._replace(sender="forklift_9")),
        "dropped_duplicate": copy.deepcopy(convert.tensor_message(good)),
    }
    with on_the_wire(host, party) as until:
        until(lambda: spy.out.get_subscription_count() >= 2)
        agent._now = 10.0  # the latest tick this agent has seen
        sent["accepted"].header.stamp = sent["dropped_duplicate"].header.stamp = convert.to_stamp(10.0)
        for ros in sent.values():
            spy.out.publish(ros)
        spy.out.publish(strange)
        until(lambda: all(spy.count("inventory_1", name) >= 1 for name in sent), limit=5.0)
        assert spy.count("inventory_1", "dropped_wrong_shape") == 2
        assert spy.count("inventory_1", "accepted") == 1
    kept = agent.cycle._inbox.view(3, 1, 10.0)
    assert kept.messages[0].tobytes() == values.tobytes()
    heard_by_spy = next(ros for ros in spy.messages if ros.protocol_id == protocol and ros.tick == 3)
    assert bytes(heard_by_spy.tensor.data) == values.tobytes()


def test_a_neighbour_that_falls_silent_is_masked_after_the_deadline_and_waited_for_again_when_it_speaks(tmp_path):
    told = {"policy": "greedy", "round_limit": ROUND_LIMIT}
    stations = agents_party(tmp_path, FLEET, ["inventory_1", "forklift_1"], **told)
    lost = agents_party(tmp_path, FLEET, ["quality_1"], **told)
    party, world, spy, _ = world_party(["forklift_1", "inventory_1"], stop_at=0.0)
    with on_the_wire(stations, lost, party) as until:
        until(lambda: world.is_ready and spy.out.get_subscription_count() >= 3)
        world.say_facts()
        until(lambda: world.now >= 2.0, limit=20.0)
        assert all(ros.rounds_complete == 2 for ros in spy.decisions if ros.sender != "quality_1")
        lost.nodes[1].trigger_deactivate()
        silent_at, wall = world.tick, time.monotonic()
        until(lambda: world.tick >= silent_at + 3, limit=20.0)
        assert time.monotonic() - wall < 5 * ROUND_LIMIT  # the deadline was waited for once, not at every round
        until(lambda: spy.words.get("inventory_1") == "not heard: quality_1", limit=5.0)
        assert spy.count("inventory_1", "missed_quality_1") == 1
        lost.nodes[1].trigger_activate()
        until(lambda: spy.words.get("inventory_1") == "deciding", limit=10.0)


def test_the_policy_server_decides_for_the_fleet_and_the_agents_do_without_it_when_it_is_silent(tmp_path, bundle):
    told = {"policy": f"bundle:{bundle}", "inference": "server", "server_limit": 1.0}
    host = agents_party(tmp_path, FLEET, list(FLEET), **told)
    files = {name: CONFIG / f"{name}.yaml" for name in ("warehouse", "contract")}
    server = Party(
        lambda context: [PolicyServer(context)],
        **files,
        device="cpu",
        fleet=tmp_path / "fleet.yaml",
        policy=f"bundle:{bundle}",
    )
    start(server)
    party, world, spy, _ = world_party(list(FLEET), stop_at=0.0)
    names = list(FLEET)
    with on_the_wire(host, server, party) as until:
        until(lambda: world.is_ready and spy.count_publishers("/fleet/answers") == 1)
        until(lambda: server.nodes[0]._reports.get_publisher_count() == 3)
        world.say_facts()
        until(lambda: world.tick >= 3, limit=30.0)
        until(lambda: all(spy.count(name, "decisions") >= 3 for name in names), limit=5.0)
        assert [spy.count(name, "fallbacks") for name in names] == [0, 0, 0]
        assert [spy.count(name, "messages_sent") for name in names] == [0, 0, 0]
        assert {ros.sender for ros in spy.messages} == set(FLEET)  # the server says what they would have said
        server.nodes[0].trigger_deactivate()
        tick = world.tick
        until(lambda: world.tick >= tick + 3, limit=30.0)
        until(lambda: all(spy.count(name, "fallbacks") >= 2 for name in names), limit=5.0)
        server.nodes[0].trigger_activate()
        tick, agents = world.tick, host.nodes[1:]
        before = [agent.tally.counts["fallbacks"] for agent in agents]
        until(lambda: all(agent.server.is_expected for agent in agents), limit=10.0)
        until(lambda: world.tick >= tick + 10, limit=30.0)
        more = [agent.tally.counts["fallbacks"] - known for agent, known in zip(agents, before, strict=True)]
        assert max(more) <= 5
        until(lambda: "batch_size" in spy.told.get("", {}), limit=5.0)
        assert spy.told[""]["device"] == "cpu"


def test_a_greedy_forklift_claims_a_job_and_drives_to_it_on_guarded_commands(tmp_path):
    host = agents_party(tmp_path, FLEET, list(FLEET), policy="greedy")
    party, world, spy, is_over = world_party(list(FLEET), stop_at=60.0)
    with on_the_wire(host, party) as until:
        until(lambda: world.is_ready)
        world.say_facts()
        until(is_over, limit=60.0)
    moved = np.hypot(*(world.world.robots.pose[0, 0, :2] - start_of(world)))
    assert moved > 3.0
    assert any(ros.verb == ros.CLAIM for ros in spy.decisions)
    assert any(ros.phase == ros.TO_PICK and ros.job >= 0 for ros in spy.decisions if ros.sender == "forklift_1")


def start_of(world):
    home = np.flatnonzero(world.tables.place_type == 5)[0]
    return np.array([world.tables.place_x[home], world.tables.place_y[home]])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"policy": "bundle:/nowhere"}, "no such folder"),
        ({"policy": "greedi"}, "unknown policy 'greedi'"),
        ({"policy": "greedy", "floorplan": "/nowhere.yaml"}, "no such file"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path, parameters, words, capfd):
    with pytest.raises(AssertionError, match="refused"):
        agents_party(tmp_path, FLEET, ["forklift_1"], **parameters)
    assert words in capfd.readouterr().err


def test_a_corrupt_bundle_is_refused_in_words(tmp_path, bundle, capfd):
    weights = bundle / "weights.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-8])
        with pytest.raises(AssertionError, match="refused"):
            agents_party(tmp_path, FLEET, ["quality_1"], policy=f"bundle:{bundle}")
    finally:
        weights.write_bytes(whole)
    assert "truncated, corrupt or another bundle's" in capfd.readouterr().err
