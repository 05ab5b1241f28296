"""A registry in a directory: its names, its files, and its errors for everything that is missing."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.registries import directory, texts
from registry_sync.registries.directory import DirectoryRegistry
from runtimes.errors import ModelRefused


@pytest.fixture
def registry(publisher):
    """Publish fraud in versions 1, 2 and 10 with champion 2, and cancer in version 1 without aliases."""
    for version in ("10", "2", "1"):
        publisher.publish("fraud", version)
    publisher.alias("fraud", champion="2")
    publisher.publish("cancer", "1")
    (publisher.root / "README.txt").write_text("not a model")
    return DirectoryRegistry(publisher.root)


def test_it_names_models_versions_and_aliases(registry):
    assert list(registry.models()) == ["cancer", "fraud"]
    assert list(registry.versions("fraud")) == ["1", "2", "10"]  # 10 comes after 2
    assert dict(registry.aliases("fraud")) == {"champion": "2"}
    assert dict(registry.aliases("cancer")) == {}


def test_it_hands_out_manifests_and_artifacts(registry, publisher, content):
    manifest = registry.manifest("fraud", "2")
    assert manifest == publisher.manifest()
    assert registry.fetch("fraud", "2", manifest) == {"model.skops": content}


@pytest.fixture
def listings(monkeypatch) -> list[str]:
    """Record the path of every directory that is listed."""
    listed: list[str] = []

    def recording(function: Callable[..., object]) -> Callable[..., object]:
        def list_directory(path: object) -> object:
            listed.append(str(path))
            return function(path)

        return list_directory

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, recording(getattr(os, name)))
    return listed


def test_a_reference_that_is_right_is_read_without_a_listing(registry, listings):
    version = registry.aliases("fraud")["champion"]
    registry.fetch("fraud", version, registry.manifest("fraud", version))
    assert listings == []


@pytest.mark.parametrize(("model", "version", "count"), [("spam", "1", 1), ("fraud", "3", 2)])
def test_a_reference_that_is_wrong_costs_one_listing_per_directory(
    registry, publisher, listings, model, version, count
):
    with pytest.raises(UnknownModel):
        registry.manifest(model, version)
    assert listings == [str(publisher.root), str(publisher.root / "fraud")][:count]


@pytest.mark.parametrize("name", ["", ".", "..", "cancer/1", "/", "\0", "README.txt", "x" * 300])
def test_a_name_that_leads_elsewhere_is_unknown(registry, name):
    for read in (lambda: registry.aliases(name), lambda: registry.manifest(name, "1")):
        with pytest.raises(UnknownModel, match="no model"):
            read()
    with pytest.raises(UnknownModel, match="no version"):
        registry.manifest("fraud", name)


def test_a_version_exists_when_its_manifest_does(registry, publisher):
    half = publisher.publish("fraud", "11")
    (half / "model.yaml").unlink()
    assert "11" not in registry.versions("fraud")


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda registry: registry.versions("spam"), "The registry has no model 'spam'; it has cancer, fraud"),
        (lambda registry: registry.aliases("spam"), "no model 'spam'; it has cancer, fraud"),
        (lambda registry: registry.manifest("spam", "1"), "no model 'spam'; it has cancer, fraud"),
        (lambda registry: registry.manifest("fraud", "3"), "Model fraud has no version '3'; it has 1, 2, 10"),
        (lambda registry: registry.manifest("fraud", "../cancer/1"), "no version '../cancer/1'"),
        (lambda registry: registry.manifest("..", "1"), r"no model '\.\.'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(registry, read, words):
    with pytest.raises(UnknownModel, match=words):
        read(registry)


def test_an_empty_registry_says_so(tmp_path):
    with pytest.raises(UnknownModel, match="it has none"):
        DirectoryRegistry(tmp_path).versions("spam")


def test_an_artifact_that_is_missing_is_named(registry, publisher):
    (publisher.root / "fraud" / "2" / "model.skops").unlink()
    with pytest.raises(UnknownModel, match=r"The artifact fraud/2/model\.skops is missing"):
        registry.fetch("fraud", "2", publisher.manifest())


def test_a_directory_that_is_missing_is_unavailable(tmp_path):
    registry = DirectoryRegistry(tmp_path / "nowhere")
    for read in (registry.models, lambda: registry.versions("fraud"), lambda: registry.aliases("fraud")):
        with pytest.raises(RegistryUnavailable, match="nowhere does not exist"):
            read()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{half: [", id="not YAML"),
        pytest.param("- champion", id="a list"),
        pytest.param("champion: [2]", id="a list of versions"),
        pytest.param("champion: 1.5", id="a fraction"),
        pytest.param("champion: true", id="a yes"),
    ],
)
def test_broken_aliases_are_unavailable(registry, publisher, text):
    (publisher.root / "fraud" / "aliases.yaml").write_text(text)
    with pytest.raises(RegistryUnavailable, match=r"fraud/aliases\.yaml cannot be read"):
        registry.aliases("fraud")


def test_a_version_in_aliases_needs_no_quotes(registry, publisher):
    (publisher.root / "fraud" / "aliases.yaml").write_text("champion: 2\nchallenger: '10'\n")
    assert dict(registry.aliases("fraud")) == {"champion": "2", "challenger": "10"}


def test_an_empty_aliases_file_has_no_aliases(registry, publisher):
    (publisher.root / "fraud" / "aliases.yaml").write_text("# none yet\n")
    assert dict(registry.aliases("fraud")) == {}


def test_a_broken_manifest_is_refused(registry, publisher):
    (publisher.root / "fraud" / "2" / "model.yaml").write_text("runtime: onnx")
    with pytest.raises(ModelRefused, match=r"model\.yaml cannot be read"):
        registry.manifest("fraud", "2")


def test_aliases_that_are_not_utf_8_are_unavailable(registry, publisher):
    (publisher.root / "fraud" / "aliases.yaml").write_bytes("champion: 'é'".encode("latin-1"))
    with pytest.raises(RegistryUnavailable):
        registry.aliases("fraud")


def test_a_manifest_that_is_not_utf_8_is_refused(registry, publisher):
    path = publisher.root / "fraud" / "2" / "model.yaml"
    path.write_bytes(path.read_bytes() + "# é\n".encode("latin-1"))
    with pytest.raises(ModelRefused):
        registry.manifest("fraud", "2")


def test_a_manifest_that_cannot_be_opened_is_refused(registry, publisher):
    path = publisher.root / "fraud" / "2" / "model.yaml"
    path.unlink()
    path.mkdir()
    with pytest.raises((ModelRefused, RegistryUnavailable)):
        registry.manifest("fraud", "2")


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """Record the size of each content that is read."""
    done: list[int] = []
    original = directory.open_regular_file

    @contextmanager
    def record(*arguments: Any, **more: Any) -> Iterator[Any]:
        with original(*arguments, **more) as (stream, found):
            yield SimpleNamespace(read=lambda size: done.append(size) or stream.read(size)), found

    monkeypatch.setattr(directory, "open_regular_file", record)
    return done


def test_a_file_is_read_again_only_when_it_has_changed(registry, publisher, read, monkeypatch):
    later_ns = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later_ns)
    assert [dict(registry.aliases("fraud")) for _ in range(3)] == [{"champion": "2"}] * 3
    assert len(read) == 1
    publisher.alias("fraud", champion="10")
    assert [dict(registry.aliases("fraud")) for _ in range(3)] == [{"champion": "10"}] * 3
    assert len(read) == 2
    (publisher.root / "fraud/aliases.yaml").unlink()
    assert dict(registry.aliases("fraud")) == {}


def test_a_file_that_was_changed_just_now_is_read_again(registry, publisher, read):
    """Its next change may come within the resolution of its time, and leave its size as it is."""
    for version in ("1", "2", "1"):
        publisher.alias("fraud", champion=version)
        assert dict(registry.aliases("fraud")) == {"champion": version}
    assert [dict(registry.aliases("fraud")) for _ in range(3)] == [{"champion": "1"}] * 3
    assert len(read) == 6


def test_a_fifo_in_place_of_a_file_is_refused_at_once(registry, publisher):
    for path in ("fraud/1/model.yaml", "fraud/aliases.yaml"):
        (publisher.root / path).unlink()
        os.mkfifo(publisher.root / path)
    with pytest.raises(RegistryUnavailable, match="no regular file"):
        registry.manifest("fraud", "1")
    with pytest.raises(RegistryUnavailable, match="no regular file"):
        registry.aliases("fraud")


def bad_artifact(path, kind: str) -> None:
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("nothing")
    elif kind == "folder":
        path.mkdir()
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "is no regular file"),
        ("zeros", "is a link"),
        ("dangling", "is a link"),
        ("folder", "is no regular file"),
        ("sparse", "is larger than"),
    ],
)
def test_an_artifact_that_is_no_file_of_a_sane_size_is_refused_without_waiting(publisher, kind, words):
    publisher.publish("fraud", "1")
    bad_artifact(publisher.root / "fraud" / "1" / "model.skops", kind)
    registry = DirectoryRegistry(publisher.root)
    with pytest.raises(ModelRefused, match=f"fraud/1/model.skops {words}"):
        registry.fetch("fraud", "1", registry.manifest("fraud", "1"))


@pytest.mark.parametrize("kind", ["pipe", "zeros", "folder"])
@pytest.mark.parametrize("name", ["aliases.yaml", "1/model.yaml"])
def test_a_text_that_is_no_file_is_an_error_of_the_registry_without_waiting(publisher, name, kind):
    publisher.publish("fraud", "1")
    publisher.alias("fraud", champion="1")
    bad_artifact(publisher.root / "fraud" / name, kind)
    registry = DirectoryRegistry(publisher.root)
    with pytest.raises(RegistryUnavailable, match="no regular file"):
        registry.aliases("fraud") if "aliases" in name else registry.manifest("fraud", "1")


def test_aliases_nested_too_deep_are_an_error_of_the_registry(publisher):
    publisher.publish("fraud", "1")
    (publisher.root / "fraud" / "aliases.yaml").write_text("[" * 3_000 + "]" * 3_000)
    with pytest.raises(RegistryUnavailable, match=r"fraud/aliases.yaml cannot be read: it is nested"):
        DirectoryRegistry(publisher.root).aliases("fraud")


def test_the_texts_of_thousands_of_models_are_parsed_once(tmp_path, monkeypatch):
    parsed: list[str] = []
    load_yaml = texts.load_yaml
    monkeypatch.setattr(texts, "load_yaml", lambda text: parsed.append(text) or load_yaml(text))
    models = [f"model-{number}" for number in range(1100)]
    for model in models:
        (tmp_path / model).mkdir()
        (tmp_path / model / "aliases.yaml").write_text(f"champion: of {model}\n")
    registry = DirectoryRegistry(tmp_path)
    for _ in range(2):
        for model in models:
            assert registry.aliases(model) == {"champion": f"of {model}"}
    assert len(parsed) == len(models)
