"""The copy gets what is wanted, once, verified, and says why something is not there."""

import errno
import os
import threading
import time

import pytest

from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.copy import STATE, copy_folder, hurry_file, remove_other_copies
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.copy.names import Book
from registry_sync.copy.notes import Notes
from registry_sync.copy.wanted import Want, Wants
from registry_sync.errors import BeingCopied, RegistryUnavailable, UnknownModel
from registry_sync.reference_reader import ReferenceReader
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from tests.support.polling import wait_until
from tests.unit.registry_sync.copy.support import Site, adopt, away, manifest_of, nothing, sha


def refuse(*_: object) -> None:
    raise ModelRefused("it is odd.")


def test_what_documents_and_their_aliases_name_is_copied_once(site):
    one = site.remote.add("m", "1", b"weights", b"more")
    two = site.remote.add("n", "7", b"weights", b"others")  # the first file is the same
    site.remote.add("n", "8", b"nothing names this")
    site.remote.named["n"]["champion"] = "7"
    sync = site.sync()
    for _ in range(5):
        site.tick(sync)
    assert (site.read("m", "1"), site.read("n", "7")) == (one, two)
    assert site.copy.aliases("n") == {"champion": "7"}
    assert sorted(site.remote.reads) == ["m/1/f0", "m/1/f1", "n/7/f1"]
    assert site.copy.versions("n") == ["7"]
    assert sync.figures[:4] == (True, sync.figures.good_s, 2, 0)
    with pytest.raises(BeingCopied, match="n:8 is not in this machine's copy"):
        site.copy.manifest("n", "8")


def test_all_aliases_are_one_question_a_look(site):
    site.refs = [parse_ref(f"m{number}@a") for number in range(100)]
    sync = site.sync()
    site.tick(sync)
    site.tick(sync)
    assert site.remote.asked == ["aliases", "aliases"]


def test_a_version_without_a_manifest_is_made_one_out_of_its_files(site):
    files = site.remote.add("m", "1", b"weights", b"more", has_manifest=False)
    site.remote.tags["m", "1"] = {"approved": "true"}
    site.tick(site.sync())
    assert site.read("m", "1") == files | {"golden.json": b"[]"}
    assert site.copy.manifest("m", "1").tags == ("made=here",)
    details = site.copy.details("m", "1")
    assert (details.tags, details.source) == ({"approved": "true"}, "s3://m/1")


def test_a_version_that_cannot_be_adopted_says_why_and_is_not_read_again(site):
    site.remote.add("m", "1", b"weights", has_manifest=False)

    def refuse(model, version, files):
        raise ModelRefused("it is a pickle.")

    sync = site.sync(adopt=refuse)
    for _ in range(20):
        site.tick(sync, 60.0)
    assert site.remote.reads == ["m/1/f0"]
    with pytest.raises(ModelRefused, match=r"^m:1: it is a pickle"):  # an alias that is followed does not say which
        site.copy.manifest("m", "1")


@pytest.mark.parametrize(
    ("pieces", "error", "sentence"),
    [
        (lambda content: iter([content[:-1]]), RegistryUnavailable, "came with 6 bytes; the registry announced 7"),
        (lambda content: iter([content, b"more"]), RegistryUnavailable, "came with more bytes"),
        (lambda content: iter([b"W" + content[1:]]), ModelRefused, "changed or damaged"),
    ],
)
def test_a_truncated_or_damaged_download_is_refused_and_tried_again(site, pieces, error, sentence):
    files = site.remote.add("m", "1", b"weights")
    good, site.remote.read_pieces = site.remote.read_pieces, pieces
    sync = site.sync()
    site.tick(sync)
    with pytest.raises(error, match=sentence):
        site.copy.manifest("m", "1")
    assert site.hidden() == []
    assert sentence.partition(" ")[0] in sync.troubles["m", "1"]
    site.remote.read_pieces = good
    site.tick(sync, 31.0)
    assert site.read("m", "1") == files
    assert sync.troubles == {}


def test_a_file_that_the_manifest_pins_and_the_registry_lacks_is_named(site):
    site.remote.add("m", "1", b"weights", b"more")
    del site.remote.content["m", "1"]["f1"]
    site.tick(site.sync())
    with pytest.raises(ModelRefused, match="is missing in the registry"):
        site.copy.manifest("m", "1")


def test_a_version_that_fails_is_tried_less_and_less_often_and_counts_once(site):
    files = site.remote.add("m", "1", b"weights")
    good, site.remote.read_pieces = site.remote.read_pieces, lambda _: iter([b"damage!"])
    sync = site.sync()
    for _ in range(1200):
        site.tick(sync)  # an hour
    assert 8 <= len(site.remote.reads) <= 12
    assert (sync.figures.copied, sync.figures.failed) == (0, 1)
    site.remote.read_pieces = good
    site.tick(sync, 700.0)
    assert site.read("m", "1") == files
    assert (sync.figures.copied, sync.figures.failed) == (1, 1)


def test_a_version_whose_manifest_is_another_one_now_is_tried_soon(site):
    site.remote.add("m", "1", b"weights")
    site.remote.read_pieces = lambda content: iter([content if content == b"other weights" else b"damage!"])
    sync = site.sync()
    for _ in range(200):
        site.tick(sync)
    files = site.remote.add("m", "1", b"other weights")
    site.tick(sync, 6.0)
    assert site.read("m", "1") == files


def test_the_copy_of_a_version_changes_only_until_it_has_passed_its_trial(site):
    passed = []
    before = site.remote.add("m", "1", b"weights")
    sync = site.sync(has_passed=lambda manifest: manifest in passed)
    site.tick(sync)
    assert site.read("m", "1") == before
    corrected = site.remote.add("m", "1", b"corrected")
    site.tick(sync, 6.0)
    assert site.read("m", "1") == corrected
    passed.append(site.remote.manifests["m", "1"])
    site.tick(sync, 6.0)
    site.remote.add("m", "1", b"third")
    site.tick(sync, 60.0)
    assert site.read("m", "1") == corrected


def test_a_registry_that_is_away_changes_nothing_and_it_is_said(site):
    files = site.remote.add("m", "1", b"weights")
    site.remote.add("n", "7", b"others")
    site.remote.named["n"]["champion"] = "7"
    sync = site.sync()
    site.tick(sync)
    site.remote.before = away
    site.tick(sync)
    assert site.read("m", "1") == files
    assert site.copy.aliases("n") == {"champion": "7"}
    assert site.copy.trouble("m", "1") == sync.trouble == "The cable is out."
    assert not sync.figures.is_reachable
    again = site.sync()  # a companion that starts while the registry is away
    site.tick(again)
    assert (site.read("m", "1"), site.copy.aliases("n")) == (files, {"champion": "7"})
    site.remote.before = nothing
    site.tick(again, 20.0)
    assert (site.copy.trouble("m", "1"), again.figures.is_reachable) == ("", True)


def test_a_registry_that_is_empty_or_lacks_a_model_or_a_version_takes_nothing_away(site):
    files = site.remote.add("m", "1", b"weights")
    site.remote.add("m", "2", b"weights")
    sync = site.sync()
    site.tick(sync)
    del site.remote.content["m", "1"]
    site.tick(sync, 40.0)
    assert site.copy.trouble("m", "1") == "The registry has no version m:1 any more; its copy is served."
    site.remote.named.clear()
    site.remote.content.clear()
    site.remote.manifests.clear()
    site.tick(sync)
    assert site.copy.trouble("m", "1") == "The registry has no model 'm' any more; its copy is served."
    assert sync.figures.gone_versions == 1
    for _ in range(50):
        site.tick(sync, 60.0)
    assert site.read("m", "1") == files
    with pytest.raises(UnknownModel):
        site.copy.aliases("m")
    site.remote.add("m", "1", b"weights")
    site.tick(sync)
    site.tick(sync, 40.0)
    assert site.copy.trouble("m", "1") == ""


def test_tags_are_read_again(site):
    site.remote.add("m", "1", b"weights")
    sync = site.sync()
    site.tick(sync)
    site.remote.tags["m", "1"] = {"approved": "true"}
    site.tick(sync, 40.0)
    assert site.copy.details("m", "1").tags == {"approved": "true"}
    site.remote.tags["m", "1"] = {}
    hurry_file(site.root).touch()
    site.tick(sync, 0.5)
    assert site.copy.details("m", "1").tags == {}
    assert not hurry_file(site.root).exists()


def test_a_look_is_due_at_once_when_it_is_hurried_or_something_new_is_wanted(site):
    site.remote.add("m", "1", b"weights")
    sync = site.sync()
    site.tick(sync)
    assert not sync.is_due(site.now_s + 0.3)
    hurry_file(site.root).touch()
    assert sync.is_due(site.now_s + 0.3)
    site.tick(sync, 0.3)
    assert not sync.is_due(site.now_s + 0.3)
    site.remote.add("other", "1", b"weights")
    with pytest.raises(BeingCopied):
        site.copy.manifest("other", "1")
    assert sync.is_due(site.now_s + 0.3)
    site.tick(sync, 0.3)
    assert site.read("other", "1")


@pytest.mark.parametrize("wanted", ["aliases", "details", "a model"])
def test_what_is_wanted_while_a_look_is_under_way_is_asked_for_right_after_it(site, wanted):
    """It waited for the next look: with REGISTRY_EVERY_S=3600, up to 20 s."""
    site.remote.add("m", "1", b"weights")
    site.tick(site.sync())
    waiting = []
    sync = site.sync(start=waiting.append, every_s=3600.0)
    is_details = wanted == "details"

    def is_due() -> bool:
        site.now_s += 0.1
        if not sync.is_due(site.now_s):
            return False
        sync.tick(site.refs, site.now_s)
        return True

    def want(_: str) -> None:
        site.remote.before = nothing
        if wanted == "a model":
            site.refs.append(parse_ref("other@champion"))
            site.tick(sync, 0.1)  # as for the file of another want
        else:
            since_s = time.time() if is_details else time.monotonic()
            Wants(site.root).leave(Want("m", "1" * is_details, since_s, is_details))
            assert is_due()

    assert is_due()
    site.remote.before = want
    waiting.pop(0)()
    assert is_due()
    site.remote.asked.clear()
    assert is_due()
    waiting.pop(0)()
    assert site.remote.asked[: 1 + is_details] == ["aliases", "details m:1"][: 1 + is_details]
    assert is_due()
    assert not is_due()


@pytest.mark.parametrize("every_s", [2.0, 3600.0])
def test_a_look_that_failed_is_made_again_within_ten_seconds(site, every_s):
    """A webhook is not repeated: with REGISTRY_EVERY_S=3600, what it told was seen an hour later."""
    site.remote.add("n", "7", b"weights")
    sync = site.sync(every_s=every_s)
    site.tick(sync)
    site.remote.named["n"]["champion"], site.remote.before = "7", away
    hurry_file(site.root).touch()
    for _ in range(10):  # each time it fails
        site.tick(sync, 0.1)
        assert "The cable is out" in sync.trouble
        assert not sync.is_due(site.now_s + 0.1)
        site.now_s += 11.1
        assert sync.is_due(site.now_s)
    site.remote.before = nothing
    site.tick(sync, 0.1)
    assert site.copy.aliases("n") == {"champion": "7"}
    assert sync.is_due(site.now_s + 1.1 * every_s)
    for _ in range(3):  # what was copied meanwhile
        site.tick(sync, 0.1)
    assert not sync.is_due(site.now_s + 0.7 * min(every_s, 20.0))


def test_aliases_are_noted_before_the_tags_of_versions_are_read(site):
    for number in range(20):
        site.remote.add("m", str(number), b"weights %d" % number)
    site.refs = [parse_ref("n@champion"), *(parse_ref(f"m:{number}") for number in range(20))]
    site.remote.add("n", "7", b"weights")
    sync, forever, is_reached = site.sync(start=in_daemon_thread), threading.Event(), threading.Event()

    def hang(request: str) -> None:
        if request.startswith("details") and site.remote.named["n"]:
            is_reached.set()
            forever.wait(60.0)

    def tick() -> bool:
        if sync.is_due(time.monotonic()):
            sync.tick(site.refs, time.monotonic())
        return sync.figures.copied >= 20

    wait_until(tick)
    site.remote.before, site.remote.named["n"]["champion"] = hang, "7"
    hurry_file(site.root).touch()
    wait_until(lambda: tick() and is_reached.is_set())
    assert site.copy.aliases("n") == {"champion": "7"}
    wait_until(lambda: tick() and "manifest n:7" in site.remote.asked)  # it is copied meanwhile
    forever.set()


def test_a_look_that_hangs_is_not_asked_after_all_the_time_because_it_is_hurried(site):
    """Each tick reads all names of files, and writes the state: twenty times a second that is a load."""
    waiting = []
    sync = site.sync(start=waiting.append)
    site.tick(sync)
    hurry_file(site.root).touch()
    assert not sync.is_due(site.now_s + 0.3)
    waiting.pop(0)()
    assert sync.is_due(site.now_s + 0.3)
    site.tick(sync, 0.3)
    assert sync.is_due(site.now_s + 0.3)
    site.tick(sync, 0.3)
    assert not hurry_file(site.root).exists()


def test_a_hundred_new_versions_at_once_are_all_copied(site):
    site.refs = [parse_ref(f"m:{number}") for number in range(100)]
    for number in range(100):
        site.remote.add("m", str(number), b"weights %d" % number)
    sync = site.sync(start=in_daemon_thread)

    def all_here() -> bool:
        if sync.is_due(time.monotonic()):
            sync.tick(site.refs, time.monotonic())
        return sync.figures.copied == 100

    wait_until(all_here)
    assert len(site.remote.reads) == 100
    assert site.read("m", "99") == {"f0": b"weights 99"}


def test_a_file_that_hangs_for_ever_holds_up_no_other_version(site):
    site.refs = [parse_ref(f"m:{number}") for number in range(6)]
    for number in range(6):
        site.remote.add("m", str(number), b"weights %d" % number)
    forever = threading.Event()
    site.remote.before = lambda request: forever.wait() if request in ("read m/0/f0", "read m/1/f0") else None
    sync = site.sync(start=in_daemon_thread)

    def others_here() -> bool:
        if sync.is_due(time.monotonic()):
            sync.tick(site.refs, time.monotonic())
        return sync.figures.copied == 4

    wait_until(others_here)
    forever.set()


def test_a_look_that_hangs_is_said_and_holds_up_no_copy(site):
    site.remote.add("m", "1", b"weights")
    forever = threading.Event()
    site.remote.before = lambda request: forever.wait() if request == "aliases" else None
    sync = site.sync(start=in_daemon_thread)

    def is_said() -> bool:
        if sync.is_due(time.monotonic()):
            sync.tick(site.refs, time.monotonic())
        return bool(sync.trouble) and sync.figures.copied == 1

    wait_until(is_said)
    assert site.copy.trouble("m") == "The registry does not answer."
    forever.set()


def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(site, monkeypatch):
    files = site.remote.add("m", "1", b"weights")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    sync = site.sync()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            site.tick(sync)
    assert site.hidden() == []
    site.tick(sync, 40.0)
    assert site.read("m", "1") == files


def test_a_disk_without_room_is_not_filled(site, monkeypatch):
    site.remote.add("m", "1", b"weights")
    monkeypatch.setattr("registry_sync.copy.blobs.Blobs.free_bytes", lambda _: 1000)
    sync = site.sync(max_bytes=1000)
    site.tick(sync)
    with pytest.raises(RegistryUnavailable, match="this machine's disk has no room"):
        site.copy.manifest("m", "1")
    assert site.remote.reads == []


def test_a_damaged_file_of_the_copy_is_fetched_anew(site):
    files = site.remote.add("m", "1", b"weights")
    sync = site.sync()
    site.tick(sync)
    (site.root / "blobs" / sha(b"weights")).write_bytes(b"damaged")
    with pytest.raises(BeingCopied):
        site.read("m", "1")
    site.tick(sync)
    assert site.read("m", "1") == files


def test_files_that_were_changed_while_a_version_was_adopted_are_noticed(site):
    site.remote.add("m", "1", b"weights", has_manifest=False)
    other = manifest_of({"f0": b"others"})
    site.tick(site.sync(adopt=lambda *_: (other, {})))
    with pytest.raises(RegistryUnavailable, match="were changed while"):
        site.copy.manifest("m", "1")


@pytest.mark.parametrize("model", ["..", ".", "a/b", "ä" * 200, "x" * 300, "CON", "a\nb", "A", "a"])
def test_any_name_of_a_model_is_safe(tmp_path, model):
    site = Site(tmp_path / "home" / "copy")
    site.refs = [parse_ref("m:1")]
    site.remote.add(model, "../1", b"weights")
    with pytest.raises(BeingCopied):
        site.copy.manifest(model, "../1")
    site.tick(site.sync())
    assert site.read(model, "../1") == {"f0": b"weights"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["copy"]


def test_a_name_that_is_no_text_is_unknown(site):
    with pytest.raises(UnknownModel):
        LocalCopy(site.root).manifest("\ud800", "1")


def test_adoption_goes_on_where_it_was(site):
    """A file that is here is not read again, unless the version comes from somewhere else now."""
    site.remote.add("m", "1", b"one", b"two", has_manifest=False)

    def fail(request: str) -> None:
        if request == "read m/1/f1":
            raise RegistryUnavailable("The cable is out.")

    site.remote.before = fail
    sync = site.sync(adopt=adopt)
    site.tick(sync)
    site.remote.before = nothing
    site.tick(sync, 6.0)
    assert site.remote.reads == ["m/1/f0", "m/1/f1", "m/1/f1"]
    assert site.read("m", "1") == {"f0": b"one", "f1": b"two", "golden.json": b"[]"}


def test_a_version_with_too_many_files_for_a_manifest_is_refused_and_holds_up_no_other(site, monkeypatch):
    """With 4,000 files it has more than 20,000 values: it was written all the same, and could not be read again."""
    monkeypatch.setattr("runtimes.bounded_yaml._MOST_VALUES", 100)
    site.remote.add("m", "1", *(b"file %d" % number for number in range(40)), has_manifest=False)
    sync = site.sync(has_passed=lambda _: False)
    site.tick(sync)
    with pytest.raises(ModelRefused, match="it has more than 100 values"):
        site.copy.manifest("m", "1")
    assert "100 values" in sync.troubles["m", "1"]
    other = site.remote.add("n", "7", b"weights")
    site.remote.named["n"]["champion"] = "7"
    site.tick(sync, 6.0)
    assert site.read("n", "7") == other


def test_a_manifest_of_the_copy_that_cannot_be_read_holds_up_no_other_version(site, monkeypatch):
    site.remote.add("m", "1", b"weights")
    site.tick(site.sync())
    monkeypatch.setattr("registry_sync.copy.tries.read_manifest", refuse)
    other = site.remote.add("n", "7", b"weights")
    site.remote.named["n"]["champion"] = "7"
    site.tick(site.sync())
    assert site.read("n", "7") == other


@pytest.mark.parametrize("count", [500, 2000])
def test_the_notes_of_a_version_with_many_files_are_few_and_an_error_loses_none(site, monkeypatch, count):
    site.refs = [parse_ref("m:1")]
    files = site.remote.add("m", "1", *(b"%d" % number for number in range(count)), has_manifest=False)
    noted: list[int] = []
    before = Book.set_version

    def set_version(book, model, version, known):
        noted.append(len(known.files))
        before(book, model, version, known)

    def fail(request: str) -> None:
        if request == f"read m/1/f{count - 1}":
            raise RegistryUnavailable("The cable is out.")

    monkeypatch.setattr(Book, "set_version", set_version)
    site.remote.before = fail
    sync = site.sync()
    site.tick(sync)
    assert len(noted) < 130
    assert sum(noted) < 20 * count
    site.remote.before = nothing
    site.tick(sync, 6.0)
    assert len(site.remote.reads) == count + 1
    assert site.read("m", "1") == files | {"golden.json": b"[]"}


def test_large_files_are_noted_one_by_one():
    noted: list[int] = []
    with Notes({f"known{number}": "d" for number in range(1000)}, lambda files: noted.append(len(files))) as notes:
        for number in range(3):
            notes.take(f"large{number}", "d", 2**26)
        notes.take("small", "d", 1)
    assert noted == [1001, 1002, 1003, 1004]


def test_the_copy_of_another_registry_is_another_one_and_is_removed_once_it_is_old(tmp_path):
    one, other = (Site(copy_folder(tmp_path, url), "m:1") for url in ("s3://one", "s3://other"))
    one.remote.add("m", "1", b"one")
    other.remote.add("m", "1", b"other")
    for site in (one, other):
        site.tick(site.sync())
    assert (one.read("m", "1"), other.read("m", "1")) == ({"f0": b"one"}, {"f0": b"other"})
    remove_other_copies(other.root)
    assert one.root.exists()
    os.utime(one.root / STATE, (0, 0))
    os.utime(other.root / STATE, (0, 0))
    remove_other_copies(other.root)
    assert (one.root.exists(), other.root.exists()) == (False, True)


def test_a_version_that_was_refused_for_want_of_consent_is_taken_by_the_first_look_after_it_was_given(site):
    """Consent is a setting, so it comes with another companion. Nothing is fetched again."""
    site.remote.add("m", "1", b"a pickle", has_manifest=False)

    def refuse(model, version, files):
        raise ModelRefused("It is a pickle. Set POINTSMAN_ALLOW_PICKLE=true.")

    sync = site.sync(adopt=refuse)
    for _ in range(3):
        site.tick(sync, after_s=40.0)  # the pause before its next try has grown
    assert "POINTSMAN_ALLOW_PICKLE" in sync.troubles["m", "1"]
    site.remote.asked.clear()
    allowed = site.sync(adopt=adopt)
    site.tick(allowed, after_s=0.1)
    assert site.read("m", "1")["f0"] == b"a pickle"
    assert (allowed.troubles, site.remote.reads) == ({}, [])


def test_a_copy_that_was_never_looked_at_is_removed_too(tmp_path):
    """Its companion was ended before it wrote its state."""
    kept, left, fresh = (tmp_path / "registry" / name for name in ("kept", "left", "fresh"))
    for root in (kept, left, fresh):
        (root / "blobs").mkdir(parents=True)
    os.utime(left, (0, 0))
    os.utime(kept, (0, 0))
    remove_other_copies(kept)
    assert [root.exists() for root in (kept, left, fresh)] == [True, False, True]


def test_a_registry_that_is_away_is_asked_every_ten_seconds_however_seldom_otherwise(site):
    site.remote.add("m", "1", b"weights")
    sync = site.sync(every_s=600.0)
    site.tick(sync)
    site.remote.before = away
    site.tick(sync, after_s=700.0)
    for _ in range(5):
        site.remote.asked.clear()
        site.tick(sync, after_s=10.1)
        assert site.remote.asked == ["aliases"]
    site.remote.before = nothing
    for _ in range(2):
        site.tick(sync, after_s=11.1)
    site.remote.asked.clear()
    site.tick(sync, after_s=500.0)
    assert "aliases" not in site.remote.asked


def test_a_registry_that_is_away_is_noticed_before_anything_names_a_model(site):
    site.refs = []
    sync = site.sync()
    site.tick(sync)
    assert (site.remote.asked, sync.trouble) == (["aliases"], "")
    site.remote.before = away
    site.tick(sync)
    assert sync.figures.is_reachable is False
    reader = ReferenceReader(Catalogue(site.copy, LoadOptions()))
    assert reader.registry_trouble == "The cable is out."
    site.remote.before = nothing
    site.tick(sync, after_s=11.0)
    assert (sync.figures.is_reachable, reader.registry_trouble) == (True, "")
