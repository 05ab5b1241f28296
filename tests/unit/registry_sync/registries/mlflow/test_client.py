"""What a server may answer, and the sentence that it becomes."""

from collections.abc import Iterator

import msgspec
import pytest

from registry_sync.errors import NotAllowed, RegistryUnavailable
from registry_sync.registries import pace
from registry_sync.registries.mlflow import answers
from registry_sync.registries.mlflow import client as client_module
from registry_sync.registries.mlflow.answers import Models
from registry_sync.registries.mlflow.auth import Bearer
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing, NotAccepted
from registry_sync.registries.mlflow.server import Server
from tests.support.faulty_proxy import FaultyProxy
from tests.support.noted_types import noted_late
from tests.support.stub_server import Answer, StubServer

PATH = "mlflow/registered-models/search"


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer(lambda _: Answer({"registered_models": [{"name": "fraud"}]})) as server:
        yield server


@pytest.fixture
def client(stub) -> MlflowClient:
    return MlflowClient(Server(stub.url, Bearer("a-token")))


def error(code: str, status: int) -> Answer:
    return Answer({"error_code": code, "message": "because"}, status)


@pytest.mark.parametrize(("answer", "kind", "sentence"), [
    (error("RESOURCE_DOES_NOT_EXIST", 404), Missing, "because"),
    (error("NOT_FOUND", 404), Missing, "because"),
    (error("ENDPOINT_NOT_FOUND", 404), RegistryUnavailable, "prefix of MLflow in POINTSMAN_REGISTRY"),
    (Answer(b"not found", 404), RegistryUnavailable, "prefix of MLflow in POINTSMAN_REGISTRY"),
    (error("INVALID_PARAMETER_VALUE", 400), NotAccepted, "INVALID_PARAMETER_VALUE.: because"),
    (error("UNAUTHENTICATED", 401), RegistryUnavailable, "because.*Set MLFLOW_TRACKING_USERNAME"),
    (Answer(b"Permission denied", 403), NotAllowed, "403. The account lacks the right to read registered models"),
    (error("REQUEST_LIMIT_EXCEEDED", 429), RegistryUnavailable, "429: because"),
    (error("INTERNAL_ERROR", 500), RegistryUnavailable, "500: because"),
    (Answer(b"", 502), RegistryUnavailable, "502"),
    (Answer(b"", 302, {"location": "https://login.example/"}), RegistryUnavailable, "login.example.*not followed"),
    (Answer(b"<html>log in</html>", 200, {"content-type": "text/html"}), RegistryUnavailable, "text/html.*proxy"),
    (Answer(b'{"registered_models": 5}'), RegistryUnavailable, "not MLflow's"),
    (Answer(b"[" * 100_000), RegistryUnavailable, "not MLflow's"),
    (Answer(b"\x1f\x8b", 200, {"content-encoding": "gzip"}), RegistryUnavailable, "gzip, which was not asked for"),
    (Answer({"error_code": "X", "message": "a\x1b[31m" + "b" * 10_000}, 500), RegistryUnavailable, "^.{1,500}$"),
], ids=range(16))  # fmt: skip
def test_what_a_server_answers_becomes_a_sentence(client, stub, answer, kind, sentence):
    stub.answer = lambda _: answer
    with pytest.raises(kind, match=sentence):
        client.get(PATH, Models, {})


@pytest.mark.parametrize(("path", "right"), [
    ("mlflow/model-versions/get", "to read registered models and their versions"),
    ("mlflow/runs/get", "to read the experiment in which the model was logged"),
    ("mlflow/logged-models/m-1", "to read the experiment"),
    ("mlflow-artifacts/artifacts", "to read the experiment in which the model was logged, with its artifacts"),
])  # fmt: skip
def test_a_403_says_which_right_is_missing(client, stub, path, right):
    stub.answer = lambda _: Answer(b"Permission denied", 403)
    with pytest.raises(NotAllowed, match=f"lacks the right {right}"):
        client.get(path, Models, {})
    with pytest.raises(NotAllowed, match="lacks the right to edit"):
        client.post(path, Models, {})
    with pytest.raises(RegistryUnavailable, match=r"refuses the credentials \(403\).*MLFLOW_TRACKING_USERNAME"):
        MlflowClient(Server(stub.url)).get(path, Models, {})


def test_a_list_of_slow_pages_is_given_up_after_a_minute(client, stub, monkeypatch):
    monkeypatch.setattr(client_module, "_PAGES_WITHIN_S", 0.0)
    answers = iter(range(100))
    stub.answer = lambda _: Answer({"registered_models": [], "next_page_token": f"page-{next(answers)}"})
    with pytest.raises(RegistryUnavailable, match="never ends"):
        list(client.pages(PATH, Models, {}))
    assert next(answers) == 1


@pytest.mark.parametrize("token", ["hunter2\n", "hunter2\0", "hunter2é"])
def test_no_sentence_tells_a_token_that_cannot_be_sent(stub, token):
    with pytest.raises(RegistryUnavailable, match="Is there a line end after it") as error:
        MlflowClient(Server(stub.url, Bearer(token))).get(PATH, Models, {})
    assert "hunter2" not in str(error.value)


def test_another_host_gets_no_credentials(client, stub):
    """Neither does the same host under another path: a redirect is never followed."""
    with StubServer(lambda _: Answer({})) as other:
        stub.answer = lambda _: Answer(b"", 307, {"location": f"{other.url}/api"})
        with pytest.raises(RegistryUnavailable, match="not followed"):
            client.get(PATH, Models, {})
        with pytest.raises(RegistryUnavailable, match="not followed"):
            list(client.read("mlflow-artifacts/artifacts/1/model.onnx", 10))
        assert other.seen == []


def test_pages_are_read_to_their_end_and_one_that_comes_again_ends_them(client, stub):
    pages = {"": ("a", "1"), "1": ("b", "2"), "2": ("c", "")}

    def answer(seen):
        name, following = pages[seen.path.partition("page_token=")[2]]
        return Answer({"registered_models": [{"name": name}], "next_page_token": following})

    stub.answer = answer
    found = [each.name for page in client.pages(PATH, Models, {}) for each in page.registered_models]
    assert found == ["a", "b", "c"]
    pages["2"] = ("c", "2")
    with pytest.raises(RegistryUnavailable, match="never ends"):
        list(client.pages(PATH, Models, {}))


def test_pages_without_end_are_ended(client, stub, monkeypatch):
    monkeypatch.setattr(client_module, "_MOST_PAGES", 5)
    stub.answer = lambda _: Answer({"next_page_token": str(len(stub.seen))})
    with pytest.raises(RegistryUnavailable, match="never ends"):
        list(client.pages(PATH, Models, {}))
    assert len(stub.seen) == 5


def test_an_answer_that_is_too_large_is_not_kept(client, stub, monkeypatch):
    monkeypatch.setattr(client_module, "_MAX_ANSWER_BYTES", 10)
    with pytest.raises(RegistryUnavailable, match="more than 10 bytes"):
        client.get(PATH, Models, {})
    with pytest.raises(RegistryUnavailable, match="longer than 10 bytes"):
        list(client.read("mlflow-artifacts/artifacts/1/model.onnx", 10))


def test_an_answer_that_comes_byte_by_byte_is_given_up(client, monkeypatch):
    monkeypatch.setattr(pace, "ANSWER_WITHIN_S", -1.0)
    with pytest.raises(RegistryUnavailable, match="in full within"):
        client.get(PATH, Models, {})
    monkeypatch.setattr(pace, "PATIENCE_S", -1000.0)
    with pytest.raises(RegistryUnavailable, match="too slowly"):
        list(client.read("mlflow-artifacts/artifacts/1/model.onnx", 1000))


@pytest.mark.parametrize("fault", ["cut", "gone"])
def test_an_answer_that_breaks_off_is_unavailable(stub, fault):
    proxy = FaultyProxy(stub.url)
    try:
        client = MlflowClient(Server(proxy.url))
        proxy.fault = fault
        with pytest.raises(RegistryUnavailable, match="cannot be asked"):
            client.get(PATH, Models, {})
        assert len(proxy.seen) == (
            2 if fault == "gone" else 1
        )  # a question is asked once more, since the connection may be old
        with pytest.raises(RegistryUnavailable, match="cannot be asked"):
            client.post("mlflow/registered-models/create", Models, {})
        assert len(proxy.seen) == (3 if fault == "gone" else 2)  # a change is not
        proxy.fault = "drop_once"
        assert client.get(PATH, Models, {}).registered_models[0].name == "fraud"
    finally:
        proxy.close()


def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(RegistryUnavailable, match=r"MLflow at http://127\.0\.0\.1:9/.*cannot be asked"):
        MlflowClient(Server("http://127.0.0.1:9")).get(PATH, Models, {})


def test_the_types_of_all_answers_are_noted_before_threads_ask():
    """Two threads that read the first answer of a kind at once have ended the companion by a segmentation fault."""
    kinds = [kind for kind in vars(answers).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    assert len(kinds) > 10
    assert noted_late(*kinds) == ""
