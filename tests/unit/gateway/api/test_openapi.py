"""The OpenAPI page agrees with the tables that decide errors, scopes, names and datatypes."""

import asyncio
import inspect
import json
import re

import httpx
import pytest
from fastapi import FastAPI

from gateway.access.path_scopes import scope_for
from gateway.api.error_responses import raises
from gateway.api.openapi import NAME
from gateway.errors import ERROR_HEADER, STATUS_OF, ClientGone, status_of
from gateway.http.endpoint import is_prediction
from gateway.protocols.tensor_json import NOT_IN_JSON
from router.errors import Rejected
from router.plan import Reason
from router.spec.parse import parse_spec
from runtimes.datatypes import NUMPY_OF
from tests.unit.gateway.api.operators.support import bare_app

ACCESS = {"401", "403", "429", "503"}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """Return the application with nothing behind its handlers."""
    return bare_app()


@pytest.fixture(scope="module")
def page(app) -> dict:
    return app.openapi()


@pytest.fixture(scope="module")
def operations(page) -> list[tuple[str, str, dict]]:
    return [(method, path, each) for path, methods in page["paths"].items() for method, each in methods.items()]


def request(app: FastAPI, method: str, path: str, body: bytes = b"") -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, content=body, headers={"content-type": "application/json"})

    return asyncio.run(send())


def errors_of(response: dict) -> list[str]:
    return response.get("headers", {}).get(ERROR_HEADER, {}).get("schema", {}).get("enum", [])


def test_the_paths_that_the_door_answers_are_there_beside_those_of_the_application(page):
    assert {
        "/v2/models/{route}/infer",
        "/v2/models/{route}/versions/{version}/infer",
        "/v1/models/{route}:predict",
        "/-/healthz",
        "/api/routes/{route}",
        "/api/routes/{route}/abort",
        "/api/apply",
        "/api/replicas",
        "/v2/models/{route}/config",
    } <= set(page["paths"])


def test_the_page_is_written_in_a_thread_and_only_once(app, page, monkeypatch):
    assert request(app, "GET", app.openapi_url).json() == page
    monkeypatch.setattr(app, "openapi_schema", {})
    assert request(app, "GET", app.openapi_url).json() == page
    (route,) = [route for route in app.routes if getattr(route, "path", None) == app.openapi_url]
    assert not inspect.iscoroutinefunction(route.endpoint)


def test_every_reference_leads_somewhere(page):
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(page)):
        assert name in page["components"]["schemas"]


def test_no_two_operations_have_the_same_name(operations):
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)


def test_each_error_has_the_status_that_the_table_gives_it(operations):
    table = {error.__name__: str(status.http) for error, status in STATUS_OF.items()} | {"NotFound": "404"}
    for _, _, operation in operations:
        for status, response in operation["responses"].items():
            assert all(table[name] == status for name in errors_of(response))


def test_every_answer_from_400_on_is_the_one_error_schema_but_for_those_about_readiness(operations):
    for _, path, operation in operations:
        for status, response in operation["responses"].items():
            if int(status) < 400 or (
                status == "503" and path in ("/-/healthz", "/v2/health/ready", "/v1/models/{route}")
            ):
                continue
            schema = response["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}, (path, status)


def test_who_needs_a_scope_is_told_so_and_may_be_refused_for_want_of_it(operations):
    for method, path, operation in operations:
        wanted = scope_for(method.upper(), path)
        if wanted is None:
            assert operation["security"] == []
            refusals = {"403"} if path == "/api/registry/webhook" else set()  # its signature is its credential
            assert {"401", "403"} & set(operation["responses"]) == refusals
        else:
            assert operation["security"] == [{"bearer": [wanted.scope]}, {"apiKey": [wanted.scope]}]
            assert set(operation["responses"]) >= ACCESS
            assert f"`{wanted.scope}`" in operation["description"]


def test_what_is_not_valid_is_documented_as_it_is_answered(operations, page):
    assert "HTTPValidationError" not in json.dumps(page)
    for _, path, operation in operations:
        assert ("422" in operation["responses"]) == (
            "post" in page["paths"][path] and "predict" in str(operation["security"])
        )
        if "requestBody" in operation:
            assert {"400", "413"} <= set(operation["responses"])


def test_a_client_that_left_is_not_told_so(operations):
    gone = str(status_of(ClientGone()).http)
    assert all(gone not in operation["responses"] for _, _, operation in operations)


def test_predictions_name_every_error_that_can_come_of_them(page):
    responses = page["paths"]["/v2/models/{route}/infer"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "404", "409", "413", "422", "429", "500", "503", "504"}
    assert errors_of(responses["404"]) == ["UnknownRoute", "UnknownVersion"]
    assert errors_of(responses["409"]) == ["Quarantined"]
    assert set(errors_of(responses["429"])) == {"RateLimited", "Overloaded"}
    assert set(errors_of(responses["503"])) == {"ArmDown", "NotReady"}
    assert all("x-decision-id" in responses[status]["headers"] for status in ("200", "404", "503"))
    assert [status for status in responses if "x-decision-token" in responses[status]["headers"]] == ["200"]


def test_the_file_of_predictions_has_the_names_datatypes_and_reasons_of_the_tables(page):
    schemas = page["components"]["schemas"]
    for tensor in (schemas["RequestInput"], schemas["ResponseOutput"]):
        assert tensor["properties"]["datatype"]["enum"] == list(NUMPY_OF)
        assert f" {' and '.join(NOT_IN_JSON)} have no JSON form." in tensor["properties"]["data"]["description"]
    operations = [methods["post"] for path, methods in page["paths"].items() if is_prediction(path)]
    assert len(operations) == 4
    for operation in operations:
        headers = operation["responses"]["200"]["headers"]
        parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
        assert headers["x-reason"]["schema"]["enum"] == list(Reason)
        assert headers["x-arm"]["schema"]["pattern"] == headers["x-model-version"]["schema"]["pattern"] == NAME
        assert {parameters[name]["pattern"] for name in ("route", "version", "x-force-arm") if name in parameters} == {
            NAME
        }
    assert schemas["Decision"]["properties"]["reason"]["enum"] == list(Reason)


def test_the_page_of_one_application_does_not_change_that_of_another(page):
    assert bare_app().openapi() == bare_app().openapi() == page


@pytest.mark.parametrize("name", ["a", "A-1._", "x" * 128, "", "-a", "a b", "x" * 129, "ä"])
def test_the_pattern_of_names_is_what_documents_take(name):
    spec = {"route": name, "arms": {"a": "m:1"}, "split": {"a": 1}}
    if re.search(NAME, name):
        assert parse_spec(spec).route == name
    else:
        with pytest.raises(Rejected):
            parse_spec(spec)


def test_errors_of_one_status_are_one_response():
    (status, response), *others = raises(
        Rejected, *[error for error, each in STATUS_OF.items() if each.http == 400]
    ).items()
    assert (status, others) == (400, [])
    assert set(errors_of(response)) == {"BadRequest", "Rejected", "ModelRefused", "UnknownModel"}
    assert "`Rejected`: A document or command that is not allowed." in response["description"]


def test_an_error_that_nobody_expected_is_a_sentence_too(app):
    response = request(app, "GET", "/api/routes")  # fails, because there is no store
    assert (response.status_code, response.json()) == (500, {"error": "The gateway failed; its log says why."})
    assert ERROR_HEADER not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("GET", "/nothing", b"", 404, "NotFound"),
        ("DELETE", "/api/status", b"", 405, "WrongMethod"),
        ("PUT", "/api/routes/r", b"{", 400, "BadRequest"),
        ("PUT", "/api/routes/r", b'{"a": "\xff"}', 400, "BadRequest"),
        ("PUT", "/api/routes/r", b"[" * 100_000, 400, "BadRequest"),
        ("PUT", "/api/routes/r", b"[" + b" " * (4 << 20) + b"]", 413, "TooLarge"),
        ("POST", "/api/routes/r/undo", b'{"to": "x"}', 400, "BadRequest"),
        ("POST", "/api/apply", b'{"routes": []}', 400, "BadRequest"),
        ("POST", "/v2/repository/index", b'{"ready": 7}', 400, "BadRequest"),
    ],
)
def test_refusals_of_the_application_name_their_class(app, method, path, body, status, error):
    response = request(app, method, path, body)
    assert (response.status_code, response.headers[ERROR_HEADER]) == (status, error)
    assert list(response.json()) == ["error"]
    assert response.json()["error"].endswith(".")
