"""MLflow's scoring server and boto3's client of SageMaker's runtime, beside ours and against ours."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import pytest

from store.open import open_store
from tests.conformance.foreign import Foreign
from tests.conformance.invocations import ROWS, Model, Row, content_of, publish
from tests.support.components import in_soak
from tests.support.gateway_process import GatewayProcess, running
from tests.support.routes import declare

pytestmark = in_soak


class Both(NamedTuple):
    ours: GatewayProcess
    theirs: Foreign
    sagemaker: Foreign


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, Mapping[str, Model]]]:
    """Return a gateway with the models, and the models as MLflow's server gets them."""
    home = tmp_path_factory.mktemp("invocations")
    found = publish(home / "models")
    store = open_store(f"sqlite:///{home / 'pointsman.db'}")
    for route in found:
        declare(store, {"route": route, "arms": {"only": f"{route}:1"}, "split": {"only": "100%"}})
    store.close()
    settings = {"POINTSMAN_INVOCATIONS_ROUTE": "regressor"}
    with running(GatewayProcess(home, "serve", "--engine", "uvicorn", **settings)) as gateway:
        gateway.wait_until_ready()
        yield gateway, found


@pytest.fixture(scope="module")
def both(models: Any, started: Callable[[str, GatewayProcess], Foreign]) -> Both:
    """Return our gateway and MLflow's servers, with the same models."""
    gateway, found = models
    theirs = started("mlflow_server", gateway)
    for name, (flavour, content, columns, tensors) in found.items():
        artifact = base64.b64encode(content).decode()
        theirs.call("serve", name=name, flavour=flavour, content=artifact, columns=columns, tensors=tensors)
    return Both(gateway, theirs, started("sagemaker_boto3", gateway))


def ask_both(both: Both, row: Row) -> tuple[tuple[int, Any], tuple[int, Any]]:
    content = content_of(row.body)
    headers = {"content-type": row.kind, "x-route": row.model}
    response = httpx.post(f"{both.ours.url}/invocations", content=content, headers=headers)
    encoded = base64.b64encode(content).decode()
    status, text = both.theirs.call(
        "ask", name=row.model, method="POST", path="/invocations", content=encoded, kind=row.kind
    )
    return (response.status_code, _predictions(response.text)), (status, _predictions(text))


def _predictions(text: str) -> Any:
    """Return the predictions of a response, with the null that stands for NaN. They are None in an error."""
    try:
        body = json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return None
    return body.get("predictions")


def close(ours: Any, theirs: Any) -> bool:
    """Return True if both are equal, numbers up to a rounding."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(close(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, float) or isinstance(theirs, float):
        return theirs is not None and ours == pytest.approx(theirs, rel=1e-5)
    return bool(ours == theirs)


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.model}-{row.name}") for row in ROWS])
def test_ours_answers_as_mlflows_server_does_or_says_why_not(both, row):
    ours, theirs = ask_both(both, row)
    is_same = ours[0] == theirs[0] and close(ours[1], theirs[1])
    assert is_same == (not row.why), (ours, theirs)
    if row.why:
        assert ours[0] == row.status, (ours, theirs)


@pytest.mark.parametrize("path", ["/ping", "/version"])
def test_health_and_version_are_where_mlflow_has_them(both, path):
    status, _ = both.theirs.call("ask", name="regressor", method="GET", path=path, content="", kind="")
    assert httpx.get(both.ours.url + path).status_code == status == 200


def test_without_a_header_the_setting_names_the_route(both):
    body = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}
    (number,) = httpx.post(f"{both.ours.url}/invocations", json=body).json()["predictions"]
    assert number == pytest.approx(14)


def invoke(both: Both, content: bytes, endpoint: str = "regressor", **more: str) -> Any:
    encoded = base64.b64encode(content).decode()
    return both.sagemaker.call("invoke", content=encoded, EndpointName=endpoint, **more)


@pytest.mark.parametrize(
    ("content", "more", "body"),
    [
        (b'{"instances": [[1, 2, 3]]}', {"ContentType": "application/json"}, {"predictions": [14.0]}),
        (b"[[1, 2, 3]]", {}, {"predictions": [14.0]}),
        (b"1,2,3\n4,5,6\n", {"ContentType": "text/csv"}, {"predictions": [14.0, 32.0]}),
        (b"[1, 2, 3]\n[4, 5, 6]\n", {"ContentType": "application/jsonlines"}, {"predictions": [14.0, 32.0]}),
        (b'{"instances": [[1, 2, 3]]}', {"InferenceId": "my-id", "TargetVariant": "only"}, {"predictions": [14.0]}),
    ],
)
def test_boto3s_client_works_unchanged(both, content, more, body):
    response = invoke(both, content, **more)
    assert close(json.loads(response["body"]), body), response
    assert (response["type"], response["variant"]) == ("application/json", "only")


def test_boto3s_client_gets_csv(both):
    response = invoke(both, b"1,2,3\n4,5,6\n", ContentType="text/csv", Accept="text/csv")
    assert [round(float(line), 6) for line in response["body"].splitlines()] == [14.0, 32.0]
    assert response["type"] == "text/csv"


@pytest.mark.parametrize(
    ("content", "endpoint", "more", "error", "status", "original"),
    [
        (b"[[1, 2]]", "regressor", {}, "ModelError", 424, 400),
        (b"[[1, null, 3]]", "regressor", {}, "ModelError", 424, 422),
        (b"[[1, 2, 3]]", "nobody", {}, "ValidationError", 400, None),
        (b"[[1, 2, 3]]", "regressor", {"TargetVariant": "nobody"}, "ValidationError", 400, None),
    ],
)
def test_boto3s_client_raises_the_errors_of_the_runtime(both, content, endpoint, more, error, status, original):
    raised = invoke(both, content, endpoint, **more)
    assert (raised["code"], raised["status"], raised["original"]) == (error, status, original), raised
    assert raised["message"]
