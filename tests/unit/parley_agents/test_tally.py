"""What an agent counts reads as numbers a person can compare."""

from parley_agents.tally import Tally


def test_shares_and_percentiles_are_of_what_was_counted():
    tally = Tally()
    for latency, complete in ((0.010, 2), (0.020, 1), (0.030, 2)):
        tally.decided(latency, rounds=2, rounds_complete=complete)
    tally.add("dropped too old")
    values = tally.values()
    assert values["rounds_complete_share"] == round(5 / 6, 4)
    assert values["decision_ms_p50"] == 20.0
    assert values["dropped_too_old"] == 1


def test_nothing_counted_is_told_without_percentiles():
    assert Tally().values() == {"rounds_complete_share": 1.0}
