"""A tick makes live what the store and the registry say; a route that cannot be built keeps its last good form."""

import shutil

import pytest
import yaml
from structlog.testing import capture_logs

from gateway.errors import NotReady
from gateway.inference.live_table import find_route
from registry_sync.registries.directory import DirectoryRegistry
from router.document.apply import apply
from router.document.commands import Abort, Declare, Start
from router.document.document import Candidate
from router.errors import UnknownRoute
from router.spec.parse import parse_spec
from runtimes.errors import ModelFailed
from store.entry import Change, Entry
from tests.unit.gateway.control.support_reconciler import DAMAGED, ONE, OTHER, TWO


def test_an_empty_store_serves_nothing(bench):
    live = bench.tick()
    assert (dict(live.routes), dict(live.problems)) == ({}, {})


def test_a_new_document_goes_live_with_the_next_tick(bench, declare):
    bench.tick()
    declare(bench.store, ONE)
    assert bench.tick().routes["r"].route.document_version == 1
    declare(bench.store, TWO)
    assert bench.tick().routes["r"].route.document_version == 2
    assert bench.version() == "2"


def test_a_tick_without_news_changes_nothing(bench, declare):
    declare(bench.store, ONE)
    live = bench.tick()
    assert bench.tick() is live
    assert bench.tick(after_s=60) is live  # the registry was asked again and has not changed


def test_a_document_that_cannot_be_loaded_keeps_the_last_good_route_and_is_named(bench, declare):
    declare(bench.store, ONE)
    bench.tick()
    declare(bench.store, DAMAGED)
    declare(bench.store, OTHER)
    live = bench.tick()
    assert bench.version("r") == "1"
    assert live.routes["r"].route.document_version == 1
    assert "damaged:1" in live.problems["r"]
    assert bench.version("other") == "1"
    declare(bench.store, TWO)
    assert dict(bench.tick().problems) == {}
    assert bench.version() == "2"


def test_a_first_document_that_cannot_be_loaded_is_not_ready(bench, declare):
    declare(bench.store, DAMAGED)
    live = bench.tick()
    with pytest.raises(NotReady, match="Route r is declared but cannot be served: damaged:1"):
        find_route(live, "r")
    with pytest.raises(UnknownRoute, match="there are none yet"):
        find_route(live, "elsewhere")


def test_an_alias_is_followed_when_the_registry_is_asked_again(bench, own_registry, declare):
    declare(bench.store, {**ONE, "arms": {"a": "linear@champion"}})
    bench.tick()
    assert bench.version() == "1"
    (own_registry / "linear" / "aliases.yaml").write_text("champion: '2'")
    bench.tick(after_s=5)
    assert bench.version() == "1"
    bench.tick(after_s=6)
    assert bench.version() == "2"
    assert [str(version.key) for version in bench.catalogue.versions()] == ["linear:2"]


def test_a_registry_that_is_gone_keeps_what_is_served(bench, own_registry, declare):
    declare(bench.store, {**ONE, "arms": {"a": "linear@champion"}})
    bench.tick()
    own_registry.rename(own_registry.with_name("away"))
    live = bench.tick(after_s=60)
    assert (bench.version(), dict(live.problems)) == ("1", {})
    assert "does not exist" in live.warnings["r"]
    declare(bench.store, TWO)
    live = bench.tick()
    assert bench.version() == "1"
    assert "does not exist" in live.problems["r"]
    own_registry.with_name("away").rename(own_registry)
    assert dict(bench.tick(after_s=60).problems) == {}
    assert bench.version() == "2"


def test_the_report_says_of_each_version_that_it_is_batched_or_why_not(bench, own_registry, declare):
    path = own_registry / "linear" / "2" / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "max_batch": 1}))
    declare(bench.store, {**ONE, "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "50%", "b": "50%"}})
    bench.tick()
    assert bench.reconciler.report().versions == {"linear:1": "batched", "linear:2": "max_batch is 1"}


def test_a_model_that_fails_while_it_is_measured_is_a_problem_of_its_route(bench, declare, monkeypatch):
    def fail(runtime, max_batch):
        raise ModelFailed("It was well when it was loaded.")

    monkeypatch.setattr("gateway.execution.open_in_replica.measured_times", fail)
    declare(bench.store, ONE)
    live = bench.tick()
    assert dict(live.problems) == {"r": "It was well when it was loaded."}
    monkeypatch.undo()
    assert dict(bench.tick(after_s=60).problems) == {}


def test_the_snapshot_says_what_is_served(bench, declare):
    declare(bench.store, {**ONE, "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "90%", "b": "10%"}})
    assert repr(bench.tick().snapshot).endswith(" r@1[a 90% · b 10%]>")


def test_a_manifest_that_is_not_text_is_a_problem_of_its_route(bench, own_registry, declare):
    declare(bench.store, ONE)
    bench.tick()
    (own_registry / "linear" / "2" / "model.yaml").write_bytes(b"\xff\xfe")
    declare(bench.store, TWO)
    declare(bench.store, OTHER)
    live = bench.tick()
    assert (bench.version("r"), bench.version("other")) == ("1", "1")
    assert list(live.problems) == ["r"]


def test_a_corrupt_document_is_a_problem_of_its_route(bench, declare):
    declare(bench.store, ONE)
    bench.tick()
    bench.store.damage("r")
    declare(bench.store, OTHER)
    live = bench.tick()
    assert (bench.version("r"), bench.version("other")) == ("1", "1")
    assert list(live.problems) == ["r"]


def aborted(bench, own_registry):
    """Start a rollout whose candidate has half of the traffic. Return a function that aborts it."""
    (own_registry / "linear" / "aliases.yaml").write_text("champion: '1'")
    spec = parse_spec(
        {
            "route": "r",
            "arms": {"stable": "linear@champion", "canary": "linear:2"},
            "rollout": {"of": "canary", "steps": ["50%"], "every": "1h"},
        }
    )
    digest = DirectoryRegistry(own_registry).manifest("linear", "2").sha256
    document = apply(apply(None, Declare(spec)), Start(Candidate("2", digest), 1.0))
    bench.store.compare_and_set([Entry(apply(None, Declare(spec)), Change("ada", 1.0, "apply"))])
    bench.store.compare_and_set([Entry(document, Change("ada", 1.0, "start"))])
    bench.tick()
    assert shares(bench) == {"stable": 5000, "canary": 5000}
    return lambda: bench.store.compare_and_set([Entry(apply(document, Abort(2.0, "bad")), Change("ada", 2.0, "abort"))])


def shares(bench) -> dict[str, int]:
    return {arm.name: arm.slots for arm in bench.holder.current.routes["r"].route.arms}


def test_an_abort_takes_effect_though_the_stable_alias_names_what_is_not_there(bench, own_registry):
    abort = aborted(bench, own_registry)
    (own_registry / "linear" / "aliases.yaml").write_text("champion: '99'")
    live = bench.tick(after_s=60)
    assert "99" in live.warnings["r"]  # it is served as it is declared
    abort()
    live = bench.tick()
    assert shares(bench) == {"stable": 10_000, "canary": 0}
    assert bench.version() == "1"


def test_an_abort_takes_effect_though_the_candidates_artifact_was_overwritten(bench, own_registry):
    abort = aborted(bench, own_registry)
    for name in ("model.onnx", "model.yaml"):
        shutil.copyfile(own_registry / "linear" / "1" / name, own_registry / "linear" / "2" / name)
    bench.tick(after_s=60)
    abort()
    bench.tick(after_s=60)
    assert shares(bench)["canary"] == 0


def test_a_change_of_one_route_asks_the_registry_for_that_one_alone(bench, declare, monkeypatch):
    declare(bench.store, ONE)
    declare(bench.store, OTHER)
    bench.tick()
    asked: list[str] = []
    resolve = bench.catalogue.glance
    monkeypatch.setattr(bench.catalogue, "glance", lambda ref: asked.append(str(ref)) or resolve(ref))
    declare(bench.store, TWO)
    bench.tick()
    assert asked == ["linear:2"]


def test_routes_are_built_again_only_if_the_registry_or_their_document_has_changed(bench, declare, monkeypatch):
    followed = {"arms": {"a": "linear@champion", "b": "linear:2"}, "split": {"a": "50%", "b": "50%"}}
    for name in ("one", "two"):
        declare(bench.store, {"route": name, **followed})
    declare(bench.store, ONE)
    built, build = [], bench.reconciler._builder.build

    def note(document, known, warnings, **more):
        built.append(document.spec.route)
        return build(document, known, warnings, **more)

    monkeypatch.setattr(bench.reconciler._builder, "build", note)
    bench.tick()
    built.clear()
    reads, manifest = [], DirectoryRegistry.manifest
    monkeypatch.setattr(DirectoryRegistry, "manifest", lambda self, *ref: reads.append(ref) or manifest(self, *ref))
    bench.tick(after_s=60)
    assert (built, len(reads)) == ([], 3)  # champion, 1 and 2: once each, however many routes name them
    aliases = bench.catalogue._registry._root / "linear/aliases.yaml"
    aliases.write_text("champion: '2'\nchallenger: '2'\n")
    assert bench.tick(after_s=60).routes["one"].route.arms[0].version == "2"
    assert sorted(set(built)) == ["one", "r", "two"]  # of `r` the aliases of its version have changed


def test_the_log_names_the_routes_that_have_changed(bench, declare):
    declare(bench.store, ONE)
    declare(bench.store, OTHER)
    bench.tick()
    declare(bench.store, TWO)
    with capture_logs() as lines:
        bench.tick()
    (line,) = (each for each in lines if each["event"] == "gateway.snapshot.live")
    assert (line["routes"], line["changed"]) == (2, ["r@2[a 100%]"])
