"""The expected time of a run: measured when a version is loaded, then adjusted to every run."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.execution.latency import LatencyModel, measured_times
from runtimes.manifest import Signature, TensorSpec


def test_a_run_takes_a_fixed_time_and_some_for_each_instance():
    latency = LatencyModel(0.003, 11, 0.013)
    assert [latency.expected_s(rows) for rows in (0, 1, 11, 21)] == pytest.approx([0.002, 0.003, 0.013, 0.023])


def test_without_a_second_measurement_instances_cost_nothing():
    assert (
        LatencyModel(0.003).expected_s(64) == pytest.approx(LatencyModel(0.003).expected_s(1)) == pytest.approx(0.003)
    )


def test_several_instances_that_ran_faster_than_one_count_as_fast_as_one():
    assert LatencyModel(0.003, 16, 0.002).expected_s(16) == pytest.approx(0.003)


@given(st.floats(1e-6, 1.0), st.integers(2, 64), st.floats(1e-6, 10.0), st.floats(1e-6, 1.0))
def test_rows_within_a_limit_is_the_largest_number_that_fits(one_row_s, rows, rows_s, limit_s):
    latency = LatencyModel(one_row_s, rows, rows_s)
    assume(latency.expected_s(1) < limit_s)
    most = latency.rows_within(limit_s)
    assert most >= 1
    if most > 1:
        assert latency.expected_s(most) <= limit_s * (1 + 1e-6)
    if most < 1 << 20:
        assert latency.expected_s(most + 1) >= limit_s * (1 - 1e-6)


def test_the_estimate_follows_the_runs():
    latency = LatencyModel(0.001)
    for _ in range(100):
        latency.observe(1, 0.005)
    assert latency.expected_s(1) == pytest.approx(0.005, rel=0.01)
    for _ in range(100):
        latency.observe(1, 0.0005)
    assert latency.expected_s(1) == pytest.approx(0.0005, rel=0.01)


def test_runs_of_one_size_adjust_the_estimate_for_every_size():
    latency = LatencyModel(0.002, 11, 0.012)
    for _ in range(100):
        latency.observe(11, 0.024)  # twice as slow as measured
    assert latency.expected_s(1) == pytest.approx(0.004, rel=0.01)


def test_one_slow_run_changes_nothing_and_two_in_a_row_do():
    latency = LatencyModel(0.001)
    latency.observe(1, 1.0)
    assert latency.expected_s(1) == pytest.approx(0.001)
    latency.observe(1, 1.0)
    assert latency.expected_s(1) > 0.05


def test_an_estimate_that_keeps_rejecting_requests_falls_until_one_is_admitted():
    latency = LatencyModel(0.1)
    refusals = 0
    while latency.expected_s(1) > 0.01:
        latency.lower()
        refusals += 1
    assert 100 < refusals < 120  # 0.98 ** 114 is a tenth


class Recorded:
    """A runtime that notes the size of its inputs."""

    def __init__(self, values: int) -> None:
        self.unbatched_because = ""
        self.signature = Signature(
            inputs=(TensorSpec("x", "FP32", (-1, values)),), outputs=(TensorSpec("y", "FP32", (-1, 1)),)
        )
        self.sizes: set[int] = set()

    def run(self, inputs, names):  # noqa: ARG002  # the Protocol's
        self.sizes.add(inputs["x"].nbytes)
        return []


@pytest.mark.parametrize(("values", "rows"), [(4, 16), (2**21, 8), (2**24, 1), (2**25, 1)])
def test_a_version_is_timed_with_inputs_that_fit_into_memory(values, rows):
    runtime = Recorded(values)
    assert measured_times(runtime, 64)[1] == rows
    assert max(runtime.sizes) <= max(64 * 2**20, 4 * values)


@pytest.mark.parametrize("max_batch", [1, 3])
def test_no_run_has_more_rows_than_max_batch(max_batch):
    runtime = Recorded(4)
    assert measured_times(runtime, max_batch)[1] == max_batch
    assert max(runtime.sizes) == 16 * max_batch


def test_a_model_of_single_instances_is_timed_with_one():
    runtime = Recorded(4)
    runtime.signature = Signature(inputs=runtime.signature.inputs, outputs=runtime.signature.outputs, batch="none")
    one_s, rows, rows_s = measured_times(runtime, 64)
    assert (rows, rows_s) == (1, one_s)
