"""A replica and the companion: over their socket, and while one of them is gone, slow or new."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from gateway.companion.rewards import client as client_module
from gateway.companion.rewards.client import RewardsClient
from gateway.companion.rewards.messages import LENGTH, Answered, Asked, Outcome
from gateway.companion.rewards.server import RewardServer
from gateway.companion.unix_socket import short_name
from gateway.errors import BadRequest, RewardsNotCounted
from tests.support.polling import PATIENCE_S, wait_until


@pytest.fixture
def path(tmp_path):
    deep = tmp_path / ("a folder whose path is too long for the name of a socket " * 3)
    deep.mkdir()
    return deep / "rewards.socket"


class Companion:
    """A server at a socket, in a thread."""

    def __init__(self, path, answer) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=RewardServer(path, answer).run, args=(self.stop,))
        self.thread.start()
        wait_until(path.exists)

    def end(self) -> None:
        self.stop.set()
        self.thread.join()


@pytest.fixture
def companion(path):
    """Return a function that starts a companion which answers as given."""
    started: list[Companion] = []

    def start(answer) -> Companion:
        started.append(Companion(path, answer))
        return started[-1]

    yield start
    for each in started:
        each.end()


def results(content: bytes) -> Answered:
    return Answered(Outcome.RESULTS, content)


@asynccontextmanager
async def replica(path, **options: float) -> AsyncIterator[RewardsClient]:
    """Yield a client whose connections are closed in the end."""
    client = RewardsClient(path, **{"patience_s": PATIENCE_S, **options})
    try:
        yield client
    finally:
        client.close()
        await asyncio.sleep(0)


async def send_one(path, body: bytes = b"", **options: float) -> bytes:
    async with replica(path, **options) as client:
        return await client.send("http", body, None)


def run(work):
    return asyncio.run(asyncio.wait_for(work, 120))


def test_a_request_is_answered_however_long_the_path_and_the_body_are(path, companion):
    asked = []

    def answer(request: Asked) -> Answered:
        asked.append(request)
        return results(request.body[::-1])

    companion(answer)
    body = bytes(range(256)) * 16_000

    async def send():
        async with replica(path) as client:
            return [await client.send("http", body, {"fraud"}), await client.send("grpc", b"ab", None)]

    assert run(send()) == [body[::-1], b"ba"]
    assert [(each.protocol, each.routes) for each in asked] == [("http", ("fraud",)), ("grpc", None)]


def test_connections_are_kept_and_few(path, companion):
    threads = set()

    def answer(_: Asked) -> Answered:
        threads.add(threading.get_ident())
        return results(b"x")

    companion(answer)

    async def send() -> None:
        async with replica(path) as client:
            await asyncio.gather(*[client.send("http", b"", None) for _ in range(60)])
            await asyncio.gather(*[client.send("http", b"", None) for _ in range(60)])

    run(send())
    assert 1 <= len(threads) <= 4


@pytest.mark.parametrize(
    ("outcome", "error", "said"),
    [
        (Outcome.REJECTED, BadRequest, "Send a list."),
        (Outcome.NOT_COUNTED, RewardsNotCounted, "Send a list. Send them again: each counts once."),
    ],
)
def test_what_the_companion_says_is_raised(path, companion, outcome, error, said):
    companion(lambda _: Answered(outcome, b"Send a list."))
    with pytest.raises(error) as raised:
        run(send_one(path))
    assert str(raised.value) == said


def test_without_a_companion_the_caller_is_told_at_once_to_send_again(path):
    with pytest.raises(RewardsNotCounted, match=r"does not answer\. Send them again"):
        run(send_one(path))
    with socket.socket(socket.AF_UNIX) as left_over, short_name(path) as name:
        left_over.bind(name)
    with pytest.raises(RewardsNotCounted):
        run(send_one(path))


def test_a_companion_that_does_not_answer_delays_a_request_and_no_more_and_its_answer_goes_to_no_other(path, companion):
    hold = threading.Event()
    asked = []

    def answer(request: Asked) -> Answered:
        asked.append(request.body)
        if request.body == b"slow":
            hold.wait(60)
        return results(request.body)

    companion(answer)

    async def send() -> bytes:
        async with replica(path, patience_s=0.3) as client:
            with pytest.raises(RewardsNotCounted):
                await client.send("http", b"slow", None)
            hold.set()
            client._patience_s = 60.0
            return await client.send("http", b"next", None)

    assert run(send()) == b"next"


def test_requests_that_wait_are_bounded(path, companion, monkeypatch):
    monkeypatch.setattr(client_module, "_MOST_WAITING", 8)
    hold = threading.Event()
    companion(lambda request: results(request.body) if hold.wait(60) else results(b""))

    async def send() -> None:
        async with replica(path, patience_s=100.0) as client:
            sent = [asyncio.create_task(client.send("http", b"x", None)) for _ in range(8)]
            await asyncio.sleep(0)
            with pytest.raises(RewardsNotCounted, match="8 requests with rewards are waiting already"):
                await client.send("http", b"x", None)
            hold.set()
            assert await asyncio.gather(*sent) == [b"x"] * 8
            assert await client.send("http", b"x", None) == b"x"

    run(send())


def test_the_next_companion_is_found(path, companion):
    async def send() -> list[bytes]:
        async with replica(path) as client:
            first = companion(lambda _: results(b"first"))
            found = [await client.send("http", b"", None)]
            await asyncio.to_thread(first.end)
            with pytest.raises(RewardsNotCounted):
                await client.send("http", b"", None)
            companion(lambda _: results(b"second"))
            return [*found, await client.send("http", b"", None)]

    assert run(send()) == [b"first", b"second"]


def test_a_request_that_was_read_is_answered_before_the_end(path, companion):
    entered, hold = threading.Event(), threading.Event()

    def answer(_: Asked) -> Answered:
        entered.set()
        hold.wait(60)
        return results(b"done")

    server = companion(answer)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(lambda: run(send_one(path)))
        assert entered.wait(60)
        server.stop.set()
        wait_until(lambda: not path.exists())
        hold.set()
        assert sent.result(60) == b"done"


def test_a_fault_of_the_companion_ends_the_request_and_not_the_next_one(path, companion):
    def answer(request: Asked) -> Answered:
        return results(bytes(1 // int(request.body)))

    companion(answer)

    async def send() -> bytes:
        async with replica(path) as client:
            with pytest.raises(RewardsNotCounted):
                await client.send("http", b"0", None)
            return await client.send("http", b"1", None)

    assert run(send()) == b"\0"


@pytest.mark.parametrize("sent", [LENGTH.pack(1 << 30), LENGTH.pack(3) + b"abc", LENGTH.pack(9) + b"a"])
def test_what_is_no_message_ends_its_connection_only(path, companion, sent):
    companion(lambda request: results(request.body))
    with socket.socket(socket.AF_UNIX) as stranger, short_name(path) as name:
        stranger.connect(name)
        stranger.sendall(sent)
        stranger.shutdown(socket.SHUT_WR)
        assert stranger.recv(10) == b""
    assert run(send_one(path, b"x")) == b"x"
