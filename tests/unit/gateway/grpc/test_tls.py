"""gRPC over TLS, with and without client certificates."""

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.access.tls import Tls
from tests.support.polling import PATIENCE_S
from tests.unit.gateway.grpc.support import Client, Served, StubService, channel_to, methods_of, request, serving


def behind(use: Callable[[Served], Coroutine[Any, Any, None]], tls: ssl.SSLContext, **more: Any) -> None:
    async def run() -> None:
        async with serving(methods_of(StubService()), tls=tls, max_message_bytes=1_000_000, **more) as served:
            await asyncio.wait_for(use(served), PATIENCE_S)

    asyncio.run(run())


def certificate(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    return Tls(folder / "certificate.pem", folder / "key.pem", None)


def shown(files: Tls, *, client_too: bool) -> grpc.ChannelCredentials:
    own, key = files.certificate.read_bytes(), files.key.read_bytes()
    return grpc.ssl_channel_credentials(own, *((key, own) if client_too else ()))


@pytest.mark.parametrize("offered", [[], ["http/1.1"]], ids=["nothing", "http/1.1"])
def test_a_client_that_does_not_negotiate_http_2_is_refused(tmp_path, offered):
    files = certificate(tmp_path)

    async def use(served: Served) -> None:
        stranger = ssl.create_default_context(cafile=files.certificate)
        if offered:
            stranger.set_alpn_protocols(offered)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, writer = await asyncio.open_connection("localhost", served.port, ssl=stranger)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        async with channel_to(served.port, "localhost", shown(files, client_too=False)) as channel:
            await Client(channel).infer(request())

    behind(use, tls=files.for_grpc())


def test_a_client_without_a_handshake_is_sent_away(tmp_path):
    async def use(served: Served) -> None:
        reader, writer = await asyncio.open_connection("localhost", served.port)
        async with asyncio.timeout(PATIENCE_S / 2):  # asyncio's own limit is 60 s
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()

    behind(use, tls=certificate(tmp_path).for_grpc(), hello_s=0.5)


def test_tls_negotiates_http_2_and_requires_client_certificates_if_configured(tmp_path):
    files = certificate(tmp_path)
    mutual = Tls(files.certificate, files.key, client_ca=files.certificate)

    async def use(served: Served) -> None:
        async with channel_to(served.port, "localhost", shown(files, client_too=True)) as channel:
            await Client(channel).infer(request())
        stranger = ssl.create_default_context(cafile=files.certificate)
        stranger.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection("localhost", served.port, ssl=stranger)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert await reader.read() == b""  # not even settings
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            writer.close()
            await writer.wait_closed()

    async def use_plain(served: Served) -> None:
        async with channel_to(served.port, "localhost", shown(files, client_too=False)) as channel:
            await Client(channel).infer(request(rows=50_000))

    behind(use, tls=mutual.for_grpc())
    behind(use_plain, tls=files.for_grpc())
