"""How long a run is expected to take: measured at first, then followed."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.execution.latency import LatencyModel


def test_a_run_takes_a_fixed_time_and_some_for_each_instance():
    pace = LatencyModel(0.003, 11, 0.013)
    assert [pace.expected_s(rows) for rows in (0, 1, 11, 21)] == pytest.approx([0.002, 0.003, 0.013, 0.023])


def test_without_a_second_measurement_instances_cost_nothing():
    assert (
        LatencyModel(0.003).expected_s(64) == pytest.approx(LatencyModel(0.003).expected_s(1)) == pytest.approx(0.003)
    )


def test_several_that_were_quicker_than_one_count_as_quick_as_one():
    assert LatencyModel(0.003, 16, 0.002).expected_s(16) == pytest.approx(0.003)


@given(st.floats(1e-6, 1.0), st.integers(2, 64), st.floats(1e-6, 10.0), st.floats(1e-6, 1.0))
def test_as_many_as_fit_into_a_limit_are_the_most_that_do(one_row_s, rows, rows_s, limit_s):
    pace = LatencyModel(one_row_s, rows, rows_s)
    assume(pace.expected_s(1) < limit_s)
    most = pace.rows_within(limit_s)
    assert most >= 1
    if most > 1:
        assert pace.expected_s(most) <= limit_s * (1 + 1e-6)
    if most < 1 << 20:
        assert pace.expected_s(most + 1) >= limit_s * (1 - 1e-6)


def test_what_is_measured_is_followed():
    pace = LatencyModel(0.001)
    for _ in range(100):
        pace.observe(1, 0.005)
    assert pace.expected_s(1) == pytest.approx(0.005, rel=0.01)
    for _ in range(100):
        pace.observe(1, 0.0005)
    assert pace.expected_s(1) == pytest.approx(0.0005, rel=0.01)


def test_runs_of_any_size_tell_of_every_size():
    pace = LatencyModel(0.002, 11, 0.012)
    for _ in range(100):
        pace.observe(11, 0.024)  # twice as slow as measured
    assert pace.expected_s(1) == pytest.approx(0.004, rel=0.01)


def test_a_single_hiccup_says_nothing_and_two_slow_runs_do():
    pace = LatencyModel(0.001)
    pace.observe(1, 1.0)
    assert pace.expected_s(1) == pytest.approx(0.001)
    pace.observe(1, 1.0)
    assert pace.expected_s(1) > 0.05


def test_whoever_is_refused_again_and_again_is_let_in_at_last():
    pace = LatencyModel(0.1)
    refusals = 0
    while pace.expected_s(1) > 0.01:
        pace.lower()
        refusals += 1
    assert 100 < refusals < 120  # 0.98 ** 114 is a tenth
