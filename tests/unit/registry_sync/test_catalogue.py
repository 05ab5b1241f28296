"""The catalogue: versions are loaded once, quarantined with a reason, tried again, and dropped when unused."""

import hashlib
import threading
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import VersionKey, VersionState
from router.spec.references import parse_ref
from runtimes.errors import StillLoading
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec

THREADS = 8


class Counting(DirectoryRegistry):
    """A registry that counts fetches and can be made unreachable."""

    fetched = 0
    reachable = True

    def manifest(self, model: str, version: str) -> Manifest:
        """See `Registry.manifest`."""
        if not self.reachable:
            raise RegistryUnavailable("The cable is out.")
        return super().manifest(model, version)

    def aliases(self, model: str) -> Mapping[str, str]:
        """See `Registry.aliases`."""
        if not self.reachable:
            raise RegistryUnavailable("The cable is out.")
        return super().aliases(model)

    def fetch(self, model: str, version: str, manifest: Manifest) -> bytes:
        """See `Registry.fetch`."""
        self.fetched += 1
        if not self.reachable:
            raise RegistryUnavailable("The cable is out.")
        return super().fetch(model, version, manifest)


@pytest.fixture
def registry(publisher) -> Counting:
    publisher.publish("fraud", "1")
    publisher.publish("fraud", "2", description="the second")
    publisher.alias("fraud", champion="2", lost="7")
    return Counting(publisher.root)


@pytest.fixture
def catalogue(registry) -> Catalogue:
    return Catalogue(registry, LoadOptions())


def load(catalogue: Catalogue, ref: str, retry: bool = False):
    return catalogue.load(*catalogue.resolve(parse_ref(ref)), retry=retry)


def test_a_reference_is_resolved_to_a_pinned_version(catalogue, publisher):
    digest = publisher.manifest().sha256
    key, manifest = catalogue.resolve(parse_ref("fraud@champion"))
    assert key == VersionKey("fraud", "2", digest)
    assert str(key) == "fraud:2"
    assert manifest == publisher.manifest(description="the second")
    assert catalogue.resolve(parse_ref("fraud:1")) == (VersionKey("fraud", "1", digest), publisher.manifest())


def test_an_alias_is_followed_when_it_moves(catalogue, publisher):
    publisher.alias("fraud", champion="1")
    assert catalogue.resolve(parse_ref("fraud@champion"))[0].version == "1"


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("spam:1", "no model 'spam'; it has fraud"),
        ("spam@champion", "no model 'spam'; it has fraud"),
        ("fraud:3", "Model fraud has no version '3'; it has 1, 2"),
        ("fraud@challenger", "Model fraud has no alias 'challenger'; it has champion, lost"),
        ("fraud@lost", "Model fraud has no version '7'; it has 1, 2"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(catalogue, ref, words):
    with pytest.raises(UnknownModel, match=words):
        catalogue.resolve(parse_ref(ref))


def test_a_model_without_aliases_says_so(catalogue, publisher):
    publisher.publish("bare", "1")
    with pytest.raises(UnknownModel, match="Model bare has no alias 'champion'; it has none"):
        catalogue.resolve(parse_ref("bare@champion"))


def test_a_version_that_is_ready_runs(catalogue):
    version = load(catalogue, "fraud:1")
    assert (version.state, version.reason) == (VersionState.READY, "")
    (answer,) = version.runtime.run({"X": np.zeros((3, 30), np.float32)}, ["y"])
    assert answer.shape == (3,)


def test_many_threads_load_a_version_once(catalogue, registry):
    barrier = threading.Barrier(THREADS)
    held = [None] * THREADS

    def ask(number: int) -> None:
        barrier.wait()
        held[number] = load(catalogue, "fraud:1")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.fetched == 1
    assert held[0] is not None
    assert all(version is held[0] for version in held)


def test_only_some_threads_may_wait_for_a_version(registry, publisher, monkeypatch):
    """The others are there for other commands, above all aborts."""
    monkeypatch.setattr("registry_sync.catalogue._WAITING_AT_MOST", 1)
    may_load, has_begun = threading.Event(), threading.Event()

    def trial(*_: object) -> None:
        has_begun.set()
        may_load.wait()

    catalogue = Catalogue(registry, LoadOptions(), trial, in_daemon_thread)
    waiting = threading.Thread(target=load, args=(catalogue, "fraud:1"))
    waiting.start()
    assert has_begun.wait(60)
    with pytest.raises(StillLoading, match="fraud:2: 1 commands wait for versions to load; try again later"):
        load(catalogue, "fraud:2")
    may_load.set()
    waiting.join()
    assert load(catalogue, "fraud:2").state is VersionState.READY


def test_a_version_that_loads_is_not_waited_for_unless_asked(registry):
    may_load = threading.Event()
    catalogue = Catalogue(registry, LoadOptions(), lambda *_: may_load.wait() and None, in_daemon_thread)
    resolved = catalogue.resolve(parse_ref("fraud:1"))
    with pytest.raises(StillLoading, match="loading fraud:1 since 0 s"):
        catalogue.loaded(*resolved)
    may_load.set()
    assert catalogue.load(*resolved) is catalogue.loaded(*resolved)
    assert registry.fetched == 1


def test_the_reason_of_a_quarantined_version_stays_on_show_while_it_waits_for_another_try(
    registry, publisher, monkeypatch
):
    begun: list[Callable[[], None]] = []
    catalogue = Catalogue(registry, LoadOptions(), start=begun.append)
    damage(publisher)
    resolved = catalogue.resolve(parse_ref("fraud:1"))
    with pytest.raises(StillLoading):
        catalogue.loaded(*resolved)
    begun.pop()()
    reason = catalogue.loaded(*resolved).reason
    monkeypatch.setattr("registry_sync.version._RETRY_AFTER_S", -1.0)
    for _ in range(2):
        assert catalogue.loaded(*resolved).reason == reason
        catalogue.retain({resolved[0]})  # as at the end of each tick
        assert catalogue.loaded(*resolved).reason == reason
        begun.pop()()
    assert "changed or damaged" in reason


def test_a_manifest_that_is_corrected_while_its_version_loads_is_what_is_loaded(registry):
    begun: list[Callable[[], None]] = []
    catalogue = Catalogue(registry, LoadOptions(), start=begun.append)
    key, manifest = catalogue.resolve(parse_ref("fraud:2"))
    corrected = msgspec.structs.replace(manifest, max_batch=7)
    for named in (manifest, corrected):
        with pytest.raises(StillLoading):
            catalogue.loaded(key, named)
    for work in begun:
        work()
    assert catalogue.loaded(key, corrected).manifest.max_batch == 7


def test_what_an_operator_has_loaded_is_kept_until_its_document_is_there(catalogue, registry):
    load(catalogue, "fraud:1", retry=True)
    catalogue.retain(set())
    load(catalogue, "fraud:1")
    assert registry.fetched == 1


def test_an_alias_and_a_version_share_what_is_loaded(catalogue, registry):
    assert load(catalogue, "fraud@champion") is load(catalogue, "fraud:2")
    assert registry.fetched == 1


def damage(publisher) -> None:
    (publisher.root / "fraud" / "1" / "model.skops").write_bytes(publisher.content[:-1] + b"?")


def test_a_damaged_version_is_quarantined_with_its_reason(catalogue, registry, publisher):
    damage(publisher)
    version = load(catalogue, "fraud:1")
    assert (version.state, version.runtime) == (VersionState.QUARANTINED, None)
    assert version.reason.startswith("fraud:1: model.skops has sha256 ")
    assert "changed or damaged" in version.reason
    assert load(catalogue, "fraud:1") is version  # it is not loaded again at every call
    assert registry.fetched == 1


def test_a_version_whose_artifact_is_missing_is_quarantined(catalogue, publisher):
    (publisher.root / "fraud" / "1" / "model.skops").unlink()
    version = load(catalogue, "fraud:1")
    assert version.state is VersionState.QUARANTINED
    assert version.reason == "fraud:1: The artifact fraud/1/model.skops is missing."


def test_a_quarantined_version_is_tried_again_when_asked(catalogue, registry, publisher):
    damage(publisher)
    load(catalogue, "fraud:1")
    assert load(catalogue, "fraud:1", retry=True).state is VersionState.QUARANTINED
    publisher.publish("fraud", "1")
    assert load(catalogue, "fraud:1").state is VersionState.QUARANTINED
    assert load(catalogue, "fraud:1", retry=True).state is VersionState.READY
    assert registry.fetched == 3


def test_a_ready_version_is_not_loaded_again_when_asked_to_retry(catalogue, registry):
    assert load(catalogue, "fraud:1") is load(catalogue, "fraud:1", retry=True)
    assert registry.fetched == 1


def test_a_quarantined_version_is_tried_again_when_its_manifest_changes(catalogue, publisher):
    publisher.publish("fraud", "1", inputs=(TensorSpec("X", "FP32", (-1, 29)),))
    assert "declares 29 features" in load(catalogue, "fraud:1").reason
    publisher.publish("fraud", "1")
    assert load(catalogue, "fraud:1").state is VersionState.READY
    assert [held.state for held in catalogue.versions()] == [VersionState.READY]  # it replaced the quarantined version


@pytest.mark.parametrize("ref", ["fraud@champion", "fraud:1"])
def test_while_the_registry_is_away_a_reference_names_what_it_named_last(catalogue, registry, publisher, ref):
    named = catalogue.resolve(parse_ref(ref))
    publisher.alias("fraud", champion="1")
    publisher.publish("fraud", "1", description="changed meanwhile")
    registry.reachable = False
    assert catalogue.resolve(parse_ref(ref)) == named
    registry.reachable = True
    assert catalogue.resolve(parse_ref(ref)) != named
    registry.reachable = False
    assert catalogue.resolve(parse_ref(ref))[0].version == "1"


def test_while_the_registry_is_away_what_is_loaded_is_still_had(catalogue, registry):
    held = load(catalogue, "fraud@champion")
    registry.reachable = False
    assert load(catalogue, "fraud@champion") is held


@pytest.mark.parametrize("ref", ["fraud:2", "fraud@newest", "spam:1"])
def test_while_the_registry_is_away_a_reference_that_was_never_asked_for_names_nothing(catalogue, registry, ref):
    catalogue.resolve(parse_ref("fraud@champion"))  # which is version 2
    registry.reachable = False
    with pytest.raises(RegistryUnavailable, match="The cable is out"):
        catalogue.resolve(parse_ref(ref))


def test_what_the_registry_has_no_more_is_not_remembered(catalogue, publisher):
    catalogue.resolve(parse_ref("fraud@champion"))
    publisher.alias("fraud", challenger="1")
    with pytest.raises(UnknownModel):
        catalogue.resolve(parse_ref("fraud@champion"))


def test_nothing_is_held_of_what_could_not_be_fetched(catalogue, registry):
    resolved = catalogue.resolve(parse_ref("fraud:1"))
    registry.reachable = False
    with pytest.raises(RegistryUnavailable, match="The cable is out"):
        catalogue.load(*resolved)
    assert catalogue.versions() == []
    registry.reachable = True
    assert load(catalogue, "fraud:1").state is VersionState.READY


def test_what_is_held_is_listed_by_name(catalogue, publisher):
    publisher.publish("cancer", "1")
    for ref in ("fraud:2", "cancer:1", "fraud:1"):
        load(catalogue, ref)
    assert [str(version.key) for version in catalogue.versions()] == ["cancer:1", "fraud:1", "fraud:2"]


def test_only_what_is_used_and_what_is_quarantined_is_retained(catalogue, registry, publisher):
    publisher.publish("fraud", "3", sha256="0" * 64)
    used, unused, bad = (load(catalogue, ref) for ref in ("fraud:1", "fraud:2", "fraud:3"))
    catalogue.retain({used.key})
    assert catalogue.versions() == [used, bad]
    assert load(catalogue, "fraud:1") is used
    again = load(catalogue, "fraud:2")
    assert again is not unused
    assert registry.fetched == 4  # three versions, and again the one that was dropped


def test_a_version_whose_warm_up_raises_is_quarantined(catalogue, publisher):
    features = np.arange(120, dtype=np.float32).reshape(4, 30)
    content = skops.io.dumps(LogisticRegression().fit(features, ["bad", "bad", "good", "good"]))
    labels = (TensorSpec("label", "INT64", (-1,)),)
    folder = publisher.publish("fraud", "1", sha256=hashlib.sha256(content).hexdigest(), outputs=labels)
    (folder / "model.skops").write_bytes(content)
    version = load(catalogue, "fraud:1")
    assert version.state is VersionState.QUARANTINED
    assert "The model answers label as <U4, which is no int64" in version.reason
