"""A tick goes on when all who are expected have arrived, or without those who were given up."""

from parley_agents.tick_barrier import TickBarrier


def test_complete_only_when_every_expected_name_has_arrived():
    barrier = TickBarrier(["a", "b"], limit=1.0)
    barrier.arrive("a", 3)
    assert not barrier.complete(3)
    assert barrier.missing(3) == ["b"]
    barrier.arrive("b", 3)
    assert barrier.complete(3)
    assert not barrier.complete(4)


def test_a_late_word_about_an_earlier_tick_does_not_count_for_this_one():
    barrier = TickBarrier(["a"], limit=1.0)
    barrier.arrive("a", 5)
    barrier.arrive("a", 4)
    assert barrier.complete(5)


def test_expire_drops_the_missing_and_the_next_tick_does_not_wait_for_them():
    barrier = TickBarrier(["a", "b", "c"], limit=1.0)
    barrier.arrive("b", 0)
    assert barrier.expire(0) == ["a", "c"]
    assert barrier.expected == {"b"}
    barrier.arrive("b", 1)
    assert barrier.complete(1)


def test_a_dropped_name_is_expected_again_once_heard():
    barrier = TickBarrier(["a", "b"], limit=1.0)
    barrier.arrive("a", 0)
    barrier.expire(0)
    barrier.arrive("b", 1)
    assert barrier.expected == {"a", "b"}
    assert barrier.missing(1) == ["a"]


def test_a_stranger_is_refused_and_never_waited_for():
    barrier = TickBarrier(["a"], limit=1.0)
    assert not barrier.arrive("z", 0)
    assert barrier.expected == {"a"}
    assert not barrier.complete(0)


def test_nobody_expected_is_complete():
    assert TickBarrier([], limit=1.0).complete(0)
