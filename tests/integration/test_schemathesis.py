"""The OpenAPI page and the gateway agree: whatever is sent, the page describes the response."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.api.app import create_app
from gateway.api.operators.router import operate_router
from gateway.api.rewards import rewards_router
from gateway.protocols.paths import is_prediction
from tests.support.gateway_process import GatewayProcess

CONFORMANCE = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("POINTSMAN_FUZZ_EXAMPLES", "20"))
OPEN = ["/-/healthz", "/v2/health/live", "/v2/health/ready", "/ping"]
SIGNED = "/api/registry/webhook"
WIDTH = {"cancer": 30, "digits": 64}


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def read_page() -> Any:
    """Read the page from an application with nothing behind its handlers: the page needs nothing."""
    nothing: Any = None
    operate = operate_router(
        store=nothing, catalogue=nothing, changes=nothing, desired=nothing, view=nothing, trials=nothing
    )
    return schemathesis.openapi.from_dict(create_app(nothing, operate, rewards_router(nothing), bytes).openapi())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


# Hardly any case that is drawn from the schema alone names a route or fits a model. So half of the cases get help.
schema = read_page()
Part = dict[str, Any]
odd = st.sampled_from(["x", "x" * 5000, "\ud800", "\x00"])
kinds = st.sampled_from(
    [{"split": {"a": 1}}, {"split": {"b": "100%"}}, {"rollout": {"of": "b", "steps": ["5%", "50%"], "every": "1s"}}]
)
options = st.fixed_dictionaries(
    {"arms": st.just({"a": "cancer:2", "b": "cancer@challenger"})},
    optional={
        "unit": st.sampled_from(["header:x-user-id", "parameters.user", "cookie"]),
        "fallback": st.sampled_from(["a", "b"]),
        "deadline": st.sampled_from(["1us", "50ms", "soon"]),
        "batch_wait": st.sampled_from(["1ms", "1s"]),
        "seed": odd,
        "guardrails": st.sampled_from(
            [[{"errors": {"worse_by": "1%"}}], [{"slower_than": "1ms", "worse_by": 0}], [{}]]
        ),
        "target": st.sampled_from([{"parameters.age": {"$gt": 3}}, {"headers.x": "y"}, {"x": 1}]),
        "layer": st.sampled_from([{"name": "l", "range": [0, "50%"]}, {"name": "l"}]),
        "holdout": st.sampled_from(["5%", "500%"]),
    },
)
documents = st.tuples(options, kinds).map(lambda parts: {**parts[0], **parts[1]})
commands = {
    "shift": st.fixed_dictionaries(
        {"weights": st.sampled_from([{"canary": 30}, {"stable": "99%"}])}, optional={"why": odd}
    ),
    "abort": st.sampled_from([{}, {"arm": "b"}]),
    "undo": st.sampled_from([{}, {"to": 1}, {"to": 99}]),
    "release": st.sampled_from([{"version": "3"}]),
} | {word: st.just({"why": "a test"}) for word in ("start", "pause", "resume", "promote")}
preconditions = st.sampled_from([{"if-none-match": "*"}, {"if-none-match": "*"}, {"if-match": '"1"'}])


@st.composite
def predictions(draw: st.DrawFn, path: str) -> Part:
    route = draw(st.sampled_from(list(WIDTH)))
    width, height = WIDTH[route], draw(st.integers(0, 3))
    element = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", None])
    data = draw(st.lists(st.just(1.5) | element, min_size=width * height, max_size=width * height))
    parameters = draw(st.fixed_dictionaries({}, optional={"binary_data": st.booleans(), "classification": st.just(2)}))
    outputs = [{"name": draw(st.sampled_from(["label", "probabilities"])), "parameters": parameters}]
    tensor = {"name": "X", "datatype": "FP32", "shape": [height, width], "data": data}
    body = {"inputs": [tensor], **draw(st.sampled_from([{}, {"outputs": outputs}, {"id": "a"}]))}
    if not path.startswith("/v2"):
        body = {"instances": [data[start : start + width] for start in range(0, len(data), width)]}
    headers = draw(st.sampled_from([{}, {"accept-encoding": "gzip"}, {"x-force-arm": "stable"}]))
    if path == "/invocations":
        headers = {**headers, "x-route": route}
    return {"path_parameters": {"route": route, "version": "2"}, "body": body, "headers": headers}


def helped(method: str, path: str) -> st.SearchStrategy[Part]:
    """Return parts of a case that have a chance to succeed."""
    if is_prediction(path):
        return predictions(path)
    parameters = st.fixed_dictionaries(
        {"route": st.sampled_from(["cancer", "digits"]), "version": st.sampled_from(["2", "champion", "nobody"])}
    )
    parts: dict[str, st.SearchStrategy[Any]] = {"path_parameters": parameters}
    if method == "PUT":
        new = st.fixed_dictionaries({"route": st.sampled_from(["fuzzed", "fuzzed-2", "fuzzed-3"])})
        parts = {"path_parameters": new, "body": documents, "headers": preconditions}
    word = path.rpartition("/")[2]
    if word in commands:
        route = st.sampled_from(["cancer"] if word == "shift" else ["fuzzed", "fuzzed-2", "fuzzed-3"])
        parts = {"path_parameters": st.fixed_dictionaries({"route": route}), "body": commands[word]}
    if word == "apply":
        declared = st.fixed_dictionaries({"spec": documents, "expected": st.integers(0, 1)})
        named = declared.map(lambda each: {**each, "spec": {**each["spec"], "route": "applied"}})
        parts = {"body": st.fixed_dictionaries({"routes": st.lists(named, min_size=1, max_size=1)})}
    return st.fixed_dictionaries(parts)


@schema.hook
def before_generate_case(context, strategy):
    operation = context.operation
    known = {parameter.name for parameter in operation.path_parameters}

    def help_along(drawn: tuple[Any, Part | None]) -> Any:
        case, parts = drawn
        for name, part in (parts or {}).items():
            kept = {key: value for key, value in part.items() if key in known} if name == "path_parameters" else part
            setattr(case, name, kept)
        if parts and "body" in parts:
            case.media_type = "application/json"
        return case

    return st.tuples(strategy, st.none() | helped(operation.method.upper(), operation.path)).map(help_along)


@schema.parametrize()
@bounded(EXAMPLES)
def test_every_response_is_as_documented(case, gateway: GatewayProcess, session):
    response = case.call(base_url=gateway.url, session=session)
    is_requested = response.headers.get("x-error") == ["TooLate"]  # x-deadline-ms may be less than any model takes
    case.validate_response(response, checks=CONFORMANCE if is_requested else [not_a_server_error, *CONFORMANCE])


@schema.exclude(path=[*OPEN, SIGNED]).parametrize()
@bounded(3)
def test_without_a_key_every_response_is_the_401_that_is_documented(case, closed_gateway: GatewayProcess, session):
    response = case.call(base_url=closed_gateway.url, session=session, headers={"authorization": "", "x-api-key": ""})
    assert response.status_code == 401 or (is_another_method(case) and response.status_code == 405), response.text
    case.validate_response(response, checks=CONFORMANCE)


@schema.include(path=OPEN).parametrize()
@bounded(1)
def test_without_a_key_the_health_may_be_read(case, closed_gateway: GatewayProcess, session):
    response = case.call(base_url=closed_gateway.url, session=session)
    assert response.status_code in (200, 503) or is_another_method(case)
    case.validate_response(response, checks=CONFORMANCE)


@schema.include(path=SIGNED).parametrize()
@bounded(3)
def test_without_a_signature_a_message_of_a_registry_is_refused(case, closed_gateway: GatewayProcess, session):
    response = case.call(base_url=closed_gateway.url, session=session)
    assert response.status_code == 403 or is_another_method(case), response.text
    case.validate_response(response, checks=CONFORMANCE)


def is_another_method(case: Any) -> bool:
    """Return True if the case tries a method that the page does not have."""
    return case.method.upper() != case.operation.method.upper()


def test_the_gateway_shows_the_page_that_is_held_against_it(gateway: GatewayProcess, session):
    assert session.get(f"{gateway.url}/openapi.json").json() == schema.raw_schema


def test_the_page_is_drawn_by_what_the_gateway_itself_serves(gateway: GatewayProcess, session):
    page = session.get(f"{gateway.url}/docs").text
    assert "https://" not in page
    for file in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/docs/static/{file}" in page
        assert session.get(f"{gateway.url}/docs/static/{file}").status_code == 200
