"""Metrics of one replica, of its neighbours, and of the replicas that held its seat before."""

import math
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import Metrics
from tests.support.polling import wait_until


def samples(metrics: Metrics, live: set[int], name: str) -> dict[tuple, float]:
    """Return the value for each tuple of label values, in the order of the label names."""
    families = text_string_to_metric_families(metrics.render(live).decode())
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_route_arm_version_and_status(tmp_path):
    metrics = Metrics(tmp_path, 0)
    for _ in range(3):
        metrics.count("r", "a", "1", 200, 0.002)
    metrics.count("r", "a", "1", 504, 20.0)
    metrics.count("r", "b", "2", 200, 0.0001)
    metrics.flush()
    metrics.flush()
    assert samples(metrics, {0}, "pointsman_requests_total") == {
        ("a", "r", "200", "1"): 3,
        ("a", "r", "504", "1"): 1,
        ("b", "r", "200", "2"): 1,
    }
    metrics.count("r", "a", "1", 200, 0.002)
    metrics.flush()
    assert samples(metrics, {0}, "pointsman_requests_total")["a", "r", "200", "1"] == 4


def test_durations_fall_into_tsuccessor_buckets(tmp_path):
    metrics = Metrics(tmp_path, 0)
    for duration_s in (0.0001, 0.00011, 0.003, 20.0):
        metrics.count("r", "a", "1", 200, duration_s)
    metrics.flush()
    buckets = {le: n for (_, le, _), n in samples(metrics, {0}, "pointsman_request_seconds_bucket").items()}
    assert {float(le): buckets[le] for le in ("0.0001", "0.00025", "0.0025", "0.005", "10.0", "+Inf")} == {
        0.0001: 1, 0.00025: 2, 0.0025: 2, 0.005: 3, 10.0: 3, math.inf: 4,
    }  # fmt: skip
    assert samples(metrics, {0}, "pointsman_request_seconds_count") == {("a", "r"): 4}
    assert samples(metrics, {0}, "pointsman_request_seconds_sum")["a", "r"] == pytest.approx(20.00321)


def test_nothing_is_lost_while_it_is_flushed(tmp_path):
    metrics, stop = Metrics(tmp_path, 0), threading.Event()

    def flush() -> None:
        while not stop.is_set():
            metrics.flush()

    flushing = threading.Thread(target=flush)
    flushing.start()
    for _ in range(20_000):
        metrics.count("r", "a", "1", 200, 0.002)
    stop.set()
    flushing.join()
    metrics.flush()
    assert samples(metrics, {0}, "pointsman_requests_total") == {("a", "r", "200", "1"): 20_000}


def test_each_replica_reports_for_all_and_a_successor_continues(tmp_path):
    first = Metrics(tmp_path, 0)
    first.count("r", "a", "1", 200, 0.001)
    first.flush()
    first.in_flight.set(5)
    second = Metrics(tmp_path, 1)
    second.count("r", "a", "1", 200, 0.001)
    second.flush()
    second.in_flight.set(2)
    assert samples(second, {0, 1}, "pointsman_requests_total") == {("a", "r", "200", "1"): 2}
    assert samples(second, {0, 1}, "pointsman_in_flight") == {(): 7}
    assert samples(second, {1}, "pointsman_in_flight") == {(): 2}  # a replica that has ended has no requests in flight
    successor = Metrics(tmp_path, 0)
    successor.count("r", "a", "1", 200, 0.001)
    successor.flush()
    assert samples(successor, {0, 1}, "pointsman_requests_total") == {("a", "r", "200", "1"): 3}


def test_shadows_are_counted_apart_from_arms(tmp_path):
    metrics = Metrics(tmp_path, 0)
    metrics.count("r", "a", "1", 200, 0.002)
    for status in (200, 200, 504):
        metrics.count_shadow("r", "m:9", "9", status, 0.003)
    metrics.flush()
    metrics.flush()
    assert samples(metrics, {0}, "pointsman_requests_total") == {("a", "r", "200", "1"): 1}
    assert samples(metrics, {0}, "pointsman_shadow_requests_total") == {
        ("r", "m:9", "200", "9"): 2,
        ("r", "m:9", "504", "9"): 1,
    }
    assert samples(metrics, {0}, "pointsman_shadow_seconds_count") == {("r", "m:9"): 3}
    assert samples(metrics, {0}, "pointsman_shadow_seconds_sum")["r", "m:9"] == pytest.approx(0.009)
    assert samples(metrics, {0}, "pointsman_request_seconds_count") == {("a", "r"): 1}


def test_guardrail_values_of_replicas_that_ended_are_removed(tmp_path):
    Metrics(tmp_path, 0).guardrails.labels("r", "canary", "errors").set(0.001)
    second = Metrics(tmp_path, 1)
    assert samples(second, {0, 1}, "pointsman_guardrail_p_value") == {("canary", "errors", "r"): 0.001}
    assert samples(second, {1}, "pointsman_guardrail_p_value") == {}


def test_a_replica_counts_its_responses(gateway):
    def counted(name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(gateway.http.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    spec = {"arms": {"a": "linear:1"}, "split": {"a": 1}}
    gateway.http.put("/api/routes/counted", json=spec, headers={"if-none-match": "*"})
    wait_until(lambda: gateway.http.get("/v2/models/counted").status_code == 200)
    before = counted("pointsman_log_records_total", outcome="appended")
    for _ in range(5):
        gateway.infer("counted")
    for _ in range(2):
        gateway.http.post("/v2/models/counted/infer", content=b"{")
    wait_until(lambda: counted("pointsman_requests_total", route="counted") >= 7)
    assert counted("pointsman_requests_total", route="counted", arm="a", version="1", status="200") == 5
    assert counted("pointsman_requests_total", route="counted", arm="", version="", status="400") == 2
    assert counted("pointsman_request_seconds_count", route="counted", arm="a") == 5
    wait_until(lambda: counted("pointsman_log_records_total", outcome="appended") >= before + 7)
    assert counted("pointsman_log_records_total", outcome="dropped") == 0
    assert gateway.http.get("/metrics").headers["content-type"].startswith("text/plain")
