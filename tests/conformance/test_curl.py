"""Plain HTTP beside the other clients: compression as curl requests it, and NaN in JSON."""

import json
import math

import pytest

CURL = pytest.mark.parametrize("client", ["curl"], indirect=True)


def post(client, path: str, body: str, headers: dict[str, str] | None = None, options: tuple[str, ...] = ()):
    return client.call("post", path=path, body=body, headers=headers or {}, options=options)


def rows(data: str, count: int = 1) -> str:
    return f'{{"inputs": [{{"name": "X", "datatype": "FP32", "shape": [{count}, 3], "data": {data}}}]}}'


@CURL
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_large_response_is_compressed_for_a_client_that_takes_it(client, encoding):
    body = rows(json.dumps([0.5] * 3000), 1000)
    plain, headers = post(client, "/v2/models/rows-fp32/infer", body)
    assert "content-encoding" not in headers
    options = ("--compressed", "-H", f"Accept-Encoding: {encoding}")
    compressed, headers = post(client, "/v2/models/rows-fp32/infer", body, options=options)
    assert headers["content-encoding"] == [encoding]
    assert compressed["outputs"] == plain["outputs"]


@CURL
@pytest.mark.parametrize("data", ["[1.5, NaN, -Infinity]", '[1.5, "NaN", "-Infinity"]', "[[1.5, NaN, -Infinity]]"])
def test_numbers_that_json_has_no_word_for_are_null_and_named(client, data):
    response, _ = post(client, "/v2/models/rows-fp32/infer", rows(data))
    (output,) = response["outputs"]
    assert output["data"] == [1.5, None, None]
    assert output["parameters"]["non_finite"] == "NaN -Infinity"
    assert not any(isinstance(each, float) and math.isnan(each) for each in output["data"])


@CURL
def test_the_decision_is_in_the_headers(client):
    response, headers = post(client, "/v2/models/rows-fp32/infer", rows("[1, 2, 3]"))
    assert headers["x-decision-id"] == [response["parameters"]["decision_id"]]
    assert headers["x-arm"] == ["only"]
    assert headers["x-model-version"] == ["1"]
