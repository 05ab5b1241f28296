"""Publishing into a directory and into S3: whole or not at all, never replaced, and no alias is lost."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError

from registry_sync.errors import AlreadyPublished, RegistryUnavailable, UnknownModel
from registry_sync.open import open_publisher, open_registry
from registry_sync.registries.s3 import Place, S3Registry, s3_client
from registry_sync.registries.s3_publisher import S3Publisher
from runtimes.errors import ModelRefused
from tests.integration.support_registries import manifest_of
from tests.support.s3_server import S3Server

CONTENT = {"model.onnx": b"a model", "weights/a.bin": b"weights"}
FROZEN_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    made = S3Server(tmp_path_factory.mktemp("s3"), "models")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def s3(server, monkeypatch) -> S3Server:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(params=["directory", "s3"])
def url(request, tmp_path) -> str:
    if request.param == "directory":
        (tmp_path / "models").mkdir()
        return str(tmp_path / "models")
    request.getfixturevalue("s3")
    return f"s3://models/{tmp_path.name}"


def test_a_version_is_read_as_it_was_published(url, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT["model.onnx"])
    publisher, registry = open_publisher(url), open_registry(url)
    assert publisher.publish("fraud", "18", manifest_of(CONTENT), {**CONTENT, "model.onnx": tmp_path / "file"})
    assert publisher.publish("fraud", "9", manifest_of(CONTENT), CONTENT)
    assert list(registry.models()) == ["fraud"]
    assert list(registry.versions("fraud")) == ["9", "18"]
    assert registry.manifest("fraud", "18") == manifest_of(CONTENT)
    assert registry.fetch("fraud", "18", manifest_of(CONTENT)) == CONTENT
    assert registry.aliases("fraud") == {}


def test_the_same_version_again_is_no_fault_and_another_one_is_refused(url):
    publisher, registry = open_publisher(url), open_registry(url)
    assert publisher.publish("fraud", "1", manifest_of(CONTENT), CONTENT)
    assert not publisher.publish("fraud", "1", manifest_of(CONTENT), CONTENT)
    other = {**CONTENT, "model.onnx": b"another model"}
    for changed, contents in ((manifest_of(other), other), (manifest_of(CONTENT, max_batch=1), CONTENT)):
        with pytest.raises(AlreadyPublished, match="fraud:1 is there already"):
            publisher.publish("fraud", "1", changed, contents)
    assert registry.fetch("fraud", "1", registry.manifest("fraud", "1")) == CONTENT


def test_a_file_that_was_changed_meanwhile_is_not_published(url, tmp_path):
    (tmp_path / "file").write_bytes(b"changed")
    with pytest.raises(ModelRefused, match="was changed while it was being published"):
        open_publisher(url).publish("fraud", "1", manifest_of(CONTENT), {**CONTENT, "model.onnx": tmp_path / "file"})
    registry = open_registry(url)
    with pytest.raises(UnknownModel):
        registry.manifest("fraud", "1")


def test_of_publishers_at_the_same_time_one_wins_and_the_version_is_whole(url):
    def publish(number: int) -> bool | None:
        contents = {**CONTENT, "model.onnx": b"model %d" % (number % 4)}
        try:
            return open_publisher(url).publish("fraud", "1", manifest_of(contents), contents)
        except AlreadyPublished:
            return None

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(publish, range(16)))
    registry = open_registry(url)
    try:
        there = registry.manifest("fraud", "1")
    except UnknownModel:  # S3 alone: each found files of another one
        assert not any(results)
        return
    assert sum(result is True for result in results) == 1
    files = registry.fetch("fraud", "1", there)
    assert {file: sha256(content).hexdigest() for file, content in files.items()} == there.pinned


def test_no_alias_is_lost_when_many_are_set_at_the_same_time(url):
    publisher = open_publisher(url)
    publisher.publish("fraud", "1", manifest_of(CONTENT), CONTENT)
    with ThreadPoolExecutor(8) as pool:
        before = list(pool.map(lambda number: open_publisher(url).set_alias("fraud", f"a{number}", "1"), range(8)))
    assert before == [None] * 8
    assert open_registry(url).aliases("fraud") == {f"a{number}": "1" for number in range(8)}
    assert publisher.set_alias("fraud", "a0", "2") == "1"
    assert open_registry(url).aliases("fraud")["a0"] == "2"


@pytest.mark.parametrize("ask", [
    lambda registry: registry.versions("none"),
    lambda registry: registry.aliases("none"),
    lambda registry: registry.manifest("none", "1"),
    lambda registry: registry.manifest("fraud", "2"),
    lambda registry: registry.manifest("fraud", "../1"),
    lambda registry: registry.fetch("fraud", "1", manifest_of({**CONTENT, "more": b""})),
])  # fmt: skip
def test_what_is_not_there_is_named(url, ask):
    open_publisher(url).publish("fraud", "1", manifest_of(CONTENT), CONTENT)
    with pytest.raises(UnknownModel):
        ask(open_registry(url))


class Conflicting:
    """A client that answers the first tries to write an object with 409: another conditional request is under way."""

    def __init__(self, client, times: int) -> None:
        self._client = client
        self.left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **request):
        if self.left:
            self.left -= 1
            answer = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
            raise ClientError(answer, "PutObject")
        return self._client.put_object(**request)


def test_a_conflict_is_tried_again_and_is_no_success(s3, tmp_path):
    place, client = Place("models", f"{tmp_path.name}/"), s3_client()
    publisher = S3Publisher(place, Conflicting(client, 3))
    assert publisher.publish("fraud", "1", manifest_of(CONTENT), CONTENT)
    assert S3Registry(place, client).manifest("fraud", "1") == manifest_of(CONTENT)
    with pytest.raises(RegistryUnavailable, match="ConditionalRequestConflict"):
        S3Publisher(place, Conflicting(client, 1000)).publish("fraud", "2", manifest_of(CONTENT), CONTENT)


def test_golden_requests_that_were_left_half_way_do_not_block_a_version(s3, tmp_path):
    """Another machine rounds otherwise, so the golden requests of two publishers of one model differ."""
    place, client = Place("models", f"{tmp_path.name}/"), s3_client()
    client.put_object(Bucket="models", Key=f"{tmp_path.name}/fraud/1/golden.json", Body=b"[1]")
    contents = {**CONTENT, "golden.json": b"[2]"}
    assert S3Publisher(place, client).publish("fraud", "1", manifest_of(contents, golden="golden.json"), contents)
    registry = S3Registry(place, client)
    there = registry.manifest("fraud", "1")
    assert registry.fetch("fraud", "1", there) == {**CONTENT, "golden.json": b"[1]"}
    assert there.pinned["golden.json"] == sha256(b"[1]").hexdigest()


def test_an_s3_that_has_gone_or_hangs_is_unavailable(s3, tmp_path, monkeypatch):
    own = S3Server(tmp_path / "own", "models")
    own.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", own.url)
        registry, publisher = open_registry("s3://models"), open_publisher("s3://models")
        publisher.publish("fraud", "1", manifest_of(CONTENT), CONTENT)
        assert registry.manifest("fraud", "1") == manifest_of(CONTENT)
        own.stop()
        with pytest.raises(RegistryUnavailable):
            registry.manifest("fraud", "1")
        own.go_on()
        assert registry.manifest("fraud", "1") == manifest_of(CONTENT)
        own.kill()
        for work in (registry.models, lambda: publisher.publish("fraud", "2", manifest_of(CONTENT), CONTENT)):
            with pytest.raises(RegistryUnavailable):
                work()
    finally:
        own.kill()


def test_another_secret_is_refused(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(RegistryUnavailable, match="SignatureDoesNotMatch"):
        open_registry("s3://models").models()


@pytest.mark.parametrize("url", ["mlflow://host", "s3://", "gs://bucket"])
def test_another_place_is_refused_with_a_sentence(url):
    with pytest.raises(RegistryUnavailable, match="s3://BUCKET"):
        open_registry(url)
    with pytest.raises(RegistryUnavailable, match="s3://BUCKET"):
        open_publisher(url)
