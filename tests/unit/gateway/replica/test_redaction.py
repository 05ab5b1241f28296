"""A route that redacts: no value of a redacted feature is in any file of the home, whatever request brought it."""

import contextlib
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import helper
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.query import run_query
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import DEAD_LETTER
from runtimes.manifest import TensorSpec
from store.open import open_store
from tests.support import replica
from tests.support.linear import fill
from tests.support.models import onnx_content, write_version
from tests.support.polling import wait_until
from tests.support.ports import free_port

MARKER = b"Mk7qZw"
"""Begins each text that must not be found."""
TAG = b"Qr5tYp"
"""May be found: it is a tag."""
NUMBER = 73519.25
"""Is the number that must not be found."""
INPUTS = (
    TensorSpec("email", "BYTES", (-1, 1)),
    TensorSpec("iban", "BYTES", (-1, 1)),
    TensorSpec("note", "BYTES", (-1, 1)),
    TensorSpec("X", "FP64", (-1, 2), columns=("age", "amount")),
    TensorSpec("id", "FP64", (-1, 1)),
)
OUTPUTS = (TensorSpec("label", "BYTES", (-1, 1)), TensorSpec("scores", "FP64", (-1, 1)))
REDACT = {"email": "hmac", "iban": "mask", "note": "drop", "age": "bucket 10", "id": "drop"}
ROUTE = {
    "route": "people",
    "arms": {"a": "people:1", "b": "people:1"},
    "split": {"a": "100%", "b": "0%"},
    "shadow": [{"arm": "b", "placement": "replica"}],
    "log": {"redact": REDACT},
}


BODIES = {"route": "bodies", "arms": {"a": "linear:1"}, "split": {"a": "100%"}, "log": {"payloads": True}}
MAX_BODY = 1000


def publish(root: Path) -> None:
    """Write a model that answers the e-mail, and whose run fails if the note is no number."""
    nodes = [
        helper.make_node("Identity", ["email"], ["label"]),
        helper.make_node("Cast", ["note"], ["number"], to=11),
        helper.make_node("Mul", ["number", "zero"], ["nothing"]),
        helper.make_node("Gather", ["X", "one"], ["amount"], axis=1),
        helper.make_node("Add", ["nothing", "amount"], ["scores"]),
    ]
    constants = {"zero": np.zeros((1, 1)), "one": np.array([1])}
    content = onnx_content(nodes, INPUTS, OUTPUTS, constants)
    write_version(root, "people", "1", content, inputs=INPUTS, outputs=OUTPUTS)


@pytest.fixture
def people(tmp_path) -> Path:
    registry = fill(tmp_path / "models")
    publish(registry)
    return registry


def tensors(note: str) -> list[dict[str, Any]]:
    texts = {"email": f"{MARKER.decode()}@x.org", "iban": f"{MARKER.decode()}0417", "note": note}
    made = [{"name": name, "datatype": "BYTES", "shape": [1, 1], "data": [text]} for name, text in texts.items()]
    numbers = {"X": [NUMBER, 5.0], "id": [NUMBER]}
    return made + [
        {"name": name, "datatype": "FP64", "shape": [1, len(values)], "data": values}
        for name, values in numbers.items()
    ]


def rows(note: str) -> list[dict[str, Any]]:
    return [{each["name"]: each["data"][0] if len(each["data"]) == 1 else each["data"] for each in tensors(note)}]


def over_grpc(port: int, note: str) -> None:
    inputs = []
    for each in tensors(note):
        made = InferInput(each["name"], each["shape"], each["datatype"])
        kind = object if each["datatype"] == "BYTES" else np.float64
        data = [value.encode() if isinstance(value, str) else value for value in each["data"]]
        made.set_data_from_numpy(np.array(data, kind).reshape(each["shape"]))
        inputs.append(made)
    with InferenceServerClient(f"127.0.0.1:{port}") as client:
        client.infer("people", inputs, headers={"x-tags": f"team={TAG.decode()}"})


def found(home: Path, values: list[bytes]) -> list[str]:
    """Return the files that hold one of the values, and the Parquet files in which a column does."""
    while True:
        with contextlib.suppress(FileNotFoundError):  # a segment became Parquet after it was listed
            return _holding(home, values)


def _holding(home: Path, values: list[bytes]) -> list[str]:
    files = []
    for path in sorted(each for each in home.rglob("*") if each.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
        if any(value in content for value in values):
            files.append(str(path.relative_to(home)))
    return files


def secrets() -> list[bytes]:
    return [MARKER, str(NUMBER).encode(), np.float64(NUMBER).tobytes(), np.float32(NUMBER).tobytes()]


def check_bodies(gateway: replica.Gateway, port: int) -> None:
    """Send requests to a route that keeps bodies, and look into the table `payloads`."""
    answer = gateway.infer("bodies", [1, 2, 3, 4], id="x1")
    wrong = gateway.http.post("/v1/models/bodies:predict", content=b"{", headers={"content-type": "application/json"})
    large = gateway.infer("bodies", *[[1, 2, 3, 4]] * 200)
    assert (answer.status_code, wrong.status_code, large.status_code) == (200, 400, 200)
    with InferenceServerClient(f"127.0.0.1:{port}") as client:
        tensor = InferInput("X", [1, 4], "FP32")
        tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
        client.infer("bodies", [tensor])
        with pytest.raises(InferenceServerException):
            client.infer("bodies", [tensor], model_version="9")
    columns, found = run_query(
        DirectoryFiles(gateway.home / "log"), gateway.home / "spool", "FROM payloads ORDER BY answered_ts_us"
    )
    first, refused, cut, grpc, missing = (dict(zip(columns, row, strict=True)) for row in found)
    assert (first["decision_id"], first["door"]) == (answer.headers["x-decision-id"], "v2")
    assert (first["request"], first["response"]) == (answer.request.content, answer.content)
    assert (first["request_bytes"], first["request_cut"]) == (len(answer.request.content), False)
    assert (first["request_type"], first["response_type"], first["request_encoding"]) == (
        "application/json", "application/json", None,
    )  # fmt: skip
    assert (refused["status"], refused["request"], refused["response"]) == (400, b"{", wrong.content)
    assert (cut["request"], cut["request_cut"]) == (large.request.content[:MAX_BODY], True)
    assert (gzip.decompress(cut["response"]), cut["response_encoding"]) == (large.content, "gzip")  # as it went
    assert (grpc["door"], grpc["status"], missing["status"]) == ("grpc", 200, 404)
    assert ModelInferRequest.FromString(grpc["request"]).model_name == "bodies"
    assert ModelInferResponse.FromString(grpc["response"]).model_name == "bodies"
    assert {row["route"] for row in (first, refused, cut, grpc, missing)} == {"bodies"}


def test_no_redacted_value_is_in_any_file_and_only_wanted_bodies_are_kept(tmp_path, people, serving, declare):
    home, port = tmp_path / "home", free_port()
    settings = replica.settings_of(people, home, grpc_port=port, log_max_payload_bytes=MAX_BODY)
    store = open_store(settings.store)
    declare(store, ROUTE)
    declare(store, BODIES)
    store.close()
    with serving(settings) as gateway:
        good, bad = "0", f"{MARKER.decode()} is no number"
        shadowed = "route = 'people' AND role = 'shadow' AND outcome = 'ok'"
        v2, v1 = "/v2/models/people/infer", "/v1/models/people:predict"
        post: Callable[..., Any] = gateway.http.post
        for note, status in ((good, 200), (bad, 0)):
            answers = [
                post(v2, json={"inputs": tensors(note)}, headers={"x-tags": f"team={TAG.decode()}"}),
                post(v1, json={"instances": rows(note)}),
                post("/endpoints/people/invocations", json={"instances": rows(note)}),
            ]
            assert all((answer.status_code == 200) == (status == 200) for answer in answers), answers
            if status:
                over_grpc(port, note)
                # The failures below open the breaker of the version, which is the shadow's, too.
                wait_until(lambda: len(gateway.found(shadowed)) == 4)
            else:
                with pytest.raises(InferenceServerException):
                    over_grpc(port, note)
        broken = tensors(good)
        broken[3]["data"] = [MARKER.decode(), NUMBER]
        assert post(v2, json={"inputs": broken}).status_code == 400
        assert post(v2, json={"inputs": [*tensors(good), {**broken[0], "name": "more"}]}).status_code == 400
        assert post(v2, content=MARKER * 100).status_code == 400
        assert post(v1, json={"instances": [{**rows(good)[0], "age": MARKER.decode()}]}).status_code == 400
        logged = gateway.found("route = 'people' AND role = 'primary' AND outcome = 'ok'")
        assert [row["door"] for row in sorted(logged, key=lambda row: row["event_ts_us"])] == [
            "v2", "v1", "invocations", "grpc",
        ]  # fmt: skip
        assert {tuple(row["features_num"].items()) for row in logged} == {(("age", 73510.0), ("amount", 5.0))}
        assert {row["predicted_label"] for row in logged} == {"[redacted]"}
        (cats,) = {tuple(row["features_cat"].items()) for row in logged}
        assert cats[1] == ("iban", "xx9xxx9999")
        assert len({row["redaction"] for row in logged}) == 1
        assert [row["tags"] for row in logged if row["door"] == "grpc"] == [{"team": TAG.decode()}]
        errors = gateway.found("route = 'people' AND outcome <> 'ok'")
        assert {row["outcome"] for row in errors} == {"rejected", "error"}
        assert {row["predicted_label"] for row in gateway.found(shadowed)} == {"[redacted]"}
        check_bodies(gateway, port)
        (segment,) = found(home, [TAG])  # the search finds what is there
        assert found(home, secrets()) == []
        (settings.spool / DEAD_LETTER).mkdir()
        shutil.copy(home / segment, settings.spool / DEAD_LETTER)
    Shipper(settings.spool, LocalConverter(DirectorySink(home / "log"))).tick()
    assert {name.split("/")[0] for name in found(home, [TAG])} == {"log", "spool"}
    assert found(home, secrets()) == []
