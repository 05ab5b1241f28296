"""A gateway serves each kind of ONNX model as ONNX Runtime alone does, to 32 clients with unlike rows and shapes."""

from typing import Any

import numpy as np
import pytest
import yaml

from loadtests.onnx_version import drafted_manifest
from runtimes.manifest import MANIFEST
from runtimes.manifest_text import manifest_to_yaml
from tests.support.gateway_process import GatewayProcess
from tests.support.onnx_kinds import Kind, as_tensor, directly, draft, kinds
from tests.support.v2_client import require_same

CLIENTS = 32
REQUESTS = 5 * CLIENTS
LARGEST = "wave"
"""80,000 samples a request: fewer of them."""

KINDS = kinds()


def route_of(name: str) -> str:
    return f"kind-{name.replace('_', '-')}"


def publish(gateway: GatewayProcess, name: str, kind: Kind) -> dict[str, Any]:
    """Write a version with the manifest that was drafted, and return the declaration of a route."""
    folder = gateway.home / "models" / route_of(name) / "1"
    for file, content in kind.files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    manifest = drafted_manifest(kind.files, draft(kind.files, kind.file))
    (folder / MANIFEST).write_text(manifest_to_yaml(manifest))
    return {"route": route_of(name), "arms": {"stable": f"{route_of(name)}:1"}, "split": {"stable": "100%"}}


@pytest.fixture(scope="module")
def published(gateway: GatewayProcess) -> GatewayProcess:
    path = gateway.home / "kinds.yaml"
    path.write_text(yaml.safe_dump_all([publish(gateway, name, kind) for name, kind in KINDS.items()]))
    done = gateway.cli("apply", "-f", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    return gateway


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_answered_as_by_onnx_runtime_alone(published, name):
    kind, generator = KINDS[name], np.random.default_rng(2)
    requests = [kind.request(generator) for _ in range(CLIENTS if name == LARGEST else REQUESTS)]
    alone = directly(kind.files, kind.file)
    expected = [{output: as_tensor(each) for output, each in alone(feed).items()} for feed in requests]
    if name == "sequence":
        expected = [{"y": each["y"].swapaxes(0, 1)} for each in expected]  # rows first
    require_same(published.http, route_of(name), requests, expected, clients=CLIENTS)
