"""The companion follows an alias once the version has passed a trial. It waits for nothing and loads nothing."""

import threading

import pytest

from gateway.control.rollouts import RolloutDriver
from gateway.control.tried_versions import TriedVersions
from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from router.spec.references import parse_ref
from runtimes.errors import StillLoading
from runtimes.load_options import LoadOptions
from tests.support import linear
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.control.support_rollouts import SPLIT


class Trials:
    """Trials that end when they may."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.may_end = threading.Event()
        self.tried: list[str] = []

    def require(self, key, manifest) -> None:
        self.tried.append(str(key))
        assert self.may_end.wait(PATIENCE_S)
        self.passed.add(manifest.sha256)

    def has_passed(self, manifest) -> bool:
        return manifest.sha256 in self.passed


@pytest.fixture
def trials():
    made = Trials()
    yield made
    made.may_end.set()


@pytest.fixture
def driver(site, trials):
    """Have the site's rollouts driven as the companion does."""
    catalogue = Catalogue(DirectoryRegistry(site.registry), LoadOptions())
    reader = ReferenceReader(catalogue, in_daemon_thread)
    versions = TriedVersions(reader, trials.require, trials.has_passed, in_daemon_thread)
    site.driver = RolloutDriver(site.store, versions, site.replica.changes, site.replica)
    for number in ("1", "2"):
        trials.passed.add(_digest(site, number))
    stop = threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop, 0.02))
    thread.start()
    yield versions
    stop.set()
    thread.join()


def _digest(site, number: str) -> str:
    return DirectoryRegistry(site.registry).manifest("linear", number).sha256


def test_a_trial_that_hangs_delays_no_abort_and_the_rollout_follows_after_it(site, driver, trials):
    linear.publish(site.registry, "linear", "3", 3 * linear.WEIGHTS["1"])
    site.begin()
    site.declare(SPLIT)
    before = site.document().rollout.candidate
    site.follow("3")
    wait_until(lambda: site.tick() or trials.tried == ["linear:3"])
    site.count("b", 300, errors=300, route="s")
    site.count("stable", 300, route="s")
    site.tick()
    assert site.document("s").weights["b"] == 0
    assert site.document().rollout.candidate == before
    trials.may_end.set()
    wait_until(lambda: site.tick() or site.document().rollout.candidate.version == "3")
    assert trials.tried == ["linear:3"]


def test_what_is_not_asked_for_any_more_is_forgotten(site, driver):
    site.begin()
    site.tick()
    assert driver._asked
    driver.forget_unasked()
    driver.forget_unasked()
    assert not driver._asked
    assert not driver._known
    assert driver._reader._answers == {}


def test_an_answer_that_is_older_than_the_document_does_not_count(site, trials):
    """Another machine may have followed the alias since then, and this one would lead it back."""
    times = iter(range(1, 100))
    catalogue = Catalogue(DirectoryRegistry(site.registry), LoadOptions())
    reader = ReferenceReader(catalogue, clock=lambda: next(times))
    versions = TriedVersions(reader, trials.require, trials.has_passed, clock=lambda: next(times))
    ref = parse_ref("linear@challenger")
    assert versions.resolve_now(ref, 1)[0].version == "2"  # it was read for the first time, after it was asked for
    versions.forget_unasked()
    with pytest.raises(StillLoading):
        versions.resolve_now(ref, 2)
    reader.read_all()
    assert versions.resolve_now(ref, 2)[0].version == "2"
