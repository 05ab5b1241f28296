"""Bodies are read up to the limit. Nothing beyond it is kept in memory."""

import asyncio
from typing import Any

import pytest

from gateway.errors import BadRequest, TooLarge
from gateway.http.body import ClientDisconnected, read_body
from tests.support.polling import PATIENCE_S


class Sender:
    """Sends its chunks one by one, marks the last one, and then waits for ever, as a client does."""

    def __init__(self, *chunks: bytes, gone: bool = False) -> None:
        self.left = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
        if not gone:
            self.left[-1]["more_body"] = False
        else:
            self.left.append({"type": "http.disconnect"})

    async def __call__(self) -> dict[str, Any]:
        if not self.left:
            await asyncio.Event().wait()
        return self.left.pop(0)


def read(sender: Sender, max_bytes: int = 10, **headers: bytes) -> bytes:
    async def bounded() -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
            return await read_body(sender, named, max_bytes)

    return asyncio.run(bounded())


@pytest.mark.parametrize("chunks", [(b"0123456789",), (b"01234", b"56789"), (b"", b"0123456789", b"")])
def test_a_body_up_to_the_limit_is_read_whole(chunks):
    assert read(Sender(*chunks)) == b"0123456789"
    assert read(Sender(*chunks), content_length=b"10") == b"0123456789"


def test_a_declared_body_beyond_the_limit_is_discarded_and_refused(tmp_path):
    sender = Sender(b"0" * 9, b"0" * 9)
    with pytest.raises(TooLarge, match="larger than 10 bytes"):
        read(sender, content_length=b"18")
    assert sender.left == []  # otherwise the client, which is still sending, would not read the response


@pytest.mark.parametrize("headers", [{"content_length": b"161"}, {"content_length": b"18", "expect": b"100-continue"}])
def test_a_body_far_beyond_the_limit_or_not_yet_sent_is_not_read(headers):
    sender = Sender(b"0" * 9, b"0" * 9)
    with pytest.raises(TooLarge):
        read(sender, **headers)
    assert len(sender.left) == 2


def test_an_undeclared_body_beyond_the_limit_is_refused():
    sender = Sender(b"01234", b"56789A", b"BC")
    with pytest.raises(TooLarge):
        read(sender)
    assert sender.left == []


def test_an_endless_body_is_given_up():
    sender = Sender(*[b"0" * 10] * 100)
    with pytest.raises(TooLarge):
        read(sender)
    assert len(sender.left) == 100 - 18


def test_an_undeclared_body_in_one_message_is_measured():
    with pytest.raises(TooLarge):
        read(Sender(b"0123456789A"))


def test_an_undeclared_body_whose_last_chunk_crosses_the_limit_is_refused():
    with pytest.raises(TooLarge):
        read(Sender(b"01234", b"56789A"))


@pytest.mark.parametrize("length", [b"ten", b"-1", b""])
def test_a_length_that_is_not_a_number_is_refused(length):
    with pytest.raises(BadRequest, match="Content-Length is not a number"):
        read(Sender(b"x"), content_length=length)


@pytest.mark.parametrize("headers", [{}, {"content_length": b"99"}])
def test_a_client_that_disconnects_gets_no_response(headers):
    with pytest.raises(ClientDisconnected):
        read(Sender(b"0123", gone=True), **headers)
