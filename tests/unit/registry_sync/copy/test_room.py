"""The copy has a limit. What is needed never leaves it."""

import os
import threading
import time
from contextlib import suppress
from shutil import rmtree

import pytest

from registry_sync.background import in_daemon_thread
from registry_sync.copy.blobs import Blob, Blobs
from registry_sync.copy.evict import DEFAULT_BYTES, limit_bytes, to_evict
from registry_sync.copy.wanted import Want, Wants
from registry_sync.errors import RegistryError, RegistryUnavailable
from router.spec.references import parse_ref
from tests.unit.registry_sync.copy.support import sha


def grow_old(site, seconds: float = 120.0) -> None:
    """Let all files of the copy be used as long ago."""
    for path in (site.root / "blobs").iterdir():
        with suppress(FileNotFoundError):  # it has just been removed
            at_s = path.stat().st_mtime - seconds
            os.utime(path, (at_s, at_s))


def test_what_was_not_used_longest_goes_first_and_never_what_is_kept():
    blobs = {name: Blob(10, used_s) for used_s, name in enumerate("abcd")}
    assert to_evict(blobs, {"a"}, 40) == []
    assert to_evict(blobs, {"a"}, 25) == ["b", "c"]
    assert to_evict(blobs, {"a", "b", "c", "d"}, 0) == []


def test_the_limit_is_the_setting_or_half_of_the_disk():
    assert limit_bytes(7, 100, 50) == 7
    assert limit_bytes(0, 100, 50) == 75
    assert limit_bytes(0, 10**15, 0) == DEFAULT_BYTES


def test_versions_that_no_document_names_any_more_make_room(site):
    for number in range(8):
        site.remote.add("m", str(number), b"%d" % number * 100)
    sync = site.sync(max_bytes=300)
    for number in range(8):
        site.refs = [parse_ref(f"m:{number}")]
        site.tick(sync)
        assert site.read("m", str(number))
        assert sync.figures.copy_bytes <= 300
        grow_old(site)
    assert site.copy.versions("m") == ["5", "6", "7"]
    assert sha(b"0" * 100) not in [path.name for path in (site.root / "blobs").iterdir()]


def test_what_documents_name_never_goes_and_what_has_no_room_says_so(site):
    site.refs = [parse_ref(f"m:{number}") for number in range(4)]
    for number in range(4):
        site.remote.add("m", str(number), b"%d" % number * 100)
    sync = site.sync(max_bytes=300)
    for _ in range(3):
        site.tick(sync, 700.0)
        grow_old(site)
    assert site.copy.versions("m") == ["0", "1", "2"]
    with pytest.raises(RegistryUnavailable, match=r"m:3 needs 100 bytes more; .* room for 0 .*COPY_MAX_BYTES"):
        site.copy.manifest("m", "3")
    site.refs = site.refs[1:]
    site.tick(sync, 700.0)
    assert site.copy.versions("m") == ["1", "2", "3"]


def test_nothing_is_removed_before_the_documents_are_known(site):
    site.remote.add("m", "1", b"weights")
    site.tick(site.sync())
    grow_old(site)
    again = site.sync(max_bytes=1)
    again.tick([], site.now_s, may_evict=False)
    assert site.copy.versions("m") == ["1"]
    again.tick([], site.now_s + 1)
    assert site.root.joinpath("blobs", sha(b"weights")).exists() is False
    assert list((site.root / "names").iterdir()) == []


def test_before_the_documents_are_known_what_a_command_waits_for_removes_nothing_either(site):
    site.remote.add("m", "1", b"weights")
    site.remote.add("m", "2", b"another")
    site.tick(site.sync())
    grow_old(site)
    again = site.sync(max_bytes=10)
    Wants(site.root).leave(Want("m", "2", since_s=1.0))
    again.tick([], site.now_s + 1, may_evict=False)
    assert site.copy.versions("m") == ["1"]
    with pytest.raises(RegistryUnavailable, match="needs 7 bytes more"):
        site.copy.manifest("m", "2")
    again.tick([], site.now_s + 700)
    assert site.read("m", "2") == {"f0": b"another"}


def read_all(site, stop: threading.Event, faults: list[object]) -> None:
    """Read what is there until `stop` is set."""
    while not stop.wait(0.01):
        for number in range(20):
            with suppress(RegistryError):
                files = site.read("m", str(number))
                if files != {"f0": b"%02d" % number * 500}:
                    faults.append(files)


def test_under_load_what_is_read_is_whole_and_the_limit_is_kept(site):
    """Documents change while readers read, and everything is evicted as soon as it may be."""
    for number in range(20):
        site.remote.add("m", str(number), b"%02d" % number * 500)
    sync = site.sync(start=in_daemon_thread, max_bytes=3000, every_s=0.2)
    stop, faults = threading.Event(), []
    readers = [threading.Thread(target=read_all, args=(site, stop, faults)) for _ in range(2)]
    for each in readers:
        each.start()
    seen: set[str] = set()
    until_s = time.monotonic() + 60.0
    number = 0
    while len(seen) < 8 and time.monotonic() < until_s:
        site.refs = [parse_ref(f"m:{number % 20}")]
        rmtree(site.root / "wanted", ignore_errors=True)  # what the readers ask for would be kept
        site.tick(sync, 700.0)
        grow_old(site)
        try:
            site.read("m", str(number % 20))
        except RegistryError:
            time.sleep(0.01)
            continue
        seen.add(str(number % 20))
        number += 1
        assert sum(blob.size for blob in Blobs(site.root / "blobs").present().values()) <= 3000
    stop.set()
    for each in readers:
        each.join()
    assert (len(seen) >= 8, faults) == (True, [])
