"""The estimate of each route, and how many requests it may refuse."""

import pytest

from gateway.execution.latency import LatencyModel
from gateway.execution.paces import MOST_REFUSED, Pace, Paces, observe
from tests.unit.gateway.execution.support import HeldExecutor


def paces_of(latency: LatencyModel) -> Paces:
    executor = HeldExecutor()
    executor.latency = latency
    return Paces(executor)


def test_a_route_begins_with_what_was_measured_whatever_ran_since():
    measured = LatencyModel(0.002, 16, 0.017)
    for _ in range(5):
        measured.observe(1, 3.0)
    pace = paces_of(measured).of("r")
    assert [pace.expected_s(rows) for rows in (1, 16)] == pytest.approx([0.002, 0.017])


def test_each_route_follows_its_own_runs():
    paces = paces_of(LatencyModel(0.001))
    for _ in range(50):
        observe([paces.of("slow"), paces.of("slow")], 1, 3.0)
    assert paces.of("slow") is paces.of("slow")
    assert paces.of("slow").expected_s(1) > 1
    assert paces.of("quick").expected_s(1) == pytest.approx(0.001)


def test_a_run_that_requests_of_one_route_share_counts_once():
    shared, alone = paces_of(LatencyModel(0.001)), paces_of(LatencyModel(0.001))
    for _ in range(3):
        observe([shared.of("r")] * 8, 8, 0.1)
        observe([alone.of("r")], 8, 0.1)
    assert shared.of("r").expected_s(1) == alone.of("r").expected_s(1)


def test_of_ten_requests_in_a_row_one_is_tried_whatever_the_estimate_says():
    pace = Pace(LatencyModel(1000.0))
    refused = [pace.refuses(1, 0.5) for _ in range(30)]
    assert refused == [*[True] * MOST_REFUSED, False] * 3


def test_a_request_whose_deadline_has_passed_is_never_tried():
    pace = Pace(LatencyModel(0.001))
    assert [pace.refuses(1, -0.1) for _ in range(30)] == [True] * 30
    assert pace.expected_s(1) == pytest.approx(0.001)


def test_a_request_with_enough_time_is_not_refused():
    pace = Pace(LatencyModel(0.01))
    assert not pace.refuses(1, 0.02)
    assert pace.refuses(1, 0.005)


def test_a_run_that_was_much_quicker_than_expected_lets_the_next_request_be_tried():
    pace = Pace(LatencyModel(1.0))
    assert pace.refuses(1, 0.5)
    pace.observe(1, 0.6)
    assert pace.refuses(1, 0.5)
    pace.observe(1, 0.01)
    assert not pace.refuses(1, 0.5)
    assert pace.refuses(1, 0.5)
