"""A gateway on a registry of any kind, and what is looked at while the registry has a fault."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from onnx import helper

from gateway.settings import Settings
from inference_log.process_lock import holder
from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from tests.support.gateway_process import GatewayProcess
from tests.support.load import PacedLoad
from tests.support.models import onnx_content
from tests.support.polling import wait_until
from tests.support.registry_sites import BODY, DirectorySite, MlflowSite, S3Site, Site

WITHIN_S = 60.0
PER_SECOND = 20.0


def open_site(kind: str, request: pytest.FixtureRequest, folder: Path, name: str) -> Site:
    """Return an empty registry; `name` tells it from those of other tests on the same server."""
    if kind == "directory":
        return DirectorySite(folder)
    s3 = request.getfixturevalue("s3_server")
    return S3Site(s3, name) if kind == "s3" else MlflowSite(request.getfixturevalue("mlflow_server"), s3.environment)


def manifest_of(contents: dict[str, bytes], **change: object) -> Manifest:
    """Return a manifest that pins these files, of which `model.onnx` is the model."""
    digests = {file: sha256(content).hexdigest() for file, content in contents.items()}
    further = tuple(PinnedFile(file, digest) for file, digest in digests.items() if file != "model.onnx")
    fields = {
        "runtime": "onnx", "file": "model.onnx", "sha256": digests["model.onnx"], "files": further,
        "inputs": (TensorSpec("x", "FP32", (-1,)),), "outputs": (TensorSpec("y", "FP32", (-1,)),),
    }  # fmt: skip
    return Manifest(**{**fields, **change})


def publish_times(gateway: GatewayProcess, version: str, factor: float, *options: str, model: str = "times") -> None:
    """Publish a version of a model that multiplies. `options` are those of `models add`."""
    inputs, outputs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    nodes = [
        helper.make_node("Constant", [], ["k"], value_float=factor),
        helper.make_node("Mul", ["x", "k"], ["y"]),
    ]
    file = gateway.home / "model.onnx"
    file.write_bytes(onnx_content(nodes, inputs, outputs))
    done = gateway.cli("models", "add", f"{model}:{version}", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr


def answer_of_times(gateway: GatewayProcess, route: str = "times") -> list[float]:
    """Return what the route makes of 1 and 2."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    url = f"{gateway.url}/v2/models/{route}/infer"
    found = httpx.post(url, json={"inputs": [tensor]}, timeout=60.0, trust_env=False)
    assert found.status_code == 200, found.text
    values: list[float] = found.json()["outputs"][0]["data"]
    return values


def follow_times(gateway: GatewayProcess, placement: str) -> str:
    """Serve a model that multiplies by 2, and move its alias to one that multiplies by 3. Return the route's name."""
    name = f"times-{placement}"  # a model of its own: an alias that moves again is followed later
    publish_times(gateway, "1", 2.0, "--alias", "champion", model=name)
    arms = {"a": f"{name}@champion"}
    gateway.declare({"route": name, "arms": arms, "split": {"a": "100%"}, "placement": placement})
    wait_until(lambda: answer_of_times(gateway, name) == [2.0, 4.0], within_s=60.0)
    publish_times(gateway, "2", 3.0, "--alias", "champion", model=name)
    wait_until(
        lambda: answer_of_times(gateway, name) == [3.0, 6.0],
        within_s=60.0,
        shows=lambda: gateway.client.status()["routes"],
    )
    return name


class Followed:
    """A gateway that serves a registry."""

    def __init__(self, site: Site, home: Path, **settings: str) -> None:
        self.site = site
        more = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": site.url, "POINTSMAN_REGISTRY_EVERY_S": "0.5"}
        self.gateway = GatewayProcess(home, "serve", **{**more, **site.environment, **settings})

    def status(self, route: str) -> dict[str, Any]:
        return next(each for each in self.gateway.client.status()["routes"] if each["route"] == route)

    def warnings(self, route: str) -> str:
        """Return what `status` says of a route."""
        return " ".join(each["warnings"].get(route, "") for each in self.gateway.client.status()["replicas"])

    def problem(self, route: str) -> str:
        """Return why a route is not served as declared."""
        return " ".join(each["problems"].get(route, "") for each in self.gateway.client.status()["replicas"])

    def history(self, route: str) -> list[str]:
        """Return what was changed, the first change first."""
        return [each["what"] for each in self.gateway.client.history(route, 500)][::-1]

    def serves(self, route: str) -> dict[str, str]:
        found: dict[str, str] = self.status(route)["serves"]
        return found

    def metric(self, name: str) -> float:
        """Return the value of a metric of one process; -1 if it is not there, as while no companion runs."""
        text = httpx.get(f"{self.gateway.url}/metrics", timeout=60.0, trust_env=False).text
        return next(
            (float(line.split()[-1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))), -1.0
        )

    def hurry(self) -> None:
        """Have the registry read at once, with the details of versions, as a webhook does."""
        path = Settings(home=self.gateway.home).hurry_file
        if path.parent.exists():
            path.touch()

    def reasons(self, model: str, version: str) -> str:
        """Return what `/api/models` says of a version."""
        found = httpx.get(f"{self.gateway.url}/api/models", timeout=60.0, trust_env=False).json()
        return " ".join(
            f"{each['state']} {each['reason']}"
            for each in found
            if (each["model"], each["version"]) == (model, version)
        )

    def wait(self, is_true: Any, within_s: float = WITHIN_S) -> None:
        """Wait, and show what a developer wants to see if it does not become true."""
        wait_until(is_true, within_s=within_s, retried=(httpx.HTTPError, StopIteration), shows=self._shows)

    def _shows(self) -> str:
        status = self.gateway.client.status()
        said = [each["warnings"] for each in status["replicas"]]
        return f"{said}\n{[each['serves'] for each in status['routes']]}\n{self.gateway.output.read_text()[-6000:]}"

    def companion(self, *, other_than: int = 0) -> int:
        """Return the pid of the companion, once there is one."""
        lock = Settings(home=self.gateway.home).resolved().spool / "companion" / "lock"

        def running_now() -> int:
            found = holder(lock)
            return found[0] if found is not None and found[0] != other_than else 0

        return wait_until(running_now, within_s=WITHIN_S)

    def kill_companion(self) -> None:
        pid = self.companion()
        os.kill(pid, signal.SIGKILL)
        self.companion(other_than=pid)

    @contextmanager
    def load(self, *routes: str) -> Iterator[dict[str, PacedLoad]]:
        """Send requests to each route within the block. None may fail."""
        loads = {
            route: PacedLoad(self.gateway.port, BODY, f"/v2/models/{route}/infer", PER_SECOND, clients=8)
            for route in routes
        }
        for each in loads.values():
            each.__enter__()
        try:
            yield loads
        finally:
            for each in loads.values():
                each.__exit__(None, None, None)
        for route, each in loads.items():
            assert each.failures() == [], route
            assert each.seen, route

    def hidden(self) -> list[Path]:
        """Return what a writer has left in the copy of the registry."""
        return [path for path in (self.gateway.home / "registry").rglob(".*") if path.is_file()]
