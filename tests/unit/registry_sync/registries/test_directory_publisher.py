"""Versions written into a directory: whole or not at all, never changed, by several publishers at once."""

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import yaml

from registry_sync.errors import AlreadyPublished, RegistryUnavailable
from registry_sync.open import open_publisher
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.registries.directory_publisher import DirectoryPublisher
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, PinnedFile, TensorSpec

CONTENT, WEIGHTS = b"model", b"weights"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=digest(CONTENT),
        files=(PinnedFile("data/weights.bin", digest(WEIGHTS)),),
        inputs=(TensorSpec("x", "FP32", (-1,)),),
        outputs=(TensorSpec("y", "FP32", (-1,)),),
    )


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def publish(root, manifest) -> Callable[..., bool]:
    contents = {"model.onnx": CONTENT, "data/weights.bin": WEIGHTS}

    def publish(version: str = "1", change: Manifest = manifest, **more: bytes) -> bool:
        return DirectoryPublisher(root).publish("fraud", version, change, {**contents, **more})

    return publish


def test_a_version_is_there_with_all_of_its_files(root, publish, manifest):
    assert publish() is True
    registry = DirectoryRegistry(root)
    assert registry.versions("fraud") == ["1"]
    assert registry.manifest("fraud", "1") == manifest
    assert registry.fetch("fraud", "1", manifest) == {"model.onnx": CONTENT, "data/weights.bin": WEIGHTS}


def test_files_are_copied_and_held_against_their_digests(root, publish, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"others")
    with pytest.raises(ModelRefused, match="was changed while it was being published"):
        publish(**{"data/weights.bin": path})
    assert not (root / "fraud/1").exists()
    path.write_bytes(WEIGHTS)
    assert publish(**{"data/weights.bin": path})


def test_the_same_content_again_is_success_and_other_content_is_refused(publish, manifest, root):
    publish()
    assert publish() is False
    before = (root / "fraud/1/model.yaml").read_text()
    with pytest.raises(AlreadyPublished, match=r"fraud:1 is there already.*choose another"):
        publish(change=msgspec.structs.replace(manifest, max_batch=1))
    assert (root / "fraud/1/model.yaml").read_text() == before


def test_golden_requests_that_were_made_elsewhere_are_no_other_content(publish, manifest):
    publish()
    golden = PinnedFile("golden.json", digest(b"[]"))
    again = msgspec.structs.replace(manifest, files=(*manifest.files, golden), golden="golden.json")
    assert publish(change=again, **{"golden.json": b"[]"}) is False


def test_a_folder_that_is_no_whole_version_is_not_touched(root, publish):
    (root / "fraud/1").mkdir(parents=True)
    (root / "fraud/1/notes.txt").write_text("mine")
    with pytest.raises(AlreadyPublished, match="not whole"):
        publish()
    assert [each.name for each in (root / "fraud/1").iterdir()] == ["notes.txt"]


def test_of_many_publishers_of_one_version_one_wins_and_none_sees_half_of_it(root, publish, manifest):
    outcomes: list[object] = []

    def try_it(number: int) -> None:
        try:
            outcomes.append(publish(change=msgspec.structs.replace(manifest, description=str(number % 2))))
        except AlreadyPublished:
            outcomes.append("refused")

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 1
    assert outcomes.count(False) == 3
    assert outcomes.count("refused") == 4
    assert sorted(each.name for each in (root / "fraud").iterdir()) == [".lock", "1"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from registry_sync.registries import directory_publisher as module
from runtimes.manifest_text import parse_manifest
written = module._write_bytes
def killed(path, content):
    if path.name == "model.yaml":
        os.kill(os.getpid(), signal.SIGKILL)
    written(path, content)
module._write_bytes = killed
root, text = Path(sys.argv[1]), sys.argv[2]
contents = {"model.onnx": b"model", "data/weights.bin": b"weights"}
module.DirectoryPublisher(root).publish("fraud", "1", parse_manifest(text), contents)
"""


def test_a_publisher_that_is_killed_leaves_nothing_that_readers_see_and_the_next_one_cleans_up(root, publish, manifest):
    text = yaml.safe_dump(msgspec.to_builtins(manifest))
    done = subprocess.run([sys.executable, "-c", _KILLED, str(root), text], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    registry = DirectoryRegistry(root)
    assert list((root / "fraud").glob(".adding-*"))
    assert registry.versions("fraud") == []
    assert publish() is True
    assert registry.versions("fraud") == ["1"]
    assert sorted(each.name for each in (root / "fraud").iterdir()) == [".lock", "1"]


def test_a_reader_never_sees_half_of_a_version(root, publish, manifest):
    publish("0")
    published, seen = threading.Event(), set()

    def read() -> None:
        registry = DirectoryRegistry(root)
        while not published.is_set():
            for version in registry.versions("fraud"):
                found = registry.manifest("fraud", version)
                assert registry.fetch("fraud", version, found) == {"model.onnx": CONTENT, "data/weights.bin": WEIGHTS}
                seen.add(version)

    with ThreadPoolExecutor() as readers:
        reading = readers.submit(read)
        try:
            for version in range(1, 60):
                publish(str(version))
        finally:
            published.set()
        reading.result()
    assert len(seen) > 1


def test_aliases_of_two_publishers_are_all_kept(root, publish):
    publish()
    names = [f"a{number}" for number in range(16)]
    threads = [threading.Thread(target=DirectoryPublisher(root).set_alias, args=("fraud", name, "1")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(DirectoryRegistry(root).aliases("fraud")) == dict.fromkeys(names, "1")


def test_an_alias_says_what_it_named_before(root, publish):
    publish("1")
    publish("2")
    publisher = DirectoryPublisher(root)
    assert publisher.set_alias("fraud", "champion", "1") is None
    assert publisher.set_alias("fraud", "champion", "2") == "1"


def test_aliases_that_cannot_be_read_are_not_replaced(root, publish):
    publish()
    (root / "fraud/aliases.yaml").write_text("- not aliases")
    with pytest.raises(RegistryUnavailable, match="cannot be read"):
        DirectoryPublisher(root).set_alias("fraud", "champion", "1")
    assert (root / "fraud/aliases.yaml").read_text() == "- not aliases"


def test_a_registry_that_cannot_be_written_is_named(tmp_path, manifest):
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryUnavailable, match="cannot be written"):
        DirectoryPublisher(tmp_path / "file").publish("fraud", "1", manifest, {})


def test_other_registries_are_refused_with_a_sentence():
    with pytest.raises(RegistryUnavailable, match="no registries at gs://"):
        open_publisher("gs://bucket")
