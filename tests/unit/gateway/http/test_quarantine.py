"""A version in quarantine gets no request on its route, by whatever name, over HTTP and gRPC."""

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.unit.gateway.grpc.test_replica import rows

WORDS = "Version 2 is in quarantine: It fails. `pointsman release half linear:2` lets it back."


@pytest.fixture
def aborted(settings_of, serving, tmp_path):
    """Yield a gateway with arm b of route `half` (linear:2, alias challenger) in quarantine, and its gRPC port."""
    port = free_port()
    with serving(settings_of(tmp_path, grpc_port=port)) as gateway:
        answer = gateway.http.post("/api/routes/half/abort", json={"arm": "b", "why": "It fails."})
        assert answer.status_code == 200, answer.text
        wait_until(lambda: gateway.infer("half", headers={"x-force-arm": "b"}).status_code != 200)
        yield gateway, port


def test_a_version_in_quarantine_answers_under_no_name_over_http(aborted):
    gateway, _ = aborted
    refused = [
        gateway.infer("half", headers={"x-force-arm": "b"}),
        gateway.infer("half/versions/2"),
        gateway.infer("half/versions/challenger"),
        gateway.http.post("/v1/models/half/versions/2:predict", json={"instances": [[1, 2, 3, 4]]}),
        gateway.http.post("/v1/models/half/labels/challenger:predict", json={"instances": [[1, 2, 3, 4]]}),
    ]
    for response in refused:
        assert (response.status_code, response.headers["x-error"]) == (409, "Quarantined")
        assert response.json()["error"] == WORDS
    assert gateway.infer("half").headers["x-arm"] == "a"
    assert gateway.infer("half", headers={"x-force-arm": "a"}).status_code == 200


def test_a_version_in_quarantine_answers_under_no_name_over_grpc(aborted):
    _, port = aborted
    with InferenceServerClient(f"127.0.0.1:{port}") as triton:
        for named in ({"headers": {"x-force-arm": "b"}}, {"model_version": "2"}, {"model_version": "challenger"}):
            with pytest.raises(InferenceServerException) as refused:
                triton.infer("half", rows(), **named)
            assert refused.value.status() == "StatusCode.FAILED_PRECONDITION"
            assert refused.value.message() == WORDS
        assert not triton.is_model_ready("half", "2")
        assert triton.is_model_ready("half", "1")


def test_a_version_in_quarantine_is_not_ready_and_the_index_says_why(aborted):
    gateway, _ = aborted
    assert gateway.http.get("/v2/models/half/versions/2/ready").status_code == 503
    assert gateway.http.get("/v2/models/half/versions/1/ready").status_code == 200
    assert gateway.http.get("/v2/models/half/versions/2").status_code == 200
    index = {
        (each["name"], each["version"]): each for each in gateway.http.post("/v2/repository/index", json={}).json()
    }
    assert (index["half", "2"]["state"], index["half", "2"]["reason"]) == ("UNAVAILABLE", WORDS)
    ready = gateway.http.post("/v2/repository/index", json={"ready": True}).json()
    assert ("half", "2") not in {(each["name"], each["version"]) for each in ready}


def test_a_released_version_answers_again(aborted):
    gateway, _ = aborted
    assert gateway.http.post("/api/routes/half/release", json={"version": "linear:2"}).status_code == 200
    wait_until(lambda: gateway.infer("half", headers={"x-force-arm": "b"}).status_code == 200)
