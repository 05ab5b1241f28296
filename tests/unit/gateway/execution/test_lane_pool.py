"""One lane per version and place, for as long as a route uses it."""

from typing import Any

import pytest

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.executor import ReplicaExecutor
from gateway.execution.lane_pool import LaneOptions, LanePool, measured_times
from gateway.execution.latency import LatencyModel
from registry_sync.catalogue import Version, VersionKey, VersionState
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest
from tests.unit.gateway.inference.support import Fake


class StubDedicated:
    """Gives every version the same executor, or refuses."""

    def __init__(self, refuses: bool = False) -> None:
        self.opened: list[VersionKey] = []
        self.retained: Any = None
        self.executor = object()
        self._refuses = refuses

    def open(self, version: Version) -> tuple[Any, bool]:
        if self._refuses:
            raise ModelRefused("not yet")
        self.opened.append(version.key)
        return self.executor, True

    def retain(self, versions: Any, *, is_all: bool) -> None:
        self.retained, self.is_all = set(versions), is_all


@pytest.fixture
def version(signature):
    def make(number: str = "1", runtime: Any = "fake", **said: Any) -> Version:
        manifest = Manifest(
            runtime="onnx", file="f", sha256="0" * 64, inputs=signature.inputs, outputs=signature.outputs, **said
        )
        state = VersionState.READY if runtime is not None else VersionState.QUARANTINED
        runtime = Fake(signature, 1) if runtime == "fake" else runtime
        return Version(VersionKey("m", number, "0" * 64), manifest, state, runtime=runtime)

    return make


def lanes(dedicated: Any = None, inline_below_s: float = 0.002) -> LanePool:
    return LanePool(EndOfTurn(), LaneOptions(2, inline_below_s), dedicated)


def test_a_version_has_one_lane_per_place(version):
    dedicated = StubDedicated()
    kept = lanes(dedicated)
    lane = kept.lane(version(), "replica")
    assert kept.lane(version(), "replica") is lane
    assert kept.lane(version("2"), "replica") is not lane
    elsewhere = kept.lane(version(), "dedicated")
    assert elsewhere is kept.lane(version(), "dedicated") is not lane
    assert (elsewhere.executor, elsewhere.key.placement) == (dedicated.executor, "dedicated")
    assert dedicated.opened == [version().key]
    assert isinstance(lane.executor, ReplicaExecutor)


def test_a_lane_that_no_route_uses_is_forgotten(version):
    dedicated = StubDedicated()
    kept = lanes(dedicated)
    here, there = kept.lane(version(), "replica"), kept.lane(version("2"), "dedicated")
    kept.retain({here.key, there.key})
    assert dedicated.retained == {there.key.version}
    assert kept.lane(version(), "replica") is here
    assert dedicated.is_all
    kept.retain(set(), is_all=False)
    assert (dedicated.retained, dedicated.is_all) == (set(), False)
    assert kept.lane(version(), "replica") is not here


def test_a_lane_follows_what_its_versions_manifest_says(version):
    kept = lanes()
    lane = kept.lane(version(max_batch=8), "replica")
    assert lane.executor.rows_at_best() <= 8
    other = kept.lane(version(max_batch=4), "replica")
    assert other is not lane
    assert other.executor.rows_at_best() <= 4


def test_what_cannot_be_served_is_said(version):
    with pytest.raises(ModelRefused, match="m:1 wants an application of its own, which only the engine ray"):
        lanes().lane(version(), "dedicated")
    with pytest.raises(ModelRefused, match="not yet"):
        lanes(StubDedicated(refuses=True)).lane(version(), "dedicated")
    with pytest.raises(ModelRefused, match="m:1 is QUARANTINED, not READY"):
        lanes().lane(version(runtime=None), "replica")
    with pytest.raises(ModelRefused, match="m:1 wants a process of its own, which nobody here starts"):
        lanes().lane(version(), "process")


def test_a_shadow_has_a_lane_and_one_thread_of_its_own_and_never_the_event_loop(version):
    kept = lanes(inline_below_s=1.0)
    primary, shadow = kept.lane(version(), "replica"), kept.lane(version(), "replica", is_shadow=True)
    assert kept.lane(version(), "replica", is_shadow=True) is shadow is not primary
    assert (primary.key.is_shadow, shadow.key.is_shadow) == (False, True)
    assert (primary.executor.is_quick(1), shadow.executor.is_quick(1)) == (True, False)
    assert (primary.executor._threads, shadow.executor._threads) == (2, 1)
    kept.retain({primary.key})
    assert kept.lane(version(), "replica") is primary
    assert kept.lane(version(), "replica", is_shadow=True) is not shadow


@pytest.mark.parametrize(("said", "is_batching"), [({}, True), ({"max_batch": 1}, False)])
def test_a_version_is_batched_unless_its_manifest_says_otherwise(version, said, is_batching):
    assert lanes().lane(version(**said), "replica")._is_batching is is_batching


def test_a_pace_is_measured_with_one_instance_and_with_several(signature, monkeypatch):
    now_s = [0.0]

    class Slow(Fake):
        """Takes a second, and a tenth for each instance; the first run takes much longer."""

        def run(self, inputs, outputs):
            now_s[0] += 1 + 0.1 * len(inputs["X"]) + (10 if self.runs == 0 else 0)
            return super().run(inputs, outputs)

    monkeypatch.setattr("gateway.execution.lane_pool.time.perf_counter", lambda: now_s[0])
    pace = LatencyModel(*measured_times(Slow(signature, 1)))
    assert [pace.expected_s(rows) for rows in (1, 10)] == pytest.approx([1.1, 2.0])


def test_a_model_that_does_not_take_as_many_is_served_all_the_same(version, signature):
    class Small(Fake):
        """Takes ten instances at most."""

        def run(self, inputs, outputs):
            if len(inputs["X"]) > 10:
                raise ModelFailed("too many")
            return super().run(inputs, outputs)

    executor = lanes().lane(version(runtime=Small(signature, 1)), "replica").executor
    assert executor.pace.expected_s(64) == executor.pace.expected_s(1)


def test_what_a_lane_has_done_is_told_once_and_nothing_is_left_out(version):
    kept, told = lanes(), []
    statistics = kept.lane(version(), "replica").statistics

    def publish() -> None:
        kept.publish(lambda key, added, _: told.append((key.version, added)))

    publish()
    assert told == []
    statistics.runs, statistics.succeeded = 1, 3
    publish()
    statistics.instances = 3  # read by one thread, while another was about to write the rest
    publish()
    publish()
    assert [{field: added[field] for field in ("runs", "succeeded", "instances")} for _, added in told] == [
        {"runs": 1, "succeeded": 3, "instances": 0},
        {"runs": 0, "succeeded": 0, "instances": 3},
    ]
