"""Requests carry the same rows in every form, and responses are read in every form."""

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from gateway.protocols import open_inference_pb2 as pb
from loadtests.bench.check import check_server, decode, expected_outputs
from loadtests.bench.grpc_client import infer_request
from loadtests.bench.launch import Form, Launch, StartError
from loadtests.bench.models import WIDE, WIDE_COLUMNS, wide_model, write_wide
from loadtests.bench.payload import HEADER_LENGTH, Payload, http_body, request_body, table
from loadtests.bench.request_files import grpc_data, write_request


def test_json_body_holds_the_rows_with_the_digits_they_were_written_with() -> None:
    (tensor,) = json.loads(request_body())["inputs"]
    assert (tensor["shape"], tensor["datatype"]) == ([1, 30], "FP32")
    assert tensor["data"][:2] == [17.99, 10.38]


@pytest.mark.parametrize("rows", [1, 64])
def test_binary_body_is_a_json_header_and_the_same_numbers(rows: int) -> None:
    body = http_body(Payload("cancer", Form.BINARY, rows))
    header = json.loads(body.content[: body.json_bytes])
    (tensor,) = header["inputs"]
    numbers = np.frombuffer(body.content[body.json_bytes :], np.float32)
    assert tensor["shape"] == [rows, 30]
    assert tensor["parameters"] == {"binary_data_size": numbers.nbytes}
    assert header["parameters"] == {"binary_data_output": True}
    assert body.headers[HEADER_LENGTH] == str(body.json_bytes)
    np.testing.assert_array_equal(numbers.reshape(rows, 30), table("cancer", rows))


def test_json_body_has_no_header_length() -> None:
    assert http_body(Payload("cancer", Form.JSON, 1)).headers == {"content-type": "application/json"}


def test_grpc_request_carries_the_same_bytes() -> None:
    sent = pb.ModelInferRequest.FromString(infer_request("cancer", table("cancer", 4)).SerializeToString())
    assert (sent.model_name, list(sent.inputs[0].shape)) == ("cancer", [4, 30])
    assert sent.raw_input_contents[0] == table("cancer", 4).tobytes()


def test_perf_analyzer_gets_the_rows_as_one_flat_list() -> None:
    (step,) = json.loads(grpc_data(Payload("cancer", Form.GRPC, 4)))["data"]
    assert step["X"] == pytest.approx(table("cancer", 4).ravel().tolist())


def test_request_file_holds_what_is_sent(tmp_path: Path) -> None:
    request = write_request(Payload("cancer", Form.BINARY, 1), tmp_path)
    assert request.file.read_bytes() == http_body(Payload("cancer", Form.BINARY, 1)).content
    assert request.content_bytes == request.file.stat().st_size


def test_wide_request_is_a_megabyte_of_numbers() -> None:
    assert table(WIDE, 1).nbytes == 2**20


def test_wide_model_gives_the_mean_of_each_row(tmp_path: Path) -> None:
    file = write_wide(tmp_path)
    outputs = expected_outputs(file, Payload(WIDE, Form.BINARY, 1))
    assert outputs["mean"] == pytest.approx([float(table(WIDE, 1).mean())], abs=1e-5)
    assert (tmp_path / WIDE / "1" / "model.yaml").exists()
    assert f"{WIDE_COLUMNS}" in (tmp_path / WIDE / "1" / "model.yaml").read_text()


def test_wide_model_is_the_same_each_time_it_is_made() -> None:
    assert wide_model() == wide_model()


def test_json_response_is_read() -> None:
    label = {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1], "parameters": None}
    content = orjson.dumps({"outputs": [label]})
    assert decode(content, None) == {"label": [0, 1]}


def test_binary_response_is_read_in_the_order_of_its_outputs() -> None:
    label, mean = np.array([1], np.int64), np.array([[0.25, 0.5]], np.float32)
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
        {"name": "note", "datatype": "FP32", "shape": [1], "data": [3.5]},
        {"name": "mean", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
    ]
    header = orjson.dumps({"outputs": outputs})
    read = decode(header + label.tobytes() + mean.tobytes(), len(header))
    assert read == {"label": [1], "note": [3.5], "mean": [0.25, 0.5]}


def test_wrong_outputs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launch, payload = Launch("x", 1, []), Payload("cancer", Form.GRPC, 1)
    monkeypatch.setattr("loadtests.bench.grpc_client.infer", lambda *_: {"label": [0.0]})
    check_server(launch, payload, {"label": [0.000001]})
    with pytest.raises(StartError, match="but the model returns"):
        check_server(launch, payload, {"label": [1.0]})
    with pytest.raises(StartError, match="'probabilities'"):
        check_server(launch, payload, {"label": [0.0], "probabilities": [0.5]})
