"""What the HTTP port refuses, and how: heads without an end, slow clients, too many of them, and what is no HTTP."""

import contextlib
import gc
import json
import time

import numpy as np
import pytest

from gateway.eventloop.open_files import connections_within
from gateway.http.upload import Upload
from tests.support import replica
from tests.support.polling import wait_until
from tests.unit.gateway.http.support import connection, head, json_request, read_response

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n"


def rest_of(opened):
    """Read until the server ends the connection. A reset counts as the end."""
    received = b""
    try:
        while more := opened.recv(65_536):
            received += more
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (LIVE + b"X-A: ", b"a" * 2**20),
        (LIVE, b"".join(b"a%d:b\r\n" % i for i in range(100_000))),
        (b"GET /", b"a" * 2**20),
        (LIVE + b"X-A: ", b"a" * 1000),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\nX-T: ", b"a" * 2**20),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"1;x=", b"a" * 2**20),
        (LIVE + b"Connection: Upgrade\r\nUpgrade: h2c\r\nX-A: ", b"a" * 2**20),
    ],
    ids=["value", "fields", "path", "drip", "trailer", "extension", "upgrade"],
)
def test_a_head_without_an_end_ends_its_connection_and_no_other(gateway, start, part):
    with connection(gateway) as opened, connection(gateway) as other:
        opened.sendall(start)
        for _ in range(40):
            opened.sendall(part)
            other.sendall(json_request([[1, 2, 3, 4]]))
            assert read_response(other).status == 200
        assert rest_of(opened)[9:12] == b"431"


@pytest.mark.parametrize(
    "more",
    [b"X-A: " + b"a" * 33_000 + b"\r\n", b"".join(b"a%d: b\r\n" % i for i in range(120))],
    ids=["bytes", "count"],
)
def test_too_large_a_head_is_431(gateway, more):
    with connection(gateway) as opened:
        opened.sendall(LIVE + more + b"\r\n")
        response = read_response(opened)
        assert (response.status, response.headers["x-error"]) == (431, "HeadersTooLarge")
        assert response.headers["connection"] == "close"
        assert rest_of(opened) == b""


def test_a_head_just_below_the_limit_is_taken_in_any_pieces(gateway):
    request = LIVE + b"X-A: " + b"a" * 32_000 + b"\r\n\r\n"
    for size in (len(request), 1000, 7):
        with connection(gateway) as opened:
            for at in range(0, len(request), size):
                opened.sendall(request[at : at + size])
            assert read_response(opened).status == 200


@pytest.mark.parametrize(
    "bytes_",
    [
        b"NO SUCH THING\r\n\r\n",
        head(5).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"hello",
        b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n",
    ],
    ids=["method", "length and chunked", "nul", "no host", "two hosts", "connect", "chunk"],
)
def test_what_is_no_request_is_refused_in_json(gateway, bytes_):
    with connection(gateway) as opened:
        opened.sendall(bytes_)
        response = read_response(opened)
        assert (response.status, response.headers["x-error"]) == (400, "BadRequest")
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.content)["error"].endswith(".")
        assert rest_of(opened) == b""


def test_http_1_0_needs_no_host(gateway):
    with connection(gateway) as opened:
        opened.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert opened.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("blank", ["", " ", "\t", " \t  "])
def test_blanks_after_a_value_do_not_count(gateway, blank):
    body = json_request(np.zeros((1, 4))).partition(b"\r\n\r\n")[2]
    with connection(gateway) as opened:
        lines = [
            "POST /v2/models/half/infer HTTP/1.1",
            f"Host: localhost{blank}",
            f"Content-Length: {len(body)}{blank}",
        ]
        arms = []
        for unit in range(20):
            opened.sendall("\r\n".join([*lines, f"x-user-id: u{unit}{blank}", "", ""]).encode() + body)
            response = read_response(opened)
            assert response.status == 200
            arms.append(response.headers["x-arm"])
    with connection(gateway) as opened:
        for unit, arm in enumerate(arms):
            opened.sendall(json_request(np.zeros((1, 4)), "half", f"x-user-id: u{unit}"))
            assert read_response(opened).headers["x-arm"] == arm


def test_trailers_are_no_headers(gateway):
    body = json_request(np.zeros((1, 4))).partition(b"\r\n\r\n")[2]
    for unit in range(10):
        fields = f"Host: localhost\r\nx-user-id: u{unit}\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked = (
            b"POST /v2/models/half/infer HTTP/1.1\r\n" + fields.encode() + b"%x\r\n" % len(body) + body + b"\r\n0\r\n"
        )
        arms = set()
        for trailer in (b"", b"x-force-arm: a\r\n", b"x-force-arm: b\r\n", b"x-user-id: other\r\n"):
            with connection(gateway) as opened:
                opened.sendall(chunked + trailer + b"\r\n")
                response = read_response(opened)
                assert response.headers["x-reason"] == "STICKY"
                arms.add(response.headers["x-arm"])
        assert len(arms) == 1


@pytest.mark.parametrize("names", [("Upgrade", "Connection"), ("UPGRADE", "CONNECTION"), ("upgrade", "connection")])
@pytest.mark.parametrize("behind", [False, True], ids=["first", "pipelined"])
def test_an_upgrade_is_ignored_in_any_case_at_any_cut(gateway, names, behind):
    upgrade, connects = names
    request = json_request(np.ones((2, 4)), "plain", f"{connects}: Upgrade, HTTP2-Settings", f"{upgrade}: h2c")
    following = json_request(np.ones((3, 4)))
    bytes_ = (json_request(np.ones((1, 4))) if behind else b"") + request + following
    for cut in range(1, len(bytes_) - 1, 13):
        with connection(gateway) as opened:
            opened.sendall(bytes_[:cut])
            opened.sendall(bytes_[cut:])
            rows = [len(read_response(opened).scores()) for _ in range(3 if behind else 2)]
        assert rows == ([1, 2, 3] if behind else [2, 3])


def test_a_thousand_upgrades_in_a_row_are_answered(gateway):
    request = LIVE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with connection(gateway) as opened:
        opened.sendall(request * 1000)
        assert {read_response(opened).status for _ in range(1000)} == {200}


def test_uploads_that_break_off_are_freed_without_a_collection(gateway):
    length = 900_000
    gc.unfreeze()
    gc.collect()
    gc.disable()
    before = uploads()
    try:
        for _ in range(3):
            with connection(gateway) as opened:
                opened.sendall(head(length) + bytes(length // 2))
                wait_until(lambda: uploads() - before)
            wait_until(lambda: not uploads() - before)
    finally:
        gc.enable()


def uploads() -> set[int]:
    """Return which uploads there are, those of other gateways included."""
    gc.unfreeze()  # a replica that has just started freezes what exists by then, and it is listed no more
    return {id(each) for each in gc.get_objects() if type(each) is Upload}


def test_a_caller_who_may_not_is_refused_before_its_body_is_read(gateway):
    with connection(gateway) as opened:
        opened.sendall(head(900_000, path="/v2/models/nothing/infer"))  # and not a byte of the body
        response = read_response(opened)
        assert (response.status, response.headers["x-error"]) == (404, "UnknownRoute")
        opened.sendall(bytes(900_000) + json_request([[1, 2, 3, 4]]))
        assert read_response(opened).status == 200


@pytest.fixture(scope="module")
def hurried(registry, tmp_path_factory):
    """Serve with limits of a second."""
    limits = {"idle_timeout_s": 1.0, "header_timeout_s": 1.0, "body_timeout_s": 1.0, "max_connections": 20}
    settings = replica.settings_of(registry, tmp_path_factory.mktemp("home"), **limits)
    with replica.serving(settings) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"POST /v2/models/plain/infer HT", 408),
        (LIVE, 408),
        (head(100), 408),
        (head(100) + b"{", 408),
        (head(2**20) + bytes(1000), 408),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"5\r\nab", 408),
        (LIVE + b"\r\n", 200),
    ],
    ids=["silence", "line", "head", "no body", "body", "upload", "chunk", "idle"],
)
def test_who_never_completes_a_request_is_sent_away(hurried, sent, status):
    with connection(hurried) as opened:
        opened.sendall(sent)
        received = rest_of(opened)
    assert received[9:12] == (b"" if status is None else str(status).encode())


def test_one_connection_too_many_closes_an_idle_one(hurried):
    def is_taken():
        with connection(hurried) as caller:
            caller.sendall(json_request([[1, 2, 3, 4]]))
            return read_response(caller).status == 200

    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connection(hurried))
        # A connection is closed itself if no other was idle at the last look.
        wait_until(is_taken, retried=(OSError, AssertionError))


@pytest.fixture(scope="module")
def short_lived(registry, tmp_path_factory):
    """Serve on connections that live for two seconds at most."""
    settings = replica.settings_of(registry, tmp_path_factory.mktemp("home"), max_connection_age_s=2.0)
    with replica.serving(settings) as gateway:
        yield gateway


@pytest.mark.parametrize("request_bytes", [json_request([[1, 2, 3, 4]]), LIVE + b"\r\n"], ids=["prediction", "page"])
def test_an_old_connection_ends_behind_a_response_that_says_so(short_lived, request_bytes):
    with connection(short_lived) as opened:
        for _ in range(200):
            opened.sendall(request_bytes)
            response = read_response(opened)
            assert response.status == 200
            if response.headers.get("connection") == "close":
                break
            time.sleep(0.1)
        assert response.headers.get("connection") == "close"
        assert opened.recv(1) == b""


@pytest.mark.parametrize(("open_files", "connections"), [(256, 10), (1024, 384), (65_536, 32_640)])
def test_connections_leave_descriptors_for_the_rest(open_files, connections):
    assert connections_within(open_files) == connections


@pytest.mark.parametrize("body", [b"x", b"a" * 50_000, b"\r\n\r\n" + b"a" * 100], ids=["short", "long", "empty lines"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_head_that_begins_behind_another_request_is_counted_from_its_first_byte(gateway, body, ends):
    for size, status in ((31_000, 200 if ends else None), (36_000, 431)):
        with connection(gateway) as opened:
            first, rest = LIVE + b"X-A: " + b"a" * 30_000, b"a" * (size - 30_000)
            opened.sendall(head(len(body)) + body + first)  # 30 kB of the head are in the packet of another
            assert read_response(opened).status == 400
            for at in range(0, len(rest), 1000):
                with contextlib.suppress(OSError):  # it may be refused by now
                    opened.sendall(rest[at : at + 1000])
            if ends:
                with contextlib.suppress(OSError):
                    opened.sendall(b"\r\n\r\n")
            if status is not None:
                assert read_response(opened).status == status


def test_many_requests_in_a_packet_are_no_long_head(gateway):
    with connection(gateway) as opened:
        opened.sendall((LIVE + b"X-A: " + b"a" * 1000 + b"\r\n\r\n") * 100 + LIVE)
        for _ in range(100):
            assert read_response(opened).status == 200
        opened.sendall(b"\r\n")
        assert read_response(opened).status == 200
