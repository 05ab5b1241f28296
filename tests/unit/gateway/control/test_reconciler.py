"""Ticks: what the store and the registry say goes live; what cannot be built keeps its last good form."""

import asyncio
import shutil
import threading
import time

import numpy as np
import pytest
import yaml
from structlog.testing import capture_logs

from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile
from gateway.control.reconciler import Identity, Reconciler
from gateway.errors import NotReady
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane_pool import LaneOptions, LanePool
from gateway.inference.live_table import LiveTableHolder, find_route
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from router.document.commands import Abort, Declare, Start, apply
from router.document.document import Candidate
from router.errors import UnknownRoute
from router.spec.parse import parse_spec
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load import LoadOptions
from store.api_key import ApiKey
from store.errors import StoreUnavailable
from store.interface import Change, Entry
from tests.support.flaky_store import Served
from tests.support.polling import PATIENCE_S

ONE = {"route": "r", "arms": {"a": "linear:1"}, "split": {"a": "100%"}}
TWO = {"route": "r", "arms": {"a": "linear:2"}, "split": {"a": "100%"}}
DAMAGED = {"route": "r", "arms": {"a": "damaged:1"}, "split": {"a": "100%"}}
OTHER = {"route": "other", "arms": {"a": "linear:1"}, "split": {"a": "100%"}}


class Bench:
    """A refresher over a real store and a real registry; ticks are asked for, at times that are given."""

    def __init__(self, root, registry, store: Served | None = None) -> None:
        self.store = store or Served(root)
        self.catalogue = Catalogue(DirectoryRegistry(registry), LoadOptions())
        self.holder = LiveTableHolder()
        self.now_s = 100.0
        self.keys: list[list[str]] = []
        self.lanes = LanePool(EndOfTurn(), LaneOptions(2, 0.002), None)
        self.wanted = DesiredState(self.store, LastKnownFile(root / "remembered.json", "redis://store.example"))
        self.refresher = Reconciler(
            Identity("me", 7, 1.0),
            self.store,
            self.wanted,
            self.catalogue,
            self.lanes,
            self.holder,
            10.0,
            lambda keys: self.keys.append([key.id for key in keys]),
        )

    def tick(self, after_s: float = 0.1):
        self.now_s += after_s
        self.refresher.tick(self.now_s)
        return self.holder.current

    def version(self, route: str = "r") -> str:
        return self.holder.current.routes[route].route.arms[0].version


@pytest.fixture
def restarted(bench, tmp_path, own_registry):
    """Another replica of the same machine, which starts now."""
    return lambda: Bench(tmp_path, own_registry, bench.store)


@pytest.fixture
def bench(tmp_path, own_registry):
    built = Bench(tmp_path, own_registry)
    yield built
    built.store.real.close()


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
    assert bench.tick(after_s=60) is live  # the registry was asked again, and said the same


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


def test_a_store_that_is_gone_keeps_the_snapshot(bench, declare):
    declare(bench.store, ONE)
    live, heard_s = bench.tick(), bench.refresher.heard_s
    bench.store.close()
    assert bench.tick() is live
    assert bench.tick(after_s=60) is live
    assert bench.refresher.heard_s == heard_s


def test_the_replica_reports_what_it_serves(bench, declare):
    declare(bench.store, ONE)
    declare(bench.store, {**DAMAGED, "route": "bad"})
    bench.tick()
    (report,) = bench.store.reports()
    assert (report.replica, report.pid, dict(report.routes)) == ("me", 7, {"r": 1})
    assert list(report.problems) == ["bad"]
    assert report.snapshot_hash == bench.holder.current.snapshot.hash


def test_reports_are_repeated_so_that_others_know_it_lives(bench):
    bench.tick()
    first = bench.store.reports()[0].at_s
    bench.tick(after_s=0.5)
    assert bench.store.reports()[0].at_s == first
    bench.tick(after_s=0.6)
    assert bench.store.reports()[0].at_s > first


def test_an_arm_keeps_its_lane_when_the_weights_change(bench, declare):
    both = {"route": "r", "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "50%", "b": "50%"}}
    declare(bench.store, both)
    lane = bench.tick().routes["r"].arms[0].lane
    declare(bench.store, {**both, "split": {"a": "40%", "b": "60%"}})
    assert bench.tick().routes["r"].arms[0].lane is lane


def test_a_model_that_fails_while_it_is_measured_is_a_problem_of_its_route(bench, declare, monkeypatch):
    def fail(runtime):
        raise ModelFailed("It was well when it was loaded.")

    monkeypatch.setattr("gateway.execution.lane_pool.measured_times", fail)
    declare(bench.store, ONE)
    live = bench.tick()
    assert dict(live.problems) == {"r": "It was well when it was loaded."}
    monkeypatch.undo()
    assert dict(bench.tick(after_s=60).problems) == {}


def test_routes_of_one_version_share_its_lane(bench, declare):
    declare(bench.store, ONE)
    declare(bench.store, OTHER)
    live = bench.tick()
    assert live.routes["r"].arms[0].lane is live.routes["other"].arms[0].lane


def test_a_lane_is_forgotten_with_its_last_route(bench, declare):
    declare(bench.store, ONE)
    lane = bench.tick().routes["r"].arms[0].lane
    declare(bench.store, TWO)
    bench.tick()
    declare(bench.store, ONE)
    assert bench.tick().routes["r"].arms[0].lane is not lane


def test_a_version_that_wants_an_application_of_its_own_is_a_problem_where_there_is_none(bench, declare):
    declare(bench.store, ONE)
    bench.tick()
    declare(bench.store, {**ONE, "placement": "dedicated"})
    live = bench.tick()
    assert "linear:1 wants an application of its own" in live.problems["r"]
    assert live.routes["r"].route.document_version == 1
    declare(bench.store, {**ONE, "placement": "replica"})
    assert dict(bench.tick().problems) == {}


def test_a_route_overrules_where_its_versions_want_to_run(bench, own_registry, declare):
    path = own_registry / "linear" / "1" / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "placement": "dedicated"}))
    declare(bench.store, ONE)
    declare(bench.store, {**OTHER, "placement": "replica"})
    live = bench.tick()
    assert list(live.problems) == ["r"]
    assert live.routes["other"].arms[0].lane.key.placement == "replica"


def test_a_replica_that_ends_takes_its_report_back(bench):
    stop, ticked = threading.Event(), threading.Event()
    running = threading.Thread(target=bench.refresher.run, args=(stop, 0.001, ticked.set))
    running.start()
    assert ticked.wait(PATIENCE_S)
    assert len(bench.store.reports()) == 1
    stop.set()
    running.join()
    assert bench.store.reports() == []


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


def test_a_manifest_that_names_its_columns_later_is_followed(bench, own_registry, declare):
    declare(bench.store, ONE)
    bench.tick()
    path = own_registry / "linear" / "1" / "model.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["inputs"][0]["columns"] = ["p", "q", "r", "s"]
    path.write_text(yaml.safe_dump(manifest))
    assert bench.tick(after_s=60).routes["r"].arms[0].primary.features == ("p", "q", "r", "s")


def test_outputs_that_a_manifest_names_in_another_order_later_are_answered_in_that_order(bench, own_registry, declare):
    declare(bench.store, ONE)
    bench.tick()
    path = own_registry / "linear" / "1" / "model.yaml"
    manifest = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**manifest, "outputs": manifest["outputs"][::-1], "max_batch": 1}))
    arm = bench.tick(after_s=60).routes["r"].arms[0]

    async def answer():
        job = arm.lane.submit({"X": np.ones((1, 4), np.float32)}, 1)
        await asyncio.sleep(0)
        return await job

    tensors = asyncio.run(answer())
    assert [spec.name for spec in arm.manifest.outputs] == ["scores", "label"]
    assert [tensor.dtype for tensor in tensors] == [np.float32, np.int64]
    assert arm.lane.executor.rows_at_best() == 1


def test_heard_is_a_moment_ago(bench):
    began_s = time.monotonic()
    bench.tick()
    assert began_s <= bench.refresher.heard_s <= time.monotonic()


def test_what_an_unfinished_route_waits_for_is_not_loaded_again_at_every_tick(bench, declare):
    declare(bench.store, {"route": "r", "arms": {"a": "linear:1", "b": "damaged:1"}, "split": {"a": "50%", "b": "50%"}})
    bench.tick()
    (held,) = [version for version in bench.catalogue.versions() if version.key.model == "linear"]
    bench.tick(after_s=60)
    assert [version for version in bench.catalogue.versions() if version.key.model == "linear"] == [held]
    assert held.runtime is next(v for v in bench.catalogue.versions() if v.key.model == "linear").runtime


class Starting:
    """Dedicated applications that never come up."""

    def __init__(self) -> None:
        self.retained = []

    def open(self, version):
        raise ModelRefused(f"{version.key} is being started.")

    def retain(self, versions, *, is_all):
        self.retained.append(([str(key) for key in versions], is_all))


def test_an_application_that_is_still_starting_is_wanted_all_the_same(bench, declare):
    bench.dedicated = Starting()
    bench.refresher._lanes._dedicated = bench.dedicated
    declare(bench.store, {**TWO, "placement": "dedicated"})
    declare(bench.store, OTHER)
    live = bench.tick()
    assert (list(live.routes), dict(live.problems)) == (["other"], {"r": "linear:2 is being started."})
    assert bench.dedicated.retained == [(["linear:2"], False)]
    declare(bench.store, ONE)
    bench.tick()
    assert bench.dedicated.retained[1:] == [([], True)]


def key(key_id: str) -> ApiKey:
    return ApiKey(key_id, "checkout", bytes(32), ("predict",), 1.5, "ada")


def test_a_store_that_has_lost_its_routes_changes_nothing_and_that_is_said_once(bench, declare):
    declare(bench.store, ONE)
    live = bench.tick()
    bench.store.lose()
    with capture_logs() as lines:
        assert [bench.tick(after_s=60) for _ in range(3)] == [live] * 3
    assert [line["event"] for line in lines] == ["gateway.refresh.store_failed"]
    assert bench.store.reports()[0].trouble.startswith("The store has lost its routes.")
    bench.wanted.restore()
    with capture_logs() as lines:
        bench.tick()
    assert lines[0]["event"] == "gateway.refresh.store_answers"
    assert bench.tick(after_s=60).routes["r"].route == live.routes["r"].route
    assert bench.store.reports()[0].trouble == ""


def test_a_store_that_is_away_is_complained_of_once(bench, declare):
    declare(bench.store, ONE)
    live = bench.tick()
    bench.store.is_away = True
    with capture_logs() as lines:
        assert [bench.tick(after_s=60) for _ in range(3)] == [live] * 3
    assert [(line["event"], line["error"]) for line in lines] == [
        ("gateway.refresh.store_failed", "The store does not answer.")
    ]
    assert bench.refresher.report().trouble == "The store does not answer."
    bench.store.is_away = False
    bench.tick()
    assert bench.refresher.report().trouble == ""


def test_who_starts_while_the_store_is_away_serves_what_the_machine_remembers(bench, restarted, declare):
    declare(bench.store, ONE)
    declare(bench.store, TWO)
    bench.tick()
    bench.store.is_away = True
    started = restarted()
    started.refresher.settle(0.0)
    assert (started.version(), dict(started.holder.current.problems)) == ("2", {})
    bench.store.is_away = False
    declare(bench.store, ONE)
    assert started.tick().routes["r"].route.document_version == 3


def test_who_starts_while_the_store_is_away_and_remembers_nothing_cannot(bench):
    bench.store.is_away = True
    with pytest.raises(StoreUnavailable, match="could not be read; see the log"):
        bench.refresher.settle(0.0)


def test_who_starts_with_an_empty_store_serves_nothing_and_is_content(bench):
    bench.refresher.settle(0.0)
    assert dict(bench.holder.current.routes) == {}


def test_keys_are_taken_when_they_have_changed(bench):
    bench.store.add_key(key("k"))
    for _ in range(3):
        bench.tick()
    bench.store.add_key(key("l"))
    bench.tick()
    assert bench.keys == [["k"], ["k", "l"]]


def test_a_document_that_is_damaged_while_nobody_runs_is_served_as_the_machine_remembers_it(bench, restarted, declare):
    declare(bench.store, ONE)
    bench.tick()
    bench.store.damage("r")
    started = restarted()
    live = started.tick()
    assert started.version() == "1"
    assert list(live.problems) == ["r"]


def shadowed(ref: str = "linear:2", **more) -> dict:
    return {**ONE, "shadow": [{"arm": ref, "placement": "replica", **more}]}


def test_a_shadow_is_served_beside_its_route_with_a_lane_of_its_own(bench, declare):
    declare(bench.store, shadowed("linear:1"))
    declare(bench.store, OTHER)
    live = bench.tick()
    (shadow,) = live.routes["r"].shadows
    assert (shadow.shadow.name, shadow.shadow.version) == ("linear:1", "1")
    assert shadow.lane is not live.routes["r"].arms[0].lane
    assert shadow.lane.key.is_shadow
    assert (dict(live.problems), dict(live.warnings)) == ({}, {})
    assert bench.tick(after_s=60) is live


@pytest.mark.parametrize(
    ("ref", "words"),
    [("linear:9", "no version '9'"), ("damaged:1", "changed or damaged"), ("wide:1", "has another signature")],
)
def test_a_shadow_that_cannot_be_had_is_a_warning_and_the_route_is_served(bench, declare, ref, words):
    declare(bench.store, shadowed(ref))
    live = bench.tick()
    assert (live.routes["r"].shadows, dict(live.problems)) == ((), {})
    assert live.warnings["r"].startswith(f"Served without {ref}: ")
    assert words in live.warnings["r"]
    assert bench.store.reports()[0].warnings == live.warnings
    declare(bench.store, shadowed())
    live = bench.tick()
    assert ([each.shadow.name for each in live.routes["r"].shadows], dict(live.warnings)) == (["linear:2"], {})


def test_a_shadow_that_comes_late_is_served_from_then_on(bench, declare, monkeypatch):
    """Its process is started aside; nobody waits for it, and the lanes say when there is news."""
    lane, is_there = bench.lanes.lane, False

    def late(version, placement, is_shadow=False):
        if is_shadow and not is_there:
            raise ModelRefused("It is being started.")
        return lane(version, placement, is_shadow)

    monkeypatch.setattr(bench.lanes, "lane", late)
    declare(bench.store, shadowed())
    live = bench.tick()
    assert (live.routes["r"].shadows, live.warnings["r"]) == ((), "Served without linear:2: It is being started.")
    is_there = True
    assert bench.tick() is live
    monkeypatch.setattr(bench.lanes, "has_news", lambda: True)
    live = bench.tick()
    assert ([each.shadow.name for each in live.routes["r"].shadows], dict(live.warnings)) == (["linear:2"], {})


def test_what_a_shadow_waits_for_is_not_loaded_and_dropped_at_every_tick(bench, declare, monkeypatch):
    lane = bench.lanes.lane

    def late(version, placement, is_shadow=False):
        if is_shadow:
            raise ModelRefused("It is being started.")
        return lane(version, placement, is_shadow)

    monkeypatch.setattr(bench.lanes, "lane", late)
    declare(bench.store, shadowed())
    bench.tick()
    held = bench.catalogue.versions()
    assert [str(version.key) for version in held] == ["linear:1", "linear:2"]
    bench.tick(after_s=60)
    assert all(now is before for now, before in zip(bench.catalogue.versions(), held, strict=True))


def test_an_arm_that_nobody_needs_is_a_warning_when_it_cannot_be_had(bench, declare):
    declare(bench.store, {**ONE, "arms": {"a": "linear:1", "b": "damaged:1"}, "split": {"a": 1, "b": 0}})
    live = bench.tick()
    assert (bench.version(), dict(live.problems)) == ("1", {})
    assert live.warnings["r"].startswith("Served without ")
    assert "damaged:1" in live.warnings["r"]


def test_a_routes_condition_is_compiled_with_it(bench, declare):
    declare(
        bench.store,
        {
            **ONE,
            "arms": {"a": "linear:1", "b": "linear:2"},
            "fallback": "a",
            "target": {"headers.x-country": "se", "inputs.X.3": {"$gt": 0.5}},
        },
    )
    route = bench.tick().routes["r"]
    inputs = {"X": np.array([[0, 0, 0, 1], [0, 0, 0, 0]], np.float32)}
    assert route.target.matches({b"x-country": b"se"}, {}, inputs, None)
    assert not route.target.matches({b"x-country": b"se"}, {}, {"X": inputs["X"][::-1]}, None)
    assert route.route.admission.has_target


def aborted(bench, own_registry):
    """A rollout whose candidate has half of the traffic; what aborts it."""
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
    assert "99" in live.problems["r"]
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
    resolve = bench.catalogue.resolve
    monkeypatch.setattr(bench.catalogue, "resolve", lambda ref: asked.append(str(ref)) or resolve(ref))
    declare(bench.store, TWO)
    bench.tick()
    assert asked == ["linear:2"]
