"""Pauses grow to half a minute, vary a little, and end."""

from pathlib import Path

from inference_log.pauses import Pauses

PATH, OTHER = Path("a"), Path("b")


def length_s(pauses: Pauses, now_s: float = 1000.0) -> float:
    """Begin a pause; return how long it holds."""
    pauses.begin(PATH, now_s)
    low, high = 0.0, 1000.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if pauses.holds(PATH, now_s + middle) and middle < 60 else (low, middle)
    return low


def test_each_pause_is_twice_as_long_as_the_one_before_up_to_half_a_minute():
    pauses = Pauses()
    assert not pauses.holds(PATH, 1000.0)
    for expected_s in (1, 2, 4, 8, 16, 30, 30):
        assert 0.74 * expected_s <= length_s(pauses) <= 1.26 * expected_s


def test_pauses_differ():
    assert len({round(length_s(Pauses()), 2) for _ in range(20)}) > 1


def test_a_pause_is_of_one_path_and_can_be_ended_or_forgotten():
    pauses = Pauses()
    for _ in range(5):
        pauses.begin(PATH, 1000.0)
    assert (pauses.holds(PATH, 1000.5), pauses.holds(OTHER, 1000.5)) == (True, False)
    pauses.end()
    assert not pauses.holds(PATH, 1000.5)
    pauses.begin(PATH, 1000.0)
    assert pauses.holds(PATH, 1010.0)
    pauses.keep([OTHER])
    assert length_s(pauses) < 1.3


def test_a_clock_that_is_set_back_a_day_holds_nothing_up():
    pauses = Pauses()
    pauses.begin(PATH, 1_000_000.0)
    assert not pauses.holds(PATH, 1_000_000.0 - 86_400)
