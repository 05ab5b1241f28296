"""Processes that wait for what is not in the copy yet."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest
from msgspec import structs

from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.copy import hurry_file
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.copy.names import Book, Names
from registry_sync.copy.wanted import Want, Wants
from registry_sync.errors import BeingCopied, RegistryUnavailable, UnknownModel
from registry_sync.reference_reader import ReferenceReader
from router.spec.references import parse_ref
from runtimes.errors import StillLoading
from runtimes.load_options import LoadOptions
from tests.support.polling import wait_until
from tests.unit.registry_sync.copy.support import Site, adopt, away, nothing

WITHIN_S = 60.0


@pytest.fixture
def running(site):
    """Run a companion in a thread."""
    stop = threading.Event()
    sync = site.sync(start=in_daemon_thread, every_s=0.5)

    def run() -> None:
        while not stop.wait(0.02):
            if sync.is_due(time.monotonic()):
                sync.tick(site.refs, time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    yield sync
    stop.set()
    thread.join()


def read_in_process(root: Path, sent) -> None:
    copy = LocalCopy(root, WITHIN_S)
    manifest = copy.manifest("other", "3")
    sent.put(dict(copy.fetch("other", "3", manifest)))


@pytest.mark.usefixtures("running")
def test_two_processes_that_wait_for_a_version_get_it_and_it_is_fetched_once(site):
    site.remote.add("other", "3", b"weights")
    forked = multiprocessing.get_context("fork")
    sent = forked.SimpleQueue()
    processes = [forked.Process(target=read_in_process, args=(site.root, sent)) for _ in range(2)]
    for each in processes:
        each.start()
    assert [sent.get(), sent.get()] == [{"f0": b"weights"}] * 2
    for each in processes:
        each.join()
    assert site.remote.reads == ["other/3/f0"]


@pytest.mark.usefixtures("running")
def test_a_command_gets_the_alias_as_it_is_now(site):
    site.remote.add("n", "7", b"seven")
    copy = LocalCopy(site.root, WITHIN_S)
    for version in ("7", "8", "7", "8"):
        site.remote.named["n"]["champion"] = version
        assert copy.aliases("n") == {"champion": version}


@pytest.mark.usefixtures("running")
def test_a_command_is_told_why_as_of_now(site):
    copy = LocalCopy(site.root, WITHIN_S)
    with pytest.raises(UnknownModel):
        copy.manifest("n", "9")
    site.remote.add("n", "9", b"nine")  # published a moment after it was asked for
    assert copy.manifest("n", "9").pinned
    site.remote.before = away
    with pytest.raises(RegistryUnavailable, match="The cable is out"):
        copy.aliases("n")
    with pytest.raises(RegistryUnavailable, match="The cable is out"):
        copy.manifest("n", "10")


@pytest.mark.usefixtures("running")
def test_a_command_gets_the_tags_as_they_are_now(site):
    site.remote.add("m", "1", b"weights")
    copy = LocalCopy(site.root, WITHIN_S)
    assert copy.manifest("m", "1").pinned
    for value in ("yes", "no", "yes"):
        site.remote.tags["m", "1"] = {"approved": value}
        assert copy.fresh_details("m", "1").tags == {"approved": value}
    assert copy.details("m", "1").tags == {"approved": "yes"}
    site.remote.before = away
    with pytest.raises(RegistryUnavailable, match="The cable is out"):
        copy.fresh_details("m", "1")
    site.remote.before = nothing
    assert copy.fresh_details("m", "1").tags == {"approved": "yes"}


def test_without_a_companion_the_sentence_says_what_is_waited_for(site):
    with pytest.raises(BeingCopied, match="the companion of this machine does not run"):
        LocalCopy(site.root, 0.1).manifest("m", "1")


def test_what_is_waited_for_is_bounded_and_forgotten(site, monkeypatch):
    wants = Wants(site.root)
    for number in range(1024):
        wants.leave(Want("m", str(number)))
    with pytest.raises(RegistryUnavailable, match="1024 versions are being waited for"):
        wants.leave(Want("m", "one too many"))
    wants.leave(Want("m", "7"))
    assert len(Wants(site.root).read()) == 1024
    monkeypatch.setattr("registry_sync.copy.wanted.time.time", lambda: time.monotonic() + 1e10)
    assert wants.read() == []
    assert list((site.root / "wanted").iterdir()) == []


def test_a_reader_follows_the_copy_without_waiting(site):
    site.remote.add("n", "7", b"seven")
    site.remote.add("n", "8", b"eight")
    site.remote.named["n"]["champion"] = "7"
    reader = ReferenceReader(Catalogue(LocalCopy(site.root, WITHIN_S), LoadOptions()))
    ref = parse_ref("n@champion")
    with pytest.raises(StillLoading, match="not in this machine's copy"):
        reader.resolve(ref)
    sync = site.sync()
    site.tick(sync)
    reader.read_all(only_copied=True)
    assert reader.resolve(ref)[0].version == "7"
    asked_s = reader.asked_s(ref)
    reader.read_all()
    assert reader.asked_s(ref) == asked_s  # what is read is the answer of the same look

    def fails(request: str) -> None:
        if request == "manifest n:8":
            away(request)

    site.remote.before = fails
    site.remote.named["n"]["champion"] = "8"
    site.tick(sync)
    reader.read_all()
    assert reader.resolve(ref)[0].version == "7"  # until the other one is here
    assert reader.asked_s(ref) > asked_s
    assert reader.trouble(ref) == "n:8: The cable is out."
    site.remote.before = away
    site.tick(sync, 40.0)
    reader.read_all()
    assert (reader.resolve(ref)[0].version, reader.trouble(ref)) == ("7", "n:8: The cable is out.")


def test_while_a_manifest_is_made_the_sentence_says_what_is_waited_for(site):
    """An alias that moves to such a version is not followed meanwhile, and `status` says so."""
    site.remote.add("n", "7", b"seven")
    site.remote.add("n", "8", b"eight", has_manifest=False)
    site.remote.named["n"]["champion"] = "7"
    reader, ref, said = ReferenceReader(Catalogue(site.copy, LoadOptions())), parse_ref("n@champion"), []

    def slow(model, version, files):
        reader.read_all()
        said.append((reader.resolve(ref)[0].version, reader.trouble(ref)))
        return adopt(model, version, files)

    sync = site.sync(adopt=slow)
    site.tick(sync)
    assert reader.resolve(ref)[0].version == "7"
    site.remote.named["n"]["champion"] = "8"
    site.tick(sync)
    assert said == [
        ("7", "n:8 is not in this machine's copy of the registry yet. The companion is fetching it; try again.")
    ]
    reader.read_all()
    assert (reader.resolve(ref)[0].version, reader.trouble(ref)) == ("8", "")


def test_a_reader_asks_soon_for_what_is_being_copied(site):
    site.remote.add("m", "1", b"one")
    reader = ReferenceReader(Catalogue(LocalCopy(site.root, WITHIN_S), LoadOptions()))
    stop = threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop, 3600.0))
    thread.start()
    with pytest.raises(StillLoading):
        reader.resolve(parse_ref("m:1"))
    site.tick(site.sync())
    wait_until(lambda: reader.resolve(parse_ref("m:1"))[0].version == "1", retried=StillLoading)
    stop.set()
    thread.join()


def test_what_was_read_before_the_machine_was_started_does_not_count(site):
    """The clock began anew, so times of then may lie in the future, also for days."""
    site.remote.add("n", "1", b"one")
    site.remote.named["n"]["champion"] = "1"
    site.tick(site.sync())
    names = Names(site.root)
    assert site.copy.aliases("n") == {"champion": "1"}
    Book(site.root).write_state(structs.replace(names.state(), asked_s=1e12, written_s=1e12))
    with pytest.raises(BeingCopied, match="the companion of this machine does not run"):
        LocalCopy(site.root, within_s=0.1).aliases("n")
    assert site.copy.asked_s("n") < 0


@pytest.mark.parametrize("how", ["webhook", "a document that is new"])
def test_an_alias_is_seen_soon_though_the_registry_is_asked_once_an_hour(site, how):
    for version in ("7", "8"):
        site.remote.add("n", version, version.encode())
    site.remote.named["n"]["champion"] = "7"
    sync, stop = site.sync(start=in_daemon_thread, every_s=3600.0), threading.Event()
    reader, ref = ReferenceReader(Catalogue(LocalCopy(site.root, WITHIN_S), LoadOptions())), parse_ref("n@champion")

    def look() -> None:
        while not stop.wait(0.02):
            if sync.is_due(time.monotonic()):
                sync.tick(site.refs, time.monotonic())

    threads = [threading.Thread(target=look), threading.Thread(target=reader.run, args=(stop, 3600.0))]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: reader.resolve(ref)[0].version == "7", retried=StillLoading)
        site.remote.named["n"]["champion"] = "8"
        if how == "webhook":
            hurry_file(site.root).touch()
        else:
            reader.ask_again(ref, time.monotonic())
        wait_until(lambda: reader.resolve(ref)[0].version == "8", retried=StillLoading)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_an_old_copy_of_aliases_does_not_count(tmp_path):
    """A model that no document has named since long, and the aliases that it had then."""
    site = Site(tmp_path / "registry", "m@a")
    site.remote.add("m", "1", b"one")
    site.remote.add("n", "1", b"one")
    site.remote.named["m"]["a"] = "1"
    sync = site.sync()
    site.tick(sync)
    assert site.copy.aliases("m") == {"a": "1"}
    site.refs = [parse_ref("n:1")]
    site.tick(sync)
    with pytest.raises(BeingCopied):
        site.copy.aliases("m")
