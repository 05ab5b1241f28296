"""Each kind of model, published with one command, over each protocol, beside the model run directly."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import yaml

from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from runtimes.datatypes import NUMPY_OF, tensor_bytes, tensor_of_bytes
from tests.support.gateway_process import GatewayProcess
from tests.support.kinds import Kind, Tensors, kinds

CLIENTS = 32
REQUESTS = 64
METHOD = "/inference.GRPCInferenceService/ModelInfer"
KINDS = [
    "onnx", "onnx-two-inputs", "onnx-batch-1", "onnx-strings", "onnx-half", "onnx-wave", "onnx-time-major",
    "onnx-quantized", "onnx-zipmap", "onnx-external", "sklearn-frame", "sklearn-named", "sklearn-text",
    "sklearn-multi-output", "sklearn-outliers", "lightgbm", "xgboost", "catboost",
]  # fmt: skip


class Clients:
    """An HTTP client and a gRPC channel, for all threads."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.http = httpx.Client(timeout=60.0, trust_env=False, limits=httpx.Limits(max_connections=CLIENTS))
        self._channel = grpc.insecure_channel(gateway.grpc)
        self._infer = self._channel.unary_unary(
            METHOD,
            request_serializer=ModelInferRequest.SerializeToString,
            response_deserializer=ModelInferResponse.FromString,
        )

    def infer(self, request: ModelInferRequest) -> ModelInferResponse:
        """Send one gRPC call."""
        return self._infer(request, timeout=60.0)

    def close(self) -> None:
        """End all connections."""
        self.http.close()
        self._channel.close()


@dataclass(frozen=True)
class Served:
    """A kind behind a route: its inputs and outputs as callers see them, in the protocol's JSON."""

    kind: Kind
    gateway: GatewayProcess
    clients: Clients
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]

    def tensors(self, request: Tensors) -> Tensors:
        """Return a request in the form of the inputs: columns beside each other, elements as strings of bytes."""
        if len(self.inputs) == 1 and self.inputs[0]["name"] not in request:
            (only,) = self.inputs
            given = {
                only["name"]: np.stack(list(request.values()), 1) if len(request) > 1 else next(iter(request.values()))
            }
        else:
            given = dict(request)
        return {each["name"]: _as_tensor(given[each["name"]], each) for each in self.inputs}


def _as_tensor(array: Any, spec: Mapping[str, Any]) -> Any:
    if array.ndim == 1 and len(spec["shape"]) == 2:
        array = array[:, None]
    if spec["datatype"] == "BYTES":
        return tensor_of_bytes([str(each).encode() for each in array.ravel().tolist()], array.shape)
    return array.astype(NUMPY_OF[spec["datatype"]])


@pytest.fixture(scope="module")
def published(gateway) -> Iterator[dict[str, Served]]:
    """Publish a model of each kind with the command line, and declare a route for each."""
    made, specs = kinds(), gateway.home / "kinds"
    specs.mkdir()

    def publish(kind: Kind) -> None:
        folder = gateway.home / "made" / kind.name
        folder.mkdir(parents=True)
        kind.write(folder)
        done = gateway.cli("models", "add", f"{kind.name}:1", str(folder), *kind.said, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        spec = {"route": kind.name, "arms": {"only": f"{kind.name}:1"}, "split": {"only": "100%"}}
        (specs / f"{kind.name}.yaml").write_text(yaml.safe_dump(spec))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(publish, made))
    done = gateway.cli("apply", "-f", str(specs))
    assert done.returncode == 0, done.stdout + done.stderr
    clients, found = Clients(gateway), {}
    for kind in made:
        described = httpx.get(f"{gateway.url}/v2/models/{kind.name}").json()
        found[kind.name] = Served(kind, gateway, clients, described["inputs"], described["outputs"])
    yield found
    clients.close()


def _values(array: Any) -> Any:
    """Return what JSON holds of a tensor."""
    return [each.decode() for each in array.ravel().tolist()] if array.dtype == object else array.ravel().tolist()


def _nested(array: Any) -> Any:
    return np.vectorize(bytes.decode, otypes=[object])(array).tolist() if array.dtype == object else array.tolist()


def v2_json(served: Served, inputs: Tensors) -> Tensors:
    tensors = [
        {**spec, "shape": list(inputs[spec["name"]].shape), "data": _values(inputs[spec["name"]])}
        for spec in served.inputs
    ]
    answer = served.clients.http.post(
        f"{served.gateway.url}/v2/models/{served.kind.name}/infer", json={"inputs": tensors}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return {each["name"]: np.array(each["data"], object).reshape(each["shape"]) for each in answer.json()["outputs"]}


def v2_binary(served: Served, inputs: Tensors) -> Tensors:
    contents = [tensor_bytes(inputs[spec["name"]]) for spec in served.inputs]
    tensors = [
        {**spec, "shape": list(inputs[spec["name"]].shape), "parameters": {"binary_data_size": len(content)}}
        for spec, content in zip(served.inputs, contents, strict=True)
    ]
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    answer = served.clients.http.post(
        f"{served.gateway.url}/v2/models/{served.kind.name}/infer",
        content=head + b"".join(contents),
        headers={"inference-header-content-length": str(len(head))},
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    outputs, at = json.loads(answer.content[:length])["outputs"], length
    found = {}
    for each in outputs:
        size = each["parameters"]["binary_data_size"]
        found[each["name"]] = _read(each, answer.content[at : at + size])
        at += size
    return found


def _read(spec: Mapping[str, Any], content: bytes) -> Any:
    if spec["datatype"] != "BYTES":
        return np.frombuffer(content, NUMPY_OF[spec["datatype"]]).reshape(spec["shape"])
    elements, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<I", content, at)
        elements.append(content[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(elements, object).reshape(spec["shape"])


def v2_grpc(served: Served, inputs: Tensors) -> Tensors:
    tensors = [
        ModelInferRequest.InferInputTensor(
            name=spec["name"], datatype=spec["datatype"], shape=inputs[spec["name"]].shape
        )
        for spec in served.inputs
    ]
    raw = [tensor_bytes(inputs[spec["name"]]) for spec in served.inputs]
    request = ModelInferRequest(model_name=served.kind.name, inputs=tensors, raw_input_contents=raw)
    answer = served.clients.infer(request)
    return {
        each.name: _read({"datatype": each.datatype, "shape": list(each.shape)}, content)
        for each, content in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def v1(served: Served, inputs: Tensors) -> Tensors:
    body = {"inputs": {name: _nested(array) for name, array in inputs.items()}}
    answer = served.clients.http.post(f"{served.gateway.url}/v1/models/{served.kind.name}:predict", json=body)
    assert answer.status_code == 200, answer.text
    return _columns(served, answer.json()["predictions"])


def invocations(served: Served, inputs: Tensors) -> Tensors:
    body = {"inputs": {name: _nested(array) for name, array in inputs.items()}}
    answer = served.clients.http.post(f"{served.gateway.url}/endpoints/{served.kind.name}/invocations", json=body)
    assert answer.status_code == 200, answer.text
    return _columns(served, answer.json()["predictions"])


def _columns(served: Served, predictions: Any) -> Tensors:
    """Return the outputs by name. They lie row by row in predictions, or column by column as MLflow answers ONNX."""
    if isinstance(predictions, dict):
        return {name: np.array(column, object) for name, column in predictions.items()}
    if predictions and isinstance(predictions[0], dict):
        return {name: np.array([row[name] for row in predictions], object) for name in predictions[0]}
    name = "label" if any(each["name"] == "label" for each in served.outputs) else served.outputs[0]["name"]
    return {name: np.array(predictions, object)}


PROTOCOLS: dict[str, Callable[[Served, Tensors], Tensors]] = {
    "v2-json": v2_json, "v2-binary": v2_binary, "grpc": v2_grpc, "v1": v1, "invocations": invocations
}  # fmt: skip


@pytest.fixture(params=KINDS)
def served(request, published) -> Served:
    return published[request.param]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_answer_is_that_of_the_model_run_directly(served, protocol):
    if protocol in ("v2-json", "v1", "invocations") and any(each["datatype"] == "FP16" for each in served.inputs):
        pytest.skip("JSON carries no FP16")
    ask = PROTOCOLS[protocol]

    def differs(number: int) -> str:
        request = served.kind.request(np.random.default_rng(number), 1 + number % 4)
        answers, expected = ask(served, served.tensors(request)), served.kind.answer(request)
        assert answers, "no output"
        for name, answer in answers.items():
            want = np.asarray(expected[name])
            got = np.array(answer, object).reshape(want.shape)
            if want.dtype.kind in "OUSb":
                same = [str(each) for each in got.ravel()] == [str(each) for each in want.ravel()]
            else:
                same = np.allclose(
                    got.astype(np.float64), want.astype(np.float64), rtol=1e-4, atol=1e-5, equal_nan=True
                )
            if not same:
                return f"{name} of request {number} is {got.tolist()}, and must be {want.tolist()}"
        return ""

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert [found for found in pool.map(differs, range(REQUESTS)) if found] == []


def test_the_matrix_has_every_kind():
    assert [kind.name for kind in kinds()] == KINDS
