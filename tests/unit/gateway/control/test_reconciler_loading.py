"""The follower never waits: while the registry hangs or a version loads, the other changes of a tick take effect."""

import threading
from fractions import Fraction

import pytest

from gateway.inference.log_context import log_context
from registry_sync.background import in_daemon_thread
from registry_sync.registries.directory import DirectoryRegistry
from router.document.apply import apply
from router.document.commands import Abort, Shift
from router.document.document import Candidate
from store.api_key import ApiKey
from store.entry import Change, Entry
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.control.support_reconciler import ONE, OTHER, TWO, Bench

BOTH = {
    "route": "r",
    "arms": {"a": "linear@champion", "b": "linear:1"},
    "split": {"a": "50%", "b": "50%"},
    "fallback": "a",
}


class Hanging(DirectoryRegistry):
    """A registry that does not hand out version 2 before it may, and no aliases while it hangs."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.may_fetch = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def fetch(self, model, version, manifest):
        if version == "2":
            assert self.may_fetch.wait(PATIENCE_S)
        return super().fetch(model, version, manifest)

    def aliases(self, model):
        assert self.may_answer.wait(PATIENCE_S)
        return super().aliases(model)


@pytest.fixture
def registry(own_registry):
    made = Hanging(own_registry)
    yield made
    made.may_fetch.set()
    made.may_answer.set()


@pytest.fixture
def bench(tmp_path, registry):
    built = Bench(tmp_path, registry, start=in_daemon_thread)
    yield built
    built.store.real.close()


def serve(bench, declare, *specs: dict) -> None:
    for spec in specs:
        declare(bench.store, spec)
    wait_until(lambda: set(bench.tick().routes) >= {spec["route"] for spec in specs})


def change(bench, route: str, command) -> None:
    document = apply(bench.store.read(route).document, command)
    bench.store.compare_and_set([Entry(document, Change("ada", 1.0, "change"))])


def shares(bench, route: str = "r") -> dict[str, int]:
    return {arm.name: arm.slots for arm in bench.holder.current.routes[route].route.arms}


def test_a_route_that_is_new_is_absent_while_its_version_loads(bench, declare, registry):
    declare(bench.store, TWO)
    wait_until(lambda: bench.tick().problems["r"].startswith("loading linear:2 since "))
    assert "r" not in bench.holder.current.routes
    registry.may_fetch.set()
    wait_until(lambda: "r" in bench.tick().routes)
    assert dict(bench.tick().problems) == {}


def test_another_route_goes_live_and_keys_and_reports_go_on_while_a_version_loads(bench, declare):
    declare(bench.store, TWO)
    serve(bench, declare, OTHER)
    bench.store.add_key(ApiKey("k", "checkout", bytes(32), ("predict",), 1.5, "ada"))
    bench.tick()
    assert bench.keys[-1] == ["k"]
    before = bench.store.reports()[0].at_s
    bench.tick(after_s=1.1)
    (report,) = bench.store.reports()
    assert report.at_s > before
    assert report.problems["r"].startswith("loading linear:2 since ")


def test_an_abort_takes_effect_while_the_other_arms_alias_moves_to_a_version_that_loads(bench, declare, registry):
    serve(bench, declare, BOTH)
    (registry._root / "linear" / "aliases.yaml").write_text("champion: 2\n")
    wait_until(lambda: "loading linear:2 since" in bench.tick(after_s=11).warnings.get("r", ""))
    assert dict(bench.holder.current.problems) == {}  # it is served as it is declared, with the version before
    digest = registry.manifest("wide", "1").sha256
    change(bench, "r", Abort(2.0, "It is bad.", "b", Candidate("wide", digest)))
    bench.tick()
    assert shares(bench) == {"a": 10_000, "b": 0}
    assert bench.version() == "1"
    registry.may_fetch.set()
    wait_until(lambda: bench.tick() and bench.version() == "2")
    assert dict(bench.tick(after_s=11).warnings) == {}


def test_a_registry_that_hangs_keeps_no_change_of_weights_waiting(bench, declare, registry):
    serve(bench, declare, BOTH)
    registry.may_answer.clear()
    threading.Thread(target=bench.reader.read_all, daemon=True).start()
    change(bench, "r", Shift({"b": Fraction(1, 10)}))
    bench.reconciler.tick(bench.now_s + 0.1)
    assert shares(bench) == {"a": 9_000, "b": 1_000}
    declare(bench.store, {**OTHER, "arms": {"a": "wide:1"}})
    bench.reconciler.tick(bench.now_s + 0.2)
    assert bench.holder.current.problems["other"].startswith("looking up wide:1 in the registry since ")


def test_an_unexpected_error_of_one_route_is_its_problem_alone(bench, declare, monkeypatch):
    serve(bench, declare, ONE)
    build = bench.reconciler._builder.build

    def fail(document, *more: object):
        if document.spec.route == "r":
            raise RecursionError("It is nested.")
        return build(document, *more)

    monkeypatch.setattr(bench.reconciler._builder, "build", fail)
    declare(bench.store, TWO)
    declare(bench.store, OTHER)
    wait_until(lambda: "other" in bench.tick().routes)
    assert bench.holder.current.problems == {"r": "It cannot be built: RecursionError('It is nested.')."}
    assert bench.version() == "1"


def test_a_follower_that_has_not_finished_a_round_for_some_seconds_says_so(bench, monkeypatch):
    bench.tick()
    assert bench.reconciler.stall() == ""
    monkeypatch.setattr("gateway.control.reconciler._STALLED_AFTER_S", -1.0)
    assert bench.reconciler.stall() == "Changes have not been followed for 0 s."


def test_a_route_that_cannot_be_joined_is_its_problem_alone(bench, declare, monkeypatch):
    def fail(route, *more: object, **others: object):
        if route.name == "r":
            raise KeyError("columns")
        return log_context(route, *more, **others)

    monkeypatch.setattr("gateway.inference.live_table.log_context", fail)
    declare(bench.store, ONE)
    serve(bench, declare, OTHER)
    wait_until(lambda: bench.tick().problems == {"r": "It cannot be built: KeyError('columns')."})
