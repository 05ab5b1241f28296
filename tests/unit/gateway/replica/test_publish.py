"""What other parts count comes into the metrics: each increment once."""

import time
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.replica.publish import Publisher
from gateway.telemetry.metrics import Metrics
from router.evidence.guardrails import GuardrailFinding
from router.evidence.verdict import Verdict, VerdictState


class Bench:
    """A publisher over stand-ins for the parts that count."""

    def __init__(self, folder, seat: int = 0) -> None:
        self.seat = seat
        self.metrics = Metrics(folder, seat)
        self.lanes = SimpleNamespace(publish=lambda _: None)
        self.writer = SimpleNamespace(appended=0, dropped=0)
        self.shipper = SimpleNamespace(rows_persisted=0, failures=0, set_aside=0)
        self.rollouts = SimpleNamespace(aborts={}, verdicts={})
        self.counter = SimpleNamespace(behind_bytes=0)
        self.shadows = SimpleNamespace(dropped={})
        self.view = SimpleNamespace(store_contact_s=time.monotonic(), revision=0)
        self.publisher = Publisher(
            metrics=self.metrics,
            lanes=self.lanes,
            view=self.view,
            writer=self.writer,
            shipper=self.shipper,
            counter=self.counter,
            rollouts=self.rollouts,
            shadows=self.shadows,
            in_flight=lambda: 3,
        )

    def published(self, name: str, *seats: int) -> dict[tuple[str, ...], float]:
        """Publish once more. Return the values by label values, in the order of the labels' names."""
        self.publisher.publish()
        families = text_string_to_metric_families(self.metrics.render({self.seat, *seats}).decode())
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def found(p_value: float, guardrail: str = "errors") -> GuardrailFinding:
    return GuardrailFinding("canary", guardrail, Verdict(VerdictState.UNDECIDED, "", p_value))


def test_what_shadows_did_not_get_to_see_is_published_once(bench):
    name = "pointsman_shadow_dropped_total"
    assert bench.published(name) == {}
    bench.shadows.dropped["r", "m:9", "full"] = 3
    bench.shadows.dropped["r", "m:9", "late"] = 1
    assert bench.published(name) == {("full", "r", "m:9"): 3, ("late", "r", "m:9"): 1}
    assert bench.published(name) == {("full", "r", "m:9"): 3, ("late", "r", "m:9"): 1}
    bench.shadows.dropped["r", "m:9", "full"] = 5
    assert bench.published(name) == {("full", "r", "m:9"): 5, ("late", "r", "m:9"): 1}


def test_aborts_are_published_once(bench):
    name = "pointsman_aborts_total"
    bench.rollouts.aborts["r", "canary", "errors"] = 1
    assert [bench.published(name) for _ in range(3)] == [{("canary", "errors", "r"): 1}] * 3
    bench.rollouts.aborts["r", "canary", "errors"] += 1
    assert bench.published(name) == {("canary", "errors", "r"): 2}


def test_an_heir_of_the_seat_goes_on_where_its_predecessor_ended(bench, tmp_path):
    bench.rollouts.aborts["r", "canary", "errors"] = 4
    bench.published("pointsman_aborts_total")
    heir = Bench(tmp_path)
    heir.rollouts.aborts["r", "canary", "errors"] = 1
    assert heir.published("pointsman_aborts_total") == {("canary", "errors", "r"): 5}


def test_p_values_are_those_of_the_last_look(bench):
    name = "pointsman_guardrail_p_value"
    bench.rollouts.verdicts = {"r": (found(0.5), found(0.25, "slower_than 50ms")), "s": ()}
    assert bench.published(name) == {("canary", "errors", "r"): 0.5, ("canary", "slower_than 50ms", "r"): 0.25}
    bench.rollouts.verdicts = {"r": (found(0.125),)}
    assert bench.published(name)["canary", "errors", "r"] == 0.125


def test_of_several_replicas_the_one_that_looked_last_says_the_p_value(bench, tmp_path):
    bench.rollouts.verdicts = {"r": (found(0.5),)}
    bench.publisher.publish()
    other = Bench(tmp_path, seat=1)
    other.rollouts.verdicts = {"r": (found(0.25),)}
    assert other.published("pointsman_guardrail_p_value", 0) == {("canary", "errors", "r"): 0.25}


def test_what_is_not_counted_yet_is_added_up_over_the_replicas(bench, tmp_path):
    bench.counter.behind_bytes = 100
    bench.publisher.publish()
    other = Bench(tmp_path, seat=1)
    other.counter.behind_bytes = 11
    assert other.published("pointsman_uncounted_bytes", 0) == {(): 111}
    other.counter.behind_bytes = 0
    assert other.published("pointsman_uncounted_bytes", 0) == {(): 100}


def test_of_the_log_only_what_has_come_since_is_added(bench):
    name = "pointsman_log_records_total"
    bench.writer.appended, bench.shipper.rows_persisted = 10, 4
    assert bench.published(name) == {("appended",): 10, ("dropped",): 0, ("persisted",): 4, ("failed",): 0}
    bench.writer.appended, bench.writer.dropped, bench.shipper.failures = 12, 1, 2
    assert bench.published(name) == {("appended",): 12, ("dropped",): 1, ("persisted",): 4, ("failed",): 2}
    assert bench.published(name) == {("appended",): 12, ("dropped",): 1, ("persisted",): 4, ("failed",): 2}


def test_segments_that_were_set_aside_are_published_once(bench):
    name = "pointsman_log_segments_set_aside_total"
    assert bench.published(name) == {(): 0}
    bench.shipper.set_aside = 2
    assert [bench.published(name) for _ in range(2)] == [{(): 2}] * 2


def test_how_stale_the_snapshot_is_follows_from_when_the_store_was_heard(bench):
    bench.view.store_contact_s = time.monotonic() - 90
    (stale_s,) = bench.published("pointsman_snapshot_stale_seconds").values()
    assert 90 <= stale_s < 100
    assert bench.published("pointsman_in_flight") == {(): 3}
