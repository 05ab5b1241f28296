"""A store that tells of changes is asked about once a second, and any other at every tick."""

from gateway.control.cadence import TOLD_EVERY_S, Cadence


def test_a_store_that_has_told_of_nothing_is_asked_at_every_tick():
    cadence = Cadence(lambda: 1.0)
    for now_s in (0.0, 0.2, 0.4):
        assert cadence.is_due(now_s, told=False)
        cadence.asked(now_s, told=False, found=False)
    cadence.asked(0.6, told=True, found=False)  # a first message that says nothing
    assert cadence.is_due(0.8, told=False)


def test_a_store_that_has_told_of_a_change_is_asked_when_it_tells_and_now_and_then():
    cadence = Cadence(lambda: 1.0)
    cadence.asked(10.0, told=True, found=True)
    assert not cadence.is_due(10.99, told=False)
    assert cadence.is_due(10.1, told=True)
    assert cadence.is_due(10.0 + TOLD_EVERY_S, told=False)
    cadence.asked(11.0, told=False, found=False)
    assert not cadence.is_due(11.9, told=False)


def test_a_change_that_was_not_told_of_or_an_outage_ends_the_trust():
    for end in (lambda each: each.asked(1.0, told=False, found=True), lambda each: each.failed()):
        cadence = Cadence(lambda: 1.0)
        cadence.asked(0.0, told=True, found=True)
        end(cadence)
        assert cadence.is_due(1.01, told=False)


def test_replicas_ask_at_different_times():
    due_s = []
    for drawn in (0.0, 0.5, 1.0):
        cadence = Cadence(lambda drawn=drawn: drawn)
        cadence.asked(0.0, told=True, found=True)
        due_s.append(next(tick / 100 for tick in range(200) if cadence.is_due(tick / 100, told=False)))
    assert due_s == [0.75, 0.88, 1.0]
