"""A decision goes through its rounds with whoever speaks, and without whoever does not."""

import numpy as np
import pytest

from parley_agents.decision_cycle import DecisionCycle
from policy_core.comm.wire import Message
from policy_core.serving.inbox import Inbox, Verdict
from policy_core.serving.policy import Observation

SIZE, PROTOCOL = 2, 7
SEEN = Observation(np.zeros(3, np.float32), np.zeros((2, 4), np.float32), np.array([True, True]), (0.0, 0.0, 0.0))


class Repeater:
    """A policy that says the sum of what it heard, and chooses 1 if it heard anything in the last round."""

    def __init__(self, rounds):
        self.rounds, self.heard = rounds, []

    def begin(self, observation):
        self.heard = []
        return np.ones(SIZE, np.float32)

    def hear(self, heard):
        self.heard.append(heard)
        return heard.messages.sum(0) if len(self.heard) < self.rounds else None

    def choose(self):
        return int(self.heard[-1].present.any())


class Agent:
    """A decision cycle with its outputs kept."""

    def __init__(self, rounds=2, neighbours=("b", "c"), limit=1.0, radio_range=np.inf):
        self.said, self.chosen, self.policy = [], [], Repeater(rounds)
        inbox = Inbox(dict.fromkeys(neighbours, "forklift"), SIZE, PROTOCOL, max_age=5.0)
        self.cycle = DecisionCycle(
            "a",
            self.policy,
            inbox,
            PROTOCOL,
            radio_range,
            rounds,
            neighbours,
            limit,
            self.said.append,
            lambda index, complete: self.chosen.append((index, complete)),
        )

    def hears(self, sender, round_, tick=0, value=1.0, protocol=PROTOCOL, x=0.0):
        values = np.full(SIZE, value, np.float32)
        message = Message(sender, tick, round_, protocol, float(tick), (x, 0.0, 0.0), values)
        return self.cycle.offer(message, float(tick), 0.0)


def test_a_round_ends_when_all_neighbours_were_heard_and_the_next_message_comes_from_what_was_heard():
    agent = Agent()
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    assert [m.round for m in agent.said] == [1]
    agent.hears("b", 1, value=2.0)
    assert len(agent.said) == 1
    agent.hears("c", 1, value=3.0)
    assert agent.said[1].round == 2
    assert agent.said[1].values.tolist() == [5.0, 5.0]
    agent.hears("c", 2)
    agent.hears("b", 2)
    assert agent.chosen == [(1, 2)]
    assert not agent.cycle.is_waiting


def test_messages_that_come_before_the_own_facts_count():
    agent = Agent(rounds=1)
    agent.hears("b", 1)
    agent.hears("c", 1)
    assert agent.chosen == []
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    assert agent.chosen == [(1, 1)]


def test_at_the_deadline_the_missing_are_masked_and_not_waited_for_again():
    agent = Agent(limit=1.0)
    agent.cycle.start(0, 0.0, SEEN, 10.0)
    agent.hears("b", 1)
    assert agent.cycle.give_up(0.0, 10.9) == []
    assert agent.cycle.give_up(0.0, 11.1) == ["c"]
    assert agent.policy.heard[0].present.tolist() == [True, False]
    agent.hears("b", 2)
    assert agent.chosen == [(1, 1)]
    assert agent.cycle.missing == ["c"]


def test_a_neighbour_that_speaks_again_is_waited_for_again():
    agent = Agent(rounds=1)
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    agent.cycle.give_up(0.0, 2.0)
    agent.cycle.start(1, 1.0, SEEN, 2.0)
    assert agent.chosen == [(0, 0), (0, 1)]
    agent.hears("c", 1, tick=1)
    agent.cycle.start(2, 2.0, SEEN, 3.0)
    assert agent.cycle.is_waiting
    agent.hears("c", 1, tick=2)
    assert agent.chosen[2] == (1, 1)


def test_a_message_of_another_protocol_is_neither_read_nor_waited_on():
    agent = Agent(rounds=1, neighbours=("b",))
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    assert agent.hears("b", 1, protocol=8) is Verdict.FOREIGN_PROTOCOL
    assert agent.cycle.is_waiting
    agent.cycle.give_up(0.0, 2.0)
    assert agent.chosen == [(0, 0)]


def test_out_of_radio_range_is_masked_but_the_round_is_complete():
    agent = Agent(rounds=1, neighbours=("b", "c"), radio_range=10.0)
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    agent.hears("b", 1, x=10.0)
    agent.hears("c", 1, x=10.5)
    assert agent.policy.heard[0].present.tolist() == [True, False]
    assert agent.chosen == [(1, 1)]


def test_a_fleet_of_one_decides_at_once():
    agent = Agent(rounds=2, neighbours=())
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    assert len(agent.said) == 2
    assert agent.chosen == [(0, 2)]


def test_without_rounds_nothing_is_said():
    agent = Agent(rounds=0)
    agent.policy.heard = [agent.cycle._inbox.view(0, 1, 0.0)]
    agent.policy.begin = lambda observation: np.zeros(SIZE, np.float32)
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    assert agent.said == []
    assert agent.chosen == [(0, 0)]


def test_a_new_tick_abandons_an_open_round():
    agent = Agent(rounds=1, neighbours=("b",))
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    agent.cycle.start(1, 1.0, SEEN, 0.5)
    agent.hears("b", 1, tick=1)
    assert agent.chosen == [(1, 1)]


@pytest.mark.parametrize("order", [("b1", "c1", "b2", "c2"), ("b1", "b2", "c1", "c2"), ("c1", "b1", "c2", "b2")])
def test_what_is_decided_does_not_depend_on_the_order_of_arrival(order):
    agent = Agent()
    agent.cycle.start(0, 0.0, SEEN, 0.0)
    for sender, round_ in order:
        agent.hears(sender, int(round_), value=0.5)
    assert agent.chosen == [(1, 2)]
    assert [m.values.tolist() for m in agent.said] == [[1.0, 1.0], [1.0, 1.0]]
