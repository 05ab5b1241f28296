"""OAuth client credentials, as for Databricks: against an issuer on loopback."""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.answers import Models
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.oauth import ClientCredentials
from registry_sync.registries.mlflow.server import Server, read_server
from tests.support.stub_server import Answer, Seen, StubServer

BASIC = "Basic " + base64.b64encode(b"client:secret").decode()


class Workspace:
    """Gives tokens for an hour, and answers requests that have the newest one."""

    def __init__(self) -> None:
        self.given = 0
        self.lasts_s: float | None = 3600
        self.is_down = False
        self.revoked: set[str] = set()
        self.token_answer: Answer | None = None

    def __call__(self, seen: Seen) -> Answer:
        if seen.path == "/oidc/v1/token":
            return self._give(seen)
        token = seen.headers["authorization"].removeprefix("Bearer ")
        if not token.startswith("t") or token in self.revoked:
            return Answer({"error_code": "UNAUTHENTICATED", "message": "no"}, 401)
        return Answer({"registered_models": [{"name": token}]})

    def _give(self, seen: Seen) -> Answer:
        if self.is_down:
            return Answer(b"<html>out of order</html>", 503)
        if self.token_answer is not None:
            return self.token_answer
        if seen.headers["authorization"] != BASIC:
            return Answer({"error": "invalid_client"}, 401)
        assert parse_qs(seen.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["all-apis"]}
        self.given += 1
        lasts = {} if self.lasts_s is None else {"expires_in": self.lasts_s}
        return Answer({"access_token": f"t{self.given}", "token_type": "Bearer", **lasts})


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace()
    with StubServer(made) as server:
        made.url = server.url
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(workspace, clock) -> MlflowClient:
    auth = ClientCredentials(f"{workspace.url}/oidc/v1/token", "client", "secret", clock_s=clock)
    return MlflowClient(Server(workspace.url, auth))


def token(client: MlflowClient) -> str:
    """Return the token with which a question was asked."""
    return client.get("mlflow/registered-models/search", Models, {}).registered_models[0].name


def test_a_token_is_kept_until_shortly_before_its_end(client, workspace, clock):
    assert [token(client) for _ in range(3)] == ["t1"] * 3
    clock.now_s += 3559
    assert token(client) == "t1"
    clock.now_s += 2
    assert token(client) == "t2"


def test_a_token_that_lasts_less_than_a_minute_is_kept_for_half_of_it(client, workspace, clock):
    workspace.lasts_s = 20
    assert token(client) == "t1"
    clock.now_s += 9
    assert token(client) == "t1"
    clock.now_s += 2
    assert token(client) == "t2"


def test_a_token_without_an_end_is_kept_for_minutes(client, workspace, clock):
    workspace.lasts_s = None
    assert token(client) == "t1"
    clock.now_s += 200
    assert token(client) == "t1"
    clock.now_s += 100
    assert token(client) == "t2"


def test_after_a_401_there_is_one_more_try_with_a_new_token(client, workspace):
    assert token(client) == "t1"
    workspace.revoked = {"t1"}
    assert token(client) == "t2"
    workspace.revoked = {f"t{number}" for number in range(10)}
    with pytest.raises(RegistryUnavailable, match="refuses the credentials"):
        token(client)
    assert workspace.given == 3


def test_while_the_issuer_is_down_the_old_token_goes_on_to_its_end(client, workspace, clock):
    assert token(client) == "t1"
    workspace.is_down = True
    clock.now_s += 3590
    assert token(client) == "t1"
    clock.now_s += 11
    with pytest.raises(RegistryUnavailable, match="gives no token"):
        token(client)
    workspace.is_down = False
    assert token(client) == "t2"


def test_many_threads_renew_once(client, workspace):
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait()
        return token(client)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"t1"}
    assert workspace.given == 1


@pytest.mark.parametrize("answer", [
    Answer(b"<html>log in</html>"),
    Answer({"token": "t1"}),
    Answer({"access_token": 5}),
    Answer(b"[" * 60_000),
    Answer(b" " * 70_000),
    Answer(b"", 302, {"location": "http://elsewhere.example"}),
], ids=range(6))  # fmt: skip
def test_an_answer_that_is_no_token_is_told(client, workspace, answer):
    workspace.token_answer = answer
    with pytest.raises(RegistryUnavailable, match="/oidc/v1/token"):
        token(client)


def test_an_issuer_that_is_not_there_is_told(workspace):
    auth = ClientCredentials("http://127.0.0.1:9/oidc/v1/token", "client", "secret")
    with pytest.raises(RegistryUnavailable, match="which gives tokens, does not answer"):
        token(MlflowClient(Server(workspace.url, auth)))


def test_a_workspace_is_asked_with_the_credentials_of_its_variables(workspace):
    environ = {"DATABRICKS_HOST": workspace.url, "DATABRICKS_CLIENT_ID": "client", "DATABRICKS_CLIENT_SECRET": "secret"}
    server = read_server("databricks://", environ)
    assert token(MlflowClient(server)) == "t1"
    assert token(MlflowClient(read_server("databricks://", {**environ, "DATABRICKS_TOKEN": "tp"}))) == "tp"
    with pytest.raises(RegistryUnavailable, match="Check DATABRICKS_CLIENT_ID"):
        token(MlflowClient(read_server("databricks://", {**environ, "DATABRICKS_CLIENT_SECRET": "wrong"})))
