"""References name what the registry said when it was read last; reading is done in another thread."""

import threading

import pytest

from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from router.spec.references import parse_ref
from runtimes.errors import StillLoading
from runtimes.load_options import LoadOptions
from tests.support.polling import wait_until

CHAMPION = parse_ref("fraud@champion")


class Slow(DirectoryRegistry):
    """A registry that answers once `answers` is set, and not at all while `is_away`."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.answers = threading.Event()
        self.answers.set()
        self.is_away = False

    def aliases(self, model):
        self.answers.wait()
        if self.is_away:
            raise RegistryUnavailable("The cable is out.")
        return super().aliases(model)


@pytest.fixture
def registry(publisher) -> Slow:
    publisher.publish("fraud", "1")
    publisher.publish("fraud", "2")
    publisher.alias("fraud", champion="2")
    return Slow(publisher.root)


@pytest.fixture
def reader(registry) -> ReferenceReader:
    return ReferenceReader(Catalogue(registry, LoadOptions()))


def test_a_reference_names_what_it_named_when_it_was_read_last(reader, publisher):
    assert reader.resolve(CHAMPION)[0].version == "2"
    publisher.alias("fraud", champion="1", latest="1")
    assert reader.resolve(CHAMPION)[0].version == "2"
    assert reader.take_changed() == frozenset()
    reader.read_all()
    assert reader.take_changed() == {CHAMPION}
    assert reader.take_changed() == frozenset()
    assert reader.resolve(CHAMPION)[0].version == "1"
    assert reader.aliases_of(CHAMPION, "1") == {"champion", "latest"}


def test_a_registry_that_hangs_is_not_waited_for(registry):
    reader = ReferenceReader(Catalogue(registry, LoadOptions()), in_daemon_thread)
    registry.answers.clear()
    with pytest.raises(StillLoading, match="looking up fraud@champion in the registry since 0 s"):
        reader.resolve(CHAMPION)
    registry.answers.set()
    wait_until(reader.has_news)
    assert reader.resolve(CHAMPION)[0].version == "2"


def test_while_the_registry_is_away_a_reference_names_what_it_named_last_and_says_so(reader, registry):
    reader.resolve(CHAMPION)
    registry.is_away = True
    reader.read_all()
    assert reader.resolve(CHAMPION)[0].version == "2"
    assert reader.aliases_of(CHAMPION, "2") == {"champion"}
    assert reader.trouble(CHAMPION) == "The cable is out."
    with pytest.raises(RegistryUnavailable, match="The cable is out"):
        reader.resolve(parse_ref("fraud@other"))
    registry.is_away = False
    reader.read_all()
    assert reader.trouble(CHAMPION) == ""


def test_what_there_is_not_is_unknown_until_it_is_there(reader, publisher):
    with pytest.raises(UnknownModel, match="no version '3'"):
        reader.resolve(parse_ref("fraud:3"))
    publisher.publish("fraud", "3")
    reader.read_all()
    assert reader.take_changed() == {parse_ref("fraud:3")}
    assert reader.resolve(parse_ref("fraud:3"))[0].version == "3"


def test_an_unexpected_error_concerns_one_reference_alone(reader, registry, monkeypatch):
    reader.resolve(CHAMPION)

    def fail(model, version):
        raise RecursionError("It is nested.")

    monkeypatch.setattr(registry, "manifest", fail)
    reader.read_all()
    assert reader.take_changed() == {CHAMPION}


def test_only_references_that_are_wanted_are_read_again(reader, registry):
    reader.resolve(CHAMPION)
    reader.retain([])
    registry.is_away = True
    reader.read_all()
    assert reader.trouble(CHAMPION) == ""


def test_the_aliases_of_a_model_are_read_once_for_all_its_references(reader, registry, publisher, monkeypatch):
    publisher.alias("fraud", champion="2", challenger="1")
    refs = [parse_ref(text) for text in ("fraud@champion", "fraud@challenger", "fraud:1", "fraud@nothing")]
    for ref in refs[:3]:
        reader.resolve(ref)
    with pytest.raises(UnknownModel):
        reader.resolve(refs[3])
    asked: list[str] = []
    monkeypatch.setattr(registry, "aliases", lambda model: asked.append(model) or Slow.aliases(registry, model))
    publisher.alias("fraud", champion="1", challenger="2")
    reader.read_all()
    assert asked == ["fraud", "fraud"]  # once more for the one that is not there, which says so
    assert reader.take_changed() >= set(refs[:2])
    assert [reader.resolve(ref)[0].version for ref in refs[:3]] == ["1", "2", "1"]


def test_what_a_reference_names_is_as_old_as_the_aliases_it_was_read_from(registry, publisher):
    """The time must not be later: an alias may move after it was read for another reference of the model."""
    now_s = iter(range(100, 200))
    reader = ReferenceReader(Catalogue(registry, LoadOptions()), clock=lambda: float(next(now_s)))
    refs = [CHAMPION, parse_ref("fraud:1")]
    for ref in refs:
        reader.resolve(ref)
    before_s = max(map(reader.asked_s, refs))
    reader.read_all()
    assert {reader.asked_s(ref) for ref in refs} == {before_s + 1}


def test_what_was_waited_for_is_news_whoever_takes_it_first(registry):
    """A reconciler's tidying took it, and the route was not built before the next retry."""
    waiting = []
    reader = ReferenceReader(Catalogue(registry, LoadOptions()), waiting.append)
    with pytest.raises(StillLoading):
        reader.resolve(parse_ref("fraud:1"))
    assert not reader.has_news()
    waiting.pop()()
    reader.resolve(parse_ref("fraud:1"))
    assert reader.has_news()
    assert not reader.has_news()
