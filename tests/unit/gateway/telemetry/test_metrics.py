"""Metrics of one replica, of its neighbours, and of the replicas that held its seat before."""

import math
import resource
import signal
import threading
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metric_table import ABORTS, IN_FLIGHT, P_VALUE, REVISION, SHED
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.published import read_all
from gateway.telemetry.render import render
from registry_sync.version import VersionKey
from tests.support.exposed_metrics import rendered
from tests.support.polling import wait_until


def samples(folder: Path, live: set[int], name: str) -> dict[tuple, float]:
    """Return the value for each tuple of label values, in the order of the label names."""
    text = render(read_all(folder), {str(seat) for seat in live})
    families = text_string_to_metric_families(text.decode())
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_route_arm_version_and_status(tmp_path):
    metrics = Metrics(tmp_path, "0")
    for _ in range(3):
        metrics.count("r", "a", "1", 200, 0.002)
    metrics.count("r", "a", "1", 504, 20.0)
    metrics.count("r", "b", "2", 200, 0.0001)
    metrics.publish()
    metrics.publish()
    assert samples(tmp_path, {0}, "pointsman_requests_total") == {
        ("a", "r", "200", "1"): 3,
        ("a", "r", "504", "1"): 1,
        ("b", "r", "200", "2"): 1,
    }
    metrics.count("r", "a", "1", 200, 0.002)
    metrics.publish()
    assert samples(tmp_path, {0}, "pointsman_requests_total")["a", "r", "200", "1"] == 4


def test_durations_fall_into_their_buckets(tmp_path):
    metrics = Metrics(tmp_path, "0")
    for duration_s in (0.0001, 0.00011, 0.003, 20.0):
        metrics.count("r", "a", "1", 200, duration_s)
    metrics.publish()
    buckets = {le: n for (_, le, _), n in samples(tmp_path, {0}, "pointsman_request_seconds_bucket").items()}
    assert {float(le): buckets[le] for le in ("0.0001", "0.00025", "0.0025", "0.005", "10.0", "+Inf")} == {
        0.0001: 1, 0.00025: 2, 0.0025: 2, 0.005: 3, 10.0: 3, math.inf: 4,
    }  # fmt: skip
    assert samples(tmp_path, {0}, "pointsman_request_seconds_count") == {("a", "r"): 4}
    assert samples(tmp_path, {0}, "pointsman_request_seconds_sum")["a", "r"] == pytest.approx(20.00321)


def test_nothing_is_lost_while_it_is_published(tmp_path):
    metrics, stop = Metrics(tmp_path, "0"), threading.Event()

    def publish() -> None:
        while not stop.is_set():
            metrics.publish()

    publishing = threading.Thread(target=publish)
    publishing.start()
    for _ in range(20_000):
        metrics.count("r", "a", "1", 200, 0.002)
    stop.set()
    publishing.join()
    metrics.publish()
    assert samples(tmp_path, {0}, "pointsman_requests_total") == {("a", "r", "200", "1"): 20_000}


def test_each_replica_reports_for_all_and_a_successor_continues(tmp_path):
    first = Metrics(tmp_path, "0")
    first.count("r", "a", "1", 200, 0.001)
    first.publish()
    first.set_gauge(IN_FLIGHT, ((), 5))
    first.publish()
    second = Metrics(tmp_path, "1")
    second.count("r", "a", "1", 200, 0.001)
    second.publish()
    second.set_gauge(IN_FLIGHT, ((), 2))
    second.publish()
    assert samples(tmp_path, {0, 1}, "pointsman_requests_total") == {("a", "r", "200", "1"): 2}
    assert samples(tmp_path, {0, 1}, "pointsman_in_flight") == {(): 7}
    assert samples(tmp_path, {1}, "pointsman_in_flight") == {(): 2}  # the first has ended
    successor = Metrics(tmp_path, "0")
    successor.count("r", "a", "1", 200, 0.001)
    successor.publish()
    assert samples(tmp_path, {0, 1}, "pointsman_requests_total") == {("a", "r", "200", "1"): 3}


def test_shadows_are_counted_apart_from_arms(tmp_path):
    metrics = Metrics(tmp_path, "0")
    metrics.count("r", "a", "1", 200, 0.002)
    for status in (200, 200, 504):
        metrics.count_shadow("r", "m:9", "9", status, 0.003)
    metrics.publish()
    metrics.publish()
    assert samples(tmp_path, {0}, "pointsman_requests_total") == {("a", "r", "200", "1"): 1}
    assert samples(tmp_path, {0}, "pointsman_shadow_requests_total") == {
        ("r", "m:9", "200", "9"): 2,
        ("r", "m:9", "504", "9"): 1,
    }
    assert samples(tmp_path, {0}, "pointsman_shadow_seconds_count") == {("r", "m:9"): 3}
    assert samples(tmp_path, {0}, "pointsman_shadow_seconds_sum")["r", "m:9"] == pytest.approx(0.009)
    assert samples(tmp_path, {0}, "pointsman_request_seconds_count") == {("a", "r"): 1}


def test_guardrail_values_of_replicas_that_ended_are_removed(tmp_path):
    first = Metrics(tmp_path, "0")
    first.set_gauge(P_VALUE, (("r", "canary", "errors"), 0.001))
    first.publish()
    assert samples(tmp_path, {0, 1}, "pointsman_guardrail_p_value") == {("canary", "errors", "r"): 0.001}
    assert samples(tmp_path, {1}, "pointsman_guardrail_p_value") == {}


def test_a_successor_adds_to_the_counters_of_its_predecessor_and_begins_without_its_gauges(tmp_path):
    first = Metrics(tmp_path, "0")
    first.set_total(ABORTS, 4, "r", "canary", "errors")
    first.shed = 2
    first.set_gauge(REVISION, ((), 7))
    first.count_lane(VersionKey("m", "1", "d"), {"runs": 3, "model_s": 0.5}, 100.0)
    first.publish()
    heir = Metrics(tmp_path, "0")
    heir.set_total(ABORTS, 1, "r", "canary", "errors")
    heir.set_total(ABORTS, 1, "s", "canary", "errors")
    heir.shed += 1
    heir.count_lane(VersionKey("m", "1", "d"), {"runs": 1, "model_s": 0.25}, 90.0)
    for _ in range(2):
        heir.publish()  # each total counts once, however often it is published
    assert samples(tmp_path, {0}, "pointsman_aborts_total") == {
        ("canary", "errors", "r"): 5,
        ("canary", "errors", "s"): 1,
    }
    assert samples(tmp_path, {0}, f"{SHED}_total") == {(): 3}
    assert samples(tmp_path, {0}, REVISION) == {}
    assert samples(tmp_path, {0}, "pointsman_lane_runs_total") == {("d", "m", "1"): 4}
    assert samples(tmp_path, {0}, "pointsman_lane_model_seconds_total") == {("d", "m", "1"): 0.75}
    assert samples(tmp_path, {0}, "pointsman_lane_last_seconds") == {("d", "m", "1"): 100.0}
    assert heir.lane_sums()["m", "1", "d"].runs == 4


def test_gauges_are_added_or_shown_for_each_seat_or_the_newest_is_shown(tmp_path):
    for seat, p_value in (("1", 0.5), ("0", 0.25)):
        metrics = Metrics(tmp_path, seat)
        metrics.set_gauge(REVISION, ((), 7 + int(seat)))
        metrics.set_gauge(P_VALUE, (("r", "canary", "errors"), p_value))
        metrics.publish()
    assert samples(tmp_path, {0, 1}, REVISION) == {("0",): 7, ("1",): 8}
    assert samples(tmp_path, {0, 1}, P_VALUE) == {("canary", "errors", "r"): 0.25}


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03"], ids=repr)
def test_a_file_that_is_damaged_or_of_another_release_is_left_out(tmp_path, content):
    (tmp_path / "0.numbers").write_bytes(content)
    second = Metrics(tmp_path, "1")
    second.count("r", "a", "1", 200, 0.001)
    second.publish()
    Metrics(tmp_path, "0").publish()
    assert samples(tmp_path, {0, 1}, "pointsman_requests_total") == {("a", "r", "200", "1"): 1}


def test_a_file_with_other_buckets_is_left_out(tmp_path):
    """An earlier release may have had others. Its file stays for as long as nothing takes the seat."""
    first = Metrics(tmp_path, "0")
    first.count("r", "a", "1", 200, 0.001)
    first.publish()
    path = tmp_path / "0.numbers"
    content = msgspec.msgpack.decode(path.read_bytes())
    content["requests"][0]["buckets"].pop()
    path.write_bytes(msgspec.msgpack.encode(content))
    assert samples(tmp_path, {0}, "pointsman_requests_total") == {}
    Metrics(tmp_path, "0").publish()


def test_a_disk_that_is_full_loses_no_number(tmp_path):
    """A write may be cut short without an error: then the file of before must stay."""
    metrics = Metrics(tmp_path, "0")
    for number in range(300):
        metrics.count(f"route {number}", "a", "1", 200, 0.001)
    metrics.publish()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            metrics.publish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(samples(tmp_path, {0}, "pointsman_requests_total")) == 300


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


def test_a_gateway_exposes_the_metrics_that_alerts_and_dashboards_are_held_against(gateway):
    """It has a line with the type of each metric, also of those without a value yet."""

    def types(text: str) -> dict[str, str]:
        return {family.name: family.type for family in text_string_to_metric_families(text)}

    assert types(gateway.http.get("/metrics").text) == types(rendered())
