"""What MLflow's own client has logged is served: each kind, over each protocol, beside the model run directly.

Only two of the models have a `model.yaml`: `said` has one that a person has written, `added` one of `models add`.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.integration.test_kinds_matrix import PROTOCOLS, Clients, Served
from tests.support.gateway_process import GatewayProcess, running
from tests.support.kinds import Kind
from tests.support.mlflow_beside import path_with_mlflow, run_module
from tests.support.models import onnx_content
from tests.support.paths import ROOT

PROXY, S3 = "mlflow", "mlflow_s3"
MODELS = {
    "words": ["words", PROXY], "words-s3": ["words", S3], "onnx": ["onnx", PROXY], "onnx-s3": ["onnx", S3],
    "pyfunc": ["pyfunc", PROXY], "pyfunc-s3": ["pyfunc", S3], "lightgbm": ["folder", PROXY],
    "lightgbm-s3": ["folder", S3], "said": ["numbers", S3], "unused": ["numbers", PROXY],
}  # fmt: skip
ROUTES = [*(model for model in MODELS if model != "unused"), "added"]
KINDS = {"words": "sklearn", "onnx": "onnx", "pyfunc": "mlflow", "lightgbm": "lightgbm", "said": "sklearn"}
WEIGHTS = np.array([[2.0, 1.0], [0.5, -1.0]], "f4")
REQUESTS = 12


@dataclass(frozen=True)
class Logged:
    """A gateway that serves all models, and what each answers when it is run directly, row by row."""

    gateway: GatewayProcess
    clients: Clients
    known: dict[str, Any]

    def cli(self, *arguments: str) -> str:
        done = self.gateway.cli("models", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def logged(mlflow_server, s3_server, tmp_path_factory) -> Iterator[Logged]:
    folder, import_path = (
        tmp_path_factory.mktemp("logged"),
        path_with_mlflow("mlflow-server"),
    )  # a function wants the MLflow that has logged it
    run_module(import_path, "tests.support.mlflow_folders", str(folder), "lightgbm")
    (folder / "model.yaml").write_text("max_batch: 7\ndescription: said by a person\n")
    more = {"folder": [str(folder / "lightgbm")], "numbers": [str(folder / "model.yaml")]}
    wanted = {name: what + (more.get(what[0], []) if name != "unused" else []) for name, what in MODELS.items()}
    script = (ROOT / "tests" / "support" / "mlflow_logged.py").read_text()
    known = json.loads(mlflow_server.run(script, json.dumps(wanted)).splitlines()[-1])
    light = json.loads((folder / "lightgbm.json").read_text())
    known["lightgbm"] = known["lightgbm-s3"] = {**light, "answers": {"prediction": light["answers"]}}
    settings = {
        "POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": mlflow_server.registry, "POINTSMAN_ALLOW_CODE": "true",
        "MLFLOW_EXPERIMENT_NAME": PROXY, "PYTHONPATH": import_path, **s3_server.environment,
    }  # fmt: skip
    with running(GatewayProcess(folder / "var", "serve", **settings)) as gateway:
        known["added"] = _add(gateway)
        specs = folder / "routes"
        specs.mkdir()
        for name in ROUTES:
            spec = {"route": name, "arms": {"only": f"{name}:1"}, "split": {"only": "100%"}}
            (specs / f"{name}.yaml").write_text(yaml.safe_dump(spec))
        done = gateway.cli("apply", "-f", str(specs))
        assert done.returncode == 0, done.stdout + done.stderr
        clients = Clients(gateway)
        yield Logged(gateway, clients, known)
        clients.close()


def _add(gateway: GatewayProcess) -> dict[str, Any]:
    inputs, outputs = [TensorSpec("X", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    file = gateway.home / "model.onnx"
    nodes = [helper.make_node("MatMul", ["X", "W"], ["y"])]
    file.write_bytes(onnx_content(nodes, inputs, outputs, {"W": WEIGHTS}))
    done = gateway.cli("models", "add", "added:1", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = np.random.default_rng(1).normal(size=(40, 2)).astype("f4")
    return {"inputs": {"X": rows.tolist()}, "answers": {"y": (rows @ WEIGHTS).tolist()}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("model", ROUTES)
def test_every_answer_is_that_of_the_model_run_directly(logged, model, protocol):
    described = httpx.get(f"{logged.gateway.url}/v2/models/{model}", trust_env=False).json()
    kind = Kind(model, write=lambda _: None, request=lambda *_: {}, answer=lambda _: {})
    served = Served(kind, logged.gateway, logged.clients, described["inputs"], described["outputs"])
    inputs, answers = (
        {name: np.array(each) for name, each in logged.known[model][of].items()} for of in ("inputs", "answers")
    )

    def differs(number: int) -> str:
        rows = np.random.default_rng(number).choice(40, 1 + number % 4, replace=False)
        given = PROTOCOLS[protocol](served, served.tensors({name: each[rows] for name, each in inputs.items()}))
        assert given, "no output"
        for name, answer in given.items():
            want = answers[name][rows]
            got = np.array(answer, object).reshape(want.shape)
            if want.dtype.kind == "U":
                same = got.tolist() == want.tolist()
            else:
                same = np.allclose(got.astype(np.float64), want, rtol=1e-5, atol=1e-6)
            if not same:
                return f"{name} of rows {rows.tolist()} is {got.tolist()}, and must be {want.tolist()}"
        return ""

    with ThreadPoolExecutor(4) as pool:
        assert [found for found in pool.map(differs, range(REQUESTS)) if found] == []


@pytest.mark.timeout(600)
def test_the_list_has_the_kind_digest_and_state_of_versions_without_a_manifest(logged):
    rows = {row["model"]: row for row in json.loads(logged.cli("list", "--json"))}
    for model in ROUTES[:-1]:
        row = rows[model]
        assert (row["kind"], row["state"], row["serves"]) == (KINDS[model.removesuffix("-s3")], "READY", True)
        assert len(row["digest"]) == 64
        assert row["run_id"]
    unused = rows["unused"]
    assert (unused["kind"], unused["digest"], unused["state"]) == ("", "", "not used")
    assert "the gateway makes one before it serves the version" in unused["reason"]
    assert rows["lightgbm"]["digest"] == rows["lightgbm-s3"]["digest"]  # it is that of the files


@pytest.mark.timeout(600)
def test_show_has_the_manifest_that_the_gateway_has_made_or_would_make(logged):
    served = logged.cli("show", "words:1")
    for words in ("kind sklearn", "city  BYTES [-1]", "run: ", "READY, serves", "Its manifest is not in the registry"):
        assert words in served
    said = json.loads(logged.cli("show", "said:1", "--json"))
    assert (said["manifest"]["max_batch"], said["manifest"]["description"]) == (7, "said by a person")
    unused = logged.cli("show", "unused:1")
    for words in ("kind sklearn", "label  BYTES [-1]", "not used"):
        assert words in unused
    digests = {row["model"]: row["digest"] for row in json.loads(logged.cli("list", "--json"))}
    assert f"digest: {digests['words']}" in served


@pytest.mark.timeout(600)
def test_validate_checks_a_version_without_a_manifest_as_the_gateway_would(logged):
    found = json.loads(logged.cli("validate", "unused:1", "--json"))
    assert found["valid"]
    assert {"signature read", "warm-up"} <= {step["step"] for step in found["steps"]}
    refused = GatewayProcess(logged.gateway.home)
    refused.environment = {**logged.gateway.environment, "POINTSMAN_ALLOW_CODE": "false"}
    done = refused.cli("models", "validate", "pyfunc:1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "POINTSMAN_ALLOW_CODE" in done.stdout


@pytest.mark.timeout(600)
def test_an_alias_is_given_to_a_version_without_a_manifest(logged):
    assert "champion names 1" in logged.cli("alias", "unused:1", "champion")
    done = logged.gateway.cli("models", "alias", "unused:7", "champion")
    assert done.returncode != 0
    assert "no version '7'" in done.stdout + done.stderr
    assert "unused:1" in logged.cli("show", "unused@champion")
