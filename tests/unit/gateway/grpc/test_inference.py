"""Predictions over gRPC, on a real socket: what the service is asked, and what the caller is told."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import pytest
import structlog.testing

from gateway.errors import STATUS_OF, BadRequest, ClientGone, Overloaded, RateLimited, TooLate
from gateway.grpc.messages import time_left_s
from gateway.grpc.server import SERVICE
from gateway.protocols.open_inference_pb2 import ModelStreamInferResponse
from tests.support.polling import PATIENCE_S
from tests.unit.gateway.grpc.support import Client, StubService, methods_of, request, serving

MESSAGE = request().SerializeToString()


def behind(use: Callable[[Client, StubService], Coroutine[Any, Any, None]], **stub: Any) -> StubService:
    """Run `use` against a server. Return the service behind it."""

    async def run() -> StubService:
        service = StubService(**stub)
        async with serving(methods_of(service)) as served:
            await asyncio.wait_for(use(served.client, service), PATIENCE_S)
        return service

    return asyncio.run(run())


def failure(content: bytes = MESSAGE, **stub: Any) -> tuple[str, str, dict[str, str]]:
    told: list[tuple[str, str, dict[str, str]]] = []

    async def use(client: Client, _: StubService) -> None:
        told.append(await client.failure("ModelInfer", content))

    behind(use, **stub)
    return told[0]


def test_a_prediction_is_answered_with_its_decision():
    async def use(client: Client, _: StubService) -> None:
        got = await client.infer(request(rows=3, id="i-1"))
        assert (got.model_name, got.model_version, got.id) == ("r", "7", "i-1")
        assert [list(output.shape) for output in got.outputs] == [[3], [3, 1]]
        assert got.parameters["arm"].string_param == "a"
        assert got.parameters["reason"].string_param == "WEIGHTED"
        assert got.parameters["propensity"].double_param == 0.5

    service = behind(use)
    assert service.rejected == []


def test_a_request_without_an_id_gets_that_of_its_decision():
    async def use(client: Client, service: StubService) -> None:
        got = await client.infer(request())
        assert got.id == got.parameters["decision_id"].string_param == service.calls[0]["decision_id"]
        assert re.fullmatch("[0-9a-f]{24}", got.id)

    behind(use)


def test_metadata_are_headers_and_the_version_and_the_deadline_are_passed_on():
    async def use(client: Client, _: StubService) -> None:
        metadata = (("x-user-id", "u 17"), ("x-user-id", "u 18"))
        await client.infer(request(model_version="5"), metadata=metadata, timeout=60)

    service = behind(use)
    assert service.headers[b"x-user-id"] == b"u 18"  # as over HTTP/1.1
    asked = service.calls[0]
    assert asked["version"] == "5"
    assert 0 < asked["time_left_s"] <= 60.1  # the client rounds its timeout up, to 60,010 ms at times


def test_without_a_version_or_a_deadline_none_is_passed_on():
    async def use(client: Client, _: StubService) -> None:
        await client.infer(request())

    asked = behind(use).calls[0]
    assert (asked["version"], asked["time_left_s"]) == (None, None)


def test_typed_contents_are_answered_in_kind():
    async def use(client: Client, _: StubService) -> None:
        tensor = {"name": "X", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1, 2]}}
        got = await client.infer(request(inputs=[tensor], raw_input_contents=[]))
        assert not got.raw_output_contents
        assert list(got.outputs[0].contents.int64_contents) == [1]

    behind(use)


def error_of(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind, "A sentence.")  # some classes build their sentence from other arguments
    if isinstance(error, RateLimited):
        error.retry_after_s = 0.25
    return error


SENT = [kind for kind in STATUS_OF if kind is not ClientGone]  # there is no client left for that one


@pytest.mark.parametrize("kind", SENT, ids=lambda kind: kind.__name__)
def test_an_error_has_the_status_that_it_means(kind):
    code, sentence, trailing = failure(raises=error_of(kind))
    assert (code, sentence) == (numbers()[STATUS_OF[kind].grpc], "A sentence.")
    assert trailing["x-error"] == kind.__name__
    assert re.fullmatch("[0-9a-f]{24}", trailing["x-decision-id"])


def numbers() -> dict[int, str]:
    return {code.value[0]: code.name for code in grpc.StatusCode}


def test_a_rate_limited_caller_learns_when_to_try_again():
    assert failure(raises=RateLimited("Later.", 0.25))[2]["grpc-retry-pushback-ms"] == "250"


def test_a_fault_is_logged_and_not_shown():
    with structlog.testing.capture_logs() as logs:
        code, sentence, trailing = failure(raises=RuntimeError("secret"))
    assert (code, sentence) == ("INTERNAL", "The gateway failed; its log says why.")
    assert "x-error" not in trailing
    assert [(log["event"], str(log["exc_info"])) for log in logs] == [("gateway.grpc.failed", "secret")]


@pytest.mark.parametrize("content", [b"\xff", b"\x0a\x05r", b"\x0a\x01\xff"], ids=["noise", "cut", "no-utf-8"])
def test_bytes_that_are_no_message_are_the_callers_fault(content):
    code, sentence, trailing = failure(content)
    assert (code, sentence) == ("INVALID_ARGUMENT", "The bytes are not a ModelInferRequest.")
    assert trailing["x-error"] == "BadRequest"


def test_a_route_that_is_unknown_and_a_tensor_that_does_not_fit():
    assert failure(request(model_name="z").SerializeToString())[:2] == ("NOT_FOUND", "There is no route 'z'.")
    code, sentence, _ = failure(request(raw_input_contents=[b""]).SerializeToString())
    assert (code, sentence) == ("INVALID_ARGUMENT", "Tensor X has 0 bytes, but FP32 [1, 2] needs 8.")


def test_what_was_refused_is_recorded_with_its_route_if_that_is_known():
    async def use(client: Client, service: StubService) -> None:
        await client.failure("ModelInfer", b"\xff")
        await client.failure("ModelInfer", request(raw_input_contents=[b""]).SerializeToString())
        ((error, route),) = service.rejected  # the first one names no route
        assert (type(error), route) == (BadRequest, "r")

    behind(use)


@pytest.mark.parametrize("quoted", ["x" * 100_000, "ü" * 50_000], ids=["ascii", "beyond"])
def test_a_long_sentence_is_cut_short(quoted):
    code, sentence, trailing = failure(raises=BadRequest(quoted))
    assert code == "INVALID_ARGUMENT"
    assert 500 <= len(sentence) < 1000
    assert trailing["x-error"] == "BadRequest"


def test_a_deadline_that_passes_ends_the_call_and_the_work():
    async def use(client: Client, service: StubService) -> None:
        await client.channel.channel_ready()
        code, _, _ = await client.failure("ModelInfer", MESSAGE, timeout=1)
        assert code == "DEADLINE_EXCEEDED"
        await service.left.wait()

    behind(use, hangs=True)


def test_a_deadline_of_the_route_has_the_status_of_one():
    assert failure(raises=TooLate("Too late."))[:2] == ("DEADLINE_EXCEEDED", "Too late.")


def test_a_client_who_leaves_cancels_the_work():
    async def use(client: Client, service: StubService) -> None:
        call = client.call("ModelInfer", MESSAGE)
        pending = asyncio.ensure_future(call)
        await service.waiting.wait()
        pending.cancel()
        await service.left.wait()

    service = behind(use, hangs=True)
    assert service.rejected == []


SENTENCES = ["100 %", "zwei\nZeilen", "schön 🎲", "back\\slash ~ \x7f", "a\tb"]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_arrives_unchanged(sentence):
    assert failure(raises=BadRequest(sentence))[1] == sentence


def test_half_a_character_does_not_keep_a_sentence_from_arriving():
    assert failure(raises=BadRequest("half: \ud800"))[:2] == ("INVALID_ARGUMENT", "half: ?")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"2H", 7200), (b"3M", 180), (b"4S", 4), (b"5m", 5e-3), (b"6u", 6e-6), (b"7n", 7e-9), (b"99999999n", 0.099999999)],
)
def test_deadlines_come_in_six_units(text, seconds):
    assert time_left_s({b"grpc-timeout": text}) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", [b"", b"S", b"1", b"1s", b"-1S", b"+1S", b"1.5S", b"123456789S", "٣S".encode(), b"1S,1S"]
)
def test_an_invalid_deadline_is_rejected(text):
    with pytest.raises(BadRequest, match="eight digits"):
        time_left_s({b"grpc-timeout": text})


def stream(client: Client, contents: list[bytes]) -> Any:
    async def sent() -> Any:
        for content in contents:
            yield content

    return client.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(sent())


def test_a_stream_is_answered_in_order_and_survives_errors():
    contents = [request(id="1"), request(id="2", model_name="z"), request(id="3", rows=2)]

    async def use(client: Client, service: StubService) -> None:
        serialised = [message.SerializeToString() for message in contents]
        got = [
            ModelStreamInferResponse.FromString(answer)
            async for answer in stream(client, [serialised[0], serialised[1], b"\xff", serialised[2]])
        ]
        assert [answer.error_message for answer in got] == [
            "",
            "There is no route 'z'.",
            "The bytes are not a ModelInferRequest.",
            "",
        ]
        assert [answer.infer_response.id for answer in got[:2] + got[3:]] == ["1", "2", "3"]
        assert list(got[3].infer_response.outputs[0].shape) == [2]
        assert (len(service.calls), service.rejected) == (2, [])

    behind(use)


def test_a_client_who_leaves_a_stream_cancels_the_work():
    async def use(client: Client, service: StubService) -> None:
        call = stream(client, [MESSAGE])
        await service.waiting.wait()
        call.cancel()
        await service.left.wait()

    behind(use, hangs=True)


def test_what_the_reception_sheds_is_told_as_exhaustion():
    assert failure(raises=Overloaded("Too much."))[0] == "RESOURCE_EXHAUSTED"
