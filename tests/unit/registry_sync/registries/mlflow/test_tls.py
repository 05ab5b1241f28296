"""Certificates, as MLflow's own client takes them: the server's authority, and one to present."""

import ssl

import pytest

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.answers import Models
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.server import read_server
from tests.support.authority import Authority
from tests.support.stub_server import Answer, StubServer

AUTHORITY, OWN = "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path, "authority")


def context(authority: Authority, *, asks: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*authority.issue("server"))
    if asks:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(authority.path)
    return made


def ask(stub: StubServer, **environ: str) -> Models:
    client = MlflowClient(read_server(f"mlflow+{stub.url}", environ))
    return client.get("mlflow/registered-models/search", Models, {})


def test_an_unknown_authority_is_refused_with_the_variable_that_names_it(authority):
    with StubServer(lambda _: Answer({}), context(authority, asks=False)) as stub:
        with pytest.raises(RegistryUnavailable, match=AUTHORITY):
            ask(stub)
        assert ask(stub, **{AUTHORITY: str(authority.path)}) == Models()
        assert ask(stub, MLFLOW_TRACKING_INSECURE_TLS="true") == Models()


def test_a_certificate_is_presented(authority, tmp_path):
    certificate, key = authority.issue("gateway")
    (tmp_path / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    own = str(tmp_path / "both.pem")
    with StubServer(lambda _: Answer({}), context(authority, asks=True)) as stub:
        with pytest.raises(RegistryUnavailable):
            ask(stub, **{AUTHORITY: str(authority.path)})
        assert ask(stub, **{AUTHORITY: str(authority.path), OWN: own}) == Models()
        assert ask(stub, MLFLOW_TRACKING_INSECURE_TLS="1", **{OWN: own}) == Models()
        with pytest.raises(RegistryUnavailable, match=OWN):
            ask(stub, **{OWN: str(authority.path)})
