"""A registry of each kind, and what can be done to it: it is emptied, killed, frozen, or made to answer wrongly."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import numpy as np
from onnx import helper

from registry_sync.open import open_publisher
from registry_sync.registries import Publisher
from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from tests.support.faulty_proxy import FaultyProxy
from tests.support.mlflow_server import MlflowServer
from tests.support.models import onnx_content
from tests.support.s3_server import KEY, SECRET, S3Server

INPUTS, OUTPUTS = (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),)
BODY = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]}'


_LOCK = threading.Lock()


def times(factor: float, weight: int = 0) -> bytes:
    """Return a model that multiplies its input, with this many numbers of no use, that make it large."""
    nodes = [helper.make_node("Constant", [], ["k"], value_float=factor), helper.make_node("Mul", ["x", "k"], ["y"])]
    ballast = {"ballast": np.random.default_rng(int(factor)).random(weight, "f4")} if weight else {}
    return onnx_content(nodes, INPUTS, OUTPUTS, ballast)


class Site:
    """One registry: `url` is what the gateway reads, with the variables `environment`.

    A gateway reads a remote one through `proxy`, which can break. Publishers write past it.
    """

    url: str
    environment: dict[str, str]
    proxy: FaultyProxy | None = None
    server: S3Server | MlflowServer | None = None

    def publisher(self) -> Publisher:
        """Return what writes into the registry itself."""
        raise NotImplementedError

    def replace(self, model: str, version: str, file: str, content: bytes) -> None:
        """Put another content where a file of a version is."""
        raise NotImplementedError

    def hide(self, model: str) -> None:
        """Take a model away, with its versions and aliases."""
        raise NotImplementedError

    def show(self, model: str) -> None:
        """Give a hidden model back."""
        raise NotImplementedError

    def publish(
        self, model: str, version: str, content: bytes, *, file: str = "model.onnx", golden: bytes = b""
    ) -> None:
        """Write a version, whatever its content is."""
        contents = {file: content, **({"golden.json": golden} if golden else {})}
        pinned = tuple(PinnedFile(name, _sha(each)) for name, each in contents.items() if name != file)
        manifest = Manifest(
            runtime="onnx", file=file, sha256=_sha(content), files=pinned, inputs=INPUTS, outputs=OUTPUTS,
            golden="golden.json" if golden else "",
        )  # fmt: skip
        self.publisher().publish(model, version, manifest, contents)

    def point(self, model: str, alias: str, version: str) -> None:
        """Let an alias name a version."""
        self.publisher().set_alias(model, alias, version)

    @contextmanager
    def without(self, *models: str) -> Iterator[None]:
        """Hide models within the block."""
        for model in models:
            self.hide(model)
        try:
            yield
        finally:
            for model in models:
                self.show(model)

    @contextmanager
    def broken(self, fault: str) -> Iterator[None]:
        """Within the block, let the registry be killed, hanging, or answering with a fault of the proxy."""
        assert self.server is not None
        assert self.proxy is not None
        if fault == "killed":
            self.server.kill()
        elif fault == "hanging":
            self.server.stop()
        else:
            self.proxy.fault = fault
        try:
            yield
        finally:
            self.proxy.fault = ""
            if fault == "killed":
                self.server.start()
            elif fault == "hanging":
                self.server.go_on()

    def close(self) -> None:
        """End the proxy."""
        if self.proxy is not None:
            self.proxy.close()


class DirectorySite(Site):
    """A folder of models."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "models"
        self._root.mkdir(parents=True)
        self.url, self.environment = str(self._root), {}

    def publisher(self) -> Publisher:
        """See `Site.publisher`."""
        return open_publisher(self.url)

    def replace(self, model: str, version: str, file: str, content: bytes) -> None:
        """See `Site.replace`."""
        (self._root / model / version / file).write_bytes(content)

    def hide(self, model: str) -> None:
        """See `Site.hide`."""
        (self._root / model).rename(self._root / f".{model}")

    def show(self, model: str) -> None:
        """See `Site.show`."""
        (self._root / f".{model}").rename(self._root / model)

    @contextmanager
    def broken(self, fault: str) -> Iterator[None]:
        """Let the folder be unmounted: it is the one fault that it knows."""
        assert fault == "killed"
        away = self._root.with_name("away")
        self._root.rename(away)
        try:
            yield
        finally:
            away.rename(self._root)


class S3Site(Site):
    """A prefix of a bucket."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self.server, self.proxy = server, FaultyProxy(server.url)
        self.url, self.environment = f"s3://models/{prefix}", server.environment
        self.environment = {**server.environment, "AWS_ENDPOINT_URL_S3": self.proxy.url}
        self._own, self._prefix, self._hidden = server.environment, prefix, dict[str, bytes]()
        names: dict[str, Any] = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        self._client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **names)
        with _variables(self._own):
            self._publisher = open_publisher(self.url)  # it has its client; another one costs 0.2 s

    def publisher(self) -> Publisher:
        """See `Site.publisher`."""
        return self._publisher

    def replace(self, model: str, version: str, file: str, content: bytes) -> None:
        """See `Site.replace`."""
        self._client.put_object(Bucket="models", Key=f"{self._prefix}/{model}/{version}/{file}", Body=content)

    def hide(self, model: str) -> None:
        """See `Site.hide`."""
        found = self._client.list_objects_v2(Bucket="models", Prefix=f"{self._prefix}/{model}/").get("Contents", ())
        for each in found:
            self._hidden[each["Key"]] = self._client.get_object(Bucket="models", Key=each["Key"])["Body"].read()
            self._client.delete_object(Bucket="models", Key=each["Key"])

    def show(self, model: str) -> None:
        """See `Site.show`."""
        for key in [key for key in self._hidden if key.startswith(f"{self._prefix}/{model}/")]:
            self._client.put_object(Bucket="models", Key=key, Body=self._hidden.pop(key))


class MlflowSite(Site):
    """An MLflow server."""

    def __init__(self, server: MlflowServer, environment: dict[str, str]) -> None:
        self.server, self.proxy = server, FaultyProxy(server.url)
        self.url = f"mlflow+{self.proxy.url}"
        self.environment = {**environment, "MLFLOW_EXPERIMENT_NAME": "mlflow"}

    def publisher(self) -> Publisher:
        """See `Site.publisher`."""
        assert isinstance(self.server, MlflowServer)
        with _variables(self.environment):
            return open_publisher(self.server.registry)

    def register(self, model: str, **files: bytes) -> str:
        """Register a version without a manifest, of files in one folder. Return its number."""
        assert isinstance(self.server, MlflowServer)
        run = self.server.ask("POST", "runs/create", experiment_id="0")["run"]["info"]
        for file, content in files.items():
            self.server.put_file(run["artifact_uri"], f"model/{file.replace('_', '.')}", content)
        if self._ask("GET", "registered-models/get", name=model).status_code == 404:
            self.server.ask("POST", "registered-models/create", name=model)
        source = f"{run['artifact_uri']}/model"
        made = self.server.ask("POST", "model-versions/create", name=model, source=source, run_id=run["run_id"])
        return str(made["model_version"]["version"])

    def replace(self, model: str, version: str, file: str, content: bytes) -> None:
        """See `Site.replace`."""
        assert isinstance(self.server, MlflowServer)
        found = self.server.ask("GET", "model-versions/get", name=model, version=version)["model_version"]
        logged = self.server.ask("GET", f"logged-models/{found['source'].removeprefix('models:/')}")
        self.server.put_file(logged["model"]["info"]["artifact_uri"], file, content)

    def hide(self, model: str) -> None:
        """See `Site.hide`."""
        assert isinstance(self.server, MlflowServer)
        self.server.ask("POST", "registered-models/rename", name=model, new_name=f"hidden-{model}")

    def show(self, model: str) -> None:
        """See `Site.show`."""
        assert isinstance(self.server, MlflowServer)
        self.server.ask("POST", "registered-models/rename", name=f"hidden-{model}", new_name=model)

    def _ask(self, method: str, path: str, **question: str) -> httpx.Response:
        assert self.server is not None
        url = f"{self.server.url}/api/2.0/mlflow/{path}?" + "&".join(f"{k}={quote(v)}" for k, v in question.items())
        return httpx.request(method, url, timeout=60.0, trust_env=False)


@contextmanager
def _variables(wanted: dict[str, str]) -> Iterator[None]:
    """Let the process have these variables of a registry within the block, and no others."""
    with _LOCK:
        yield from _changed(wanted)


def _changed(wanted: dict[str, str]) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "MLFLOW_"))}
    for name in before:
        del os.environ[name]
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
        os.environ.update(before)


def _sha(content: bytes) -> str:
    return sha256(content).hexdigest()
