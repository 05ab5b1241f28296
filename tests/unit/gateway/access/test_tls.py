"""TLS: the files that are taken, an HTTP server and the command line with it."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import uvicorn

from gateway.access.tls import Tls, load_tls
from gateway.settings import Settings
from tests.support.authority import Authority


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path, "authority")


def settings(certificate=None, key=None, client_ca=None) -> Settings:
    return Settings(tls_certificate=certificate, tls_key=key, tls_client_ca=client_ca)


def test_without_files_there_is_no_tls():
    assert load_tls(settings()) is None


def test_files_that_fit_are_taken(authority):
    certificate, key = authority.issue("server")
    tls = load_tls(settings(certificate, key))
    assert tls == Tls(certificate, key, None)
    assert tls.for_uvicorn() == {"ssl_certfile": certificate, "ssl_keyfile": key}
    bound = load_tls(settings(certificate, key, authority.path))
    assert bound.for_uvicorn()["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert bound.for_uvicorn()["ssl_ca_certs"] == authority.path


def test_one_file_without_the_other_is_refused(authority):
    certificate, key = authority.issue("server")
    for given in ((certificate, None), (None, key), (None, None, authority.path)):
        with pytest.raises(ValueError, match="TLS needs both POINTSMAN_TLS_CERTIFICATE and POINTSMAN_TLS_KEY"):
            load_tls(settings(*given))


def test_a_key_of_another_certificate_is_refused(authority):
    certificate, _ = authority.issue("server")
    _, other = authority.issue("other")
    with pytest.raises(ValueError, match=r"other.key is not the one that the certificate .*server.crt was made for"):
        load_tls(settings(certificate, other))


def test_an_encrypted_key_is_refused_without_a_prompt_at_the_terminal(authority):
    with pytest.raises(ValueError, match=r"POINTSMAN_TLS_KEY: .* is encrypted"):
        load_tls(settings(*authority.issue("server", b"password")))


def test_files_that_cannot_be_read_are_named(authority, tmp_path):
    certificate, key = authority.issue("server")
    missing = tmp_path / "nowhere.pem"
    for given, setting in (
        ((missing, key), "CERTIFICATE"),
        ((certificate, missing), "KEY"),
        ((certificate, key, missing), "CLIENT_CA"),
        ((tmp_path, key), "CERTIFICATE"),
    ):
        with pytest.raises(ValueError, match=rf"POINTSMAN_TLS_{setting}: .* cannot be read \((No such file|Is a dir)"):
            load_tls(settings(*given))


def test_files_that_hold_something_else_are_named(authority, tmp_path):
    certificate, key = authority.issue("server")
    (tmp_path / "damaged.crt").write_bytes(certificate.read_bytes()[:200] + b"\n-----END CERTIFICATE-----\n")
    for given, sentence in (
        ((key, key), "CERTIFICATE: .*server.key holds no certificate"),
        ((certificate, certificate), "KEY: .*server.crt holds no private key"),
        ((certificate, key, key), "CLIENT_CA: .*server.key holds no certificate"),
        ((tmp_path / "damaged.crt", key), "damaged.crt or its key .* is damaged"),
        ((certificate, key, tmp_path / "damaged.crt"), "CLIENT_CA: .*damaged.crt holds no certificate that can be"),
    ):
        with pytest.raises(ValueError, match=sentence):
            load_tls(settings(*given))


async def hello(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def over_http(tls: Tls, get: Callable[[str], str]) -> str:
    """Return what `get` gets from a server on loopback."""

    async def run() -> str:
        server = uvicorn.Server(uvicorn.Config(hello, port=0, lifespan="off", log_config=None, **tls.for_uvicorn()))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            return await asyncio.to_thread(get, f"https://127.0.0.1:{port}/")
        finally:
            server.should_exit = True
            await task

    return asyncio.run(run())


def client(authority: Authority, own: tuple[Path, Path] | None = None) -> Callable[[str], str]:
    context = ssl.create_default_context(cafile=authority.path)
    if own is not None:
        context.load_cert_chain(*own)

    def get(url: str) -> str:
        with httpx.Client(verify=context, trust_env=False) as http:
            return http.get(url).text

    return get


def test_http_over_tls(authority, tmp_path):
    tls = load_tls(settings(*authority.issue("server")))
    assert over_http(tls, client(authority)) == "hello"
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        over_http(tls, client(Authority(tmp_path, "stranger")))


def test_http_clients_need_a_certificate_of_the_authority(authority, tmp_path):
    tls = load_tls(settings(*authority.issue("server"), authority.path))
    assert over_http(tls, client(authority, authority.issue("ada"))) == "hello"
    for own in (None, Authority(tmp_path, "stranger").issue("eve")):
        with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
            over_http(tls, client(authority, own))


def test_the_command_line_trusts_the_authority_of_pointsman_ca(authority, monkeypatch):
    from gateway.cli.client import ApiClient, ApiError

    own = authority.issue("ada")
    both = authority.folder / "ada.pem"
    both.write_bytes(own[0].read_bytes() + own[1].read_bytes())
    tls = load_tls(settings(*authority.issue("server"), authority.path))

    def get(url: str) -> str:
        try:
            ApiClient(url).status()
        except ApiError as error:
            return str(error)
        return ""

    monkeypatch.setenv("POINTSMAN_CA", str(authority.path))
    monkeypatch.setenv("POINTSMAN_CLIENT_CERTIFICATE", str(both))
    assert "is no gateway: it says 200 and 'hello'" in over_http(tls, get)
    monkeypatch.delenv("POINTSMAN_CA")
    assert "No gateway answers" in over_http(tls, get)
