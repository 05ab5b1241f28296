"""One suite for all registries: a directory, S3, and MLflow with its files behind its own proxy and in S3."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from registry_sync.errors import AlreadyPublished, RegistryUnavailable, UnknownModel
from registry_sync.open import open_publisher, open_registry
from registry_sync.registries import RemoteRegistry
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Manifest
from tests.integration.support_registries import manifest_of
from tests.support.faulty_proxy import FAULTS, FaultyProxy

MIB = 1024 * 1024
CONTENT = {"model.onnx": b"a model", "weights/a file.bin": bytes(range(256)) * (3 * MIB // 256), "empty": b""}
KINDS = ("directory", "s3", "mlflow", "mlflow_s3")
REMOTE = KINDS[1:]
HANGING_S = 60.0


class Place(NamedTuple):
    """A registry: its URL, and the experiment of MLflow that holds what is published there."""

    kind: str
    url: str
    model: str

    def open(self) -> RemoteRegistry:
        registry: RemoteRegistry = open_registry(self.url)  # type: ignore[assignment]
        return registry

    def publish(self, version: str, contents: dict[str, bytes] = CONTENT, **change: object) -> Manifest:
        made = manifest_of(contents, **change)
        assert open_publisher(self.url).publish(self.model, version, made, contents)
        return made


@pytest.fixture
def environment(monkeypatch, s3_server) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)


def place_of(kind: str, request, tmp_path: Path, monkeypatch) -> Place:
    request.getfixturevalue("environment")
    model = f"m-{tmp_path.name}"[:60]
    if kind == "directory":
        (tmp_path / "models").mkdir()
        return Place(kind, str(tmp_path / "models"), model)
    if kind == "s3":
        return Place(kind, f"s3://models/{tmp_path.name}", model)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", kind)
    return Place(kind, request.getfixturevalue("mlflow_server").registry, model)


@pytest.fixture(params=KINDS)
def place(request, tmp_path, monkeypatch) -> Place:
    return place_of(request.param, request, tmp_path, monkeypatch)


@pytest.fixture(params=REMOTE)
def remote(request, tmp_path, monkeypatch) -> Place:
    return place_of(request.param, request, tmp_path, monkeypatch)


def content(registry: RemoteRegistry, model: str, version: str, file: str) -> bytes:
    return b"".join(registry.read(model, version, file))


# What every registry has


def test_a_version_is_read_as_it_was_published(place):
    first, second = place.publish("1"), place.publish("2", {**CONTENT, "model.onnx": b"another"}, description="a word")
    registry = place.open()
    assert place.model in registry.models()
    assert list(registry.versions(place.model)) == ["1", "2"]
    assert registry.manifest(place.model, "1") == first
    assert registry.manifest(place.model, "2") == second
    assert registry.fetch(place.model, "1", first) == CONTENT
    assert registry.fetch(place.model, "2", second)["model.onnx"] == b"another"
    assert registry.aliases(place.model) == {}


def test_aliases_are_set_moved_and_read(place):
    place.publish("1")
    place.publish("2")
    publisher, registry = open_publisher(place.url), place.open()
    assert publisher.set_alias(place.model, "champion", "1") is None
    assert publisher.set_alias(place.model, "challenger", "2") is None
    assert registry.aliases(place.model) == {"champion": "1", "challenger": "2"}
    assert publisher.set_alias(place.model, "champion", "2") == "1"
    assert publisher.set_alias(place.model, "champion", "2") == "2"
    assert registry.aliases(place.model) == {"champion": "2", "challenger": "2"}


def test_tags_of_a_manifest_are_details(place):
    place.publish("1", tags=("approved=true", "run_id=3f2a", "data_set=2026-11"))
    details = place.open().details(place.model, "1")
    assert details.tags == {"approved": "true", "run_id": "3f2a", "data_set": "2026-11"}
    assert (details.run_id, details.data_set) == ("3f2a", "2026-11")


@pytest.mark.parametrize("ask", [
    lambda registry, _: registry.versions("none"),
    lambda registry, _: registry.aliases("none"),
    lambda registry, _: registry.manifest("none", "1"),
    lambda registry, _: registry.details("none", "1"),
    lambda registry, model: registry.manifest(model, "2"),
    lambda registry, model: registry.manifest(model, "../1"),
    lambda registry, model: registry.manifest(model, "1'; --"),
    lambda registry, model: registry.manifest(f"{model}'\"", "1"),
    lambda registry, model: registry.fetch(model, "1", manifest_of({**CONTENT, "more": b""})),
], ids=range(9))  # fmt: skip
def test_what_is_not_there_is_named(place, ask):
    place.publish("1")
    with pytest.raises(UnknownModel):
        ask(place.open(), place.model)


def test_the_same_version_again_is_no_fault_and_another_one_is_refused(place):
    place.publish("1")
    publisher = open_publisher(place.url)
    assert not publisher.publish(place.model, "1", manifest_of(CONTENT), CONTENT)
    with pytest.raises(AlreadyPublished, match="is there already"):
        publisher.publish(place.model, "1", manifest_of(CONTENT, max_batch=1), CONTENT)
    assert list(place.open().versions(place.model)) == ["1"]


def test_a_file_that_was_changed_meanwhile_is_not_published(place, tmp_path):
    (tmp_path / "file").write_bytes(b"changed")
    with pytest.raises(ModelRefused, match="was changed while it was being published"):
        open_publisher(place.url).publish(
            place.model, "1", manifest_of(CONTENT), {**CONTENT, "model.onnx": tmp_path / "file"}
        )
    with pytest.raises(UnknownModel):
        place.open().manifest(place.model, "1")


def test_a_large_file_is_published_from_its_place(place, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT["weights/a file.bin"])
    publisher = open_publisher(place.url)
    assert publisher.publish(
        place.model, "1", manifest_of(CONTENT), {**CONTENT, "weights/a file.bin": tmp_path / "file"}
    )
    assert place.open().fetch(place.model, "1", manifest_of(CONTENT)) == CONTENT


# What remote registries have besides


def test_files_come_in_pieces_and_whole(remote):
    made = remote.publish("1")
    registry = remote.open()
    sizes = registry.files(remote.model, "1")
    assert {file: size for file, size in sizes.items() if file != MANIFEST} == {k: len(v) for k, v in CONTENT.items()}
    assert MANIFEST in sizes
    pieces = list(registry.read(remote.model, "1", "weights/a file.bin"))
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= MIB
    for file in made.pinned:
        assert content(registry, remote.model, "1", file) == CONTENT[file]
    for file in ("none", "weights", "../1/model.onnx", "weights/../../1/model.onnx"):
        with pytest.raises(UnknownModel):
            content(registry, remote.model, "1", file)
    with pytest.raises(UnknownModel):
        registry.files(remote.model, "7")


def test_the_aliases_of_several_models_come_at_once(remote):
    """A model that is not there is left out, and one without aliases is not."""
    remote.publish("1")
    other = remote._replace(model=f"{remote.model}-2")
    other.publish("1")
    open_publisher(remote.url).set_alias(remote.model, "champion", "1")
    registry = remote.open()
    wanted = [remote.model, other.model, "none"]
    assert registry.all_aliases(wanted) == {remote.model: {"champion": "1"}, other.model: {}}
    assert registry.all_aliases([remote.model]) == {remote.model: {"champion": "1"}}
    assert registry.all_aliases([]) == {}


@pytest.fixture(params=["s3", "mlflow"])
def broken(request, tmp_path, monkeypatch) -> Iterator[tuple[Place, FaultyProxy]]:
    """Make a registry with one version, behind a proxy that can break."""
    place = place_of(request.param, request, tmp_path, monkeypatch)
    place.publish("1")
    open_publisher(place.url).set_alias(place.model, "champion", "1")
    proxy = FaultyProxy(request.getfixturevalue(f"{request.param}_server").url)
    if place.kind == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    yield place if place.kind == "s3" else place._replace(url=f"mlflow+{proxy.url}"), proxy
    proxy.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_registry_is_unavailable_and_never_empty(broken, fault):
    place, proxy = broken
    registry = place.open()
    assert registry.all_aliases([place.model]) == {place.model: {"champion": "1"}}
    proxy.fault = fault
    asks = (
        lambda: registry.all_aliases([place.model]),
        lambda: registry.aliases(place.model),
        lambda: registry.manifest(place.model, "1"),
        registry.models,
        lambda: registry.versions(place.model),
        lambda: registry.files(place.model, "1"),
    )
    for ask in asks:
        with pytest.raises(RegistryUnavailable):
            ask()
    proxy.fault = ""
    assert registry.all_aliases([place.model]) == {place.model: {"champion": "1"}}
    assert registry.fetch(place.model, "1", manifest_of(CONTENT)) == CONTENT


@pytest.mark.parametrize("fault", ["cut", "short", "gone", "500"])
def test_a_download_that_breaks_off_is_noticed(broken, fault):
    place, proxy = broken
    registry = place.open()
    registry.files(place.model, "1")
    proxy.fault, proxy.only = fault, "weights"
    with pytest.raises(RegistryUnavailable):
        content(registry, place.model, "1", "weights/a file.bin")
    proxy.fault = ""
    assert content(registry, place.model, "1", "weights/a file.bin") == CONTENT["weights/a file.bin"]


@pytest.mark.parametrize("kind", ["s3", "mlflow"])
def test_a_registry_that_hangs_or_is_gone_is_unavailable(request, tmp_path, monkeypatch, kind):
    place = place_of(kind, request, tmp_path, monkeypatch)
    place.publish("1")
    registry, server = place.open(), request.getfixturevalue(f"{kind}_server")
    assert registry.all_aliases([place.model]) == {place.model: {}}
    server.stop()
    try:
        began_s = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            registry.all_aliases([place.model])
        assert time.monotonic() - began_s < HANGING_S
    finally:
        server.go_on()
    assert registry.all_aliases([place.model]) == {place.model: {}}
    server.kill()
    try:
        with pytest.raises(RegistryUnavailable):
            registry.all_aliases([place.model])
    finally:
        server.start()
    assert registry.all_aliases([place.model]) == {place.model: {}}
