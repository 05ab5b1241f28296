"""Inputs that are larger than what was measured do not run on the event loop."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.execution.inline_bound import InlineBound, elements_of

LIMIT_S = 0.002


def test_an_input_of_twice_the_size_runs_on_the_loop_if_time_could_grow_with_the_square():
    assert InlineBound(LIMIT_S, 10, 0.0001, 160, 0.0001).most == 320
    assert InlineBound(LIMIT_S, 10, 0.0001, 160, LIMIT_S / 2).most == pytest.approx(160 * math.sqrt(2))


def test_between_two_measured_sizes_the_straight_line_counts():
    assert InlineBound(0.010, 1, 0.001, 11, 0.011).most == pytest.approx(10)


def test_one_slow_run_changes_nothing_and_two_put_the_bound_below_them():
    bound = InlineBound(LIMIT_S, 10, 0.0001, 160, 0.0001)
    bound.observe(300, 0.1)
    assert bound.most == 320
    bound.observe(10, 0.0001)  # a quick run of a small input says nothing about a large one
    bound.observe(200, 0.1)
    assert bound.most < 200


def test_a_quick_run_between_makes_a_slow_one_a_hiccup():
    bound = InlineBound(LIMIT_S, 10, 0.0001, 160, 0.0001)
    for _ in range(10):
        bound.observe(300, 0.1)
        bound.observe(300, 0.0001)
    assert bound.most >= 300


@given(st.floats(1.0, 2.0), st.lists(st.integers(1, 100_000), max_size=60))
def test_no_run_on_the_loop_takes_more_than_the_limit_if_time_grows_with_at_most_the_square(power, sizes):
    def seconds(size: float) -> float:
        return 1e-7 * size**power

    bound = InlineBound(LIMIT_S, 1, seconds(1), 256, seconds(256))
    for size in sizes:
        if size <= bound.most:
            assert seconds(size) <= LIMIT_S * (1 + 1e-9)
        bound.observe(size, seconds(size))


def test_the_bytes_of_strings_count():
    assert elements_of({"X": np.zeros((2, 3), "f4"), "s": np.array([b"abc", b""], object)}) == 6 + 2 + 3
    assert elements_of({"s": np.array([b"x"] * 5000, object)}) == math.inf


def test_a_run_with_too_many_strings_to_count_changes_nothing():
    bound = InlineBound(LIMIT_S, 1, 0.0001, 16, 0.0001)
    bound.observe(math.inf, 0.0001)
    assert bound.most == 32
