"""Which bodies are kept, and how much of them."""

import pytest

from gateway.inference.live_table import LiveTableHolder
from gateway.inference.payloads import Payloads
from inference_log.payload import Body
from inference_log.segment import read_segment
from inference_log.writer import LogWriter
from tests.unit.gateway.inference.support import Fake


@pytest.fixture
def holder() -> LiveTableHolder:
    return LiveTableHolder()


@pytest.fixture
def payloads(tmp_path, holder) -> Payloads:
    return Payloads(LogWriter(tmp_path, "w"), holder, 4)


def kept(payloads: Payloads) -> list:
    path = payloads._log.active_path
    return read_segment(path.read_bytes()).payloads if path else []


def keep(payloads: Payloads, status: int = 200, **headers: bytes) -> None:
    asked = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    payloads.keep("r", "d", "v2", status, (payloads.sent(memoryview(b"request")), asked), (b"ok", [(b"a", b"b")]))


def test_only_routes_that_say_so_keep_bodies(payloads, holder, join_live, signature):
    assert payloads.routes() == frozenset()
    holder.current = join_live({"a": Fake(signature, 1)})
    assert payloads.routes() == frozenset()
    holder.current = join_live({"a": Fake(signature, 1)}, log={"payloads": True})
    assert payloads.routes() == {"r"}
    holder.current = join_live({"a": Fake(signature, 1)})
    assert payloads.routes() == frozenset()


def test_of_a_body_the_beginning_is_kept_with_its_size_and_form(payloads):
    keep(payloads, content_type=b"x" * 200, content_encoding=b"gzip", inference_header_content_length=b"12")
    (payload,) = kept(payloads)
    assert payload.request == Body(b"requ", 7, "x" * 128, "gzip", 12)
    assert payload.response == Body(b"ok", 2)
    assert (payload.route, payload.decision_id, payload.door, payload.status) == ("r", "d", "v2", 200)


def test_a_length_that_is_no_number_is_none(payloads):
    keep(payloads, inference_header_content_length=b"9" * 30)
    assert kept(payloads)[0].request.json_bytes is None


@pytest.mark.parametrize("status", [401, 403, 429])
def test_what_a_caller_without_access_sends_is_not_kept(payloads, status):
    keep(payloads, status)
    assert kept(payloads) == []
