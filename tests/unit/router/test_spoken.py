"""Durations and weights as people say them."""

import pytest

from router.spoken import spoken_duration, spoken_weights


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0s"), (0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (10, "10s"), (59.4, "59s"), (59.6, "1m"),
        (200, "3m 20s"), (3599.6, "1h"), (3661, "1h 1m"), (7500, "2h 5m"), (86_400, "1d"), (273_600, "3d 4h"),
        (400 * 86_400, "400d"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units_at_most(seconds, said):
    assert spoken_duration(seconds) == said


def test_weights_are_percent():
    assert spoken_weights({"a": "99.99%", "b": "0.01%"}) == "a=99.99% b=0.01%"
