"""HEAD, slashes at the end of a path, content types that do not matter, and the repository's operations."""

import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.support.replica import serving, settings_of

_READS = [
    "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/plain", "/v2/models/plain/ready",
    "/v2/models/plain/config", "/v2/models/stats", "/v1/models", "/v1/models/plain", "/metrics", "/docs",
    "/openapi.json", "/api/status", "/-/healthz", "/v2/models/nothing", "/nothing",
]  # fmt: skip
_VARYING = ("/metrics", "/api/status", "/v2/models/stats")  # other figures, so perhaps another length


@pytest.mark.parametrize("path", _READS)
def test_head_is_get_without_a_body(gateway, path):
    got, head = gateway.http.get(path), gateway.http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "x-error"):
        assert head.headers.get(name) == got.headers.get(name)
    if path not in _VARYING:
        assert head.headers["content-length"] == got.headers["content-length"]


def test_head_is_refused_where_get_is(gateway):
    for path in ("/v2/models/plain/infer", "/v2/repository/index", "/api/apply"):
        assert gateway.http.head(path).status_code == gateway.http.get(path).status_code == 405


@pytest.mark.parametrize("path", [path for path in _READS if path != "/-/healthz"])
def test_a_slash_at_the_end_is_no_redirect(gateway, path):
    slashed = gateway.http.get(f"{path}/", headers={"host": "localhost", "x-forwarded-proto": "https"})
    assert slashed.status_code == gateway.http.get(path).status_code
    assert "location" not in slashed.headers


def test_a_slash_at_the_end_changes_no_change(gateway):
    assert gateway.http.post("/v2/repository/index/").status_code == 200
    assert gateway.http.post("/api/routes/nothing/abort/", json={}).status_code == 404
    assert gateway.http.get("/v2/health/ready//").status_code == 404


def test_a_slash_at_the_end_needs_the_same_credential(registry, tmp_path):
    with serving(settings_of(registry, tmp_path, access="required")) as closed:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert closed.http.get(f"{path}/").status_code == closed.http.head(path).status_code == 200
        for path in ("/v2/models/", "/api/status/", "/metrics/"):
            assert closed.http.get(path).status_code == 401


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "x"],
)
def test_the_index_takes_any_content_type(gateway, kind):
    headers = {} if kind is None else {"content-type": kind}
    everything = gateway.http.post("/v2/repository/index").json()
    for content in (b"", b" ", b"null", b"{}", b'{"ready": false}', b'{"ready": true}', b'{"more": 1}'):
        response = gateway.http.post("/v2/repository/index", content=content, headers=headers)
        wanted = [each for each in everything if each["state"] == "READY"] if b"true" in content else everything
        assert (response.status_code, response.json()) == (200, wanted), content
    for content in (b"{", b"[]", b'{"ready": "soon"}', b"\xff"):
        response = gateway.http.post("/v2/repository/index", content=content, headers=headers)
        assert (response.status_code, response.headers["x-error"]) == (400, "BadRequest"), content
        assert '{"ready": true}' in response.json()["error"]


def test_load_and_unload_say_that_models_come_from_the_registry(gateway):
    for operation in ("load", "unload"):
        for more in ({}, {"json": {}}, {"content": b'{"parameters": {}}'}):
            response = gateway.http.post(f"/v2/repository/models/linear/{operation}", **more)
            assert (response.status_code, response.headers["x-error"]) == (501, "NotSupported")
            assert "come from the registry" in response.json()["error"]


def test_tritons_client_gets_the_sentence(gateway):
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{gateway.port}")
    try:
        for operation in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="come from the registry"):
                operation("linear")
    finally:
        client.close()


def test_an_unknown_model_is_named_with_the_close_ones(gateway):
    for path in ("/v2/models/plan", "/v2/models/plan/ready", "/v2/models/plan/config", "/v1/models/plan"):
        response = gateway.http.get(path)
        assert (response.status_code, response.headers["x-error"]) == (404, "UnknownRoute")
        assert response.json()["error"] == "Request for unknown model: 'plan' is not found; did you mean plain?"
    for path in ("/v2/models/plan/infer", "/v1/models/plan:predict"):
        assert gateway.http.post(path, content=b"{}").json()["error"].startswith("Request for unknown model")


def test_v1_takes_versions_and_labels(gateway):
    body = b'{"instances": [[1, 2, 3, 4]]}'
    for pin, arm in (("versions/1", "a"), ("versions/challenger", "b"), ("labels/challenger", "b")):
        response = gateway.http.post(f"/v1/models/half/{pin}:predict", content=body)
        assert (response.status_code, response.headers.get("x-arm")) == (200, arm), pin
        assert gateway.http.get(f"/v1/models/half/{pin}").json() == {"name": "half", "ready": True}
    for path in ("half/versions/99", "half/labels/nothing", "half/other/1", "half/versions/", "half/labels/a/b"):
        assert gateway.http.post(f"/v1/models/{path}:predict", content=body).status_code == 404, path
        assert gateway.http.get(f"/v1/models/{path}").status_code == 404, path
