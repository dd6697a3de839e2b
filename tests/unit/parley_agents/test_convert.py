"""Messages become the facts the kernels take, bit for bit, and what does not fit is refused in words."""

import array
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from parley_agents import convert
from parley_agents.body import Choice, Progress
from parley_msgs.msg import (
    FleetAnswer,
    Job,
    JobBoard,
    ObservationReport,
    OrderLine,
    Pallet,
    PalletList,
    QualityReport,
    QueuePlace,
    StockReport,
    TensorMessage,
)
from policy_core.comm.wire import Message
from policy_core.contract import read_contract
from policy_core.export.verify import draw_observation
from policy_core.serving.inbox import Inbox, Verdict

CONTRACT = read_contract(Path(__file__).parents[3] / "config" / "contract.yaml")


def through_dds(ros):
    return deserialize_message(serialize_message(ros), type(ros))


@given(
    values=st.lists(st.floats(width=32), min_size=0, max_size=40),
    tick=st.integers(0, 2**64 - 1),
    protocol=st.integers(0, 2**64 - 1),
    stamp=st.integers(0, 2**31 * 10 - 1),
)
def test_a_message_arrives_bit_for_bit(values, tick, protocol, stamp):
    said = Message("forklift_1", tick, 2, protocol, stamp / 10, (1.5, -2.0, 0.25), np.array(values, np.float32))
    heard = convert.message_of(through_dds(convert.tensor_message(said)))
    assert heard[:4] == said[:4]
    assert heard.stamp == pytest.approx(said.stamp, abs=1e-6)
    assert heard.position == said.position
    assert heard.values.tobytes() == said.values.tobytes()


@pytest.mark.parametrize(("bits", "size"), [(1, 1), (8, 1), (9, 2), (16, 2), (32, 4)])
def test_rounded_numbers_travel_in_few_bytes_and_the_inbox_reads_them_bit_for_bit(bits, size):
    steps = np.float32(2**bits - 1)
    values = (np.float32(2) * np.arange(2, dtype=np.float32) - steps) / steps  # the lowest codes, 0 and 1
    said = Message("scout_1", 4, 1, 7, 4.0, (1.5, -2.0, 0.25), values)
    ros = through_dds(convert.tensor_message(said, bits))
    assert len(ros.tensor.data) == 2 * size
    inbox = Inbox({"scout_1": "scout"}, 2, 7, max_age=1.0, bits=bits)
    assert inbox.offer(convert.message_of(ros), 4.0) is Verdict.ACCEPTED
    assert inbox.view(4, 1, 4.0).messages[0].tobytes() == values.tobytes()


def tensor(**fields):
    ros = convert.tensor_message(Message("a", 0, 1, 7, 0.0, (0.0, 0.0, 0.0), np.zeros(4, np.float32)))
    for name, value in fields.items():
        setattr(ros.tensor, name, value)
    return ros


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype_code": 0},
        {"dtype_bits": 64},
        {"dtype_lanes": 2},
        {"shape": [2, 2]},
        {"shape": [5]},
        {"shape": [-1]},
        {"strides": [2]},
        {"byte_offset": 4},
        {"data": array.array("B", b"\0" * 15)},
    ],
)
def test_a_tensor_that_is_not_what_it_says_comes_without_values(fields):
    assert convert.message_of(through_dds(tensor(**fields))).values.size == 0


def test_an_empty_ros_message_is_read_without_harm():
    assert convert.message_of(TensorMessage()).values.size == 0


def board(**job):
    return JobBoard(tick=4, resolved=True, jobs=[Job(serial=1, pallet=9, type=2, sku=3, origin=5, target=6, **job)])


def test_open_and_granted_jobs_are_told_apart():
    ros = board(opened=2.5)
    ros.jobs.append(Job(serial=-1, pallet=7, type=2, sku=4, origin=4, target=6, opened=1.0, promised=True))
    ros.jobs.append(Job(serial=2, pallet=8, type=1, sku=0, origin=-1, target=7, robot="r"))
    read = convert.board_of(through_dds(ros), places=10)
    assert (read.tick, read.is_resolved) == (4, True)
    assert read.facts.jobs.tolist() == [[9, 2, 3, 5, 6, 0], [7, 2, 4, 4, 6, 1]]
    assert read.facts.jobs.dtype == np.int32
    assert read.facts.opened.tolist() == [2.5, 1.0]
    assert read.facts.granted["r"] == (2, 8, 1, 0, -1, 7)


def test_an_empty_board_has_the_shape_the_kernels_take():
    facts = convert.board_of(JobBoard(), places=10).facts
    assert facts.jobs.shape == (0, 6)
    assert facts.opened.shape == (0,)


@pytest.mark.parametrize(("field", "value"), [("origin", 10), ("origin", -1), ("target", 10), ("type", 4), ("sku", 12)])
def test_a_job_outside_the_floor_plan_is_refused(field, value):
    ros = board()
    setattr(ros.jobs[0], field, value)
    with pytest.raises(ValueError, match="job 1 on the board"):
        convert.board_of(ros, places=10)


def test_carriers_are_the_robots_that_hold_a_pallet():
    ros = PalletList(pallets=[Pallet(id=1, place=3), Pallet(id=2, place=-1, carrier="forklift_2")])
    assert convert.carriers_of(ros) == {"forklift_2"}


def stock_report():
    numbers = array.array("f", range(12))
    ros = StockReport(agent="inventory_1", stock=numbers, pipeline=numbers, demand=numbers, slack=numbers)
    ros.recent, ros.free_slots, ros.open_lines, ros.released, ros.can_reorder = numbers, 0.5, 4.0, 2.0, True
    ros.cutoff, ros.finishing = 45.0, array.array("f", [1.0, 0.5, 0.25, *[0.0] * 9])
    ros.lines = [
        OrderLine(subject=5, sku=11, slack=60.0, age=3.0, haul_distance=12.0, lines_left=2, releasable=True),
        OrderLine(subject=9, sku=0, slack=70.0, age=4.0, haul_distance=0.0, lines_left=1, releasable=False),
    ]
    return ros


def test_a_stock_report_becomes_arrays():
    facts = convert.stock_facts(through_dds(stock_report()))
    assert facts.slack.tolist() == list(range(12))
    assert facts.finishing.tolist() == [1.0, 0.5, 0.25, *[0.0] * 9]
    assert facts.totals.tolist() == [0.5, 4.0, 2.0, 45.0]
    assert facts.lines.tolist() == [[5, 11, 2], [9, 0, 1]]
    assert facts.line_facts.tolist() == [[60.0, 3.0, 12.0], [70.0, 4.0, -1.0]]


def test_a_stock_report_with_missing_families_is_refused():
    for field in ("demand", "finishing"):
        ros = stock_report()
        setattr(ros, field, array.array("f", range(11)))
        with pytest.raises(ValueError, match="inventory_1"):
            convert.stock_facts(ros)
    ros = stock_report()
    ros.lines[0].sku = 12
    with pytest.raises(ValueError, match="families up to 12"):
        convert.stock_facts(ros)


def quality_report():
    ros = QualityReport(agent="quality_1", busy=3.0, arriving=2.0, supplier_history=array.array("f", (0.1, 0.2, 0.3)))
    ros.queue = [QueuePlace(pallet=-1) for _ in range(3)]
    ros.queue[1] = QueuePlace(
        pallet=4, state=1, sku=2, supplier=1, reading=0.5, inspections=1.0, waited=9.0, inspecting=True
    )
    return ros


def test_a_quality_report_becomes_arrays():
    facts = convert.queue_facts(through_dds(quality_report()))
    assert facts.queue.tolist() == [[-1, 0, 0, 0], [4, 1, 2, 1], [-1, 0, 0, 0]]
    assert facts.queue_facts[1].tolist() == [0.5, 1.0, 9.0, 1.0]
    assert (facts.busy, facts.arriving, facts.is_staffed) == (3.0, 2.0, True)
    ros = quality_report()
    ros.staffed = False
    assert not convert.queue_facts(through_dds(ros)).is_staffed


@pytest.mark.parametrize(("field", "value"), [("sku", 12), ("supplier", 3), ("state", 4)])
def test_a_quality_report_out_of_range_is_refused(field, value):
    ros = quality_report()
    setattr(ros.queue[1], field, value)
    with pytest.raises(ValueError, match="quality_1"):
        convert.queue_facts(ros)


@pytest.mark.parametrize("kind", CONTRACT.kinds)
def test_an_observation_reaches_the_server_bit_for_bit(kind):
    seen = draw_observation(CONTRACT.kind(kind), np.random.default_rng(0))
    ros = through_dds(convert.observation_report("a", kind, 3, 3.0, seen))
    read = convert.observation_of(ros, CONTRACT.kind(kind))
    for mine, theirs in zip(seen[:3], read[:3], strict=True):
        assert mine.tobytes() == theirs.tobytes()
    assert read.position == pytest.approx(seen.position)


def test_an_observation_that_does_not_fit_is_refused():
    kind = CONTRACT.kind("quality")
    seen = draw_observation(kind, np.random.default_rng(0))
    with pytest.raises(ValueError, match="Its contract is another one"):
        convert.observation_of(ObservationReport(sender="q"), kind)
    seen.vector[0] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        convert.observation_of(convert.observation_report("q", "quality", 0, 0.0, seen), kind)


def test_an_answer_is_read_by_name_and_must_be_whole():
    ros = FleetAnswer(tick=3, protocol_id=9, agents=["a", "b"], choices=[4, 0])
    assert convert.answer_of(through_dds(ros)) == (3, 9, {"a": 4, "b": 0})
    ros.choices = [4]
    with pytest.raises(ValueError, match="2 agents, 1 choices"):
        convert.answer_of(ros)


def test_a_decision_says_what_was_chosen_and_how_the_job_stands():
    ros = convert.decision("a", 3, 3.0, Choice(4, 1, 77, 12.5), Progress(5, 2, 1.5, 100.0), 2)
    assert (ros.sender, ros.tick, ros.verb, ros.subject, ros.pick_distance) == ("a", 3, 1, 77, 12.5)
    assert (ros.job, ros.phase, ros.blocked, ros.travelled, ros.rounds_complete) == (5, 2, 1.5, 100.0, 2)


@given(st.integers(0, 10**7))
def test_stamps_of_simulated_steps_survive(step):
    assert convert.seconds(convert.to_stamp(step * 0.1)) == pytest.approx(step * 0.1, abs=2e-6)
    assert round(convert.seconds(convert.to_stamp(step * 0.1)) / 0.1) == step
