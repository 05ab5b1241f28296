"""What is on show of each version: its state, the steps of its trial, and where it comes from."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.api.operators import versions
from gateway.api.operators.versions import VersionReader
from gateway.execution.checking.records import Record, Records, Trying
from gateway.execution.checking.steps import Step
from gateway.execution.process.model import ProcessOptions
from gateway.execution.trial import Trials
from registry_sync.background import at_once
from registry_sync.catalogue import Catalogue
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.copy.names import Book, KnownVersion
from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import Details
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import Tried, VersionKey
from router.spec.spec import ArmRef
from runtimes.errors import StillLoading
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest
from tests.support import linear
from tests.support.models import write_version

STEPS = (Step("digests", "ok", "1 file", 0.001), Step("warm-up", "ok", "ran", 0.25))


class Registry(DirectoryRegistry):
    """A registry that knows who has registered a version, unless it fails or hangs."""

    trouble: Callable[[], None] = staticmethod(lambda: None)

    def details(self, model: str, version: str) -> Details:
        """See `Registry.details`."""
        self.trouble()
        found = super().details(model, version)
        return found._replace(registered_by="an analyst", tags={**found.tags, "approved": "true"})


class Site:
    """A replica's catalogue, the trials of its machine, and what it serves."""

    def __init__(self, root: Path, trial: Callable[..., Any] = lambda *_: None) -> None:
        self.models = linear.fill(root / "models")
        self.registry = Registry(self.models)
        self.catalogue = Catalogue(self.registry, LoadOptions(), trial)
        self.trials = Trials(root, ProcessOptions(str(self.models), LoadOptions()))
        self.serves: dict[str, str] = {}
        self.answering: dict[VersionKey, Manifest] = {}
        view: Any = SimpleNamespace(
            report=lambda: SimpleNamespace(versions=self.serves), answering=lambda: self.answering
        )
        self.reader = VersionReader(self.catalogue, self.trials, view, at_once)

    def load(self, model: str, version: str = "1") -> VersionKey:
        """Load a version."""
        key, manifest = self.catalogue.resolve(ArmRef(model, version=version))
        self.catalogue.load(key, manifest)
        return key

    def tried(self, model: str, failure: str = "", at_s: float = 100.0, digest: str = "") -> VersionKey:
        """Note a trial of version 1 of a model."""
        key, manifest = self.catalogue.resolve(ArmRef(model, version="1"))
        key = key._replace(digest=digest or key.digest)
        name = digest or self.trials._name(manifest)
        found = None if failure else Tried("it is slow", 1234, 5678)
        record = Record(key=key, at_s=at_s, took_s=1.0, steps=STEPS, failure=failure, tried=found)
        self.trials._records._folder.mkdir(exist_ok=True)
        self.trials._records.write(name, record)
        return key

    def shown(self) -> dict[str, dict[str, Any]]:
        """Return what is on show, by name."""
        return {f"{each.model}:{each.version}": each.model_dump() for each in self.reader.read(time.time())}


def test_a_version_that_is_served_one_that_is_not_and_one_in_quarantine_say_so(tmp_path):
    site = Site(tmp_path)
    for model, version in (("linear", "1"), ("linear", "2"), ("damaged", "1")):
        site.load(model, version)
    site.serves = {"linear:1": "batched", "damaged:1": "batched"}
    assert {name: (each["state"], each["serves"]) for name, each in site.shown().items()} == {
        "linear:1": ("READY", True),
        "linear:2": ("READY", False),
        "damaged:1": ("QUARANTINED", False),
    }
    assert "changed or damaged" in site.shown()["damaged:1"]["reason"]


def test_a_version_that_answers_in_a_process_of_its_own_is_ready_and_serves(tmp_path):
    site = Site(tmp_path)
    key, manifest = site.catalogue.resolve(ArmRef("linear", version="1"))
    site.answering, site.serves = {key: manifest}, {"linear:1": "batched"}
    (shown,) = site.shown().values()
    assert (shown["state"], shown["serves"], shown["digest"]) == ("READY", True, key.digest)
    site.tried("linear")
    (shown,) = site.shown().values()
    assert (shown["state"], len(shown["steps"])) == ("READY", 2)


def test_the_steps_in_which_a_version_was_asked_logged_requests_are_shown_after_those_of_its_trial(tmp_path):
    site = Site(tmp_path)
    key = site.tried("linear")
    step = Step("logged requests of route r", "failed", "100 % of 4 differ", 0.5)
    records = Records(tmp_path / "asked")
    with records.locked("a" * 64):
        records.write("a" * 64, Record(key=key, at_s=1.0, took_s=1.0, steps=(step,), failure="It differs."))
    (shown,) = site.shown().values()
    assert [each["step"] for each in shown["steps"]] == ["digests", "warm-up", "logged requests of route r"]
    assert (shown["state"], shown["steps"][-1]["detail"]) == ("TRIED", "100 % of 4 differ")


def test_the_steps_of_the_trial_are_shown_with_their_times(tmp_path):
    site = Site(tmp_path)
    site.load("linear")
    site.tried("linear")
    (shown,) = site.shown().values()
    assert shown["steps"] == [
        {"step": "digests", "state": "ok", "detail": "1 file", "seconds": 0.001},
        {"step": "warm-up", "state": "ok", "detail": "ran", "seconds": 0.25},
    ]
    assert (shown["tried_at_s"], shown["batching"], shown["memory_bytes"]) == (100.0, "it is slow", 1234)


def test_what_the_machine_has_tried_is_shown_although_this_replica_does_not_hold_it(tmp_path):
    site = Site(tmp_path)
    site.tried("linear")
    site.tried("wide", "It is broken.")
    shown = site.shown()
    assert (shown["linear:1"]["state"], len(shown["linear:1"]["steps"])) == ("TRIED", 2)
    assert (shown["wide:1"]["state"], shown["wide:1"]["reason"]) == ("QUARANTINED", "It is broken.")


def test_of_several_trials_of_a_version_the_last_one_is_shown(tmp_path):
    site = Site(tmp_path)
    site.tried("linear", "It was broken.", 200.0, digest="0" * 64)
    site.tried("linear", "", 300.0)
    site.tried("linear", "It was broken, too.", 100.0, digest="f" * 64)
    assert [each["state"] for each in site.shown().values()] == ["TRIED"]
    site.load("linear")
    assert [each["state"] for each in site.shown().values()] == ["READY"]


def test_a_version_that_is_being_tried_says_its_step(tmp_path):
    site = Site(tmp_path)
    key, manifest = site.catalogue.resolve(ArmRef("linear", version="1"))
    records, name = site.trials._records, site.trials._name(manifest)
    with records.locked(name):
        records.note_step(name, Trying(key, "warm-up", time.time() - 12))
        (shown,) = site.shown().values()
        assert (shown["state"], shown["trying"]["step"]) == ("LOADING", "warm-up")
        assert 12 <= shown["trying"]["seconds"] < 600
        site.load("linear")
        assert site.shown()["linear:1"]["state"] == "READY"


def test_a_version_that_waits_says_for_what(tmp_path):
    def wait(*_: object) -> None:
        raise StillLoading("waits for memory: it takes 3 MiB")

    site = Site(tmp_path, wait)
    key, manifest = site.catalogue.resolve(ArmRef("linear", version="1"))
    with pytest.raises(StillLoading):
        site.catalogue.loaded(key, manifest)
    (shown,) = site.shown().values()
    assert (shown["state"], "waits for memory" in shown["reason"]) == ("LOADING", True)


def test_versions_with_the_same_manifest_share_a_trial_that_passed(tmp_path):
    site = Site(tmp_path)
    linear.publish(site.models, "other", "1", linear.WEIGHTS["1"])
    site.tried("linear")
    site.load("other")
    assert len(site.shown()["other:1"]["steps"]) == 2


def test_a_version_that_could_not_be_copied_is_in_quarantine_with_the_reason_as_a_step(tmp_path):
    site, root = Site(tmp_path), tmp_path / "copy"
    book = Book(root)
    book.set_version("fraud", "5", KnownVersion(trouble="fraud:5: The archive cannot be read.", kind="refused"))
    book.set_version("fraud", "6", KnownVersion(trouble="The cable is out.", kind="unavailable"))
    site.catalogue.copy = LocalCopy(root)
    site.load("linear")
    ready, refused = sorted(site.reader.read(0.0), key=lambda each: each.state != "READY")
    assert (ready.model, ready.state) == ("linear", "READY")
    assert (refused.model, refused.version, refused.digest, refused.state) == ("fraud", "5", "", "QUARANTINED")
    assert refused.reason == "fraud:5: The archive cannot be read."
    assert [(step.step, step.state, step.detail) for step in refused.steps] == [("copy", "failed", refused.reason)]


def test_where_a_version_comes_from_is_shown(tmp_path):
    site = Site(tmp_path)
    manifest = site.registry.manifest("linear", "1")
    content = (site.models / "linear" / "1" / "model.onnx").read_bytes()
    tags = ("run_id=3f2a", "data_set=2026-11", "team=risk")
    given = {"inputs": manifest.inputs, "outputs": manifest.outputs}
    write_version(site.models, "linear", "1", content, tags=tags, made_with=("onnx==1.23",), **given)
    site.load("linear")
    (shown,) = site.shown().values()
    assert (shown["run_id"], shown["data_set"], shown["registered_by"]) == ("3f2a", "2026-11", "an analyst")
    assert shown["tags"] == {"run_id": "3f2a", "data_set": "2026-11", "team": "risk", "approved": "true"}
    assert shown["packages"] == ["onnx==1.23"]


@pytest.mark.parametrize("error", [RegistryUnavailable("gone"), OSError("gone"), ValueError("strange")])
def test_a_registry_that_is_gone_takes_nothing_else_from_show(tmp_path, error):
    site = Site(tmp_path)
    site.load("linear")

    def fail() -> None:
        raise error

    site.registry.trouble = fail  # type: ignore[method-assign]
    (shown,) = site.shown().values()
    assert (shown["state"], shown["registered_by"]) == ("READY", "")


def test_a_registry_that_hangs_is_not_waited_for_and_what_it_told_before_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "_DETAILS_WITHIN_S", 0.2)
    site = Site(tmp_path)
    view: Any = SimpleNamespace(report=lambda: SimpleNamespace(versions={}), answering=dict)
    site.reader = VersionReader(site.catalogue, site.trials, view)
    site.load("linear")
    monkeypatch.setattr(versions, "_DETAILS_WITHIN_S", 60.0)
    assert site.shown()["linear:1"]["registered_by"] == "an analyst"
    monkeypatch.setattr(versions, "_DETAILS_WITHIN_S", 0.2)
    hanging = threading.Event()
    site.registry.trouble = lambda: hanging.wait(60) and None  # type: ignore[method-assign]
    with contextlib.closing(SimpleNamespace(close=hanging.set)):
        began_s = time.monotonic()
        assert site.shown()["linear:1"]["registered_by"] == "an analyst"
        assert time.monotonic() - began_s < 30


def test_the_api_and_its_page_agree(tmp_path):
    site = Site(tmp_path)
    site.tried("linear")
    (shown,) = site.reader.read(time.time())
    assert type(shown).model_validate_json(shown.model_dump_json()) == shown
