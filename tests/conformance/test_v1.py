"""V1, as KServe's client and curl speak it."""

import numpy as np
import pytest

from tests.conformance.foreign import Request
from tests.conformance.samples import tensor

POINTS = [[0.3, -1.7], [2.5, 0.1]]
BOTH = pytest.mark.parametrize("client", ["kserve_v1", "curl"], indirect=True)


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        {"instances": POINTS},
        {"inputs": POINTS},
        {"instances": [{"width": 0.3, "height": -1.7}, {"width": 2.5, "height": 0.1}]},
        {"instances": [{"X": POINTS[0]}, {"X": POINTS[1]}]},
        {"inputs": {"X": POINTS}},
    ],
    ids=["instances", "inputs", "columns", "named", "tensors"],
)
def test_rows_are_predicted(client, foreign, body):
    response = client.call("predict", route="colours", body=body, headers={})
    reference = foreign("triton_grpc").infer(Request("colours", (tensor("X", np.array(POINTS, np.float32)),)))
    scores = np.array([row["scores"] for row in response["predictions"]], np.float32)
    assert scores.tolist() == reference.array("scores").tolist()
    assert [row["label"] for row in response["predictions"]] == reference.array("label").tolist()


@BOTH
@pytest.mark.parametrize(
    ("route", "rows"),
    [
        ("rows-int64", [[2**63 - 1, -(2**63), 0]]),
        ("rows-uint64", [[2**64 - 1, 0, 1]]),
        ("rows-bool", [[True, False, True]]),
        ("rows-bytes", [["grün 😀", "", 'a"b']]),
        ("rows-fp64", [[1e308, -0.1, 1 / 3]]),
        ("list-fp32", [0.5, 1.5]),
        ("list-bytes", ["a", "b"]),
        ("rows-fp32", []),
    ],
)
def test_one_output_comes_back_as_rows(client, route, rows):
    assert client.call("predict", route=route, body={"instances": rows}, headers={}) == {"predictions": rows}


@BOTH
def test_headers_reach_the_gateway(client):
    usual = client.call("predict", route="colours", body={"instances": POINTS}, headers={})
    forced = client.call("predict", route="colours", body={"instances": POINTS}, headers={"x-force-arm": "canary"})
    assert usual != forced


@BOTH
@pytest.mark.parametrize(
    ("route", "body", "status", "words"),
    [
        ("nobody", {"instances": POINTS}, "404", "nobody"),
        ("colours", {"instances": 7}, "400", 'Expected "instances" to be a list'),
        ("colours", {"instances": [[1, 2, 3]]}, "400", "[1, 3]"),
        ("colours", {"instances": [["a", "b"]]}, "400", "'a'"),
        ("rows-fp16", {"instances": [[1, 2, 3]]}, "400", "FP16"),
    ],
)
def test_refusals(client, refused, route, body, status, words):
    raised = refused(lambda: client.call("predict", route=route, body=body, headers={}))
    assert raised.status == status
    assert words in raised.sentence
