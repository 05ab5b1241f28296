"""One lane per version and placement, for as long as a route uses it."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from gateway.control.constants import constant_version
from gateway.errors import TooLate
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.lane_pool import LanePool
from gateway.execution.latency import LatencyModel, measured_times
from gateway.execution.open_in_replica import LaneOptions
from gateway.execution.wedged_versions import FOLDER, WedgedVersions
from registry_sync.background import Start, at_once
from registry_sync.catalogue import Catalogue
from registry_sync.memory_budget import MemoryBudget
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import Tried, Version, VersionKey, VersionState
from router.spec.spec import ArmRef
from router.spec.value import parse_arm
from runtimes.errors import ModelFailed, ModelRefused, StillLoading
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, Signature, TensorSpec
from tests.support import linear
from tests.unit.gateway.inference.support import Fake

ONE_ROW = {"X": np.zeros((1, 4), np.float32)}


class StubDedicated:
    """Gives every version the same executor, or raises."""

    def __init__(self, refuses: bool = False) -> None:
        self.opened: list[VersionKey] = []
        self.retained: Any = None
        self.executor = object()
        self._refuses = refuses

    def open(self, version: Version) -> tuple[Any, str]:
        if self._refuses:
            raise ModelRefused("not yet")
        self.opened.append(version.key)
        return self.executor, ""

    def retain(self, versions: Any, *, is_all: bool) -> None:
        self.retained, self.is_all = set(versions), is_all


@pytest.fixture
def version(signature):
    def make(number: str = "1", runtime: Any = "fake", **more: Any) -> Version:
        manifest = Manifest(
            runtime="onnx", file="f", sha256="0" * 64, inputs=signature.inputs, outputs=signature.outputs, **more
        )
        state = VersionState.READY if runtime is not None else VersionState.QUARANTINED
        runtime = Fake(signature, 1) if runtime == "fake" else runtime
        return Version(VersionKey("m", number, "0" * 64), manifest, state, runtime=runtime)

    return make


def lane_pool(dedicated: Any = None, inline_below_s: float = 0.002, start: Start = at_once) -> LanePool:
    return LanePool(EndOfTurn(), LaneOptions(2, inline_below_s), dedicated, start)


def test_a_version_has_one_lane_per_placement(version):
    dedicated = StubDedicated()
    pool = lane_pool(dedicated)
    lane = pool.lane(version(), "replica")
    assert pool.lane(version(), "replica") is lane
    assert pool.lane(version("2"), "replica") is not lane
    elsewhere = pool.lane(version(), "dedicated")
    assert elsewhere is pool.lane(version(), "dedicated") is not lane
    assert (elsewhere.executor, elsewhere.key.placement) == (dedicated.executor, "dedicated")
    assert dedicated.opened == [version().key]
    assert isinstance(lane.executor, ReplicaExecutor)


def test_a_lane_that_no_route_uses_is_forgotten(version):
    dedicated = StubDedicated()
    pool = lane_pool(dedicated)
    here, there = pool.lane(version(), "replica"), pool.lane(version("2"), "dedicated")
    pool.retain({here.key, there.key})
    assert dedicated.retained == {(there.key.version, None)}
    assert pool.lane(version(), "replica") is here
    assert dedicated.is_all
    pool.retain(set(), is_all=False)
    assert (dedicated.retained, dedicated.is_all) == (set(), False)
    assert pool.lane(version(), "replica") is not here


def test_a_lane_is_replaced_when_its_versions_manifest_changes(version):
    pool = lane_pool()
    lane = pool.lane(version(max_batch=8), "replica")
    assert lane.executor.batch_limit(1, ONE_ROW) <= 8
    other = pool.lane(version(max_batch=4), "replica")
    assert other is not lane
    assert other.executor.batch_limit(1, ONE_ROW) <= 4


def test_a_version_that_cannot_be_served_is_refused_with_the_reason(version):
    with pytest.raises(ModelRefused, match="m:1 wants an application of its own, which only the engine ray"):
        lane_pool().lane(version(), "dedicated")
    with pytest.raises(ModelRefused, match="not yet"):
        lane_pool(StubDedicated(refuses=True)).lane(version(), "dedicated")
    with pytest.raises(ModelRefused, match="m:1 is QUARANTINED, not READY"):
        lane_pool().lane(version(runtime=None), "replica")
    with pytest.raises(ModelRefused, match="m:1 wants a process of its own, which this gateway does not start"):
        lane_pool().lane(version(), "process")


def test_a_shadow_has_a_lane_and_one_thread_of_its_own_and_never_the_event_loop(version):
    pool = lane_pool(inline_below_s=1.0)
    primary, shadow = pool.lane(version(), "replica"), pool.lane(version(), "replica", is_shadow=True)
    assert pool.lane(version(), "replica", is_shadow=True) is shadow is not primary
    assert (primary.key.is_shadow, shadow.key.is_shadow) == (False, True)
    assert [each.executor.is_quick(1, ONE_ROW) for each in (primary, shadow)] == [True, False]
    assert (primary.executor._threads, shadow.executor._threads) == (2, 1)
    pool.retain({primary.key})
    assert pool.lane(version(), "replica") is primary
    assert pool.lane(version(), "replica", is_shadow=True) is not shadow


@pytest.mark.parametrize(("more", "is_batching"), [({}, True), ({"max_batch": 1}, False)])
def test_a_version_is_batched_unless_its_manifest_says_otherwise(version, more, is_batching):
    assert lane_pool().lane(version(**more), "replica")._is_batching is is_batching


def test_latency_is_measured_with_one_instance_and_with_several(signature, monkeypatch):
    now_s = [0.0]

    class Slow(Fake):
        """Takes a second, and a tenth for each instance; the first run takes much longer."""

        def run(self, inputs, outputs):
            now_s[0] += 1 + 0.1 * len(inputs["X"]) + (10 if self.runs == 0 else 0)
            return super().run(inputs, outputs)

    monkeypatch.setattr("gateway.execution.latency.time.perf_counter", lambda: now_s[0])
    latency = LatencyModel(*measured_times(Slow(signature, 1), 64))
    assert [latency.expected_s(rows) for rows in (1, 10)] == pytest.approx([1.1, 2.0])


def test_a_model_that_takes_fewer_instances_than_are_measured_is_served(version, signature):
    class Small(Fake):
        """Takes ten instances at most."""

        def run(self, inputs, outputs):
            if len(inputs["X"]) > 10:
                raise ModelFailed("too many")
            return super().run(inputs, outputs)

    executor = lane_pool().lane(version(runtime=Small(signature, 1)), "replica").executor
    assert executor.latency.expected_s(64) == executor.latency.expected_s(1)


def test_the_statistics_of_a_lane_are_published_once_and_completely(version):
    pool, counted = lane_pool(), []
    statistics = pool.lane(version(), "replica").statistics

    def publish() -> None:
        pool.publish(lambda key, added, _: counted.append((key.version, added)))

    publish()
    assert counted == []
    statistics.runs, statistics.succeeded = 1, 3
    publish()
    statistics.instances = 3  # one thread read them while another was still writing
    publish()
    publish()
    assert [{field: added[field] for field in ("runs", "succeeded", "instances")} for _, added in counted] == [
        {"runs": 1, "succeeded": 3, "instances": 0},
        {"runs": 0, "succeeded": 0, "instances": 3},
    ]


def test_a_version_that_has_blocked_the_event_loop_runs_in_threads_after_a_restart(version, tmp_path):
    def is_quick() -> bool:
        pool = LanePool(EndOfTurn(), LaneOptions(2, 10.0, home=tmp_path), None)
        return pool.lane(version(), "replica").executor.is_quick(1, ONE_ROW)

    assert is_quick()
    WedgedVersions(tmp_path / FOLDER).add(version().key)
    assert not is_quick()


def test_a_version_is_not_remembered_if_the_disk_does_not_take_it(version, tmp_path):
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    wedged = WedgedVersions(tmp_path / FOLDER)
    wedged.add(version().key)
    assert not wedged.holds(version().key)


def test_a_version_that_is_dropped_is_freed_without_a_search_for_cycles(tmp_path):
    registry = DirectoryRegistry(linear.fill(tmp_path))
    catalogue, pool = Catalogue(registry, LoadOptions()), lane_pool()
    loaded = catalogue.load(*catalogue.resolve(ArmRef("linear", version="1")))
    lane = pool.lane(loaded, "replica")
    kept = weakref.ref(loaded.runtime)
    gc.disable()
    try:
        del loaded, lane
        pool.retain(set())
        catalogue.retain(set())
        assert kept() is None
    finally:
        gc.enable()


def test_memory_is_given_back_each_time_that_a_lane_is_forgotten(version, monkeypatch):
    """Not every other time: the end of the work before must not count as the end of this one."""
    trims: list[int] = []
    waiting: list[Any] = []
    monkeypatch.setattr("gateway.execution.lane_pool.trim", lambda: trims.append(len(trims)))
    pool = lane_pool(start=waiting.append)

    def work() -> None:
        while waiting:
            waiting.pop()()

    counts = []
    for number in ("1", "2", "3"):
        with pytest.raises(StillLoading):
            pool.lane(version(number), "replica")
        work()
        pool.lane(version(number), "replica")
        trims.clear()
        for _ in range(5):
            pool.retain(set())
            work()
        counts.append(len(trims))
    assert counts == [2, 2, 2]


def of_another_placement(root: Any) -> tuple[LanePool, Version, MemoryBudget]:
    """Return a pool, a version whose model.yaml says `placement: process`, and what its runtimes take memory of."""
    budget = MemoryBudget()
    catalogue = Catalogue(
        DirectoryRegistry(linear.fill(root)), LoadOptions(), lambda *_: Tried("", 100, 0), budget=budget
    )
    key, manifest = catalogue.resolve(ArmRef("linear", version="1"))
    loaded = catalogue.load(key, structs.replace(manifest, placement="process"))
    return LanePool(EndOfTurn(), LaneOptions(1, 0.002), None, loader=catalogue.loader, budget=budget), loaded, budget


def test_a_version_of_another_placement_is_loaded_with_its_own_manifest_behind_another_signature(tmp_path):
    pool, own, _ = of_another_placement(tmp_path)
    inputs = tuple(
        structs.replace(spec, datatype="FP64", source="what_another_calls_it") for spec in own.manifest.inputs
    )
    seen = own.seen_as(Signature(inputs, own.manifest.outputs))
    assert pool.lane(seen, "replica").executor._runtime.signature.inputs == inputs


def test_each_lane_that_loads_a_version_itself_takes_memory_until_it_is_forgotten(tmp_path):
    pool, own, budget = of_another_placement(tmp_path)
    primary, _ = pool.lane(own, "replica"), pool.lane(own, "replica", is_shadow=True)
    assert budget.taken_bytes() == 200
    pool.retain({primary.key})
    assert budget.taken_bytes() == 100


def test_an_arm_without_a_model_answers_at_once():
    ref = parse_arm({"value": {"columns": 2}}, "An arm")
    constant, asked = constant_version(ref), []
    pool = lane_pool(start=asked.append)
    lane = pool.lane(constant, "replica")
    assert (lane, asked) == (pool.lane(constant, "replica"), [])
    job = lane.submit({}, 1, route="r")
    assert job.settled
    assert [tensor.tolist() for tensor in job.result()] == [[2]]
    assert (lane.statistics.succeeded, lane.statistics.instances, lane.statistics.model_s) == (1, 1, 0.0)
    lane.submit({}, 1, route="r", probe=True)
    assert lane.statistics.succeeded == 1
    with pytest.raises(TooLate) as late:
        lane.submit({}, 1, deadline_s=0.0, route="r")
    assert late.value.is_not_started
    pool.retain(set())
    assert pool.lane(constant, "replica") is not lane


def test_an_arm_without_a_model_has_a_lane_for_each_signature():
    constant, pool = constant_version(parse_arm({"value": {"label": 1}}, "An arm")), lane_pool()
    model = Signature((TensorSpec("X", "FP32", (-1, 4)),), (TensorSpec("label", "INT64", (-1,)),))
    lane, beside = pool.lane(constant, "replica"), pool.lane(constant.seen_as(model), "replica")
    assert lane is not beside
    assert [job.result()[0].tolist() for job in (lane.submit({}, 1), beside.submit({}, 3))] == [[1], [1, 1, 1]]
