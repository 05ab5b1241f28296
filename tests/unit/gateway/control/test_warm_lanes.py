"""A version that was replaced stays loaded for a while, so that an undo takes effect at once; then it goes."""

import pytest

from gateway.control.reconciler import Reconciler
from gateway.control.report import Identity
from gateway.control.version_loader import VersionLoader
from gateway.control.warm_lanes import WarmLanes
from gateway.execution.lane import LaneKey
from registry_sync.version import Tried, VersionKey
from runtimes.errors import StillLoading
from tests.unit.gateway.control.support_reconciler import ONE, TWO, Bench

KEEP_S = 60.0
LANES = [LaneKey(VersionKey("m", str(number), "d"), "replica") for number in range(3)]


@pytest.fixture
def warm_bench(tmp_path, own_registry, monkeypatch):
    """Provide a reconciler whose versions stay warm, on a clock of its own."""
    built = Bench(tmp_path, own_registry)
    monkeypatch.setattr("gateway.control.reconciler.time.monotonic", lambda: built.now_s)
    built.reconciler = Reconciler(
        identity=Identity("me", 7, 1.0),
        store=built.store,
        desired=built.desired,
        versions=VersionLoader(built.catalogue, built.reader),
        lanes=built.lanes,
        holder=built.holder,
        retry_every_s=2.0,
        keep_warm_s=KEEP_S,
    )
    yield built
    built.store.real.close()


def loaded(bench: Bench) -> set[str]:
    return {str(version.key) for version in bench.catalogue.versions()}


def test_a_replaced_version_is_there_for_an_undo_and_is_unloaded_afterwards(warm_bench, declare):
    budget, warm_bench.catalogue.loader._trial = warm_bench.catalogue.loader._budget, lambda *_: Tried("", 40, 0)
    declare(warm_bench.store, ONE)
    lane = warm_bench.tick().routes["r"].arms[0].lane
    declare(warm_bench.store, TWO)
    warm_bench.tick()
    assert (loaded(warm_bench), budget.taken_bytes()) == ({"linear:1", "linear:2"}, 80)
    warm_bench.tick(after_s=KEEP_S - 10)
    declare(warm_bench.store, ONE)
    assert warm_bench.tick().routes["r"].arms[0].lane is lane
    declare(warm_bench.store, TWO)
    warm_bench.tick()
    for _ in range(3):
        warm_bench.tick(after_s=KEEP_S / 2)
    assert (loaded(warm_bench), budget.taken_bytes()) == ({"linear:2"}, 40)
    assert [key.version.version for key in warm_bench.lanes._lanes] == ["2"]


def test_another_version_that_waits_for_memory_gets_that_of_a_warm_one(warm_bench, declare):
    declare(warm_bench.store, ONE)
    warm_bench.tick()
    declare(warm_bench.store, TWO)
    warm_bench.tick()
    budget = warm_bench.catalogue.loader._budget
    budget._total_bytes = 100
    budget.take("another", 60)
    with pytest.raises(StillLoading):
        budget.take("one more", 60)
    warm_bench.tick(after_s=3)
    assert loaded(warm_bench) == {"linear:2"}
    assert not budget.was_short()


def test_what_was_used_is_warm_for_its_time_unless_memory_is_short():
    warm = WarmLanes(KEEP_S)
    assert warm.kept({LANES[0]}, 0.0, is_memory_short=False) == set()
    assert warm.kept({LANES[1]}, 10.0, is_memory_short=False) == {LANES[0]}
    assert warm.kept({LANES[1]}, 59.0, is_memory_short=False) == {LANES[0]}
    assert warm.kept({LANES[1]}, 61.0, is_memory_short=False) == set()
    assert warm.kept({LANES[2]}, 62.0, is_memory_short=False) == {LANES[1]}
    assert warm.kept({LANES[2]}, 63.0, is_memory_short=True) == set()
    assert warm.kept({LANES[2]}, 64.0, is_memory_short=False) == set()


def test_what_carries_weight_or_is_a_fallback_is_never_unloaded(warm_bench, declare):
    """Not after any time, not for another version that waits for memory: the fallback has no request for days."""
    split = {"a": "100%", "b": "0%"}
    kept = {"route": "kept", "arms": {"a": "linear:1", "b": "linear:2"}, "split": split, "fallback": {"a": "b"}}
    declare(warm_bench.store, kept)
    lanes = [arm.lane for arm in warm_bench.tick().routes["kept"].arms]
    for number in range(4):
        declare(warm_bench.store, ONE if number % 2 else TWO)
        warm_bench.tick(after_s=10 * KEEP_S)
        assert loaded(warm_bench) >= {"linear:1", "linear:2"}
    table = warm_bench.tick(after_s=1000 * KEEP_S)
    assert [arm.lane for arm in table.routes["kept"].arms] == lanes
    assert loaded(warm_bench) >= {"linear:1", "linear:2"}
