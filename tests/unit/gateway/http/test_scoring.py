"""`/invocations` and `/endpoints/ROUTE/invocations` over a real socket: the same predictions, headers and log."""

import numpy as np
import pytest

from gateway.errors import Unauthenticated
from gateway.http.scoring import Targets

ROWS = [[1.0, 0.0, 0.0, 2.0], [-1.0, 0.5, 0.0, 0.0]]
BODY = {"dataframe_split": {"columns": list("abcd"), "data": ROWS}}
SAGEMAKER = "/endpoints/plain/invocations"


def scores():
    return (np.array(ROWS, "f4") @ (np.arange(8, dtype="f4").reshape(4, 2) / 8)).tolist()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (SAGEMAKER, {}),
        ("/invocations", {"x-route": "plain"}),
        ("/invocations", {"x-amzn-sagemaker-target-model": "plain"}),
    ],
)
def test_a_table_is_predicted_and_logged_as_over_every_protocol(gateway, path, headers):
    response = gateway.http.post(path, json={"instances": ROWS}, headers=headers)
    assert response.status_code == 200
    assert response.json() == {"predictions": {"label": np.argmax(scores(), axis=1).tolist(), "scores": scores()}}
    assert (response.headers["x-arm"], response.headers["x-propensity"]) == ("a", "1.0")
    logged = gateway.rows(response)
    assert [row["prediction"] for row in logged] == scores()
    assert {row["outcome"] for row in logged} == {"ok"}


def test_a_table_is_answered_by_row(gateway):
    response = gateway.http.post(SAGEMAKER, json=BODY)
    assert [row["scores"] for row in response.json()["predictions"]] == scores()


def test_csv_comes_and_goes(gateway):
    content = "\n".join(",".join(map(str, row)) for row in ROWS)
    headers = {"content-type": "text/csv", "accept": "text/csv"}
    response = gateway.http.post(SAGEMAKER, content=content, headers=headers)
    assert response.headers["content-type"] == "text/csv"
    assert [float(line.split(",")[0]) for line in response.text.splitlines()] == [
        float(row.index(max(row))) for row in scores()
    ]


def test_a_variant_is_an_arm(gateway):
    headers = {"x-amzn-sagemaker-target-variant": "b", "x-amzn-sagemaker-inference-id": "my-id", "x-user-id": "u"}
    response = gateway.http.post("/endpoints/half/invocations", json={"instances": ROWS}, headers=headers)
    assert response.headers["x-amzn-invoked-production-variant"] == "b"
    assert response.headers["x-reason"] == "FORCED"
    assert {row["request_id"] for row in gateway.rows(response)} == {"my-id"}


def test_without_a_route_the_sentence_says_what_to_do(gateway):
    response = gateway.http.post("/invocations", json=BODY)
    assert (response.status_code, response.headers["x-error"]) == (400, "BadRequest")
    for word in ("x-route", "/endpoints/ROUTE/invocations", "POINTSMAN_INVOCATIONS_ROUTE"):
        assert word in response.json()["error"]


def test_a_setting_names_the_route(gateway):
    targets = gateway.replica._http._endpoint._targets
    before, targets._default = targets._default, "plain"
    try:
        assert gateway.http.post("/invocations", json={"instances": ROWS}).status_code == 200
    finally:
        targets._default = before


@pytest.mark.parametrize(
    ("path", "headers", "content", "status", "kind", "original"),
    [
        ("/endpoints/nobody/invocations", {}, b"{}", 400, "ValidationError", None),
        ("/endpoints/a/b/invocations", {}, b"{}", 400, "ValidationError", None),
        (SAGEMAKER, {}, b"{", 424, "ModelError", 400),
        (SAGEMAKER, {"content-type": "text/xml"}, b"{}", 424, "ModelError", 415),
        (
            SAGEMAKER,
            {"x-amzn-sagemaker-target-variant": "z"},
            b'{"instances": [[1,2,3,4]]}',
            400,
            "ValidationError",
            None,
        ),
        (SAGEMAKER, {"x-amzn-sagemaker-target-model": "z"}, b"{}", 424, "ModelError", 400),
        (SAGEMAKER, {}, b"[" * 1_000_001, 413, "ValidationError", None),
    ],
)
def test_errors_are_those_of_sagemakers_runtime(gateway, path, headers, content, status, kind, original):
    response = gateway.http.post(path, content=content, headers=headers)
    assert (response.status_code, response.headers["x-amzn-errortype"]) == (status, kind)
    assert response.json().get("OriginalStatusCode") == original
    assert response.json()["Message"] == response.json()["error"]


def test_mlflows_paths_say_other_errors_as_mlflow_does(gateway):
    headers = {"x-route": "plain", "content-type": "text/xml"}
    assert gateway.http.post("/invocations", content=b"<a/>", headers=headers).status_code == 415
    assert gateway.http.get("/invocations", headers=headers).status_code == 405
    assert gateway.http.post("/invocations", json={}, headers={"x-route": "nobody"}).status_code == 404


def test_mlflows_server_is_asked_for_health_and_version(gateway):
    assert (gateway.http.get("/ping").status_code, gateway.http.get("/ping").text) == (200, "\n")
    assert gateway.http.get("/version").text == gateway.http.get("/v2").json()["version"]


class Strict:
    """A service that knows no caller."""

    def only_route(self, _headers: object) -> str | None:
        raise Unauthenticated("Send a key.")


def test_a_stranger_does_not_learn_whether_there_is_one_route():
    with pytest.raises(Unauthenticated):
        Targets(Strict()).find("/invocations", {})


def test_awss_signature_is_no_credential():
    sent = {b"authorization": b"AWS4-HMAC-SHA256 Credential=none", b"x-api-key": b"pk_1"}
    _, headers = Targets(Strict()).find(SAGEMAKER, sent)
    assert headers == {b"x-api-key": b"pk_1"}
    kept = {b"authorization": b"Bearer pk_1"}
    assert Targets(Strict()).find(SAGEMAKER, kept)[1] is kept
