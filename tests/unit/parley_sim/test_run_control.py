"""Playing, pausing, and steps that are counted off."""

import pytest

from parley_sim.refusal import Refusal
from parley_sim.run_control import RunControl, Wish


def paused() -> RunControl:
    control = RunControl()
    control.set(Wish.PAUSE)
    return control


def test_time_runs_until_it_is_held():
    control = RunControl()
    assert control.may_step
    for wish in (Wish.PAUSE, Wish.STOP):
        control.set(wish)
        assert not control.may_step
    control.set(Wish.PLAY)
    assert control.may_step


def test_owed_steps_are_counted_and_answered_once():
    control, answers = paused(), list[str]()
    control.owe(3, answers.append)
    for _ in range(3):
        assert control.may_step
        assert answers == []
        control.stepped()
    assert not control.may_step
    assert answers == [""]
    control.give_up("too late")
    assert answers == [""]


def test_no_step_is_no_wait():
    control, answers = paused(), list[str]()
    control.owe(0, answers.append)
    assert answers == [""]
    assert not control.may_step


def test_steps_that_never_come_are_answered_for():
    control, answers = paused(), list[str]()
    control.owe(3, answers.append)
    control.stepped()
    control.set(Wish.PLAY)
    assert answers == ["only 1 of 3 steps were taken: the simulation was set to playing"]


def test_stepping_from_the_start_leaves_it():
    control = RunControl()
    control.set(Wish.STOP)
    control.owe(1, lambda words: None)
    control.stepped()
    assert control.wish is Wish.PAUSE


def test_steps_are_refused_while_time_runs_or_others_are_owed():
    control = RunControl()
    with pytest.raises(Refusal, match="pause it first"):
        control.owe(1, lambda words: None)
    control = paused()
    control.owe(2, lambda words: None)
    with pytest.raises(Refusal, match="2 of 2"):
        control.owe(1, lambda words: None)
