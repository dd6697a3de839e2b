"""Contacts are counted as events."""

from sim.bullet.contact_log import ContactLog
from sim.bullet.contacts import Contact

WALL = Contact("a", "wall_1", 50.0)


def test_a_touch_that_goes_on_is_one_event():
    log = ContactLog(["a", "b"], lull=5)
    assert log.note(1, [WALL]) == [WALL]
    for step in range(2, 10):
        assert log.note(step, [WALL]) == []
    assert log.counts == {"a": 1, "b": 0}


def test_a_touch_after_a_lull_is_a_new_event_and_a_bounce_is_not():
    log = ContactLog(["a", "b"], lull=5)
    for step in (1, 4, 9, 15):
        log.note(step, [WALL])
    assert log.counts["a"] == 2


def test_two_robots_that_touch_have_begun_one_each():
    log = ContactLog(["a", "b"])
    log.note(1, [Contact("b", "a", 80.0), Contact("a", "b", 80.0)])
    assert log.counts == {"a": 1, "b": 1}
