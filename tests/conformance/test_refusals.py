"""Errors are as each client's users expect: its own class, the protocol's status, and our sentence."""

import numpy as np
import pytest

from tests.conformance.foreign import KINDS, V2, Request
from tests.conformance.samples import NO_TEXT, tensor

EVERY_V2 = pytest.mark.parametrize("client", V2, indirect=True)
POINTS = tensor("X", np.zeros((2, 2), np.float32))
CLASS_OF = {
    "triton_http": "InferenceServerException",
    "triton_http_aio": "InferenceServerException",
    "triton_grpc": "InferenceServerException",
    "triton_grpc_aio": "InferenceServerException",
    "kserve_v2": "HTTPStatusError",
    "kserve_grpc": "AioRpcError",
    "mlserver_http": "HTTPStatusError",
    "mlserver_grpc": "_InactiveRpcError",
    "curl": "Refused",
}


def check(client, raised, http: str, grpc: str, words: str) -> None:
    name = client.kind.name
    assert raised.kind == CLASS_OF[name], raised
    assert raised.status == (f"StatusCode.{grpc}" if client.kind.is_grpc else http), raised
    assert words in raised.sentence
    assert "while decoding" not in raised.sentence


@EVERY_V2
def test_an_unknown_route(client, refused):
    raised = refused(lambda: client.infer(Request("nobody", (POINTS,))))
    check(client, raised, "404", "NOT_FOUND", "nobody")


@pytest.mark.parametrize("client", [name for name in V2 if name != "kserve_v2"], indirect=True)
@pytest.mark.parametrize("version", ["99", "challenger"])
def test_an_unknown_version(client, refused, version):
    raised = refused(lambda: client.infer(Request("colours", (POINTS,), version=version)))
    check(client, raised, "404", "NOT_FOUND", version)


@EVERY_V2
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (tensor("Z", np.zeros((2, 2), np.float32)), "X"),
        (tensor("X", np.zeros((2, 2), np.float64)), "FP64"),
        (tensor("X", np.zeros((2, 5), np.float32)), "[2, 5]"),
        (tensor("X", np.zeros(2, np.float32)), "[2]"),
    ],
    ids=["name", "datatype", "width", "rank"],
)
def test_an_input_that_does_not_fit(client, refused, given, words):
    for binary_in, binary_out in client.kind.encodings:
        request = Request("colours", (given,), binary_in=binary_in, binary_out=binary_out)
        check(client, refused(lambda request=request: client.infer(request)), "400", "INVALID_ARGUMENT", words)


@EVERY_V2
def test_an_output_that_there_is_not(client, refused):
    raised = refused(lambda: client.infer(Request("colours", (POINTS,), ("nothing",))))
    check(client, raised, "400", "INVALID_ARGUMENT", "nothing")


@pytest.mark.parametrize("client", [name for name in V2 if (True, True) in KINDS[name].encodings], indirect=True)
def test_bytes_that_are_no_text_cannot_be_answered_by_onnx_runtime(client, refused):
    given = tensor("X", np.array(NO_TEXT, np.object_))
    raised = refused(lambda: client.infer(Request("list-bytes", (given,))))
    check(client, raised, "422", "INVALID_ARGUMENT", "UTF-8")


@pytest.mark.parametrize("client", [name for name in V2 if (True, True) in KINDS[name].encodings], indirect=True)
def test_bytes_that_onnx_runtime_does_not_take(client, refused):
    given = tensor("X", np.array([*NO_TEXT, b"of another length"], np.object_))
    raised = refused(lambda: client.infer(Request("list-bytes", (given,))))
    check(client, raised, "422", "INVALID_ARGUMENT", "UTF-8")


@pytest.mark.parametrize("client", [name for name in V2 if name.startswith("triton")], indirect=True)
def test_a_deadline_that_has_passed(client, refused):
    raised = refused(lambda: client.infer(Request("colours", (POINTS,), timeout_us=1)))
    check(client, raised, "504", "DEADLINE_EXCEEDED", ".")


@pytest.mark.parametrize("client", [name for name in V2 if (True, True) in KINDS[name].encodings], indirect=True)
def test_a_tensor_beyond_the_limit(client, refused):
    given = tensor("X", np.zeros((5, 1_000_000), np.float32))
    raised = refused(lambda: client.infer(Request("grid-fp32", (given,))))
    # gRPC's own server refuses messages beyond the limit, before the gateway sees them.
    check(client, raised, "413", "RESOURCE_EXHAUSTED", "large")
