"""When the world may step, and with which commands."""

import math

from parley_sim.step_gate import FRESH_STEPS, TASK_SERVER, RobotCommand, StepGate


def gate(is_lockstep: bool = True) -> StepGate:
    return StepGate(["a", "b"], steps_per_tick=10, is_lockstep=is_lockstep)


def answer(gate: StepGate, robot: str, step: int, v: float = 0.5, height: float = 0.1) -> None:
    gate.forks(robot, step, height)
    gate.drive(robot, step, v, 0.0)


def test_opens_when_every_robot_has_answered_with_both_commands():
    it = gate()
    answer(it, "a", 3)
    it.drive("b", 3, 0.2, 0.1)
    assert not it.is_open(3)
    assert it.missing(3) == ["b"]
    it.forks("b", 3, 0.15)
    assert it.is_open(3)
    assert it.commands(3) == {"a": RobotCommand(0.5, 0.0, 0.1), "b": RobotCommand(0.2, 0.1, 0.15)}


def test_a_decision_tick_waits_for_board_and_pallets_too():
    it = gate()
    answer(it, "a", 20)
    answer(it, "b", 20)
    it.board(2)
    assert it.missing(20) == [TASK_SERVER]
    it.pallets(1)
    assert not it.is_open(20)
    it.pallets(2)
    assert it.is_open(20)


def test_who_is_given_up_stands_keeps_its_forks_and_is_not_waited_for_until_heard():
    it = gate()
    answer(it, "a", 3)
    answer(it, "b", 3)
    answer(it, "a", 4)
    assert it.expire(4) == ["b"]
    assert it.is_open(4)
    assert it.commands(4)["b"] == RobotCommand(0.0, 0.0, 0.1)
    answer(it, "a", 5)
    assert it.is_open(5)
    answer(it, "b", 4)
    assert it.missing(5) == ["b"]
    assert it.commands(5)["b"].v == 0.0, "a late command is heard, but not obeyed"


def test_an_older_command_does_not_replace_a_newer_one():
    it = gate()
    answer(it, "a", 4, v=0.7)
    it.drive("a", 3, -1.0, 0.0)
    assert it.commands(4)["a"].v == 0.7


def test_without_anybody_expected_time_rules_and_a_command_holds_for_a_while():
    it = gate()
    it.expire(0)
    assert it.follows_wall_clock
    assert not it.is_open(0)
    it.drive("a", 7, 0.4, 0.0)
    assert it.follows_wall_clock, "a person who drives by hand sends no fork commands"
    assert it.commands(7 + FRESH_STEPS)["a"].v == 0.4
    assert it.commands(8 + FRESH_STEPS)["a"].v == 0.0


def test_paced_time_never_waits():
    it = gate(is_lockstep=False)
    answer(it, "a", 0)
    answer(it, "b", 0)
    assert it.follows_wall_clock
    assert not it.is_open(0)


def test_a_command_that_is_no_number_is_a_stop():
    it = gate()
    answer(it, "a", 1, v=0.5, height=0.2)
    answer(it, "a", 2, v=math.nan, height=math.inf)
    assert it.commands(2)["a"] == RobotCommand(0.0, 0.0, 0.2)
