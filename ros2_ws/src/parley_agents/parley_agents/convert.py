"""ROS messages to plain facts and back. Numbers travel as buffers, never through Python lists.

A message whose sizes or indices do not fit raises ValueError in words; the compiled kernels behind the facts check
nothing, so nothing unchecked may pass.
"""

from __future__ import annotations

import array
import math
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import BatteryState

from parley_agents.body import Choice, Progress
from parley_agents.forklift import BoardFacts
from parley_agents.inventory import StockFacts
from parley_agents.quality import QueueFacts
from parley_agents.resume import JobFacts
from parley_msgs.msg import (
    Decision,
    FleetAnswer,
    ForkCommand,
    JobBoard,
    ObservationReport,
    PalletList,
    QualityReport,
    RobotStates,
    StockReport,
    TensorMessage,
)
from policy_core.comm.wire import UNROUNDED, Message, TensorFields, pack_values, unpack_values
from policy_core.contract import Kind
from policy_core.serving.policy import Observation
from sim.warehouse.observe import QUEUE
from sim.warehouse.settings import SKUS, SUPPLIERS

JOB_TYPES = 4


class Poses(NamedTuple):
    """Where the fleet's robots are."""

    stamp: float  # s
    robots: dict[str, tuple[float, float, float, float]]  # x (m), y (m), yaw (rad), speed (m/s)


class Charge(NamedTuple):
    """How a robot's battery stands."""

    stamp: float  # s
    share: float  # of its capacity that is left
    is_charging: bool


class Answer(NamedTuple):
    """What the policy server decided for the fleet."""

    tick: int
    protocol_id: int
    choices: dict[str, int]  # agent name: candidate index


class Board(NamedTuple):
    """A job board with its place in the protocol."""

    tick: int
    stamp: float  # s
    is_resolved: bool
    facts: BoardFacts


def seconds(stamp: Time) -> float:
    """A ROS time as seconds."""
    return float(stamp.sec + 1e-9 * stamp.nanosec)


def to_stamp(time: float) -> Time:
    """Seconds as a ROS time, to the nanosecond."""
    whole = round(time * 1e9)
    return Time(sec=whole // 1_000_000_000, nanosec=whole % 1_000_000_000)


def message_of(ros: TensorMessage) -> Message:
    """What a neighbour said; values as they came, see `unpack_values`. The inbox gives codes their meaning."""
    tensor = ros.tensor
    fields = TensorFields(
        tensor.dtype_code,
        tensor.dtype_bits,
        tensor.dtype_lanes,
        tuple(tensor.shape),
        tuple(tensor.strides),
        tensor.byte_offset,
        bytes(tensor.data),
    )
    position, stamp = (ros.x, ros.y, ros.yaw), seconds(ros.header.stamp)
    return Message(ros.sender, ros.tick, ros.round, ros.protocol_id, stamp, position, unpack_values(fields))


def tensor_message(message: Message, bits: int = UNROUNDED) -> TensorMessage:
    """A message as it goes out, its numbers in so many bits each."""
    ros = TensorMessage(sender=message.sender, tick=message.tick, round=message.round, protocol_id=message.protocol_id)
    ros.header.stamp, ros.header.frame_id = to_stamp(message.stamp), "map"
    ros.x, ros.y, ros.yaw = (float(value) for value in message.position)
    fields, tensor = pack_values(message.values, bits), ros.tensor
    tensor.dtype_code, tensor.dtype_bits, tensor.dtype_lanes = fields[:3]
    tensor.shape = array.array("q", fields.shape)
    tensor.data = array.array("B", fields.data)
    return ros


def poses_of(ros: RobotStates) -> Poses:
    """Where everybody is."""
    return Poses(seconds(ros.header.stamp), {r.name: (r.x, r.y, r.yaw, r.speed) for r in ros.robots})


def charge_of(ros: BatteryState) -> Charge:
    """How a robot's battery stands; full where the message does not say how much is left (NaN, as REP-147 has it)."""
    share = ros.percentage if math.isfinite(ros.percentage) else ros.charge / (ros.capacity or math.nan)
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 1.0
    return Charge(
        seconds(ros.header.stamp), share, ros.power_supply_status == BatteryState.POWER_SUPPLY_STATUS_CHARGING
    )


def board_of(ros: JobBoard, places: int) -> Board:
    """Open and granted jobs of a floor plan with `places` places.

    Raises:
        ValueError: a job of unknown type or family, or at a place the plan does not have.
    """
    rows = array.array("i")
    opened, granted = array.array("d"), {}
    for job in ros.jobs:
        is_here = -1 <= job.origin < places and 0 <= job.target < places
        if not is_here or job.type >= JOB_TYPES or job.sku >= SKUS or (job.origin < 0 and not job.robot):
            raise ValueError(
                f"job {job.serial} on the board: type {job.type}, family {job.sku}, from place {job.origin} to "
                f"{job.target}; wanted a type below {JOB_TYPES}, a family below {SKUS}, places below {places}. "
                "Task server and agents must load the same floor plan."
            )
        if job.robot:
            granted[job.robot] = JobFacts(job.serial, job.pallet, job.type, job.sku, job.origin, job.target)
        else:
            rows.extend((job.pallet, job.type, job.sku, job.origin, job.target, job.promised))
            opened.append(job.opened)
    jobs = np.array(rows, np.int32).reshape(-1, 6)
    return Board(ros.tick, seconds(ros.header.stamp), ros.resolved, BoardFacts(jobs, np.array(opened, float), granted))


def carriers_of(ros: PalletList) -> frozenset[str]:
    """The robots that carry a pallet, by the ledger."""
    return frozenset(pallet.carrier for pallet in ros.pallets if pallet.carrier)


def stock_facts(ros: StockReport) -> StockFacts:
    """One zone's stock.

    Raises:
        ValueError: arrays that are not one number per family, or an order line of an unknown family.
    """
    told = (ros.stock, ros.pipeline, ros.demand, ros.slack, ros.finishing, ros.recent)
    columns = [np.array(values, float) for values in told]
    stock, pipeline, demand, slack, finishing, recent = columns
    families = [line.sku for line in ros.lines]
    if any(column.shape != (SKUS,) for column in columns) or any(family >= SKUS for family in families):
        raise ValueError(
            f"stock report for {ros.agent}: {[len(c) for c in columns]} numbers, families up to "
            f"{max(families, default=0)}; wanted {SKUS} numbers each and families below {SKUS}."
        )
    lines, line_facts = np.zeros((len(ros.lines), 3), np.int32), np.zeros((len(ros.lines), 3))
    for row, line in enumerate(ros.lines):
        lines[row] = line.subject, line.sku, line.lines_left
        line_facts[row] = line.slack, line.age, line.haul_distance if line.releasable else -1.0
    totals = np.array([ros.free_slots, ros.open_lines, ros.released, ros.cutoff])
    return StockFacts(stock, pipeline, demand, slack, finishing, recent, totals, ros.can_reorder, lines, line_facts)


def queue_facts(ros: QualityReport) -> QueueFacts:
    """One station's queue.

    Raises:
        ValueError: another number of places or suppliers than the contract's, or unknown families.
    """
    history = np.array(ros.supplier_history, float)
    known = all(p.sku < SKUS and p.supplier < SUPPLIERS and (p.pallet < 0 or 1 <= p.state <= 3) for p in ros.queue)
    if len(ros.queue) != QUEUE or history.shape != (SUPPLIERS,) or not known:
        raise ValueError(
            f"quality report for {ros.agent}: {len(ros.queue)} places, {len(history)} suppliers; wanted {QUEUE} places "
            f"with families below {SKUS} and states 1 to 3, and {SUPPLIERS} suppliers."
        )
    queue, facts = np.zeros((QUEUE, 4), np.int32), np.zeros((QUEUE, 4))
    for row, place in enumerate(ros.queue):
        queue[row] = place.pallet, place.state, place.sku, place.supplier
        facts[row] = place.reading, place.inspections, place.waited, place.inspecting
    return QueueFacts(queue, facts, ros.busy, ros.arriving, history, ros.staffed)


def decision(sender: str, tick: int, stamp: float, choice: Choice, progress: Progress, rounds: int) -> Decision:
    """What an agent decided; `rounds` were complete by their deadline."""
    ros = Decision(sender=sender, tick=tick, choice=choice.candidate, verb=choice.verb, subject=choice.subject)
    ros.header.stamp = to_stamp(stamp)
    ros.pick_distance = choice.pick_distance
    ros.job, ros.phase = progress.job, progress.phase
    ros.blocked, ros.travelled, ros.battery = progress.blocked, progress.travelled, progress.battery
    ros.rounds_complete = rounds
    return ros


def observation_report(sender: str, kind: str, tick: int, stamp: float, seen: Observation) -> ObservationReport:
    """An observation for the policy server."""
    ros = ObservationReport(sender=sender, kind=kind, tick=tick)
    ros.header.stamp, ros.header.frame_id = to_stamp(stamp), "map"
    ros.x, ros.y, ros.yaw = seen.position
    ros.vector = array.array("f", seen.vector.tobytes())
    ros.candidates = array.array("f", seen.candidates.tobytes())
    ros.mask = [bool(allowed) for allowed in seen.mask]
    return ros


def observation_of(ros: ObservationReport, kind: Kind) -> Observation:
    """An observation as the policy server reads it.

    Raises:
        ValueError: sizes that are not the contract's, numbers that are not finite, or nothing that may be chosen.
    """
    vector, candidates = np.array(ros.vector, np.float32), np.array(ros.candidates, np.float32)
    mask = np.array(ros.mask, np.bool_)
    shape = (kind.candidates, kind.candidate_size)
    if vector.shape != (kind.observation_size,) or candidates.size != math.prod(shape) or mask.shape != shape[:1]:
        raise ValueError(
            f"observation of {ros.sender}: {vector.size} numbers, {candidates.size} of candidates, {mask.size} masked; "
            f"wanted {kind.observation_size}, {math.prod(shape)} and {shape[0]}. Its contract is another one."
        )
    position = (ros.x, ros.y, ros.yaw)
    if not (np.isfinite(vector).all() and np.isfinite(candidates).all() and np.isfinite(position).all() and mask[0]):
        raise ValueError(f"observation of {ros.sender}: not finite, or candidate 0 not allowed.")
    return Observation(vector, candidates.reshape(shape), mask, position)


def answer_of(ros: FleetAnswer) -> Answer:
    """The server's choices by agent.

    Raises:
        ValueError: not one choice per agent.
    """
    if len(ros.agents) != len(ros.choices):
        raise ValueError(f"answer for tick {ros.tick}: {len(ros.agents)} agents, {len(ros.choices)} choices.")
    return Answer(ros.tick, ros.protocol_id, dict(zip(ros.agents, (int(c) for c in ros.choices), strict=True)))


def fork_command(stamp: float, height: float) -> ForkCommand:
    """Where the forks shall be."""
    ros = ForkCommand(height=height)
    ros.header.stamp = to_stamp(stamp)
    return ros


def drive_command(stamp: float, v: float, w: float) -> TwistStamped:
    """How the robot shall drive; the stamp tells the simulator which step it answers."""
    ros = TwistStamped()
    ros.header.stamp, ros.header.frame_id = to_stamp(stamp), "base_link"
    ros.twist.linear.x, ros.twist.angular.z = v, w
    return ros
