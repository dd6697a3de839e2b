"""The policy server is waited for while it answers, and only then."""

from parley_agents.server_link import ServerLink


def test_an_answer_in_time_closes_the_question():
    link = ServerLink(limit=0.5)
    assert link.ask(3, 3.0, "seen", wall=10.0)
    assert link.answer(2) is None
    assert link.answer(3).observation == "seen"
    assert link.answer(3) is None
    assert link.overdue(11.0) is None


def test_a_silent_server_costs_the_limit_once():
    link = ServerLink(limit=0.5)
    link.ask(3, 3.0, "seen", wall=10.0)
    assert link.overdue(10.4) is None
    assert link.overdue(10.6).tick == 3
    assert not link.ask(4, 4.0, "seen", wall=11.0)
    assert link.overdue(20.0) is None


def test_a_server_that_is_heard_again_is_waited_for_again():
    link = ServerLink(limit=0.5)
    link.ask(3, 3.0, "seen", wall=10.0)
    link.overdue(10.6)
    assert link.answer(3) is None
    assert link.ask(4, 4.0, "seen", wall=11.0)
