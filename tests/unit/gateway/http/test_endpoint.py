"""Predictions over a real socket: request, response, and the rows of the log."""

import gzip
import json
import re
import threading
import zlib
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from gateway.execution.latency import LatencyModel
from gateway.protocols import v2_http
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.http.support import connection, head, read_response

BODY = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}


def refused(answer, status: int) -> str:
    """Return the sentence of an error response."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].endswith(".")
    return answer.json()["error"]


def test_a_prediction_is_answered_and_logged_with_the_same_numbers(gateway):
    rows = [[1.0, 0.0, 0.0, 2.0], [-1.0, 0.5, 0.0, 0.0]]
    answer = gateway.infer("plain", *rows, id="my-id", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.status_code == 200
    body = answer.json()
    weights = np.arange(8, dtype="f4").reshape(4, 2) / 8
    scores = np.array(rows, "f4") @ weights
    assert (body["model_name"], body["model_version"], body["id"]) == ("plain", "1", "my-id")
    assert body["outputs"] == [
        {"name": "label", "shape": [2], "datatype": "INT64", "data": scores.argmax(axis=1).tolist()},
        {"name": "scores", "shape": [2, 2], "datatype": "FP32", "data": scores.ravel().tolist()},
    ]
    decision = answer.headers["x-decision-id"]
    assert body["parameters"] == {"decision_id": decision, "arm": "a", "reason": "WEIGHTED", "propensity": 1.0}
    logged = gateway.rows(answer)
    assert [row["inference_id"] for row in logged] == [f"{decision}-0-0", f"{decision}-0-1"]
    assert [row["prediction"] for row in logged] == scores.tolist()
    assert [row["predicted_label"] for row in logged] == [str(label) for label in scores.argmax(axis=1)]
    assert [list(row["features_num"].values()) for row in logged] == rows
    assert {(row["route"], row["arm"], row["model_version"], row["outcome"]) for row in logged} == {
        ("plain", "a", "1", "ok")
    }
    assert {(row["request_id"], row["trace_id"], row["batch_size"]) for row in logged} == {("my-id", "ab" * 16, 2)}


def test_headers_say_what_was_decided(gateway):
    headers = gateway.infer().headers
    assert re.fullmatch("[0-9a-f]{24}", headers["x-decision-id"])
    assert (headers["x-arm"], headers["x-model-version"], headers["x-reason"]) == ("a", "1", "WEIGHTED")
    assert headers["x-propensity"] == "1.0"
    assert "x-error" not in headers


def test_an_answer_without_an_id_gets_one(gateway):
    answer = gateway.infer()
    assert answer.json()["id"] == answer.headers["x-decision-id"]


@pytest.mark.parametrize("path", ["/v2/models/plain/infer/", "/v2/models/plain/infer?x=1", "/v2/models/%70lain/infer"])
def test_other_spellings_of_the_path_are_the_same(gateway, path):
    assert gateway.http.post(path, json=BODY).json()["model_name"] == "plain"


def test_a_content_type_is_not_asked_for(gateway):
    content = gateway.http.build_request("POST", "/", json=BODY).content
    for headers in ({}, {"content-type": "text/plain"}):
        assert gateway.http.post("/v2/models/plain/infer", content=content, headers=headers).status_code == 200


def test_requested_outputs_come_in_their_order(gateway):
    outputs = gateway.infer(outputs=[{"name": "scores"}, {"name": "label"}]).json()["outputs"]
    assert [(output["name"], output["datatype"]) for output in outputs] == [("scores", "FP32"), ("label", "INT64")]
    answer = gateway.infer(outputs=[{"name": "scores"}])
    assert [output["name"] for output in answer.json()["outputs"]] == ["scores"]
    assert gateway.rows(answer)[0]["predicted_label"] is not None  # the log keeps all outputs that it can


@pytest.mark.parametrize("path", ["v2/models/plain/versions/champion/infer", "v1/models/plain/labels/champion:predict"])
def test_any_alias_of_a_served_version_pins_it(gateway, path):
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    body = {"inputs": [tensor]} if path.startswith("v2") else {"instances": [[1, 2, 3, 4]]}
    response = gateway.http.post(path, json=body)
    assert (response.status_code, response.headers["x-model-version"]) == (200, "1")
    assert response.headers["x-reason"] == "PINNED"
    assert gateway.http.post(path.replace("champion", "challenger"), json=body).status_code == 404  # served by no arm


@pytest.mark.parametrize(("version", "arm", "served"), [("1", "a", "1"), ("2", "b", "2"), ("challenger", "b", "2")])
def test_a_version_or_alias_in_the_path_pins_it(gateway, version, arm, served):
    answer = gateway.infer(f"half/versions/{version}", headers={"x-user-id": "u"})
    assert (answer.headers["x-arm"], answer.headers["x-model-version"]) == (arm, served)
    assert answer.json()["model_version"] == served
    assert answer.headers["x-reason"] == "PINNED"
    assert "x-propensity" not in answer.headers
    assert "propensity" not in answer.json()["parameters"]
    (row,) = gateway.rows(answer)
    assert (row["reason"], row["propensity"], row["arm"]) == ("PINNED", None, arm)


@pytest.mark.parametrize("arm", ["a", "b"])
def test_a_header_forces_an_arm(gateway, arm):
    answer = gateway.infer("half", headers={"x-force-arm": arm})
    assert (answer.headers["x-arm"], answer.headers["x-reason"]) == (arm, "FORCED")
    assert "x-propensity" not in answer.headers


def test_a_unit_sticks_to_its_arm_and_is_logged_as_a_hash(gateway):
    arms = {}
    for unit in ("anna", "berta", "carla", "dora", "emma", "frida", "gerda", "hanna"):
        answers = [gateway.infer("half", headers={"X-User-Id": unit}) for _ in range(3)]
        assert {answer.headers["x-reason"] for answer in answers} == {"STICKY"}
        assert {answer.headers["x-propensity"] for answer in answers} == {"0.5"}
        (arms[unit],) = {answer.headers["x-arm"] for answer in answers}
    (row,) = gateway.rows(answers[0], "unit_hash")
    assert re.fullmatch("[0-9a-f]{32}", row["unit_hash"])
    assert set(arms.values()) == {"a", "b"}


def test_without_a_unit_each_request_is_drawn(gateway):
    answers = [gateway.infer("half") for _ in range(40)]
    assert {answer.headers["x-arm"] for answer in answers} == {"a", "b"}  # fails once in 10^12
    assert {answer.headers["x-reason"] for answer in answers} == {"WEIGHTED"}
    assert gateway.rows(answers[0], "unit_hash") == [{"unit_hash": None}]


def test_a_unit_may_be_a_parameter(gateway):
    answers = [gateway.infer("byparameter", parameters={"user": 17}) for _ in range(4)]
    assert {answer.headers["x-reason"] for answer in answers} == {"STICKY"}
    assert len({answer.headers["x-arm"] for answer in answers}) == 1
    assert gateway.infer("byparameter").headers["x-reason"] == "WEIGHTED"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused_with_the_one_that_is_not(gateway, method):
    answer = gateway.http.request(method, "/v2/models/plain/infer")
    assert "takes POST" in refused(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert answer.headers["x-error"] == "WrongMethod"


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("nowhere/infer", "UnknownRoute", "Request for unknown model: 'nowhere' is not found; "),
        ("plain/versions/9/infer", "UnknownVersion", "serves no version or alias '9'"),
        ("plain/else/1/infer", "UnknownRoute", "is not of the form"),
        ("a/b/infer", "UnknownRoute", "is not of the form"),
        ("/infer", "UnknownRoute", "is not of the form"),
    ],
)
def test_what_is_not_there_is_said(gateway, path, error, said):
    answer = gateway.http.post(f"/v2/models/{path}", json=BODY)
    assert said in refused(answer, 404)
    assert answer.headers["x-error"] == error


def test_an_unknown_arm_is_said(gateway):
    answer = gateway.infer("half", headers={"x-force-arm": "z"})
    assert refused(answer, 404) == "Route half has no arm 'z'; its arms are a, b."
    assert [row["outcome"] for row in gateway.rows(answer)] == ["rejected"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"inputs": []}', b"\xff"])
def test_a_rejected_request_is_a_row(gateway, content):
    answer = gateway.http.post("/v2/models/plain/infer", content=content)
    refused(answer, 400)
    (row,) = gateway.rows(answer)
    assert (row["outcome"], row["status"], row["error_code"], row["route"]) == ("rejected", 400, "BadRequest", "plain")
    assert (row["arm"], row["model_name"], row["propensity"], row["batch_size"]) == ("", "", None, 0)
    assert (row["features_num"], row["prediction"], row["predicted_label"]) == ({}, None, None)


def test_an_encoding_that_is_not_supported_is_refused(gateway):
    answer = gateway.http.post("/v2/models/plain/infer", json=BODY, headers={"content-encoding": "br"})
    assert "'br' is not supported" in refused(answer, 400)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_body_is_answered_and_so_is_who_wants_it_compressed(gateway, coding):
    plain = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [500, 4], "data": [0.25] * 2000}]})
    content = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](plain.encode())
    headers = {"content-encoding": coding, "accept-encoding": coding}
    answer = gateway.http.post("/v2/models/plain/infer", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, coding)
    assert answer.json()["outputs"][1]["shape"] == [500, 2]
    headers = {"content-encoding": coding, "accept-encoding": "identity"}
    answer = gateway.http.post("/v2/models/plain/infer", content=content, headers=headers)
    assert "content-encoding" not in answer.headers
    assert answer.json()["outputs"][1]["shape"] == [500, 2]


def test_a_bomb_is_not_unpacked(gateway):
    content = gzip.compress(bytes(50_000_000), 1)
    answer = gateway.http.post("/v2/models/plain/infer", content=content, headers={"content-encoding": "gzip"})
    assert "larger than 1000000 bytes when decompressed" in refused(answer, 413)


def test_a_route_answers_v1(gateway):
    answer = gateway.http.post("/v1/models/half:predict", json={"instances": [[1, 2, 3, 4]]})
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 1
    assert gateway.rows(answer, "arm, outcome") == [{"arm": answer.headers["x-arm"], "outcome": "ok"}]
    assert gateway.http.post("/v1/models/a/b:predict", json={"instances": []}).status_code == 404
    assert "takes POST" in refused(gateway.http.get("/v1/models/half:predict"), 405)


def test_an_identity_encoding_is_none(gateway):
    answer = gateway.http.post("/v2/models/plain/infer", json=BODY, headers={"content-encoding": "identity"})
    assert answer.status_code == 200


def test_a_batch_of_none_is_answered(gateway):
    tensor = {"name": "X", "datatype": "FP32", "shape": [0, 4], "data": []}
    answer = gateway.http.post("/v2/models/plain/infer", json={"inputs": [tensor]})
    assert [(output["shape"], output["data"]) for output in answer.json()["outputs"]] == [([0], []), ([0, 2], [])]
    assert len(gateway.rows(answer)) == 1


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_the_limit_is_refused_and_the_next_one_answered(gateway, declared):
    large = b" " * 1_300_000
    pieces = (large[start : start + 100_000] for start in range(0, len(large), 100_000))
    answer = gateway.http.post("/v2/models/plain/infer", content=large if declared else pieces)
    assert refused(answer, 413) == "The body is larger than 1000000 bytes; send fewer instances at a time."
    assert [(row["outcome"], row["status"]) for row in gateway.rows(answer)] == [("rejected", 413)]
    assert gateway.infer().status_code == 200


@pytest.mark.parametrize("path", ["nowhere/infer", "a/b/c/infer"])
def test_a_body_beyond_the_limit_for_what_is_not_there_is_not_found(gateway, path):
    answer = gateway.http.post(f"/v2/models/{path}", content=b" " * 1_300_000)
    refused(answer, 404)


def test_a_body_beyond_the_limit_that_is_announced_is_never_sent(gateway):
    with connection(gateway) as opened:
        opened.sendall(head(1_300_000, "Expect: 100-continue"))
        answer = read_response(opened)
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert opened.recv(1) == b""  # the next bytes could be the body or a request


@pytest.mark.parametrize("data", ["[" * 50_000 + "]" * 50_000, '[1,2,3,4]}],"id":"\udcff"}'], ids=["deep", "not UTF-8"])
def test_a_body_that_no_parser_likes_is_the_callers_fault(gateway, data):
    content = ('{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":' + data).encode(
        "utf-8", "surrogateescape"
    )
    refused(gateway.http.post("/v2/models/plain/infer", content=content), 400)


def test_a_deadline_that_no_model_meets_is_said_and_recorded(gateway):
    for asked in ({"headers": {"x-deadline-ms": "0.001"}}, {"parameters": {"timeout": 1}}):
        answer = gateway.infer(**asked)
        assert "it was not started" in refused(answer, 504)
        assert answer.headers["x-error"] == "TooLate"
        assert gateway.rows(answer, "outcome, status") == [{"outcome": "timeout", "status": 504}]


def test_a_deadline_that_is_met_and_one_that_is_none_change_nothing(gateway):
    assert gateway.infer(headers={"x-deadline-ms": "5000"}, parameters={"timeout": 0}).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"headers": {"x-deadline-ms": "soon"}},
        {"headers": {"x-deadline-ms": "nan"}},
        {"parameters": {"timeout": "soon"}},
        {"parameters": {"timeout": True}},
    ],
)
def test_a_malformed_deadline_is_refused(gateway, asked):
    answer = gateway.infer(**asked)
    assert "must be a positive number" in refused(answer, 400)
    assert gateway.rows(answer, "outcome, status") == [{"outcome": "rejected", "status": 400}]


@contextmanager
def slow_route(gateway):
    """Give the route a model that waits in a thread."""
    executor, release = gateway.replica._holder.current.routes["plain"].arms[0].lane.executor, threading.Event()
    runtime, latency = executor._runtime, executor.latency
    run = runtime.run

    def wait(inputs, outputs):
        release.wait(PATIENCE_S)
        return run(inputs, outputs)

    runtime.run, executor.latency = wait, LatencyModel(1.0)
    try:
        yield release
    finally:
        release.set()
        runtime.run, executor.latency = run, latency


def test_beyond_the_limit_of_requests_in_flight_callers_are_told_to_wait(gateway, monkeypatch):
    monkeypatch.setattr(gateway.replica._endpoint.service, "_max_in_flight", 2)
    answers = []
    with slow_route(gateway) as release:
        threads = [threading.Thread(target=lambda: answers.append(gateway.infer())) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: gateway.replica.in_flight() == 2)
        answer = gateway.infer()
        assert refused(answer, 429) == "2 requests are in flight already; try again in a second."
        assert answer.headers["retry-after"] == "1"
        assert gateway.rows(answer) == []
        release.set()
        for thread in threads:
            thread.join()
    assert [each.status_code for each in answers] == [200, 200]
    assert gateway.infer().status_code == 200


def test_a_slow_model_does_not_hold_up_the_others(gateway):
    with slow_route(gateway) as release:
        slow = threading.Thread(target=gateway.infer)
        slow.start()
        wait_until(lambda: gateway.replica.in_flight() == 1)
        assert gateway.infer("half/versions/2").status_code == 200  # the other model
        assert slow.is_alive()
        release.set()
        slow.join()


def test_the_probe_answers(gateway):
    answer = gateway.http.get("/-/healthz")
    assert (answer.status_code, answer.text) == (200, "success")


@pytest.mark.parametrize(
    ("rows", "headers", "in_thread"),
    [(1, {}, False), (1, {"content-encoding": "gzip"}, True), (20_000, {}, True)],
    ids=["small", "packed", "large"],
)
def test_large_bodies_are_decoded_and_encoded_outside_of_the_loop(gateway, monkeypatch, rows, headers, in_thread):
    threads = []
    for name in ("decode", "encode"):
        before = getattr(v2_http, name)

        def noted(*given: Any, before=before, name=name):
            threads.append((name, threading.current_thread().name.startswith("pointsman-offload")))
            return before(*given)

        monkeypatch.setattr(v2_http, name, noted)
    tensor = {"name": "X", "datatype": "FP32", "shape": [rows, 4], "data": [0.125] * (rows * 4)}
    content = json.dumps({"inputs": [tensor]}).encode()
    if headers:
        content = gzip.compress(content)
    answer = gateway.http.post("/v2/models/plain/infer", content=content, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["shape"] == [rows]
    assert threads == [("decode", in_thread), ("encode", rows > 1)]


def test_statistics_count_the_requests_that_were_answered_just_before(gateway):
    def count():
        (found,) = gateway.http.get("/v2/models/plain/stats").json()["model_stats"]
        return found["inference_count"]

    before = count()
    for answered in range(1, 4):
        assert gateway.infer().status_code == 200
        assert count() == before + answered
