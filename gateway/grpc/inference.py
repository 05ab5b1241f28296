"""Predictions over gRPC: decode, infer, encode.

No framework, no generated servicer and no log call on this path. Methods take and return the bytes of messages.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gateway.errors import ClientGone, status_of
from gateway.eventloop.body_budget import BodyBudget, Holding
from gateway.eventloop.driver import Pending
from gateway.eventloop.offload import LARGE_BYTES, UNCOUNTED_BYTES, Offload, caller_of
from gateway.grpc.messages import time_left_s
from gateway.grpc.method import HeldMessage, Method
from gateway.grpc.status import Failed, failure_of
from gateway.inference.guard import Guard
from gateway.inference.payloads import Payloads, Sent
from gateway.inference.service import PREDICT, InferenceService, Prediction, new_decision_id
from gateway.protocols.costs import bytes_to_copy, bytes_to_write, decoded_bytes
from gateway.protocols.open_inference_pb2 import ModelInferRequest
from gateway.protocols.request import Headers, InferenceRequest
from gateway.protocols.v2_grpc import decode, is_typed, parse
from gateway.protocols.v2_grpc_response import encode, encode_streamed, encode_streamed_error
from runtimes.manifest import Signature

T = TypeVar("T")

_FEW_ELEMENTS = 128
_Held = list[ModelInferRequest]
"""A parsed message, until the thread that decodes it takes it out."""


class GrpcInference:
    """One per replica. `guard` is None if access is not restricted."""

    def __init__(
        self,
        service: InferenceService,
        budget: BodyBudget,
        offload: Offload,
        guard: Guard | None = None,
        payloads: Payloads | None = None,
    ) -> None:
        self._service = service
        self._budget = budget
        self._offload = offload
        self._payloads = payloads
        self._check_caller = None if guard is None else partial(guard.check_scope, scope=PREDICT)

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "ModelInfer": Method(self.infer, respond_large=self.infer_large, check_caller=self._check_caller),
            "ModelStreamInfer": Method(
                self.infer_streamed,
                is_stream=True,
                respond_large=self.infer_large_streamed,
                check_caller=self._check_caller,
            ),
        }

    async def infer(self, content: bytes, headers: Headers) -> bytes:
        """Answer one request. Run the coroutine with `gateway.eventloop.driver`.

        Raises:
            Failed: the request could not be answered.
            ClientGone: the client has left.
        """
        if len(content) > UNCOUNTED_BYTES and not self._offload.allows_here(len(content)):
            return await self.infer_large([content], headers, Holding(self._budget))
        started_s, decision_id = time.perf_counter(), new_decision_id()
        sent, message = self._sent(content), ModelInferRequest()
        try:
            message = parse(content)
            prediction = await self._predict(message, partial(decode, message), headers, decision_id, started_s)
            answer = await self._encode(prediction, headers, typed=is_typed(message))
        except ClientGone:
            raise
        except Exception as error:
            failure = failure_of(error, decision_id)
            self._keep(sent, message.model_name, decision_id, failure.sentence, error)
            raise Failed(failure) from error
        self._keep(sent, message.model_name, decision_id, answer)
        return answer

    async def infer_large(self, content: HeldMessage, headers: Headers, holding: Holding) -> bytes:
        """Do as `infer`, and what takes long in threads."""
        started_s, decision_id = time.perf_counter(), new_decision_id()
        held: _Held = []
        sent, route = self._sent(content[0]), ""
        try:
            held.append(await self._run(partial(_parsed, content), headers, holding))
            route = held[0].model_name
            answer = await self._infer_held(held, headers, decision_id, started_s, holding)
        except ClientGone:
            raise
        except Exception as error:
            failure = failure_of(error, decision_id)
            self._keep(sent, route, decision_id, failure.sentence, error)
            raise Failed(failure) from error
        finally:
            held.clear()
        self._keep(sent, route, decision_id, answer)
        return answer

    async def infer_streamed(self, content: bytes, headers: Headers) -> bytes:
        """Answer one request of a stream. An error ends this request, not the stream.

        Raises:
            ClientGone: the client has left.
        """
        if len(content) > UNCOUNTED_BYTES and not self._offload.allows_here(len(content)):
            return await self.infer_large_streamed([content], headers, Holding(self._budget))
        started_s, decision_id = time.perf_counter(), new_decision_id()
        sent, message = self._sent(content), ModelInferRequest()
        try:
            message = parse(content)
            prediction = await self._predict(message, partial(decode, message), headers, decision_id, started_s)
            answer = await self._encode(prediction, headers, typed=is_typed(message))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  # the caller gets the error; a fault of ours is logged
            sentence = failure_of(error).sentence
            self._keep(sent, message.model_name, decision_id, sentence, error)
            return encode_streamed_error(sentence, message.model_name, message.id or decision_id)
        self._keep(sent, message.model_name, decision_id, answer)
        return encode_streamed(answer)

    async def infer_large_streamed(self, content: HeldMessage, headers: Headers, holding: Holding) -> bytes:
        """Do as `infer_streamed`, and what takes long in threads."""
        started_s, decision_id = time.perf_counter(), new_decision_id()
        held: _Held = []
        route = request_id = ""
        sent = self._sent(content[0])
        try:
            held.append(await self._run(partial(_parsed, content), headers, holding))
            route, request_id = held[0].model_name, held[0].id
            answer = await self._infer_held(held, headers, decision_id, started_s, holding)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  # the caller gets the error; a fault of ours is logged
            sentence = failure_of(error).sentence
            self._keep(sent, route, decision_id, sentence, error)
            return encode_streamed_error(sentence, route, request_id or decision_id)
        finally:
            held.clear()
        self._keep(sent, route, decision_id, answer)
        return encode_streamed(answer)

    def _sent(self, content: bytes | memoryview) -> Sent | None:
        """Return what may be kept of a message; None if no route keeps bodies."""
        return None if self._payloads is None or not self._payloads.routes() else self._payloads.sent(content)

    def _keep(
        self, sent: Sent | None, route: str, decision_id: str, answer: bytes | str, error: Exception | None = None
    ) -> None:
        """Keep both messages, or the error's sentence in place of the answer, if the route keeps bodies."""
        if sent is not None and self._payloads is not None and route in self._payloads.routes():
            status = 200 if error is None else status_of(error).http
            answer = answer.encode("utf-8", "replace") if isinstance(answer, str) else answer
            self._payloads.keep(route, decision_id, "grpc", status, (sent, {}), (answer, ()))

    async def _infer_held(
        self, held: _Held, headers: Headers, decision_id: str, started_s: float, holding: Holding
    ) -> bytes:
        """Answer a parsed message, which is taken out of its list."""
        typed = is_typed(held[0])
        named = ModelInferRequest(model_name=held[0].model_name, model_version=held[0].model_version)

        def decode_later(signature: Signature) -> Pending[InferenceRequest]:
            return self._run(partial(_decoded, held, signature, holding), headers, holding)

        prediction = await self._predict(named, decode_later, headers, decision_id, started_s)
        return await self._encode(prediction, headers, typed=typed, holding=holding)

    async def _predict(
        self,
        message: ModelInferRequest,
        decode: Callable[[Signature], InferenceRequest | Pending[InferenceRequest]],
        headers: Headers,
        decision_id: str,
        started_s: float,
    ) -> Prediction:
        return await self._service.infer(
            message.model_name,
            headers,
            decode,
            decision_id=decision_id,
            started_s=started_s,
            version=message.model_version or None,
            read_time_left_s=time_left_s,
            door="grpc",
        )

    async def _encode(
        self, prediction: Prediction, headers: Headers, *, typed: bool, holding: Holding | None = None
    ) -> bytes:
        """Return the response's message. A large one is made in a thread."""
        count = _bytes_to_encode(prediction, typed=typed)
        if not count or (count <= LARGE_BYTES and self._offload.allows_here(count)):
            return _encoded(prediction, typed=typed)
        holding = holding or Holding(self._budget)
        content = await self._run(partial(_encoded, prediction, typed=typed), headers, holding)
        holding.require_response(len(content))
        return content

    def _run(self, work: Callable[[], T], headers: Headers, holding: Holding) -> Pending[T]:
        return self._offload.run(work, caller_of(headers), holding.connection)


def _parsed(content: HeldMessage) -> ModelInferRequest:
    return parse(content.pop())


def _decoded(held: _Held, signature: Signature, holding: Holding) -> InferenceRequest:
    message = held.pop()
    message_bytes = message.ByteSize()
    request = decode(message, signature)
    holding.add(max(decoded_bytes(request.inputs.values()) - message_bytes, 0))
    return request


def _bytes_to_encode(prediction: Prediction, *, typed: bool) -> int:
    tensors = prediction.answer.tensors
    if sum([tensor.size for tensor in tensors]) < _FEW_ELEMENTS:
        return 0
    return bytes_to_write(tensors) if typed else bytes_to_copy(tensors)


def _encoded(prediction: Prediction, *, typed: bool) -> bytes:
    request, answer, response = prediction
    return encode(response, request.outputs, answer.arm.signature.outputs, answer.tensors, typed=typed)
