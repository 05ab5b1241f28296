"""The companion follows an alias once the version has passed a trial. It waits for nothing and loads nothing."""

import threading
from fractions import Fraction

import pytest

from gateway.control.changes import Note
from gateway.control.follower import Follower
from gateway.control.rollouts import RolloutDriver
from gateway.control.tried_versions import TriedVersions
from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.details_reader import DetailsReader
from registry_sync.errors import RegistryUnavailable
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from router.document.commands import Shift
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused
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
    follower = Follower(reader, DetailsReader(catalogue.details, in_daemon_thread), versions)
    site.driver = RolloutDriver(site.store, follower, site.replica.changes, site.replica)
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


def test_a_route_that_waits_for_a_version_is_looked_at_now_and_then_and_when_something_has_changed(site, trials):
    """With 1,000 of them, each look took 0.4 s of the half second between two."""
    linear.publish(site.registry, "linear", "3", 3 * linear.WEIGHTS["1"])
    site.declare(SPLIT, arms={"stable": "linear@champion", "b": "linear:2"})
    for number in ("1", "2"):
        trials.passed.add(_digest(site, number))
    waiting, now_s = [], [100.0]
    catalogue = Catalogue(DirectoryRegistry(site.registry), LoadOptions())
    reader = ReferenceReader(catalogue, clock=lambda: now_s[0])
    versions = TriedVersions(reader, trials.require, trials.has_passed, waiting.append)
    follower = Follower(reader, DetailsReader(catalogue.details), versions, clock=lambda: now_s[0])

    def look() -> list[str]:
        found = [route for route, _ in follower.unsettled(site.documents()) if follower.due(route, site.now_s) is None]
        if follower.is_whole:
            versions.forget_unasked(follower.refs)
        return found

    look()
    site.point(champion="3")
    now_s[0] += 1
    reader.read_all()
    assert (look(), len(waiting)) == (["s"], 1)
    assert "trying linear:3" in follower.waits["s"]
    assert (look(), look()) == ([], [])
    now_s[0] += 2.1
    assert (look(), look(), len(waiting)) == (["s"], [], 1)
    trials.may_end.set()
    waiting.pop()()
    assert [follower.due(route, site.now_s).what for route, _ in follower.unsettled(site.documents())] == [
        "follow stable to 3"
    ]
    trials.passed.discard(_digest(site, "3"))
    assert (look(), look()) == (["s"], [])
    site.point(champion="1")
    reader.read_all()
    assert (look(), follower.waits) == (["s"], {})
    site.point(champion="3")
    reader.read_all()
    assert (look(), look()) == (["s"], [])
    site.replica.changes.change("s", lambda _: Shift({"b": Fraction(1, 4)}), Note("ada", "shift"))
    assert look() == ["s"]


@pytest.mark.parametrize(("error", "fewest", "most"), [(ModelRefused, 9, 12), (RegistryUnavailable, 110, 121)])
def test_a_version_that_fails_is_tried_less_and_less_often(site, error, fewest, most):
    """What may pass is tried every 30 s."""
    now_s, tried = [0.0], []

    def require(key, manifest):
        tried.append(key)
        raise error("It fails.")

    reader = ReferenceReader(Catalogue(DirectoryRegistry(site.registry), LoadOptions()))
    versions = TriedVersions(reader, require, lambda _: False, clock=lambda: now_s[0])
    for now_s[0] in range(3600):
        if now_s[0] % 7:  # it is not asked for in each look
            with pytest.raises(ModelRefused):
                versions.load(*versions.resolve(parse_ref("linear:1")))
        versions.forget_unasked()
    assert fewest <= len(tried) <= most


def test_what_is_not_asked_for_any_more_is_forgotten(site, driver):
    site.begin()
    ref = parse_ref("linear@challenger")
    wait_until(lambda: site.tick() or ref in driver._reader._answers)
    driver.forget_unasked([ref])
    driver.forget_unasked([ref])
    assert list(driver._reader._answers) == [ref]
    driver.forget_unasked()
    assert driver._reader._answers == {}


def test_an_answer_that_is_older_than_the_document_does_not_count(site):
    """Another machine may have followed the alias since then, and this one would lead it back."""
    site.declare(SPLIT, arms={"stable": "linear@champion", "b": "linear:2"})
    catalogue = site.replica.catalogue
    reader = ReferenceReader(catalogue)
    follower = Follower(reader, DetailsReader(catalogue.details), catalogue)

    def due():
        return next((follower.due(route, site.now_s) for route, _ in follower.unsettled(site.documents())), None)

    assert due() is None
    site.point(champion="2")
    reader.read_all()
    followed = due()
    site.replica.changes.change("s", lambda _: followed.command, Note("another machine", followed.what))
    site.point(champion="1")  # not read yet: what was read says that it names version 2
    site.replica.changes.change("s", lambda _: Shift({"b": Fraction(1, 2)}), Note("ada", "shift"))
    assert due() is None
    reader.read_all()
    assert due() is None  # the second move waits
    site.now_s += 60
    assert due().command.bound["stable"].version == "1"
