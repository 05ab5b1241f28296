"""What other parts count comes into the metrics: each increment once."""

import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.replica.publish import Publisher
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.published import read_all
from gateway.telemetry.render import render
from inference_log.writer import LogWriter
from registry_sync.version import VersionKey


class Bench:
    """A publisher over stand-ins for the parts that count."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.loads = [3]
        self.lanes = SimpleNamespace(publish=lambda _: None)
        self.writer = LogWriter(folder, "w")
        self.shadows = SimpleNamespace(dropped={})
        self.view = SimpleNamespace(store_contact_s=time.monotonic(), revision=0, report=lambda: self.report)
        self.report = SimpleNamespace(problems={}, warnings={})
        self.publisher = Publisher(
            metrics=Metrics(folder, "0"),
            lanes=self.lanes,
            view=self.view,
            writer=self.writer,
            shadows=self.shadows,
            in_flight=lambda: self.loads[-1],
        )

    def published(self, name: str) -> dict[tuple[str, ...], float]:
        """Publish once more. Return the values by label values, in the order of the labels' names."""
        self.publisher.publish()
        families = text_string_to_metric_families(render(read_all(self.folder), {"0"}).decode())
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_what_shadows_did_not_get_to_see_is_published_once(bench):
    name = "pointsman_shadow_dropped_total"
    assert bench.published(name) == {}
    bench.shadows.dropped["r", "m:9", "full"] = 3
    bench.shadows.dropped["r", "m:9", "late"] = 1
    assert bench.published(name) == {("full", "r", "m:9"): 3, ("late", "r", "m:9"): 1}
    assert bench.published(name) == {("full", "r", "m:9"): 3, ("late", "r", "m:9"): 1}
    bench.shadows.dropped["r", "m:9", "full"] = 5
    assert bench.published(name) == {("full", "r", "m:9"): 5, ("late", "r", "m:9"): 1}


def test_records_are_published_once(bench):
    name = "pointsman_log_records_total"
    bench.writer.appended = 10
    assert bench.published(name) == {("appended",): 10, ("dropped",): 0, ("shed",): 0}
    bench.writer.appended, bench.writer.dropped_by["bound"] = 12, 1
    assert bench.published(name) == {("appended",): 12, ("dropped",): 1, ("shed",): 0}
    assert bench.published("pointsman_log_dropped_total") == {("disk",): 0, ("bound",): 1, ("best_effort",): 0}
    assert bench.published(name) == {("appended",): 12, ("dropped",): 1, ("shed",): 0}


def test_how_stale_the_snapshot_is_follows_from_when_the_store_was_heard(bench):
    bench.view.store_contact_s = time.monotonic() - 90
    (stale_s,) = bench.published("pointsman_snapshot_stale_seconds").values()
    assert 90 <= stale_s < 100
    assert bench.published("pointsman_in_flight") == {(): 3}


def test_a_route_of_which_a_replica_warns_is_counted_once(bench):
    name = "pointsman_routes_with_warnings"
    assert bench.published(name) == {("0",): 0}
    bench.report.problems, bench.report.warnings = {"a": "no model"}, {"a": "old", "b": "The registry is away."}
    assert bench.published(name) == {("0",): 2}


def test_a_scrape_is_not_a_request_in_flight_and_a_full_disk_is_no_error_of_its(bench, monkeypatch):
    bench.published("")
    bench.loads.append(4)
    bench.writer.appended = 7
    bench.publisher.publish_for_scrape()
    text = render(read_all(bench.folder), {"0"}).decode()
    assert "pointsman_in_flight 3.0" in text
    assert 'pointsman_log_records_total{outcome="appended"} 7.0' in text
    monkeypatch.setattr(bench.publisher._metrics, "publish", Mock(side_effect=OSError("The disk is full.")))
    bench.publisher.publish_for_scrape()


def test_threads_that_publish_at_once_count_what_a_lane_has_done_once(bench):
    """A scrape publishes, and so does a thread: both saw the same difference, and both counted it."""
    done = {"runs": 0}

    class Lanes:
        """A lane that runs a batch whenever it is looked at, and notes what was published, as the pool does."""

        published = 0

        def publish(self, count) -> None:
            done["runs"] += 1
            now, before = done["runs"], self.published
            time.sleep(0.0001)
            count(VersionKey("m", "1", "d"), {"runs": now - before}, 1.0)
            self.published = now

    bench.publisher._lanes = Lanes()
    threads = [
        threading.Thread(target=lambda: [bench.publisher.publish_for_scrape() for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.published("pointsman_lane_runs_total") == {("d", "m", "1"): 201}
