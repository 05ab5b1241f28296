"""Requests to MLflow in SageMaker are signed. The check is our own: see `tests.support.signature_v4`."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.answers import Models, Refusal
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.server import read_server
from tests.support.signature_v4 import BadSignature, check_signature
from tests.support.stub_server import Answer, Seen, StubServer

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/prod"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class SageMaker:
    """Answers what is signed, and refuses all else with 403, as AWS does."""

    def __init__(self) -> None:
        self.now = lambda: datetime.now(UTC)
        self.tamper = lambda seen: seen

    def __call__(self, seen: Seen) -> Answer:
        seen = self.tamper(seen)
        try:
            key = check_signature(
                method=seen.method, path=seen.path, headers=seen.headers, body=seen.body, secrets={KEY: SECRET},
                region="eu-central-1", service="sagemaker-mlflow", now=self.now(),
            )  # fmt: skip
        except BadSignature as error:
            return Answer({"message": str(error)}, 403)
        assert key == KEY
        assert seen.headers["x-mlflow-sm-tracking-server-arn"] == ARN
        return Answer({"registered_models": [{"name": "fraud"}]})


@pytest.fixture
def sagemaker() -> SageMaker:
    return SageMaker()


@pytest.fixture
def client(sagemaker, monkeypatch) -> Iterator[MlflowClient]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with StubServer(sagemaker) as server:
        yield MlflowClient(read_server(f"mlflow+sagemaker://{ARN}", {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": server.url}))


def ask(client: MlflowClient, **more: str) -> list[str]:
    found = client.get("mlflow/registered-models/search", Models, {"max_results": 10, **more})
    return [each.name for each in found.registered_models]


def test_the_check_itself_agrees_with_the_example_of_aws():
    """The request `GET /?Param1=value1&Param2=value2` of the test suite that AWS publishes (get-vanilla-query)."""
    headers = {
        "host": "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    }
    secrets = {KEY: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    assert check_signature(
        method="GET", path="/?Param2=value2&Param1=value1", headers=headers, body=b"", secrets=secrets,
        region="us-east-1", service="service", now=now,
    ) == KEY  # fmt: skip


@pytest.mark.parametrize("question", [{}, {"filter": "name = 'a b+c/ü*~'"}, {"page_token": "==&=%20"}])
def test_questions_are_signed_with_their_query(client, question):
    assert ask(client, **question) == ["fraud"]


def test_changes_are_signed_with_their_body(client):
    client.post("mlflow/registered-models/create", Refusal, {"name": "frücht", "tags": []})
    client.post("mlflow/model-versions/delete", Refusal, {"name": "fraud", "version": "1"}, "DELETE")


def test_files_are_signed_with_the_digest_that_is_known_and_a_path_that_is_encoded_twice(client):
    content = b"weights" * 1000
    path = "mlflow-artifacts/artifacts/1/models/m-1/artifacts/a b(1)+ü.bin"
    client.upload(path, iter([content[:10], content[10:]]), len(content), sha256(content).hexdigest())
    assert b"fraud" in b"".join(client.read(path, 1000))


def test_a_session_token_is_sent_and_signed(client, monkeypatch, sagemaker):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    url = client.server.url
    signed = MlflowClient(read_server(f"mlflow+sagemaker://{ARN}", {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": url}))
    seen: list[Seen] = []
    sagemaker.tamper = lambda each: seen.append(each) or each
    assert ask(signed) == ["fraud"]
    assert seen[0].headers["x-amz-security-token"] == "a token"


@pytest.mark.parametrize(("what", "tamper"), [
    ("another body", lambda seen: seen._replace(body=seen.body + b" ")),
    ("another signature", lambda seen: seen._replace(path=seen.path.replace("create", "delete"))),
    ("another signature", lambda seen: seen._replace(path=seen.path + "?force=true")),
    ("another signature", lambda seen: seen._replace(method="PUT")),
    ("another signature", lambda seen: seen._replace(headers={**seen.headers, "host": "elsewhere"})),
    ("another signature", lambda seen: seen._replace(
        headers={**seen.headers, "x-mlflow-sm-tracking-server-arn": ARN.replace("prod", "other")})),
    ("no Authorization", lambda seen: seen._replace(headers={**seen.headers, "authorization": "Bearer x"})),
])  # fmt: skip
def test_what_was_changed_on_its_way_is_refused(client, sagemaker, what, tamper):
    sagemaker.tamper = tamper
    with pytest.raises(RegistryUnavailable, match=rf"403: {what}.*sagemaker-mlflow:\*"):
        client.post("mlflow/registered-models/create", Refusal, {"name": "fraud"})


def test_another_secret_or_key_is_refused(client, monkeypatch):
    for name, why in (("AWS_SECRET_ACCESS_KEY", "another signature"), ("AWS_ACCESS_KEY_ID", "unknown key")):
        monkeypatch.setenv(name, "wrong")
        environ = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": client.server.url}
        with pytest.raises(RegistryUnavailable, match=why):
            ask(MlflowClient(read_server(f"mlflow+sagemaker://{ARN}", environ)))
        monkeypatch.setenv(name, SECRET)


@pytest.mark.parametrize(("skew_s", "accepted"), [(240, True), (-240, True), (360, False), (-360, False)])
def test_a_clock_that_differs_by_more_than_five_minutes_is_refused(client, sagemaker, skew_s, accepted):
    sagemaker.now = lambda: datetime.now(UTC) + timedelta(seconds=skew_s)
    if accepted:
        assert ask(client) == ["fraud"]
    else:
        with pytest.raises(RegistryUnavailable, match="the clocks differ"):
            ask(client)


def test_without_credentials_the_sentence_says_which(client, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    environ = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": client.server.url}
    with pytest.raises(RegistryUnavailable, match="AWS_ACCESS_KEY_ID"):
        ask(MlflowClient(read_server(f"mlflow+sagemaker://{ARN}", environ)))
