"""Web pages at both doors: the FastAPI application, and the endpoint of predictions before it."""

import json
import socket

import httpx
import pytest

from tests.support.polling import PATIENCE_S, wait_until
from tests.support.replica import serving, settings_of
from tests.unit.gateway.http.support import connection, head, read_response

_LISTED = "https://app.example.com"
_BODY = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
_V1 = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
_DOORS = [
    ("POST", "/v2/models/plain/infer", _BODY),
    ("POST", "/v1/models/plain:predict", _V1),
    ("GET", "/v2/models/plain/infer", b""),
    ("GET", "/v2/health/ready", b""),
    ("GET", "/api/status", b""),
    ("GET", "/metrics", b""),
    ("GET", "/docs", b""),
    ("GET", "/openapi.json", b""),
    ("POST", "/v2/repository/index", b""),
    ("POST", "/api/routes/plain/abort", b""),
    ("PUT", "/api/routes/plain", b"{}"),
    ("DELETE", "/api/routes/plain", b""),
    ("OPTIONS", "/v2/models/plain/infer", b""),
    ("OPTIONS", "/api/routes/plain/abort", b""),
    ("GET", "/-/healthz", b""),
    ("POST", "/-/healthz", b""),
    ("GET", "/nothing", b""),
]


@pytest.fixture(scope="module")
def listing(registry, tmp_path_factory):
    """Start a gateway whose settings list an origin."""
    home = tmp_path_factory.mktemp("listing")
    with serving(settings_of(registry, home, cors_origins=_LISTED, allowed_hosts="pointsman.lan")) as running:
        yield running


def send(gateway, method, path, body, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.http.request(method, path, content=body, headers=sent)


@pytest.mark.parametrize(("method", "path", "body"), _DOORS)
def test_a_foreign_page_is_refused_at_every_door(gateway, method, path, body):
    for page in ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
        for kind in ({}, {"content_type": "text/plain"}, {"content_type": "application/json"}):
            response = send(gateway, method, path, body, **page, **kind)
            assert (response.status_code, response.headers["x-error"]) == (403, "CrossOrigin"), page
            assert "origin" in response.json()["error"]
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(("method", "path", "body"), _DOORS)
def test_a_page_whose_name_points_here_is_refused_at_every_door(gateway, method, path, body):
    page = {"host": "evil.example:8000", "origin": "http://evil.example:8000", "sec_fetch_site": "same-origin"}
    response = send(gateway, method, path, body, **page, content_type="application/json")
    assert (response.status_code, response.headers["x-error"]) == (403, "CrossOrigin")


def test_a_read_without_an_origin_needs_one_of_our_hosts(gateway):
    for path in ("/api/status", "/api/routes", "/v2/models", "/metrics", "/v2/health/ready"):
        assert send(gateway, "GET", path, b"", host="evil.example:8000").status_code == 403, path
        assert send(gateway, "GET", path, b"", host="localhost:9000").status_code == 200, path


def test_a_change_needs_the_header_with_and_without_a_body(gateway):
    for path in ("/api/routes/nothing/abort", "/api/routes/nothing/start", "/api/restore", "/api/apply"):
        for kind, body in (({}, b""), ({"content_type": "text/plain"}, b'{"routes": []}'), ({}, b'{"arm": "a"}')):
            response = send(gateway, "POST", path, body, **kind)
            assert (response.status_code, response.headers["x-error"]) == (403, "CrossOrigin"), (path, kind, body)
            assert "x-pointsman: 1" in response.json()["error"]
    assert send(gateway, "POST", "/api/routes/nothing/abort", b"", x_pointsman="1").status_code == 404
    assert send(gateway, "POST", "/api/routes/nothing/abort", b"{}", content_type="application/json").status_code == 404


def test_our_own_page_may_do_everything(gateway):
    ours = {"origin": str(gateway.http.base_url).rstrip("/"), "sec_fetch_site": "same-origin"}
    assert send(gateway, "POST", "/v2/models/plain/infer", _BODY, **ours).status_code == 200
    assert send(gateway, "GET", "/api/status", b"", **ours).status_code == 200
    assert send(gateway, "POST", "/api/routes/nothing/abort", b"", **ours, x_pointsman="1").status_code == 404


def test_the_docs_page_sends_the_header_with_every_change(gateway):
    for path, operations in gateway.http.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            header = [each for each in operation.get("parameters", ()) if each["name"] == "x-pointsman"]
            is_change = path.startswith("/api/") and method != "get"
            assert [each["schema"]["default"] for each in header] == ["1"] * is_change, (method, path)


def test_a_listed_origin_is_answered_at_both_doors(listing):
    page = {"origin": _LISTED, "sec_fetch_site": "cross-site"}
    for method, path, body, status in (
        ("POST", "/v2/models/plain/infer", _BODY, 200),
        ("POST", "/v2/models/plain/infer", b"{", 400),
        ("GET", "/api/status", b"", 200),
        ("GET", "/nothing", b"", 404),
    ):
        response = send(listing, method, path, body, **page)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == _LISTED
        assert "origin" in response.headers["vary"]
        assert "x-decision-id" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in send(listing, "GET", "/v2", b"").headers


def test_where_origins_are_listed_other_origins_learn_that_responses_depend_on_it(listing, gateway):
    for server, varies in ((listing, True), (gateway, False)):
        for method, path, body in (("POST", "/v2/models/plain/infer", _BODY), ("GET", "/api/status", b"")):
            response = send(server, method, path, body, origin="https://evil.example")
            assert (response.status_code, "origin" in response.headers.get("vary", "")) == (403, varies)
        assert ("origin" in send(server, "GET", "/v2", b"").headers.get("vary", "")) is varies


def test_a_browser_of_a_listed_origin_may_ask_first(listing):
    asks = {"origin": _LISTED, "access_control_request_method": "POST"}
    for path in ("/v2/models/plain/infer", "/api/routes/plain/abort"):
        response = send(listing, "OPTIONS", path, b"", **asks, access_control_request_headers="content-type,x-api-key")
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["access-control-allow-origin"] == _LISTED
        assert response.headers["access-control-allow-headers"] == "content-type,x-api-key"
        assert "POST" in response.headers["access-control-allow-methods"]
        refused = send(listing, "OPTIONS", path, b"", **{**asks, "origin": "https://evil.example"})
        assert refused.status_code == 403
        assert "access-control-allow-methods" not in refused.headers


def test_a_listed_host_is_served(listing):
    assert send(listing, "GET", "/v2", b"", host="pointsman.lan").status_code == 200
    assert send(listing, "GET", "/v2", b"", host="other.lan").status_code == 403


def test_with_access_required_a_foreign_page_is_refused_too(registry, tmp_path):
    with serving(settings_of(registry, tmp_path, access="required")) as closed:
        assert send(closed, "GET", "/v2/health/live", b"", host="any.thing").status_code == 200
        assert send(closed, "POST", "/api/restore", b"").status_code == 401
        for method, path, body in _DOORS:
            assert send(closed, method, path, body, origin="http://evil.example").status_code == 403, path
        with httpx.Client(base_url=closed.http.base_url, trust_env=False, timeout=PATIENCE_S) as other:
            assert other.post("/v2/models/plain/infer", content=_BODY).status_code == 401


def test_the_health_check_of_the_engine_takes_no_other_method(gateway):
    assert send(gateway, "HEAD", "/-/healthz", b"").status_code == 200
    response = send(gateway, "POST", "/-/healthz", b"")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("more", [{}, {"expect": "100-continue"}], ids=["plain", "expects"])
def test_a_listed_page_without_a_credential_is_refused_before_it_uploads(registry, tmp_path, more):
    settings = settings_of(registry, tmp_path, access="required", cors_origins=_LISTED)
    fields = [f"{name}: {value}" for name, value in {"Origin": _LISTED, **more}.items()]
    with serving(settings) as closed, connection(closed) as opened:
        opened.sendall(head(900_000, *fields) + bytes(1000))
        wait_until(lambda: opened.recv(9, socket.MSG_PEEK) == b"HTTP/1.1 ")  # although the body is not here
        response = read_response(opened)
        assert (response.status, response.headers["x-error"]) == (401, "Unauthenticated")
        assert response.headers["access-control-allow-origin"] == _LISTED
        asks = {"origin": _LISTED, "access-control-request-method": "POST"}
        assert closed.http.options("/v2/models/plain/infer", headers=asks).status_code == 204
