"""Large bodies over real sockets, plain and TLS. They arrive in any pieces and are copied at most once."""

import datetime
import gc
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.http import connection as http_connection
from gateway.http.upload import Upload
from store.open import open_store
from tests.support.linear import publish
from tests.support.polling import wait_until
from tests.support.replica import serving, settings_of
from tests.support.routes import declare
from tests.unit.gateway.http.support import binary_request, connection, head, json_request, read_response

COLUMNS = 16_384  # 16 rows are a megabyte; rows this wide are not logged
MAX_BODY_BYTES = 8_000_000
WEIGHTS = np.random.default_rng(0).integers(-3, 4, (COLUMNS, 2)).astype(np.float32)
ROUTE = {"route": "broad", "arms": {"a": "broad:1"}, "split": {"a": "100%"}}
MOST_READ_AT_ONCE = 262_144  # by uvloop: the HTTP headers and the part of the body in the same read


def rows_of(count: int, seed: int = 0) -> Any:
    """Return small whole numbers, so that sums are exact in any order."""
    return np.random.default_rng(seed).integers(-2, 3, (count, COLUMNS)).astype(np.float32)


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Served(NamedTuple):
    """A replica that accepts large bodies, and the TLS context to connect with."""

    gateway: Any
    tls: ssl.SSLContext | None

    def connect(self) -> Any:
        return connection(self.gateway, self.tls)


@pytest.fixture(scope="module", params=["plain", "tls"])
def served(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("broad")
    registry = home / "models"
    for model, weights in (("broad", WEIGHTS), ("linear", np.ones((4, 2), np.float32))):
        publish(registry, model, "1", weights)
    publish(registry, "linear", "2", np.ones((4, 2), np.float32))
    (registry / "linear" / "aliases.yaml").write_text("challenger: '2'")
    more: dict[str, Any] = {}
    if request.param == "tls":
        certificate, key = self_signed(home)
        more = {"tls_certificate": certificate, "tls_key": key}
    chosen = settings_of(registry, home, max_body_bytes=MAX_BODY_BYTES, **more)
    store = open_store(chosen.store)
    declare(store, ROUTE)
    store.close()
    with serving(chosen) as gateway:
        yield Served(gateway, ssl.create_default_context(cafile=certificate) if more else None)


def pieces(content: bytes, seed: int) -> Iterator[bytes]:
    """Yield the content in pieces of random sizes. Some are one byte."""
    generator, at = random.Random(seed), 0  # noqa: S311  # not used for secrets
    while at < len(content):
        size = generator.choice([1, 100, 1460, 65_536, 65_537, 300_000, 1_000_000])
        yield content[at : at + size]
        at += size


@pytest.mark.parametrize("kind", [binary_request, json_request])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_body_of_megabytes_in_any_pieces_is_answered_and_the_connection_goes_on(served, kind, seed):
    with served.connect() as opened:
        for count in (50 if kind is binary_request else 12, 1, 2):
            rows = rows_of(count, seed)
            for piece in pieces(kind(rows, "broad"), seed):
                opened.sendall(piece)
            assert np.array_equal(read_response(opened).scores(), rows @ WEIGHTS)


@pytest.mark.parametrize("cut", [0, 1, 70_000, 400_000])
def test_a_request_right_after_a_large_body_is_answered(served, cut):
    """The body's end and the next request are in one packet. Neither may be taken for the other."""
    large, small = rows_of(8, 1), [[1, 2, 3, 4]]
    stream = binary_request(large, "broad") + json_request(small) + binary_request(large, "broad") + json_request(small)
    with served.connect() as opened:
        if cut:
            opened.sendall(stream[:cut])
        opened.sendall(stream[cut:])
        responses = [read_response(opened) for _ in range(4)]
    assert [np.array_equal(responses[index].scores(), large @ WEIGHTS) for index in (0, 2)] == [True, True]
    assert [responses[index].scores().shape for index in (1, 3)] == [(1, 2), (1, 2)]


@pytest.mark.parametrize("part", [0, 1, 1000, 60_000, 200_000])
def test_a_large_body_that_begins_behind_a_running_request_is_answered(served, part):
    large = rows_of(8, 2)
    first, second, third = json_request([[1, 2, 3, 4]]), binary_request(large, "broad"), json_request([[1, 2, 3, 4]])
    begun = second.index(b"\r\n\r\n") + 4 + part
    with served.connect() as opened:
        opened.sendall(first + second[:begun])
        assert read_response(opened).status == 200
        opened.sendall(second[begun:] + third)
        assert np.array_equal(read_response(opened).scores(), large @ WEIGHTS)
        assert read_response(opened).status == 200


@pytest.mark.parametrize("excess", [0, 1])
def test_a_body_of_exactly_the_limit_is_accepted(served, excess):
    request = json_request([[1, 2, 3, 4]])
    body = request[request.index(b"\r\n\r\n") + 4 :]
    body += b" " * (MAX_BODY_BYTES + excess - len(body))
    with served.connect() as opened:
        opened.sendall(head(len(body)) + body)
        assert read_response(opened).status == (413 if excess else 200)
        opened.sendall(request)
        assert read_response(opened).status == 200


@pytest.mark.parametrize("header_length", ["99999999", "9" * 30, "-1", "abc", "", "0x10", "1", "70000"])
def test_a_wrong_header_length_is_a_bad_request(served, header_length):
    request = binary_request(rows_of(4), "broad")
    body = request[request.index(b"\r\n\r\n") + 4 :]
    with served.connect() as opened:
        opened.sendall(
            head(len(body), f"Inference-Header-Content-Length: {header_length}", path="/v2/models/broad/infer") + body
        )
        response = read_response(opened)
        assert (response.status, response.headers["x-error"]) == (400, "BadRequest")
        opened.sendall(request)
        assert read_response(opened).status == 200


def test_clients_that_disconnect_within_a_body_leave_nothing_behind(served):
    request = binary_request(rows_of(50), "broad")
    for part in (len(request) - len(rows_of(50).tobytes()), 100_000, 1_000_000, len(request) - 1):
        with served.connect() as opened:
            opened.sendall(request[:part])
    wait_until(lambda: not served.gateway.connections())
    wait_until(
        lambda: gc.collect() >= 0 and not uploads(),
        shows=lambda: f"they are referred to by {[gc.get_referrers(upload) for upload in uploads()]}"[:2000],
    )
    with served.connect() as opened:
        opened.sendall(request)
        assert read_response(opened).status == 200


def uploads():
    return [each for each in gc.get_objects() if type(each) is Upload]


def test_a_client_that_half_closes_within_a_body_is_disconnected(served):
    if served.tls is not None:
        pytest.skip("TLS has no half-closed connections")
    with served.connect() as opened:
        opened.sendall(binary_request(rows_of(8), "broad")[:-1])
        opened.shutdown(socket.SHUT_WR)
        assert opened.recv(1) == b""


class Watched:
    """The tensors that the runtime got, the uploads they came in, and how many bytes were copied."""

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tensors: list[Any] = []
        self.uploads: list[Upload] = []
        self.copied = 0
        watched = self

        class WatchedUpload(Upload):
            def __init__(self, *given: Any) -> None:
                super().__init__(*given)
                watched.uploads.append(self)

            def take(self, part: bytes | bytearray) -> None:
                watched.copied += len(part)
                super().take(part)

        runtime = served.gateway.replica._holder.current.routes["broad"].arms[0].lane.executor._runtime
        run = runtime.run

        def note(inputs: Any, outputs: Any) -> Any:
            self.tensors.append(inputs["X"])
            return run(inputs, outputs)

        monkeypatch.setattr(http_connection, "Upload", WatchedUpload)
        monkeypatch.setattr(runtime, "run", note)


@pytest.mark.parametrize("request_id", ["", "a", "ab", "abc"])  # shifts the tensor within the body
def test_acceptance_a_tensor_of_a_megabyte_reaches_the_runtime_in_the_buffer_of_the_socket(
    served, monkeypatch, request_id
):
    """Only the bytes that came with the HTTP headers are copied, and the tensor is 64-byte aligned."""
    watched, rows = Watched(served, monkeypatch), rows_of(16)
    assert rows.nbytes == 1 << 20
    with served.connect() as opened:
        opened.sendall(binary_request(rows, "broad", request_id))
        assert np.array_equal(read_response(opened).scores(), rows @ WEIGHTS)
    (tensor,), (upload,) = watched.tensors, watched.uploads
    assert np.shares_memory(tensor, np.frombuffer(upload.body, np.uint8))
    assert tensor.ctypes.data % 64 == 0
    assert tensor.flags.c_contiguous
    assert watched.copied <= MOST_READ_AT_ONCE
